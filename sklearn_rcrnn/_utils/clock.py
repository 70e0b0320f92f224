"""Features that know the time between their frames, how they were computed, and from what.

A wrong clock is then noticed, and so are features that a start does not know, and a recording that
has changed since its features were computed, as those of a cache may be.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Origin(NamedTuple):
    """A recording on disk as it was when its features were computed.

    Attributes
    ----------
    path : str
    size : int
        In bytes; -1 if it is not there.
    changed : int
        Time of the last change in nanoseconds.
    """

    path: str
    size: int
    changed: int


class ClockedArray(np.ndarray):
    """Features of clips, or of one clip, with the seconds between their frames.

    It is an array like any other. A view or a result that has as many frames and bands
    keeps the clock; one of another shape, such as every second frame, has none, because
    nobody knows what its frames are. What clips it is of is known to the array itself alone,
    and to what pickle makes of it: others may have some of them, or another order.

    Attributes
    ----------
    frame_shift : float or None
        Seconds between frames; None where they are not known.
    origins : tuple of (Origin or None), or None
        The recording of each clip; None where it is not known.
    settings : dict or None
        What decides on the features of a recording, by name; None where it is not known. A result
        that keeps the clock keeps them, too.
    is_restored : bool
        Whether it was read again, from a cache for example, since it was computed.
    """

    frame_shift: float | None
    origins: tuple[Origin | None, ...] | None
    settings: dict[str, Any] | None
    is_restored: bool

    def __array_finalize__(self, source: Any) -> None:
        same = getattr(source, "shape", ())[-2:] == self.shape[-2:] and self.ndim >= 2
        self.frame_shift = getattr(source, "frame_shift", None) if same else None
        self.settings = getattr(source, "settings", None) if same else None
        self.origins = None
        self.is_restored = False

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        # FeatureUnion joins tables of shape (n_samples, n_features) by this function.
        if func is np.hstack and self.ndim == 3 and len([*args, *kwargs.values()][0]) > 1:
            raise ValueError(
                "np.hstack, and so FeatureUnion, would join features along their time, as if the "
                "recordings were longer. To have the bands of both, join them along the bands, "
                "np.concatenate(features, axis=2), in a transformer of your own"
            )
        return super().__array_function__(func, types, args, kwargs)

    def __reduce__(self) -> Any:
        # joblib writes plain arrays without a copy.
        return _restored, (np.asarray(self), self.frame_shift, self.origins, self.settings)


# Earlier versions kept no settings.
def _restored(
    features: NDArray[Any], frame_shift: float | None, origins: Any, settings: Any = None
) -> Any:
    clocked = _clocked(features, frame_shift, origins, settings)
    clocked.is_restored = True
    return clocked


def _clocked(features: Any, frame_shift: float | None, origins: Any, settings: Any) -> ClockedArray:
    clocked: ClockedArray = np.asarray(features).view(ClockedArray)
    clocked.frame_shift = frame_shift
    clocked.origins = origins
    clocked.settings = settings
    return clocked


def with_clock(
    features: Any,
    frame_shift: float | None,
    origins: Sequence[Origin | None] | None = None,
    settings: dict[str, Any] | None = None,
) -> Any:
    """The same features, without a copy, that know the seconds between their frames.

    Parameters
    ----------
    features : array of shape (..., n_frames, n_bands), or list of such arrays
    frame_shift : float or None
    origins : sequence of n_clips (Origin or None), default=None
        The recordings of the clips.
    settings : dict, default=None
        What decides on the features of a recording, by name.

    Returns
    -------
    ClockedArray, or list of ClockedArray

    Examples
    --------
    >>> features = with_clock(np.zeros((2, 100, 64)), 0.02)
    >>> features[0].frame_shift, features[:, ::2].frame_shift
    (0.02, None)
    """
    if not isinstance(features, list):
        recordings = None if origins is None else tuple(origins)
        return _clocked(features, frame_shift, recordings, settings)
    known = [None] * len(features) if origins is None else [(origin,) for origin in origins]
    return [
        _clocked(clip, frame_shift, own, settings)
        for clip, own in zip(features, known, strict=True)
    ]


def clocks_of(features: Any) -> set[float]:
    """Seconds between the frames of features; empty if they do not know them.

    Parameters
    ----------
    features : array, or list of arrays
        Of a list, each clip may have a clock.
    """
    clocks = {part.frame_shift for part in _clocked_parts(features)}
    return {clock for clock in clocks if clock is not None}


def settings_of(features: Any) -> dict[str, Any] | None:
    """What decided on features; None if they do not know it, or if their clips differ in it.

    Parameters
    ----------
    features : array, or list of arrays
    """
    first, *others = [part.settings for part in _clocked_parts(features)] or [None]
    return first if all(_are_alike(own, first) for own in others) else None


def _are_alike(one: dict[str, Any] | None, other: dict[str, Any] | None) -> bool:
    if one is None or other is None:
        return one is other
    return one is other or (one.keys() == other.keys() and not differing(one, other))


def differing(one: dict[str, Any] | None, other: dict[str, Any] | None) -> list[str]:
    """Names of the settings by which features differ; none where either is not known.

    Values other than numbers, text and arrays of these are left out: a copy of an object that
    somebody's own features have cannot be told from another one.

    Examples
    --------
    >>> differing({"n_fft": 2048, "eps": 1e-10}, {"n_fft": 1024, "eps": 1e-10})
    ['n_fft']
    >>> differing({"n_fft": 2048}, None)
    []
    """
    if one is None or other is None:
        return []
    return [
        name
        for name, value in one.items()
        if name in other
        and _is_plain(value)
        and _is_plain(other[name])
        and not np.array_equal(value, other[name])
    ]


def spelled(settings: dict[str, Any] | None, names: Sequence[str]) -> str:
    """Some of the settings, as they are written in Python."""
    return ", ".join(f"{name}={(settings or {})[name]!r}" for name in names)


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    is_array = isinstance(value, np.ndarray) and value.dtype.kind in "biufU"
    return value is None or is_array or isinstance(value, (bool, int, float, str, np.generic))


def as_in_fit(known: dict[str, Any] | None, settings: dict[str, Any] | None) -> str:
    """Advice on features of other settings than those of ``fit``; empty if none differ."""
    other = differing(known, settings)
    before = spelled(known, other)
    return f"Compute the features as in fit, with {before}, or fit again" if other else ""


def unknown_settings(features: Any, known: dict[str, Any] | None) -> dict[str, Any] | None:
    """Settings of features that are others than those that are known; None if none are.

    Parameters
    ----------
    features : array, or list of arrays
        Of a list, each clip may have settings.
    known : dict or None
        What decided on the features that an estimator was fitted to.
    """
    own = {id(part.settings): part.settings for part in _clocked_parts(features)}
    return next((settings for settings in own.values() if differing(known, settings)), None)


def check_settings(
    theirs: dict[str, Any] | None, known: dict[str, Any] | None, given: str, estimator: str
) -> None:
    """Raise ValueError for features of other settings than those that an estimator was fitted to.

    Parameters
    ----------
    theirs, known : dict or None
        What decides on the features, and on those of ``fit``; None where it is not known.
    given, estimator : str
        How the message begins, up to the features, and how it names the estimator.
    """
    if other := differing(known, theirs):
        now, before = spelled(theirs, other), spelled(known, other)
        raise ValueError(
            f"{given} features with {now}, but {estimator} knows only features with {before}, "
            f"those of fit: compute them with {before}, or fit again"
        )


def origin_of(clip: Any) -> Origin | None:
    """The state of the recording that a clip is the path of; None if it is no path."""
    if not isinstance(clip, (str, os.PathLike)):
        return None
    try:
        state = os.stat(clip)
    except (OSError, ValueError):
        return Origin(os.fspath(clip), -1, -1)
    return Origin(os.fspath(clip), state.st_size, state.st_mtime_ns)


def origins_of(clips: Any) -> list[Origin | None]:
    """The recording of each clip, as far as that is known.

    Parameters
    ----------
    clips : features, or sequence of paths
    """
    if isinstance(clips, ClockedArray):
        return [None] * len(clips) if clips.origins is None else list(clips.origins)
    if isinstance(clips, np.ndarray) and clips.dtype.kind in "OUS":
        clips = clips.tolist()
    if not isinstance(clips, (list, tuple)):
        return [None] * len(clips)
    return [
        clip.origins[0] if isinstance(clip, ClockedArray) and clip.origins else origin_of(clip)
        for clip in clips
    ]


def changed_recordings(features: Any) -> list[str]:
    """Recordings that have changed since their features were computed and put away.

    Parameters
    ----------
    features : array, or list of arrays
    """
    parts = [part for part in _clocked_parts(features) if part.is_restored]
    changed = []
    for then in (origin for part in parts for origin in part.origins or () if origin):
        now = origin_of(then.path)
        # A file that no longer exists cannot have changed.
        if now is not None and now.size >= 0 and now != then:
            changed.append(then.path)
    return changed


def _clocked_parts(features: Any) -> Iterator[ClockedArray]:
    # A list may also come as an array, or as a column of pandas, of objects.
    kind = getattr(getattr(features, "dtype", None), "kind", None)
    several = isinstance(features, (list, tuple)) or kind == "O"
    parts = features if several else [features]
    return (part for part in parts if isinstance(part, ClockedArray))
