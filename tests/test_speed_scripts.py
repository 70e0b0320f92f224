"""The measurements of benchmarks/speed run, and write the figures that they promise; tiny sizes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_runs import run_script

SPEED = Path(__file__).parents[1] / "benchmarks" / "speed"


@pytest.mark.slow
def test_the_measurements_of_a_card_run_on_a_processor(tmp_path):
    sections = ["machine", "prediction", "kernels", "features", "day"]
    sizes = ["--batch-sizes", "1", "--limit", "0", "--day-limit", "0.5", "--device", "cpu"]
    sizes += ["--model", "new"]
    run_script(SPEED / "gpu.py", *sections, *sizes, "--json", tmp_path / "gpu.json")
    figures = json.loads((tmp_path / "gpu.json").read_text())
    assert figures["machine"][0]["card"] == "none"
    assert [row["precision"] for row in figures["predict"]] == ["float32", "bfloat16"]
    assert all(row["over_bare"] > 0.5 for row in figures["predict"])
    assert {row["of"] for row in figures["kernels"]} == {"predict", "step"}
    assert figures["features"][-1]["largest_difference"] < 1e-3
    assert figures["day"][0]["x_real_time"] > 10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "settings", "rows"),
    [
        ("features", ["--clips", "2"], ["LFBEs, n_jobs=1", "LFBEs of blocks"]),
        ("prediction", ["--clips", "2"], ["`predict`, 2 clips, float32", "exported graph"]),
        ("training", ["--clips", "2"], ["training step, float32", 'step of FrameDetector("mlp")']),
        ("recordings", ["--minutes", "2"], ["`detect_file`, 2 min of WAV", "peak memory"]),
        ("rivals", ["--clips", "2"], ["R-CRNN, an hour", "R-FCN, an hour"]),
        ("startup", [], ["`rcrnn models`", "`rcrnn detect`"]),
    ],
)
def test_a_subject_prints_its_table(script, settings, rows):
    pytest.importorskip("onnxruntime")
    # Once each: how sure the figures are is nothing that a test could tell.
    printed = run_script(SPEED / f"{script}.py", "--repeats", "0", *settings)
    table = [line.split("|") for line in printed.splitlines() if line.startswith("| ")]
    for row in rows:
        own = next(cells for cells in table if cells[1].strip().startswith(row))
        if "memory" not in row:
            assert float(own[5]) == pytest.approx(float(own[2]) / float(own[4]), rel=0.02, abs=0.02)
