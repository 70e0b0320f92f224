"""Logs as JSON: every line is an object, whatever is said."""

from __future__ import annotations

import io
import json
import socket
import sys
import warnings
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from rich.console import Console
from small_runs import rcrnn

from sklearn_rcrnn.cli._common import Log
from sklearn_rcrnn.cli._following import _bar, state
from sklearn_rcrnn.inference.output import Recording
from sklearn_rcrnn.inference.run_statistics import RunStatistics


def rows(*args):
    out = rcrnn(*args)
    return [json.loads(line) for line in out.stderr.splitlines()], out


@pytest.fixture
def cut(tmp_path):
    """A WAV that promises more than it has, which is worth a warning."""
    path = tmp_path / "cut.wav"
    soundfile.write(path, 0.01 * np.random.default_rng(0).normal(size=3 * 44100), 44100)
    path.write_bytes(path.read_bytes()[:-50000])
    return path


def test_warnings_are_objects(cut):
    said, out = rows("detect", cut, "--json")
    assert out.exit_code == 0
    assert "warning" in [row["event"] for row in said]
    warning = next(row for row in said if row["event"] == "warning")
    assert "cut short" in warning["warning"]
    assert warning["category"] == "UserWarning"


def test_each_line_says_when_where_and_of_which_model(cut):
    for row in rows("detect", cut, "--json")[0]:
        assert row["host"] == socket.gethostname()
        assert row["model"] == "rare-events"
        age = datetime.now(timezone.utc) - datetime.fromisoformat(row["time"])
        assert timedelta(0) <= age < timedelta(minutes=5)


@pytest.mark.parametrize("args", [["detect", "x.wav", "--model", "none"], ["detect", "no-folder/"]])
def test_errors_that_end_the_command(args):
    said, out = rows(*args, "--json")
    assert out.exit_code != 0
    assert any(row.get("error") for row in said)


def test_warnings_to_people(cut):
    out = rcrnn("detect", cut, "--quiet")
    assert out.stderr.startswith("rcrnn: warning: ")
    assert "warn(" not in out.stderr


def test_the_same_warning_is_told_once(capsys):
    Log(False, False)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        for text in ("a.wav is cut short", "a.wav is cut short", "b.wav is cut short"):
            warnings.warn(text, stacklevel=1)
    told = ["rcrnn: warning: a.wav is cut short", "rcrnn: warning: b.wav is cut short"]
    assert capsys.readouterr().err.splitlines() == told


def test_what_is_no_json_is_said_as_text(capsys, tmp_path):
    Log(False, True).say("found", path=tmp_path)
    warnings.warn(Warning("odd"), stacklevel=1)
    lines = capsys.readouterr().err.splitlines()
    assert json.loads(lines[0])["path"] == str(tmp_path)
    assert json.loads(lines[1])["warning"] == "odd"


def test_bar_of_a_terminal_of_80_columns_says_how_long_it_takes(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("sklearn_rcrnn.inference.run_statistics.time.monotonic", lambda: now[0])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    nights = [Recording(Path(f"{i}.wav"), f"{i}", 1000, 0) for i in range(4000)]
    summary = RunStatistics(nights)
    now[0] += 30
    summary.done(nights[0], [], 3600.0)
    summary.failed(nights[1], "broken")
    bar = _bar(SimpleNamespace(quiet=False, as_json=False))
    bar.update(bar.task_ids[0], completed=1, total=4, state=state(summary))
    console = Console(file=io.StringIO(), width=80)
    console.print(bar.get_renderable())
    line = console.file.getvalue()
    assert line.startswith("━━━")
    assert "2 of 4000 recordings, 1 failed, about 33.3 h left" in line
    assert len(line.rstrip("\n")) <= 80


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("report", "a.wav", "--whole", "--around", 3), "--whole shows all of every recording"),
        (("report", "a.wav", "--events", "x.csv", "-m", "general"), "--model finds others"),
        (("report", "a.wav", "--label-column", "species"), "--label-column is about a table"),
        (("synthesize", "clips", "--subset", "devtest"), "--subset would have no effect"),
        (("synthesize", "clips", "--jobs", 1), "--jobs would have no effect"),
    ],
)
def test_options_that_would_have_no_effect_beside_others(args, message):
    """They had none, without a word."""
    out = rcrnn(*args)
    assert out.exit_code == 2
    assert message in out.stderr
