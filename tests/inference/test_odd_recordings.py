"""Recordings as they come: rates from 4 to 192 kHz, over full scale, empty, cut off, odd names."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
import soundfile

from sklearn_rcrnn import Event, detect_file, detect_stream, load_pretrained
from sklearn_rcrnn.annotations.tables import read_events, write_events
from sklearn_rcrnn.audio import audio_duration
from sklearn_rcrnn.datasets import cut_recordings, make_rare_events
from sklearn_rcrnn.inference.files import detect_files


@pytest.fixture(scope="module")
def pipe():
    return load_pretrained().set_params(detector__score_threshold=0.3)


@pytest.fixture(scope="module")
def clip():
    X, _ = make_rare_events(1, duration=8.0, event_presence_prob=1.0, random_state=3)
    return X[0]


@pytest.mark.parametrize("rate", [4000, 8000, 11025, 22050, 48000, 96000, 192000])
def test_any_sample_rate(pipe, rate, tmp_path):
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "a.wav", 0.05 * rng.normal(size=4 * rate), rate)
    found = pipe.predict([tmp_path / "a.wav"])[0]
    assert all(0 <= event.onset < event.offset <= 4.0 for event in found)
    in_blocks = detect_file(pipe, tmp_path / "a.wav")
    assert [event.label for event in in_blocks] == [event.label for event in found]


def test_over_full_scale(pipe, clip, tmp_path):
    """Samples of 32-bit float may exceed 1; they are used as they are, not clipped."""
    soundfile.write(tmp_path / "loud.wav", 8 * clip, 44100, subtype="FLOAT")
    found, expected = detect_file(pipe, tmp_path / "loud.wav"), pipe.predict([8 * clip])[0]
    assert expected
    assert [event.label for event in found] == [event.label for event in expected]
    for own, other in zip(found, expected, strict=True):  # blocks round otherwise
        assert (*own[:2], own.score) == pytest.approx((*other[:2], other.score), abs=1e-4)
    assert np.abs(soundfile.read(tmp_path / "loud.wav")[0]).max() > 1


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.05])
def test_hardly_anything(pipe, seconds, tmp_path):
    path = tmp_path / "short.wav"
    soundfile.write(path, np.zeros(int(44100 * seconds)), 44100)
    [outcome] = detect_files(pipe, [path])
    if seconds:
        assert outcome.events == []
    else:
        assert "is empty: it has 0 samples" in outcome.error


def test_a_wav_that_is_cut_short(pipe, clip, tmp_path):
    soundfile.write(tmp_path / "whole.wav", clip, 44100)
    data = (tmp_path / "whole.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(data[: len(data) // 2])
    with pytest.warns(UserWarning, match=r"cut\.wav' is cut short"):
        found = detect_file(pipe, tmp_path / "cut.wav")
    assert all(event.offset <= 4.0 for event in found)
    # ffmpeg cannot know the length when it writes into a pipe.
    piped = data[:4] + b"\xff" * 4 + data[8:40] + b"\xff" * 4 + data[44:]
    (tmp_path / "piped.wav").write_bytes(piped)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert detect_file(pipe, tmp_path / "piped.wav") == detect_file(
            pipe, tmp_path / "whole.wav"
        )


def broken(clip):
    """Recordings whose headers do not say what is there."""
    whole = {}
    for format, subtype in (("FLAC", None), ("MP3", None), ("OGG", "VORBIS"), ("WAV", "PCM_16")):
        file = io.BytesIO()
        soundfile.write(file, clip, 44100, format=format, subtype=subtype)
        whole[format] = file.getvalue()
    yield "cut.mp3", whole["MP3"][: len(whole["MP3"]) * 6 // 10]
    yield "cut.flac", whole["FLAC"][: len(whole["FLAC"]) * 6 // 10]
    for name, length in (("zero.flac", 0), ("huge.flac", 2**36 - 1)):
        content = bytearray(whole["FLAC"])
        content[21] = content[21] & 0xF0 | length >> 32
        content[22:26] = (length & 0xFFFFFFFF).to_bytes(4, "big")
        yield name, content
    yield "joined.mp3", whole["MP3"] * 2
    yield "joined.ogg", whole["OGG"] * 2
    yield "unfinished.wav", whole["WAV"][:40] + bytes(4) + whole["WAV"][44:]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_broken_recordings_have_the_same_events_by_every_door(pipe, clip, tmp_path):
    paths, seconds = [], {}
    for name, content in broken(clip):
        paths.append(tmp_path / name)
        paths[-1].write_bytes(content)
        seconds[name] = 4.8 if "cut" in name else 16.0 if "joined" in name else 8.0
    outcomes = list(detect_files(pipe, paths))
    for path, expected, outcome in zip(paths, pipe.predict(paths), outcomes, strict=True):
        assert outcome.error is None
        assert outcome.duration == pytest.approx(seconds[path.name], abs=0.25)
        assert audio_duration(path) == pytest.approx(outcome.duration, abs=1e-3)
        for found in (detect_file(pipe, path), outcome.events):
            assert [event.label for event in found] == [event.label for event in expected]
            for own, other in zip(found, expected, strict=True):
                assert own[:2] == pytest.approx(other[:2], abs=0.05)
    assert any(outcome.events for outcome in outcomes)
    # Training cuts them into clips, all of which can be read.
    X, _, groups = cut_recordings(paths, [[]] * len(paths), clip_length=3.0)
    assert set(groups.tolist()) == set(range(len(paths)))
    for excerpt in X:
        n_samples = (excerpt.stop - excerpt.start) * 44100
        assert len(excerpt.samples()) == pytest.approx(n_samples, abs=1)


def test_not_a_number(pipe, tmp_path):
    samples = np.zeros(44100, np.float32)
    samples[22050] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, 44100, subtype="FLOAT")
    [outcome] = detect_files(pipe, [tmp_path / "nan.wav"])
    assert "nan.wav" in outcome.error
    assert "finite" in outcome.error


def test_a_stream_that_stops_in_the_middle_of_an_event(pipe, clip):
    whole = list(detect_stream(pipe, np.split(clip, 100)))
    stopped = list(detect_stream(pipe, np.split(clip, 100)[:50]))
    assert all(event.offset <= 4.0 for event in stopped)
    assert len(stopped) <= len(whole) + 1


def test_a_stream_that_stalls_says_nothing_and_then_goes_on(pipe, clip):
    blocks = [block for part in np.split(clip, 100) for block in (part[:0], part)]
    assert list(detect_stream(pipe, blocks)) == list(detect_stream(pipe, np.split(clip, 100)))


def test_a_stream_that_breaks_raises_its_own_error(pipe, clip):
    def broken():
        yield clip[:1000]
        raise ConnectionResetError("the microphone is gone")

    with pytest.raises(ConnectionResetError, match="microphone"):
        list(detect_stream(pipe, broken()))


def test_labels_and_names_in_other_alphabets(tmp_path):
    name = "Ночь 夜\nأصوات.wav"
    events = {name: [Event(1.0, 2.0, "крик ребёнка", 0.5), Event(3.0, 4.0, "ガラス", 0.25)]}
    for format in ("csv", "jsonl"):
        write_events(events, tmp_path / f"events.{format}", format)
        assert read_events(tmp_path / f"events.{format}") == events
    with pytest.raises(ValueError, match=r"tsv cannot hold the name .* a tab or a line break"):
        write_events(events, tmp_path / "events.tsv", "tsv")
