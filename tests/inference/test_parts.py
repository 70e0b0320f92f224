"""Parts of long recordings, together, find what the whole does."""

from __future__ import annotations

import math

import numpy as np
import pytest
import soundfile
from small_runs import RATE, tiny_pipeline

from sklearn_rcrnn import detect_file
from sklearn_rcrnn.audio import open_audio
from sklearn_rcrnn.datasets import make_rare_events
from sklearn_rcrnn.inference.work import Job, Part, _Reading, parts_of, work

MINUTES = 7


@pytest.fixture(scope="module")
def pipe():
    """Trained just enough to find something in every window."""
    pipe = tiny_pipeline(12, max_epochs=2, lr=3e-3)
    # Over a threshold that about twenty events of a minute reach.
    minute = make_rare_events(6, duration=10.0, sample_rate=RATE, random_state=1)[0].ravel()
    scores = [e.score for e in pipe[-1].predict_candidates(pipe[0].transform([minute]))[0]]
    return pipe.set_params(detector__score_threshold=sorted(scores)[-20])


@pytest.fixture(scope="module")
def samples():
    X, _ = make_rare_events(MINUTES * 6, duration=10.0, sample_rate=RATE, random_state=1)
    return X.ravel()


def joined(pipe, path, parts):
    results = [work(pipe, Job(str(path), part)) for part in parts]
    assert [result.error for result in results] == [None] * len(parts)
    return sorted(e for result in results for e in result.events), math.fsum(
        result.duration for result in results
    )


def assert_same(found, whole):
    assert len(whole) > 20
    assert [e.label for e in found] == [e.label for e in whole]
    values = np.array([[e.onset, e.offset, e.score] for e in found])
    expected = np.array([[e.onset, e.offset, e.score] for e in whole])
    np.testing.assert_allclose(values, expected, atol=2e-3)


@pytest.mark.parametrize(
    ("suffix", "rate"),
    [(".wav", RATE), (".wav", 6000), (".flac", RATE), (".ogg", 8000), (".mp3", 8000)],
)
def test_parts_find_what_the_whole_does(pipe, samples, tmp_path, suffix, rate):
    path = tmp_path / f"a{suffix}"
    times = np.arange(len(samples) * rate // RATE) * RATE / rate
    sound = np.interp(times, np.arange(len(samples)), samples)
    with soundfile.SoundFile(path, "w", rate, 1) as file:
        for block in np.array_split(sound, 100):  # libsndfile crashes over long Ogg at once
            file.write(block)
    whole = detect_file(pipe, path)
    parts = parts_of(pipe, len(samples) / RATE, length=80)
    assert len(parts) >= 4
    found, duration = joined(pipe, path, parts)
    assert_same(found, whole)
    assert duration == pytest.approx(len(samples) / RATE, abs=0.1)


def test_lengths_that_headers_lie_about(pipe, samples, tmp_path):
    """Parts are planned by a length that turns out too long or too short."""
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, RATE)
    whole = detect_file(pipe, path)
    for factor in (0.7, 1.0001, 1.9):
        parts = parts_of(pipe, factor * len(samples) / RATE, length=80)
        found, duration = joined(pipe, path, parts)
        assert_same(found, whole)
        assert duration == pytest.approx(len(samples) / RATE, abs=0.1)


def test_short_recordings_are_not_cut(pipe):
    assert parts_of(pipe, 1300.0) == []
    begins = [part.begin for part in parts_of(pipe, 24 * 3600.0)]
    assert len(begins) == 73
    assert np.diff(begins[1:]) == pytest.approx(1200, abs=40)


def test_parts_at_a_rate_that_is_no_integer_type(tmp_path):
    """Features of one's own may have ``sample_rate = 4000.0``; each part failed with it."""
    soundfile.write(tmp_path / "a.wav", np.arange(20 * 8000) / 2**20, 8000, subtype="FLOAT")
    part = Part(begin=4.0, end=9.0, start=int(3.1 * RATE), stop=10.0)
    heard = []
    for rate in (RATE, float(RATE)):
        with open_audio(tmp_path / "a.wav") as file:
            heard.append(np.concatenate(list(_Reading(file, rate, part, None).blocks())))
    np.testing.assert_array_equal(*heard)
    assert heard[0][100] == pytest.approx((3.1 + 100 / RATE) * 8000 / 2**20, abs=1e-5)
