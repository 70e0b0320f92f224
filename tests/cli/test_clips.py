"""``rcrnn clips``: each event in a file of its own."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import soundfile
from small_runs import rcrnn

from sklearn_rcrnn import Event
from sklearn_rcrnn.annotations import write_events
from sklearn_rcrnn.datasets import event_clips, write_event_clips

RATE = 8000


@pytest.fixture
def recordings(tmp_path):
    """A recording whose samples are their own time over ten seconds, and a broken one."""
    ramp = np.arange(10 * RATE) / (10 * RATE)
    soundfile.write(tmp_path / "a.wav", np.column_stack([ramp, ramp]), RATE, subtype="FLOAT")
    (tmp_path / "broken.wav").write_text("no audio")
    return tmp_path


def test_what_is_in_a_clip(recordings):
    events = [Event(2.0, 3.0, "big dog/cat", 0.91), Event(0.25, 0.5, "é", 0.5)]
    first, second = write_event_clips([recordings / "a.wav"], [events], recordings / "clips")
    assert first.path.name == "big-dog-cat_0.91_a_0-00-02.00.wav"
    assert second.path.name == "é_0.50_a_0-00-00.25.wav"
    samples, rate = soundfile.read(first.path)
    assert (rate, samples.shape) == (RATE, (3 * RATE,))
    np.testing.assert_allclose(samples[[0, -1]], [0.1, 0.4], atol=1e-3)
    # The recording starts a quarter of a second before the second event.
    assert len(soundfile.read(second.path)[0]) == 1.5 * RATE


def test_events_of_one_name_and_those_that_cannot_be_written(recordings):
    paths = [recordings / "a.wav", recordings / "broken.wav"]
    events = [[(1.0, 2.0, "dog"), (1.001, 3.0, "dog"), (20.0, 21.0, "dog")], [(1.0, 2.0, "dog")]]
    out = list(write_event_clips(paths, events, recordings / "clips", format="flac"))
    assert [clip.path and clip.path.name for clip in out] == [
        "dog_a_0-00-01.00.flac",
        "dog_a_0-00-01.00-2.flac",
        None,
        None,
    ]
    assert "ends before the event at 20 s" in out[2].error
    assert "broken.wav" in out[3].error
    assert len(list((recordings / "clips").iterdir())) == 2
    # For some systems, names that differ by case are the same, and a minute has 60 seconds.
    events = [[(1.0, 2.0, "Dog"), (1.0, 2.0, "dog")]]
    out = list(write_event_clips(paths[:1], events, recordings / "more"))
    assert [clip.path.name for clip in out] == ["Dog_a_0-00-01.00.wav", "dog_a_0-00-01.00-2.wav"]
    assert event_clips._name_of("a.wav", Event(59.999, 61.0, "dog"), False) == "dog_a_0-01-00.00"


def test_clips_of_an_earlier_run_are_told_of(recordings):
    """They lay among the new ones, without a word that the table does not have them."""
    folder = recordings / "clips"
    first, other = Event(1.0, 2.0, "dog", 0.9), Event(3.0, 4.0, "cat", 0.4)
    list(write_event_clips([recordings / "a.wav"], [[first, other]], folder, format="flac"))
    (folder / "notes.txt").write_text("mine")
    told = r"also has 2 clips of other events, as of an earlier run: cat_0\.40_a_0-00-03\.00\.flac"
    with pytest.warns(UserWarning, match=told):
        list(write_event_clips([recordings / "a.wav"], [[first]], folder))
    table = recordings / "found.csv"
    write_events({"a.wav": [first]}, table)
    out = rcrnn("clips", table, "-o", folder)
    assert out.exit_code == 0
    assert "also has 2 clips of other events" in out.output
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(write_event_clips([recordings / "a.wav"], [[first]], recordings / "once"))
        list(write_event_clips([recordings / "a.wav"], [[first, other]], recordings / "once"))


def test_clips_of_another_recording_of_the_name_are_told_of(recordings):
    """They were replaced without a word."""
    (recordings / "tuesday").mkdir()
    other = recordings / "tuesday" / "a.wav"
    soundfile.write(other, np.zeros(10 * RATE), RATE)
    for format in ("wav", "flac", "ogg"):
        for path in (recordings / "a.wav", recordings / "a.wav"):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                list(
                    write_event_clips(
                        [path], [[(1.0, 2.0, "x")]], recordings / format, format=format
                    )
                )
        with pytest.warns(
            UserWarning, match=rf"1 clip of an earlier run .* x_a_0-00-01\.00\.{format}"
        ):
            (clip,) = write_event_clips(
                [other], [[(1.0, 2.0, "x")]], recordings / format, format=format
            )
        assert clip.error is None


def test_wrong_use(recordings):
    with pytest.raises(ValueError, match="format must be one of wav"):
        write_event_clips([], [], recordings, format="aac")
    with pytest.raises(ValueError, match="context must be"):
        write_event_clips([], [], recordings, context=-1.0)


def test_from_a_table(recordings):
    events = {"a.wav": [Event(1.0, 2.0, "dog", 0.9), Event(3.0, 4.0, "cat", 0.4)]}
    write_events(events, recordings / "found.csv")
    out = rcrnn("clips", recordings / "found.csv", "-o", recordings / "clips")
    assert out.exit_code == 0, out.output
    assert "2 clips" in out.output
    only = ("--label", "cat", "-r", recordings, "-o", recordings / "cats")
    out = rcrnn("clips", recordings / "found.csv", *only)
    assert [path.name for path in (recordings / "cats").iterdir()] == ["cat_0.40_a_0-00-03.00.wav"]
    loud = ("--threshold", 0.95, "-o", recordings / "none")
    assert "0 clips" in rcrnn("clips", recordings / "found.csv", *loud).output


def test_what_there_is_not(recordings):
    table = recordings / "found.csv"
    write_events({"a.wav": [Event(1.0, 2.0, "dog", 0.9)]}, table)
    out = rcrnn("clips", table, "-o", recordings / "clips", "--label", "mouse")
    assert "no event of mouse; there are dog" in out.stderr
    out = rcrnn("clips", table, "-o", table)
    assert (out.exit_code, "is a file: give a folder" in out.stderr) == (2, True)


def test_recordings_that_are_not_there_are_named(recordings):
    write_events({"b.wav": [Event(1.0, 2.0, "dog", 0.9)]}, recordings / "found.csv")
    out = rcrnn("clips", recordings / "found.csv", "-o", recordings / "clips")
    assert out.exit_code == 2
    assert "b.wav: name their folder with --recordings" in out.output


def test_recordings_that_are_not_there_do_not_stop_the_others(recordings):
    """One of them, as on a disk that is not mounted, and no clip at all was written."""
    first, second = Event(1.0, 2.0, "dog", 0.9), Event(3.0, 4.0, "cat", 0.4)
    events = {"b.wav": [first, second], "a.wav": [first, second], "broken.wav": [second]}
    write_events({**events, "c.wav": []}, recordings / "found.csv")
    args = ("clips", recordings / "found.csv", "-o", recordings / "clips")
    out = rcrnn(*args)
    assert out.exit_code == 1
    assert len(list((recordings / "clips").iterdir())) == 2
    assert "left out 2 events: no such recording as" in out.stderr
    assert out.stderr.count("b.wav: name its folder") == 1
    assert "c.wav" not in out.stderr  # nothing of it is lost
    assert out.stderr.endswith("2 clips\n3 events of 2 recordings failed: b.wav, broken.wav\n")
    last = json.loads(rcrnn(*args, "--json").stderr.splitlines()[-1])
    assert (last["n"], last["n_failed"]) == (2, 3)
    assert [row["n_events"] for row in last["failures"]] == [2, 1]
    (recordings / "a.wav").rename(recordings / "d.wav")
    (recordings / "broken.wav").unlink()
    assert rcrnn(*args).exit_code == 2


def test_folders_without_some_of_the_recordings(recordings, tmp_path):
    """A warning told of them, and the command ended as if all had been written."""
    first, second = Event(1.0, 2.0, "dog", 0.9), Event(3.0, 4.0, "cat", 0.4)
    write_events({"b.wav": [first, second], "a.wav": [first], "c.wav": []}, tmp_path / "found.csv")
    (tmp_path / "in").mkdir()
    (recordings / "a.wav").rename(tmp_path / "in" / "a.wav")
    args = ("clips", tmp_path / "found.csv", "-r", tmp_path / "in", "-o", tmp_path / "clips")
    out = rcrnn(*args)
    assert out.exit_code == 1
    assert f"left out 2 events: no such recording as b.wav in {tmp_path / 'in'}" in out.stderr
    assert out.stderr.endswith("1 clip\n2 events of 1 recording failed: b.wav\n")
    assert rcrnn(*args, "--threshold", 0.95).exit_code == 0  # nothing of b.wav was asked for
    one = (*args[:3], tmp_path / "in" / "a.wav", *args[4:])
    out = rcrnn(*one)
    assert (out.exit_code, "warning: left out the events of b.wav" in out.stderr) == (0, True)
    write_events({"b.wav": [first]}, tmp_path / "found.csv")
    out = rcrnn(*args)
    assert out.exit_code == 2
    assert "the table names b.wav, and there is a.wav" in out.stderr
