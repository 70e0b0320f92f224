"""Recordings of several channels, which are averaged."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import soundfile

from sklearn_rcrnn.audio import open_audio, read_audio

RATE = 8000


def written(path, *channels):
    soundfile.write(path, np.stack(channels, axis=1), RATE, subtype="FLOAT")
    return path


@pytest.fixture
def noise():
    return np.random.default_rng(0).normal(scale=0.1, size=(2, 200 * RATE)).astype("float32")


def test_channels_that_cancel_each_other_out_are_warned_of_once(tmp_path, noise):
    """The average of both was silence without a word."""
    path = written(tmp_path / "wired.wav", noise[0], -noise[0] + 1e-4 * noise[1])
    with warnings.catch_warnings(record=True) as caught, open_audio(path) as recording:
        warnings.simplefilter("always")
        blocks = list(recording.blocks())
    assert len(blocks) > 2
    (warning,) = caught
    assert "wired.wav" in str(warning.message)
    assert "cancel each other out" in str(warning.message)
    assert np.abs(np.concatenate(blocks)).max() < 1e-4


@pytest.mark.parametrize("kind", ["other", "one is silent", "silent", "partly", "short"])
def test_other_channels_are_not(tmp_path, noise, kind):
    first, second = noise
    first, second = {
        "other": (first, second),
        "one is silent": (first, 0 * first),
        "silent": (0 * first, 0 * first),
        "partly": (first, -0.8 * first),
        "short": (first[:500], -first[:500]),
    }[kind]
    path = written(tmp_path / "a.wav", first, second)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        samples = read_audio(path, RATE)
    np.testing.assert_allclose(samples, (first + second) / 2, atol=1e-7)


def test_a_part_behind_the_end(tmp_path):
    """The recording was said to be empty."""
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 8000)
    with pytest.raises(ValueError, match=r"a\.wav' ends before the part from 2 s on begins"):
        read_audio(tmp_path / "a.wav", 8000, start=2.0, stop=3.0)
