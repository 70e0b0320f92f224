"""The installed command, as a user types it."""

from __future__ import annotations

import functools
import inspect
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from small_runs import RCRNN, rcrnn

from sklearn_rcrnn import Event, load, make_rcrnn_pipeline, save
from sklearn_rcrnn.annotations.tables import read_events, write_events
from sklearn_rcrnn.cli import app
from sklearn_rcrnn.datasets import make_rare_events
from sklearn_rcrnn.inference.files import detect_files

RATE = 8000


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
    """Of the installed command, in a process of its own."""
    command = [RCRNN, "detect", folder / "in" / "a.wav", "--model", folder / "model"]
    out = subprocess.run(command, capture_output=True, text=True)
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
    assert out.exit_code == 1
    assert "broken.wav' cannot be read" in out.stderr
    assert "1 recording failed: broken.wav" in out.stderr
    names = sorted(path.name for path in target.iterdir() if path.name != ".rcrnn")
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


def test_an_error_that_nobody_thought_of_does_not_stop_the_others(folder, monkeypatch):
    def without_memory(lfbe, detector, blocks, windows, side_by_side):
        list(blocks)
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("not enough memory")
        return []

    calls = []
    monkeypatch.setattr("sklearn_rcrnn.inference.work.detect_blocks", without_memory)
    paths = [folder / "in" / "a.wav", folder / "in" / "b c\n.flac"]
    first, second = detect_files(load(folder / "model"), paths)
    assert first.error == f"'{paths[0]}': RuntimeError: not enough memory"
    assert (second.error, second.events) == (None, [])


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for another process")
def test_what_was_found_before_an_interruption_is_kept(folder, tmp_path):
    sound, rate = soundfile.read(folder / "in" / "a.wav")
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "0.wav", sound, rate)
    soundfile.write(tmp_path / "in" / "1.wav", np.tile(sound, 900), rate)  # an hour
    args = ["detect", tmp_path / "in", "--model", folder / "model", "--json", "-o"]
    for target, kept in ((tmp_path / "x.csv", "x.csv.part"), (f"{tmp_path}/out/", "out/0.wav.csv")):
        command = [RCRNN, *map(str, args), str(target)]
        # What runs in the background of a shell has SIGINT ignored, and so would the command.
        heard = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, preexec_fn=heard
        ) as process:
            assert json.loads(process.stderr.readline())["event"] == "detected"
            process.send_signal(signal.SIGINT)
            last = json.loads(process.stderr.readlines()[-1])
        assert process.returncode == 130
        assert last["event"] == "interrupted"
        assert [Path(name).name for name in read_events(tmp_path / kept, "csv")] == ["0.wav"]
    assert not (tmp_path / "x.csv").exists()


def test_two_recordings_of_one_name(folder, tmp_path):
    (tmp_path / "a.wav").write_bytes((folder / "in" / "a.wav").read_bytes())
    paths = [folder / "in" / "a.wav", tmp_path / "a.wav"]
    with pytest.raises(ValueError, match="would both be written"):
        list(detect_files(load(folder / "model"), paths, output_dir=tmp_path / "out"))


def test_tables_lie_as_recordings_do(folder, tmp_path):
    """Recorders give the recordings of each day the same names."""
    for day, name in (("mon", "a.wav"), ("tue", "b c\n.flac")):
        (tmp_path / "in" / day).mkdir(parents=True)
        sound = (folder / "in" / name).read_bytes()
        (tmp_path / "in" / day / "0.wav").write_bytes(sound)
    args = (tmp_path / "in", "--model", folder / "model")
    tables = f"{tmp_path / 'tables'}/"
    assert rcrnn("detect", *args, "-o", tables).exit_code == 0
    expected = [
        load(folder / "model").predict([tmp_path / "in" / f"{day}/0.wav"])[0]
        for day in ("mon", "tue")
    ]
    again = rcrnn("detect", *args, "-o", tables).stderr
    assert "2 recordings passed over: done before, by this model and settings" in again
    found = read_events(tables)
    assert list(found) == ["mon/0.wav", "tue/0.wav"]
    for own, events in zip(found.values(), expected, strict=True):
        onsets = [event.onset for event in events]
        assert [event.onset for event in own] == pytest.approx(onsets, abs=1e-3)
    out = rcrnn("report", tmp_path / "in", "--events", tables, "-o", tmp_path / "x.html")
    assert out.stderr.endswith(f"{sum(map(len, expected))} events\n")
    assert out.exit_code == 0
    (tmp_path / "in" / "empty.wav").write_bytes(b"")
    out = rcrnn("report", tmp_path / "in", "--events", tables, "-o", tmp_path / "x.html")
    assert (out.exit_code, "empty.wav' is empty" in out.stderr) == (1, True)
    out = rcrnn("report", tmp_path / "in", "--events", Path(tables) / "mon" / "0.wav.csv")
    assert out.exit_code == 2
    assert "tell them apart" in out.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("detect", "x.wav", "--model", "nothing"), "nothing is no model"),
        (("detect", "x.wav", "--threshold", "2"), "--threshold"),
        (("detect",), "no recordings: name some"),
        (("evaluate", "no.csv", "no.csv"), "No such table of events"),
    ],
)
def test_wrong_use_ends_with_2(args, message):
    out = rcrnn(*args)
    assert out.exit_code == 2
    assert message in out.stderr


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
    assert "CC BY-NC 4.0, 7.2 MB, error rate 0." in out.stdout
    assert rcrnn("models", "rare-events").stdout.startswith("# rare-events\n")
    out = rcrnn("models", "birds")
    assert out.exit_code == 2
    assert "no model 'birds'" in out.stderr


def test_shipped_weights_with_nothing_but_a_file_name(tmp_path):
    path = tmp_path / "noise.wav"
    noise = 0.01 * np.random.default_rng(0).normal(size=3 * 44100)
    soundfile.write(path, noise, 44100)
    out = rcrnn("detect", path)
    assert out.exit_code == 0, out.stderr
    out = rcrnn("detect", path, "-o", tmp_path / "x.csv")
    assert list(read_events(tmp_path / "x.csv")) == [str(path)]


def test_standard_input(folder):
    """Through a pipe between processes, which cannot be wound back."""
    data = (folder / "in" / "a.wav").read_bytes()
    args = ["detect", "-", "--model", folder / "model"]
    out = subprocess.run([RCRNN, *args, "--format", "json"], input=data, capture_output=True)
    assert out.returncode == 0, out.stderr
    rows = [json.loads(line) for line in out.stdout.splitlines()]
    expected = load(folder / "model").predict([folder / "in" / "a.wav"])[0]
    assert [row["onset"] for row in rows] == pytest.approx([e.onset for e in expected])
    assert {row["file"] for row in rows} == {"stdin"}
    broken = rcrnn(*args, data=b"no audio")
    assert broken.exit_code == 1
    assert "'standard input' cannot be read as audio" in broken.stderr


def test_raw_samples_from_standard_input(folder):
    samples = soundfile.read(folder / "in" / "a.wav", dtype="int16")[0]
    args = ("detect", "-", "--model", folder / "model", "--raw", RATE)
    out = rcrnn(*args, data=samples.astype("<i2").tobytes())
    assert out.exit_code == 0, out.stderr
    whole = rcrnn("detect", folder / "in" / "a.wav", "--model", folder / "model")
    times = [line.split(",")[1:3] for line in out.stdout.splitlines()]
    assert times == [line.split(",")[1:3] for line in whole.stdout.splitlines()]
    assert rcrnn(*args, "--format", "raven").exit_code == 2
    assert rcrnn("detect", "a.wav", "--model", folder / "model", "--raw", RATE).exit_code == 2


def test_logs_for_programs(folder):
    out = rcrnn("detect", folder / "in", "--model", folder / "model", "--json")
    rows = [json.loads(line) for line in out.stderr.splitlines()]
    assert sorted(row["event"] for row in rows) == ["detected", "detected", "error", "finished"]
    assert rows[-1]["n_files"] == 3
    assert rows[-1]["n_failed"] == 1


def test_killed_in_the_middle_and_run_again(folder, tmp_path):
    many = tmp_path / "in"
    many.mkdir()
    data = (folder / "in" / "a.wav").read_bytes()
    for i in range(40):
        (many / f"{i:02}.wav").write_bytes(data)
    args = ("detect", many, "--model", folder / "model", "--output")
    target, clean = tmp_path / "tables", tmp_path / "clean"
    target.mkdir()
    clean.mkdir()
    process = subprocess.Popen([RCRNN, *map(str, args), str(target)])
    deadline = time.time() + 60
    while len(list(target.glob("*.csv"))) < 3 and time.time() < deadline:
        time.sleep(0.01)
    process.kill()  # SIGKILL
    process.wait()
    done = len(list(target.glob("*.csv")))
    assert 3 <= done < 40
    assert rcrnn(*args, target).exit_code == 0
    assert rcrnn(*args, clean).exit_code == 0
    written = {path.name: path.read_text() for path in target.glob("*.csv")}
    assert written == {path.name: path.read_text() for path in clean.glob("*.csv")}
    assert len(written) == 40


def test_output_that_cannot_be_written(folder, tmp_path):
    args = ("detect", folder / "in" / "a.wav", "--model", folder / "model", "-o")
    out = rcrnn(*args, tmp_path / "no" / "x.csv")
    assert out.exit_code == 2
    assert "x.csv cannot be written" in out.stderr
    (tmp_path / "file").write_text("")
    out = rcrnn("detect", folder / "in", "-m", folder / "model", "-o", f"{tmp_path}/file/tables/")
    assert out.exit_code == 2


def test_report(folder, tmp_path):
    pytest.importorskip("matplotlib")
    args = ("report", folder / "in" / "a.wav", "-o", tmp_path / "x.html")
    out = rcrnn(*args, "-m", folder / "model")
    assert out.exit_code == 0, out.stderr
    n_events = len(load(folder / "model").predict([folder / "in" / "a.wav"])[0])
    assert f"{n_events} events found in 1 recording" in (tmp_path / "x.html").read_text()
    write_events({"a.wav": [Event(1.0, 2.0, "dog")]}, tmp_path / "events.csv")
    out = rcrnn(*args, "--events", tmp_path / "events.csv", "--no-audio", "--quiet")
    assert out.exit_code == 0
    assert "1 event found in 1 recording" in (tmp_path / "x.html").read_text()
    # Nobody has said that nothing is in the recording: its events are no false alarms for certain.
    write_events({"b.wav": []}, tmp_path / "truth.csv")
    table = ("--events", tmp_path / "events.csv", "--truth", tmp_path / "truth.csv")
    out = rcrnn(*args, *table, "--no-audio")
    assert "1 recording without a row in " in out.stderr
    assert "without events: a.wav\n" in out.stderr


@pytest.mark.parametrize("name", ["detect", "train", "tune", "evaluate", "synthesize", "report"])
def test_help_has_examples(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = rcrnn(name, "--help").stdout
    assert f"rcrnn {name} " in text
    assert max(map(len, text.splitlines())) <= 80
    # Each example stays on its line, and no line of the text ends where the source breaks it.
    command = next(c for c in app.registered_commands if c.callback.__name__ == name)
    source = inspect.getdoc(command.callback).partition("\b")
    assert all(f" {line} " in text for line in source[2].strip().splitlines())
    assert "\n" not in command.help.partition("\b")[0].replace("\n\n", "")
