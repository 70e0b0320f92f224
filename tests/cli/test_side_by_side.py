"""Several processes on one folder of output: as three terminals, or an array job, have it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
import soundfile
from small_runs import RATE, tiny_pipeline, write_recordings

from sklearn_rcrnn import detect_files, load, save
from sklearn_rcrnn.annotations import read_events

COMMAND = [sys.executable, "-c", "from sklearn_rcrnn.cli import main; main()", "detect"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tiny"
    save(tiny_pipeline(), folder)
    return folder


def started(*args):
    command = [*COMMAND, *map(str, args), "--json"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def told(process):
    _, text = process.communicate(timeout=240)
    return [json.loads(line) for line in text.splitlines()]


def left_over(folder):
    """What only processes at work may have there."""
    return [
        path
        for path in folder.rglob("*")
        if path.name.endswith(".part") or path.parent.name == "claims"
    ]


def test_three_share_the_work(model, tmp_path):
    paths = write_recordings(tmp_path / "in")
    out = tmp_path / "out"
    processes = [started(tmp_path / "in", "-m", model, "-o", out) for _ in range(3)]
    rows = [told(process) for process in processes]
    # One recording is broken, and whoever comes to it says so.
    assert {process.returncode for process in processes} == {1}
    names = Counter(row["file"] for own in rows for row in own if row["event"] == "detected")
    good = {str(path) for path in paths if path.name != "05.wav"}
    assert names == dict.fromkeys(good, 1)
    failed = {row["file"] for own in rows for row in own if row["event"] == "error"}
    assert failed == {str(tmp_path / "in" / "05.wav")}
    assert {path.name for path in out.glob("*.csv")} == {f"{i:02}.wav.csv" for i in range(12)} - {
        "05.wav.csv"
    }
    assert left_over(out) == []
    list(detect_files(load(model), paths, output_dir=tmp_path / "alone"))
    assert read_events(out) == read_events(tmp_path / "alone")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_what_a_killed_one_had_claimed_is_taken_over(model, tmp_path):
    paths = write_recordings(tmp_path / "in")
    noise = np.random.default_rng(0).normal(size=7200 * RATE) / 10
    soundfile.write(tmp_path / "in" / "00.wav", noise, RATE)
    out = tmp_path / "out"
    process = started(tmp_path / "in", "-m", model, "-o", out)
    end = time.monotonic() + 120
    while not left_over(out) and time.monotonic() < end:
        time.sleep(0.02)
    assert left_over(out)
    process.kill()
    process.communicate()
    soundfile.write(paths[0], noise[: 4 * RATE], RATE)
    rows = told(started(tmp_path / "in", "-m", model, "-o", out))
    done = [row["file"] for row in rows if row["event"] == "detected"]
    assert str(paths[0]) in done
    assert len(list(out.glob("*.csv"))) == 11
    assert left_over(out) == []
