"""Filters of Slaney's mel scale, without the seconds that an import of librosa takes."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# The scale is linear up to 1000 Hz, at 15 mel, and logarithmic above (Slaney 1998).
_HZ_PER_MEL = 200 / 3
_KNEE_HZ, _KNEE_MEL = 1000.0, 15.0
_LOG_STEP = np.log(6.4) / 27
# Number of groups of neighboring bands; the products of a group are computed together.
_N_GROUPS = 6


class BandGroup(NamedTuple):
    """Neighboring bands, and the part of the spectrum that they are about.

    Attributes
    ----------
    bands, bins : slice
    filters : float32 array of shape (n_bins, n_bands)
    """

    bands: slice
    bins: slice
    filters: NDArray[np.float32]


def mel_edges(n_mels: int, f_min: float, f_max: float) -> NDArray[np.float64]:
    """Frequencies in Hz (n_mels + 2,): band ``i`` is centered at edge ``i + 1``."""
    return _to_hz(np.linspace(_to_mel(f_min), _to_mel(f_max), n_mels + 2))


def mel_filters(
    sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float
) -> NDArray[np.float32]:
    """Triangular filters of equal area, evenly spaced on the mel scale.

    They are those of ``librosa.filters.mel``, which a test compares.

    Parameters
    ----------
    sample_rate, n_fft : int
        Of the spectrum.
    n_mels : int
    f_min, f_max : float
        Edges of the lowest and the highest band in Hz.

    Returns
    -------
    float32 array of shape (1 + n_fft // 2, n_mels)
        It cannot be written to, as later calls return it again.

    Warns
    -----
    UserWarning
        If bands lie between the bins of the spectrum: they are always empty.
    """
    filters, n_empty = _filters(sample_rate, n_fft, n_mels, f_min, f_max)
    if n_empty:
        warnings.warn(
            f"{n_empty} of {n_mels} mel bands are always empty, since the spectrum has "
            f"no bin inside them: use a larger n_fft than {n_fft} or fewer than {n_mels} bands",
            stacklevel=2,
        )
    return filters


# To make them takes a twentieth of the time of a recording of a few seconds.
@lru_cache(maxsize=4)
def _filters(
    sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float
) -> tuple[NDArray[np.float32], int]:
    """Compute the filters, and how many of them are always empty."""
    edges = mel_edges(n_mels, f_min, f_max)
    bins = np.fft.rfftfreq(n_fft, 1 / sample_rate)[:, None]
    widths = np.diff(edges)
    rising = (bins - edges[:-2]) / widths[:-1]
    falling = (edges[2:] - bins) / widths[1:]
    filters = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    filters *= 2 / (edges[2:] - edges[:-2])
    empty = (filters.max(0) == 0) & (edges[:-2] > 0)
    filters.flags.writeable = False
    return filters, int(empty.sum())


def band_groups(filters: NDArray[np.float32]) -> list[BandGroup]:
    """Parts of the filters that together give the same as the whole, in less time.

    Most of the matrix is zero: each band is about a small part of the spectrum only.

    Parameters
    ----------
    filters : float32 array of shape (n_bins, n_bands)
    """
    groups = []
    for bands in np.array_split(np.arange(filters.shape[1]), _N_GROUPS):
        if len(bands):
            own = slice(int(bands[0]), int(bands[-1]) + 1)
            used = np.flatnonzero(filters[:, own].any(1))
            bins = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)
            groups.append(BandGroup(own, bins, np.ascontiguousarray(filters[bins, own])))
    return groups


def _to_mel(hz: float) -> float:
    if hz < _KNEE_HZ:
        return hz / _HZ_PER_MEL
    return _KNEE_MEL + float(np.log(hz / _KNEE_HZ)) / _LOG_STEP


def _to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = _KNEE_HZ * np.exp(_LOG_STEP * (mel - _KNEE_MEL))
    return np.where(mel < _KNEE_MEL, mel * _HZ_PER_MEL, above)
