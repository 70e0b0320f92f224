"""Random changes of the samples of events, to make more training material."""

from __future__ import annotations

from numbers import Real

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval

from .._utils.settings import Settings

# Number of knots of a random equalizer, whose gain is interpolated between them.
_N_KNOTS = 6
_LOWEST, _HIGHEST = 60.0, 20000.0


class EventAugmentation(Settings):
    """Change an event at random: its pitch and tempo, its sound color, and the room.

    Parameters
    ----------
    speed : float, default=0.2
        Largest relative change of speed, with which the pitch changes, too.
    equalization : float, default=6.0
        Standard deviation in dB of a random equalizer.
    low_pass : float, default=0.25
        Probability of a low-pass filter at a random frequency from 3 to 12 kHz, like that of
        telephones and cheap recorders.
    reverberation : float, default=0.3
        Probability of a room with a reverberation time of 0.1 to 0.6 s.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> event = rng.normal(size=22050)
    >>> changed = EventAugmentation(speed=0.12)(event, 44100, rng)
    >>> bool(0.88 < len(changed) / 22050 < 1.14)
    True
    """

    _parameter_constraints: dict = {
        "speed": [Interval(Real, 0, 1, closed="left")],
        "equalization": [Interval(Real, 0, None, closed="left")],
        "low_pass": [Interval(Real, 0, 1, closed="both")],
        "reverberation": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        speed: float = 0.2,
        equalization: float = 6.0,
        low_pass: float = 0.25,
        reverberation: float = 0.3,
    ):
        self.speed = speed
        self.equalization = equalization
        self.low_pass = low_pass
        self.reverberation = reverberation

    def __call__(
        self, samples: NDArray[np.floating], sample_rate: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Change an event, whose onset and offset stay at its first and last sample.

        Parameters
        ----------
        samples : array of shape (n_samples,)
        sample_rate : int
            Sample rate in Hz.
        rng : numpy.random.Generator

        Returns
        -------
        float32 array of shape (n_samples / speed,)
        """
        import scipy.fft
        import soxr

        self.check()
        factor = 1 + rng.uniform(-self.speed, self.speed)
        changed = np.ascontiguousarray(samples, np.float32)
        if self.speed:
            changed = soxr.resample(changed, sample_rate * factor, sample_rate, quality="LQ")
        room = _room(self.reverberation, sample_rate, rng)
        size = scipy.fft.next_fast_len(len(changed) + len(room), real=True)
        spectrum = scipy.fft.rfft(changed, size)
        frequencies = np.linspace(0, sample_rate / 2, len(spectrum), dtype=np.float32)
        spectrum *= _equalizer(frequencies, self.equalization, rng)
        if rng.random() < self.low_pass:
            cut = np.float32(3000 * 4 ** rng.random())
            spectrum *= 1 / (1 + (frequencies / cut) ** 16)
        if len(room):
            spectrum *= scipy.fft.rfft(room, size)
        return scipy.fft.irfft(spectrum, size)[: len(changed)]


def _equalizer(
    frequencies: NDArray[np.float32], deviation: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    knots = np.geomspace(_LOWEST, _HIGHEST, _N_KNOTS)
    gains = 10 ** (rng.normal(scale=deviation, size=_N_KNOTS) / 20)
    # The knots are spaced evenly over log frequency. Between them the gain is linear over
    # frequency, which is smooth enough and needs no logarithm for every bin.
    return np.interp(frequencies, knots, gains).astype(np.float32)


def _room(probability: float, sample_rate: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Impulse response of a room: the direct sound, then decaying noise; empty for no room."""
    if rng.random() >= probability:
        return np.empty(0, np.float32)
    duration = rng.uniform(0.1, 0.6)
    time = np.arange(1, int(duration * sample_rate), dtype=np.float32) / sample_rate
    tail = rng.standard_normal(len(time), np.float32)
    tail *= np.exp(np.float32(-6.9 / duration) * time)
    level = 10 ** (rng.uniform(-15, 0) / 20) / np.sqrt(np.sum(tail**2))
    return np.concatenate([np.ones(1, np.float32), np.float32(level) * tail])
