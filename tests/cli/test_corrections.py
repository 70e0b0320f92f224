"""Corrections reach the clips that ``rcrnn train`` learns from."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from sklearn_rcrnn import Event
from sklearn_rcrnn.cli._clips import read_clips
from sklearn_rcrnn.cli._common import Log


def clips_in(folder, recordings=None):
    """Clips of ten seconds of a recording, after its table and the corrections in a folder."""
    return read_clips(
        recordings or folder / "a.wav",
        folder / "events.csv",
        length=10.0,
        empty_ratio=1.0,
        seed=0,
        log=Log(False, False),
        corrections=folder / "corrections.csv",
    )


def test_clips_after_corrections(tmp_path, capsys):
    noise = np.random.default_rng(0).normal(size=40 * 8000) * 0.1
    soundfile.write(tmp_path / "a.wav", noise, 8000)
    (tmp_path / "events.csv").write_text(
        "file,onset,offset,label\na.wav,2,3,dog\na.wav,12,13,dog\na.wav,35,36,dog\n"
    )
    (tmp_path / "corrections.csv").write_text(
        "file,onset,offset,label,score,decision,was_onset,was_offset,was_label\n"
        "a.wav,2.5,3,cat,0.9,keep,2,3,dog\n"
        "a.wav,12,13,dog,0.8,reject,12,13,dog\n"
        "a.wav,25,26,dog,0.4,,25,26,dog\n"
        "b.wav,1,2,dog,0.4,keep,1,2,dog\n"
    )
    clips = clips_in(tmp_path)
    # Four clips of ten seconds: the third has an undecided event, the second no event any more.
    by_start = {clip.start: own for clip, own in zip(clips.X, clips.y, strict=True)}
    assert by_start == {
        0.0: [Event(2.5, 3.0, "cat")],
        10.0: [],
        30.0: [Event(5.0, 6.0, "dog")],
    }
    said = capsys.readouterr().err
    assert "1 clip left out: undecided events" in said
    assert "no recording for the corrections of b.wav" in said


def corrected(folder, *rows):
    """The events of a recording of 40 s, whose table has a dog at 2 s, after corrections."""
    soundfile.write(folder / "a.wav", np.random.default_rng(0).normal(size=40 * 800) * 0.1, 800)
    (folder / "events.csv").write_text("file,onset,offset,label\na.wav,2,3,dog\n")
    header = "file,onset,offset,label,decision"
    (folder / "corrections.csv").write_text("\n".join([header, *rows]))
    return clips_in(folder).events


def test_corrections_behind_the_end(tmp_path, capsys):
    rows = ["a.wav,39,41,dog,add", "a.wav,50,51,dog,add"]
    assert corrected(tmp_path, *rows) == [[Event(2, 3, "dog"), Event(39, 40, "dog")]]
    assert "a.wav ends at 40.00 s, before" in capsys.readouterr().err


def test_nothing_is_left(tmp_path):
    with pytest.raises(ValueError, match=r"corrections.csv rejects all 1 events of .*events.csv"):
        corrected(tmp_path, "a.wav,2,3,dog,reject")


def test_a_label_in_another_case(tmp_path, capsys):
    corrected(tmp_path, "a.wav,5,6,Dog,add")
    assert "differ only by case or form after corrections: Dog, dog" in capsys.readouterr().err


@pytest.mark.parametrize("score", ["0.4", "1"])
def test_undecided_events_of_a_table_that_a_detector_made(tmp_path, capsys, score):
    """They were learnt as events without a word, although the page left them open."""
    corrected(tmp_path)
    (tmp_path / "events.csv").write_text(
        f"file,onset,offset,label,score\na.wav,2,3,dog,0.9\na.wav,25,26,dog,{score}\n"
    )
    (tmp_path / "corrections.csv").write_text(
        "file,onset,offset,label,score,decision\na.wav,2,3,dog,0.9,keep\na.wav,25,26,dog,0.4,\n"
    )
    events = clips_in(tmp_path).events
    assert events == [[Event(2, 3, "dog"), Event(25, 26, "dog", float(score))]]
    text = "1 event that nobody has decided on"
    assert (text in capsys.readouterr().err) == (score != "1")


def test_events_of_a_broken_recording_go_to_no_other_one_of_its_name(tmp_path, capsys):
    """The only readable a.wav got the events, and the corrections, of the broken one."""
    for day in ("mon", "tue"):
        (tmp_path / day).mkdir()
    (tmp_path / "mon" / "a.wav").write_text("no audio")
    for name in ("a", "b"):
        noise = np.random.default_rng(0).normal(size=20 * 800) * 0.1
        soundfile.write(tmp_path / "tue" / f"{name}.wav", noise, 800)
    (tmp_path / "events.csv").write_text(
        "file,onset,offset,label\nmon/a.wav,2,3,dog\ntue/b.wav,5,6,dog\n"
    )
    (tmp_path / "corrections.csv").write_text(
        "file,onset,offset,label,decision\nmon/a.wav,12,13,dog,add\n"
    )
    clips = clips_in(tmp_path, tmp_path)
    assert [path.name for path in clips.recordings] == ["a.wav", "b.wav"]
    assert clips.events == [[], [Event(5, 6, "dog")]]
    said = capsys.readouterr().err
    assert "left out" in said
    assert "no recording for" not in said
