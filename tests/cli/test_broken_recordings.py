"""A training takes what can be used of a folder, and says what it leaves out."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from sklearn_rcrnn import Event
from sklearn_rcrnn.cli._clips import read_clips
from sklearn_rcrnn.cli._common import Log

RATE = 8000


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    noise = np.random.default_rng(0).normal(size=10 * RATE).astype(np.float32) / 10
    soundfile.write(folder / "whole.wav", noise, RATE)
    content = (folder / "whole.wav").read_bytes()
    (folder / "cut.wav").write_bytes(content[: len(content) // 2])
    (folder / "empty.wav").write_bytes(b"")
    for name, value in (("nan.wav", np.nan), ("loud.wav", 1e20)):
        samples = noise.copy()
        samples[3 * RATE] = value
        soundfile.write(folder / name, samples, RATE, subtype="FLOAT")
    return folder


def read(folder, rows, tmp_path, **log):
    table = tmp_path / "events.csv"
    table.write_text("\n".join(["file,onset,offset,label", *rows]))
    return read_clips(
        folder,
        table,
        length=10.0,
        empty_ratio=5.0,
        seed=0,
        log=Log(**{"quiet": True, "as_json": False} | log),
    )


def test_what_is_left_out_is_said(folder, tmp_path, capsys):
    rows = ["cut.wav,1,2,dog", "cut.wav,4.5,6,dog", "cut.wav,7,8,cat", "whole.wav,3,4,dog"]
    clips = read(folder, rows, tmp_path)
    assert [path.name for path in clips.recordings] == ["cut.wav", "whole.wav"]
    own = dict(zip(("cut", "whole"), clips.events, strict=True))
    assert own["whole"] == [Event(3, 4, "dog")]
    assert own["cut"] == [Event(1, 2, "dog"), Event(4.5, pytest.approx(5, abs=0.01), "dog")]
    told = capsys.readouterr().err
    assert "without a row" not in told
    assert "empty.wav' is empty: it has 0 bytes" in told
    assert "nan.wav' has samples that are NaN or infinite, the first at 3.00 s" in told
    assert "loud.wav' has samples that are too large, the first at 3.00 s" in told
    assert "cut.wav ends at 5.00 s, before events of the table do: dog from 4.5 to 6 s, cat" in told


def test_for_programs(folder, tmp_path, capsys):
    read(folder, ["cut.wav,4.5,6,dog", "gone.wav,1,2,dog"], tmp_path, as_json=True)
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    warned = [row["warning"] for row in told if row["event"] == "warning"]
    assert any("ends at 5.00 s" in text for text in warned)
    assert "no recording for the events of gone.wav" in warned


def test_times_in_milliseconds_are_no_cut(folder, tmp_path):
    rows = ["cut.wav,1000,2000,dog", "whole.wav,3000,4000,dog", "whole.wav,5,6,dog"]
    with pytest.raises(ValueError, match=r"2 of 3 events of .* Are the times in seconds"):
        read(folder, rows, tmp_path)


def test_recordings_without_a_row_are_named(folder, tmp_path, capsys):
    """A recording that nobody has listened to was background, without a word."""
    read(folder, ["whole.wav,3,4,dog"], tmp_path, quiet=False)
    told = capsys.readouterr().err
    assert "1 recording without a row in" in told
    assert "taken for recordings without events: cut.wav" in told
    assert "2 recordings, 1 event (dog 1), " in told
    read(folder, ["whole.wav,3,4,dog", "cut.wav,,,"], tmp_path)
    assert "without a row" not in capsys.readouterr().err
