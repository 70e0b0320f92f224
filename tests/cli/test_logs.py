"""Logs as JSON: every line is an object, whatever is said."""

from __future__ import annotations

import json
import socket
import warnings
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from sklearn_rcrnn.cli import app
from sklearn_rcrnn.cli._common import Log


def rows(*args):
    out = CliRunner().invoke(app, [str(arg) for arg in args])
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
    out = CliRunner().invoke(app, ["detect", str(cut), "--quiet"])
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
