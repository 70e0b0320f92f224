"""The installed command, as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sklearn_rcrnn import Event, load, make_rcrnn_pipeline, save
from sklearn_rcrnn.annotations import read_events, write_events
from sklearn_rcrnn.batch import detect_files
from sklearn_rcrnn.datasets import make_rare_events

RATE = 8000
RCRNN = Path(sys.executable).with_name("rcrnn")


def rcrnn(*args):
    return subprocess.run([RCRNN, *map(str, args)], capture_output=True, text=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model and three recordings, one of which is none."""
    root = tmp_path_factory.mktemp("cli")
    settings = {"duration": 4.0, "sample_rate": RATE, "ebr": (10, 20)}
    X, y = make_rare_events(8, random_state=0, **settings)
    pipe = make_rcrnn_pipeline(
        sample_rate=RATE,
        n_fft=512,
        hop_length=256,
        n_mels=16,
        gru_units=4,
        dense_units=8,
        max_epochs=1,
        score_threshold=0.0,
        random_state=0,
    ).fit(X, y)
    save(pipe, root / "model")
    (root / "in").mkdir()
    for name, samples in zip(("a.wav", "b c\n.flac"), X, strict=False):
        soundfile.write(root / "in" / name, samples, RATE)
    (root / "in" / "broken.wav").write_text("no audio")
    return root


def test_table_on_standard_output(folder):
    out = rcrnn("detect", folder / "in" / "a.wav", "--model", folder / "model")
    assert out.returncode == 0, out.stderr
    lines = out.stdout.splitlines()
    assert lines[0] == "file,onset,offset,label,score"
    expected = load(folder / "model").predict([folder / "in" / "a.wav"])[0]
    assert len(lines) == 1 + len(expected)


def test_a_broken_recording_does_not_stop_the_others(folder, tmp_path):
    target = tmp_path / "tables"
    target.mkdir()
    args = ("detect", folder / "in", "--model", folder / "model", "-o", target)
    out = rcrnn(*args, "--format", "jsonl")
    assert out.returncode == 1
    assert "broken.wav' cannot be read" in out.stderr
    assert len(out.stderr.strip().splitlines()) == 1
    names = sorted(path.name for path in target.iterdir())
    assert names == ["a.wav.jsonl", "b c\n.flac.jsonl"]


def test_a_second_run_goes_on_where_the_first_stopped(folder, tmp_path):
    pipe = load(folder / "model")
    paths = [folder / "in" / "a.wav", folder / "in" / "b c\n.flac"]
    first = list(detect_files(pipe, paths[:1], output_dir=tmp_path))
    assert first[0].events is not None
    stamp = (tmp_path / "a.wav.csv").stat().st_mtime_ns
    second = list(detect_files(pipe, paths, output_dir=tmp_path, n_jobs=2))
    assert [outcome.events is None for outcome in second] == [True, False]
    assert (tmp_path / "a.wav.csv").stat().st_mtime_ns == stamp
    again = list(detect_files(pipe, paths[:1], output_dir=tmp_path, overwrite=True))
    assert again[0].events == first[0].events


def test_two_recordings_of_one_name(folder, tmp_path):
    (tmp_path / "a.wav").write_bytes((folder / "in" / "a.wav").read_bytes())
    paths = [folder / "in" / "a.wav", tmp_path / "a.wav"]
    with pytest.raises(ValueError, match="would both be written"):
        list(detect_files(load(folder / "model"), paths, output_dir=tmp_path / "out"))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("detect", "x.wav", "--model", "nothing"), "nothing is no model"),
        (("detect", "x.wav", "--threshold", "2"), "--threshold"),
        (("detect",), "Missing argument"),
        (("evaluate", "no.csv", "no.csv"), "No such table of events"),
    ],
)
def test_wrong_use_ends_with_2(args, message):
    out = rcrnn(*args)
    assert out.returncode == 2
    assert message in out.stderr
    assert "Traceback" not in out.stderr


def test_scores(tmp_path):
    true = {"a.wav": [Event(1.0, 2.0, "dog")], "b.wav": [Event(3.0, 4.0, "cat")], "c.wav": []}
    found = {"a.wav": [Event(1.2, 2.0, "dog", 0.9)], "c.wav": [Event(0.0, 1.0, "dog", 0.9)]}
    write_events(true, tmp_path / "true.csv")
    write_events(found, tmp_path / "found.csv")
    out = rcrnn("evaluate", tmp_path / "true.csv", tmp_path / "found.csv", "--json")
    rows = {
        label: (row["error_rate"], row["f_score"]) for label, row in json.loads(out.stdout).items()
    }
    assert rows == {
        "cat": pytest.approx((1, 0)),
        "dog": pytest.approx((1, 2 / 3)),
        "all": pytest.approx((1, 0.5)),
    }
    table = rcrnn("evaluate", tmp_path / "true.csv", tmp_path / "found.csv").stdout
    assert table.splitlines()[0] == "label  error rate  F-score"


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from sklearn_rcrnn import cli; "
        "print([m for m in ('torch', 'sklearn', 'librosa', 'numpy') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
    assert "detect" in rcrnn("--help").stdout


def test_shipped_models():
    out = rcrnn("models")
    assert "rare-events: babycry, glassbreak, gunshot" in out.stdout


def test_shipped_weights_with_nothing_but_a_file_name(tmp_path):
    path = tmp_path / "noise.wav"
    noise = 0.01 * np.random.default_rng(0).normal(size=3 * 44100)
    soundfile.write(path, noise, 44100)
    out = rcrnn("detect", path)
    assert out.returncode == 0, out.stderr
    out = rcrnn("detect", path, "-o", tmp_path / "x.csv")
    assert list(read_events(tmp_path / "x.csv")) == [str(path)]
