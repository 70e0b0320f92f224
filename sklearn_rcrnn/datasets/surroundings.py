"""Surroundings that are made up, where recordings hold nothing but events."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._material import SAMPLE_RATE

Samples = NDArray[np.float32]

_SILENT = 0.15
# Part of the surroundings in which other sounds are heard, and their mean number in ten seconds.
# Without them, all that is louder than noise would be an event.
_LIVELY = 0.8
_SOUNDS_IN_TEN_SECONDS = 3.0
# Lengths of these sounds in seconds, and their levels above that of the noise in dB.
_LENGTHS = (0.05, 2.0)
_LEVELS = (-10.0, 20.0)
# Above digital silence, levels are counted from here.
_SOFTEST = 1e-4
_KNOTS = np.geomspace(40, 20000, 8)


def made_surroundings(size: int, rng: np.random.Generator, *, lively: bool = False) -> Samples:
    """Noise of random color, level and fluctuation, or sometimes digital silence.

    Parameters
    ----------
    size : int
        Number of samples, at 44.1 kHz.
    rng : numpy.random.Generator
    lively : bool, default=False
        Whether most of it has passing sounds, such as tones and strokes.

    Returns
    -------
    float32 array of shape (size,)
    """
    samples = np.zeros(size, np.float32) if rng.random() < _SILENT else _noise(size, rng)
    if lively and rng.random() < _LIVELY:
        softest = max(_rms(samples), _SOFTEST)
        for _ in range(rng.poisson(_SOUNDS_IN_TEN_SECONDS * size / (10 * SAMPLE_RATE))):
            sound = _passing_sound(rng)
            # It may have begun before, or last longer.
            start = int(rng.integers(-len(sound) // 2, size))
            heard = sound[max(0, -start) : size - start]
            level = softest * 10 ** (rng.uniform(*_LEVELS) / 20)
            samples[max(0, start) : start + len(sound)] += np.float32(level) * heard
    return samples


def _noise(size: int, rng: np.random.Generator) -> Samples:
    """Noise that slowly becomes louder and softer."""
    noise = _colored(size, 4, rng)
    n_knots = int(rng.integers(2, 12))
    unrest = rng.normal(scale=rng.uniform(0, 6), size=n_knots)
    noise *= 10 ** (np.interp(np.linspace(0, n_knots - 1, size), np.arange(n_knots), unrest) / 20)
    level = 10 ** (rng.uniform(-80, -25) / 20)
    return (level * noise / max(_rms(noise), 1e-9)).astype(np.float32)


def _passing_sound(rng: np.random.Generator) -> Samples:
    """A tone, a noise or a row of strokes, which is no event, with a root mean square of 1."""
    length = float(np.exp(rng.uniform(*np.log(_LENGTHS))))
    time = np.arange(round(length * SAMPLE_RATE)) / SAMPLE_RATE
    kind = rng.choice(["tone", "noise", "strokes"])
    sound = _tone(time, rng) if kind == "tone" else _colored(len(time), 10, rng)
    if kind == "strokes" or rng.random() < 0.3:
        since_stroke = time * rng.uniform(2, 15) % 1
        sound *= np.exp(-since_stroke * rng.uniform(2, 20))
    attack = rng.uniform(0.002, 0.3) * length
    decay = rng.choice([0.0, 1.0, 3.0]) / (rng.uniform(0.05, 1) * length)
    sound *= np.minimum(1, time / attack) * np.exp(-decay * np.maximum(0, time - attack))
    n_fade = min(400, len(sound) // 2)
    sound[len(sound) - n_fade :] *= np.linspace(1, 0, n_fade)
    return (sound / max(_rms(sound), 1e-9)).astype(np.float32)


def _tone(time: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """A few harmonics of a pitch from 80 to 4000 Hz that stays, wavers or glides."""
    glide = rng.normal(scale=rng.choice([0.0, 0.05, 0.3]), size=4)
    octaves = np.interp(time, np.linspace(0, time[-1], 4), glide)
    pitch = np.exp(rng.uniform(*np.log([80, 4000]))) * 2**octaves
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    fall, n_harmonics = rng.uniform(0, 2), int(rng.integers(1, 10))
    gains = rng.uniform(0.2, 1, n_harmonics) / np.arange(1, n_harmonics + 1) ** fall
    # What is above half of the sample rate would come back as another tone.
    heard = range(1, 1 + min(n_harmonics, int(SAMPLE_RATE / 2 / pitch.max())))
    return np.sum([gains[k - 1] * np.sin(k * phase) for k in heard], axis=0)


def _colored(size: int, deviation: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise that falls by 0 to 6 dB an octave, with random deviations of so many dB."""
    spectrum = np.fft.rfft(rng.standard_normal(size, np.float32))
    frequencies = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    slope = rng.uniform(-2, 0) * 3.01 * np.log2(_KNOTS / _KNOTS[0])
    gains = slope + rng.normal(scale=deviation, size=len(_KNOTS))
    spectrum *= 10 ** (np.interp(np.log(frequencies + 1), np.log(_KNOTS), gains) / 20)
    return np.fft.irfft(spectrum, size)


def _rms(samples: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(samples**2)))
