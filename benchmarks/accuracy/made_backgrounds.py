"""More surroundings than were recorded: joins and layers of backgrounds at other speeds.

A corpus has an hour or two of backgrounds, and a network soon knows them by heart. What sounds like
an event in other people's surroundings, it then has never heard.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from bank import at_unit_level
from numpy.typing import NDArray
from synthetic_sounds import RATE

SECONDS = 30
# Part of the made backgrounds that consist of pieces, the lengths of these in seconds, and by how
# many dB they differ in level.
_JOINED, _PIECE_SECONDS, _STEP = 0.4, (2.0, 9.0), 5.0
# Part of the backgrounds under which another one lies.
_LAYERED = 0.5
# Part of the stretches that are played at another speed, its range, and part of those that are
# played backwards.
_CHANGED, _SPEEDS, _BACKWARDS = 0.8, (0.7, 1.4), 0.15


def made_backgrounds(
    recorded: Sequence[NDArray[np.float32]], n: int, seed: int
) -> list[NDArray[np.float32]]:
    """Make backgrounds of half a minute from recorded ones.

    Parameters
    ----------
    recorded : sequence of float32 array of shape (n_samples,)
        At 44.1 kHz.
    n : int
        Number of backgrounds to make.
    seed : int
    """
    seeds = np.random.default_rng([seed, 5]).integers(2**31, size=n)
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda own: _make(recorded, np.random.default_rng(own)), seeds))


def _make(recorded: Sequence[NDArray[np.float32]], rng: np.random.Generator) -> NDArray[np.float32]:
    made = _sequence(recorded, rng)
    if rng.random() < _LAYERED:
        below = 10 ** (rng.uniform(-12, 0) / 20)
        made += np.float32(below * _rms(made)) * at_unit_level(_stretch(recorded, rng, len(made)))
    # As loud as one of the recorded ones.
    return np.float32(_rms(recorded[int(rng.integers(len(recorded)))])) * at_unit_level(made)


def _sequence(
    recorded: Sequence[NDArray[np.float32]], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return one stretch, or pieces of several that follow each other without a pause."""
    n_samples = SECONDS * RATE
    if rng.random() >= _JOINED:
        return _stretch(recorded, rng, n_samples)
    pieces: list[NDArray[np.float32]] = []
    missing = n_samples
    while missing > 0:
        size = min(missing, round(rng.uniform(*_PIECE_SECONDS) * RATE))
        gain = np.float32(10 ** (rng.normal(0, _STEP) / 20))
        pieces.append(gain * at_unit_level(_stretch(recorded, rng, size)))
        missing -= size
    return np.concatenate(pieces)


def _stretch(
    recorded: Sequence[NDArray[np.float32]], rng: np.random.Generator, size: int
) -> NDArray[np.float32]:
    """Return a stretch of a recording from anywhere in it, mostly at another speed."""
    import soxr

    source = recorded[int(rng.integers(len(recorded)))]
    low, high = _SPEEDS
    speed = low * (high / low) ** rng.random() if rng.random() < _CHANGED else 1.0
    first = rng.integers(len(source))
    samples = np.take(source, first + np.arange(int(size * speed) + 64), mode="wrap")
    if rng.random() < _BACKWARDS:
        samples = samples[::-1]
    if speed != 1:
        samples = soxr.resample(samples, RATE * speed, RATE)
    return np.resize(samples, size)


def _rms(samples: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))
