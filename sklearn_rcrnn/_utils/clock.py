"""Features that know the time between their frames, so that a wrong clock is noticed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class ClockedArray(np.ndarray):
    """Features of clips, or of one clip, with the seconds between their frames.

    It is an array like any other. A view or a result that has as many frames and bands
    keeps the clock; one of another shape, such as every second frame, has none, because
    nobody knows what its frames are.

    Attributes
    ----------
    frame_shift : float or None
        Seconds between frames; None where they are not known.
    """

    frame_shift: float | None

    def __array_finalize__(self, source: Any) -> None:
        same = getattr(source, "shape", ())[-2:] == self.shape[-2:] and self.ndim >= 2
        self.frame_shift = getattr(source, "frame_shift", None) if same else None

    def __reduce__(self) -> Any:
        # joblib writes plain arrays without a copy.
        return with_clock, (np.asarray(self), self.frame_shift)


def with_clock(features: Any, frame_shift: float | None) -> Any:
    """The same features, without a copy, that know the seconds between their frames.

    Parameters
    ----------
    features : array of shape (..., n_frames, n_bands), or list of such arrays
    frame_shift : float or None

    Returns
    -------
    ClockedArray, or list of ClockedArray

    Examples
    --------
    >>> features = with_clock(np.zeros((2, 100, 64)), 0.02)
    >>> features[0].frame_shift, features[:, ::2].frame_shift
    (0.02, None)
    """
    if isinstance(features, list):
        return [with_clock(clip, frame_shift) for clip in features]
    clocked: NDArray = np.asarray(features).view(ClockedArray)
    clocked.frame_shift = frame_shift  # type: ignore[attr-defined]
    return clocked


def clocks_of(features: Any) -> set[float]:
    """Seconds between the frames of features; empty if they do not know them.

    Parameters
    ----------
    features : array, or list of arrays
        Of a list, each clip may have a clock.
    """
    parts = features if isinstance(features, (list, tuple)) else [features]
    clocks = {part.frame_shift for part in parts if isinstance(part, ClockedArray)}
    return {clock for clock in clocks if clock is not None}
