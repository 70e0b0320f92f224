"""Of a soft event the noise that it lies in goes, and the event stays."""

from __future__ import annotations

import numpy as np
import pytest
from small_corpus import RATE

from sklearn_rcrnn.datasets.denoising import without_surroundings


@pytest.fixture
def tone():
    """A second that is silent but for half a second of 1 kHz in its middle."""
    time = np.arange(RATE) / RATE
    return np.where((time > 0.25) & (time < 0.75), np.sin(2 * np.pi * 1000 * time), 0)


def noise(seed, level, seconds=1.0):
    return level * np.random.default_rng(seed).normal(size=round(seconds * RATE))


def rms(samples):
    return np.sqrt(np.mean(samples**2))


@pytest.mark.parametrize("level", [1.0, 0.3])
def test_noise_goes_and_the_tone_stays_in_place(tone, level):
    found = without_surroundings(tone + noise(0, level), [noise(1, level, 0.5)])
    assert found.dtype == np.float32
    assert len(found) == RATE
    before = rms(noise(0, level))
    assert 20 * np.log10(before / rms(found - tone)) > 12
    middle = slice(round(0.3 * RATE), round(0.7 * RATE))
    assert rms(found[middle]) == pytest.approx(rms(tone[middle]), rel=0.06)


def test_in_silence_an_event_stays_as_it_is(tone):
    found = without_surroundings(tone, [np.zeros(RATE)])
    np.testing.assert_allclose(found, tone, atol=1e-5)


def test_an_echo_behind_the_event_does_not_take_it_away(tone):
    echo = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    before, behind = noise(1, 0.1), noise(2, 0.1) + echo
    alone = without_surroundings(tone + noise(0, 0.1), [behind])
    both = without_surroundings(tone + noise(0, 0.1), [before, behind])
    middle = slice(round(0.3 * RATE), round(0.7 * RATE))
    assert rms(alone[middle]) < 0.9 * rms(tone[middle])
    assert rms(both[middle]) == pytest.approx(rms(tone[middle]), rel=0.03)


@pytest.mark.parametrize("surroundings", [[], [np.zeros(0)], [noise(1, 1.0, 0.09)]])
def test_surroundings_too_short_to_know(tone, surroundings):
    event = (tone + noise(0, 1.0)).astype(np.float32)
    np.testing.assert_array_equal(without_surroundings(event, surroundings), event)


def test_event_too_short_to_have_a_spectrum():
    event = np.ones(100, np.float32)
    np.testing.assert_array_equal(without_surroundings(event, [noise(1, 1.0)]), event)
