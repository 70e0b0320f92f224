"""Remove the background noise of its recording from an event that was cut out of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_N_FFT = 1024
_HOP = 512
_WINDOW = np.hanning(_N_FFT + 1)[:-1].astype(np.float32)
# The spectrum of the surroundings is estimated from at least this many frames, about 0.1 s.
_FEWEST = 8
# The power of the surroundings is subtracted this many times, because a single frame of noise often
# exceeds the mean.
_SUBTRACTED = 2.0
# Amplitude that remains in bands with nothing but surroundings, as a part of the original.
_FLOOR = 0.1
# Gains are smoothed over this many frames and bands, so that no isolated tones remain.
_SMOOTHED = (5, 3)


def without_surroundings(
    event: NDArray[np.floating], surroundings: Sequence[NDArray[np.floating]]
) -> NDArray[np.float32]:
    """Take away from an event what is in its surroundings, too.

    The mean power of each band in the surroundings is subtracted from that in the event
    (spectral subtraction), down to 20 dB under what was there. What stands out stays as it
    is, and noise that a soft event lies in is mostly gone.

    Parameters
    ----------
    event : array of shape (n_samples,)
        At 44.1 kHz.
    surroundings : sequence of arrays
        Stretches of the recording before and behind the event. The softest in each band
        counts: an echo of the event in one of them does not belong to the surroundings.
        Those of less than 0.1 s are too short to know their spectrum.

    Returns
    -------
    float32 array of shape (n_samples,)
        The event as it is where no stretch is long enough.

    References
    ----------
    Boll: Suppression of acoustic noise in speech using spectral subtraction, IEEE
    Transactions on Acoustics, Speech, and Signal Processing, 1979.

    Examples
    --------
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).normal(size=44100)
    >>> softer = without_surroundings(noise[:22050], [noise[22050:]])
    >>> bool(np.std(softer) < 0.3 * np.std(noise))
    True
    """
    from scipy.ndimage import uniform_filter

    cut = np.asarray(event, np.float32)
    long_enough = [s for s in surroundings if len(s) >= _N_FFT + (_FEWEST - 1) * _HOP]
    if not long_enough or len(cut) < _N_FFT:
        return cut
    usual = np.min([_mean_power(stretch) for stretch in long_enough], 0)
    spectrum = np.fft.rfft(_frames(np.pad(cut, _N_FFT)) * _WINDOW)
    power = uniform_filter(np.abs(spectrum) ** 2, _SMOOTHED)
    part = 1 - _SUBTRACTED * usual / np.maximum(power, 1e-20)
    kept = np.sqrt(np.clip(part, _FLOOR**2, 1))
    return _joined(np.fft.irfft(spectrum * kept))[_N_FFT : _N_FFT + len(cut)]


def _frames(samples: NDArray[np.floating]) -> NDArray[np.floating]:
    """All frames that lie entirely inside the samples, as (n_frames, _N_FFT)."""
    return np.lib.stride_tricks.sliding_window_view(samples, _N_FFT)[::_HOP]


def _mean_power(stretch: NDArray[np.floating]) -> NDArray[np.floating]:
    """The mean power of each band over the frames that lie entirely inside the samples."""
    return np.mean(np.abs(np.fft.rfft(_frames(stretch) * _WINDOW)) ** 2, 0)


def _joined(frames: NDArray[np.floating]) -> NDArray[np.float32]:
    """The samples whose windowed frames these are: frames overlap by half."""
    # With this window of the synthesis, unchanged frames give the original samples.
    half = _WINDOW[:_HOP] ** 2 + _WINDOW[_HOP:] ** 2
    weighted = frames * (_WINDOW / np.tile(half, 2))
    joined = np.zeros((len(frames) + 1, _HOP), np.float32)
    joined[:-1] += weighted[:, :_HOP]
    joined[1:] += weighted[:, _HOP:]
    return joined.ravel()
