"""Recordings of any length, cut into clips for a training."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from .._utils.files import same_files
from .._utils.memory import ReadsFiles
from ..audio import audio_duration, read_audio
from ..events import Event, check_event_lists

# A cut leaves at least this many seconds of an event, so that it can still be recognized.
_SHORTEST = 0.1


class Excerpt(ReadsFiles):
    """A part of a recording that is read when its samples are asked for.

    Estimators take it as a clip; ``np.asarray(excerpt)`` gives its samples.

    Parameters
    ----------
    path : str or PathLike
    start, stop : float
        First and last time of the part in seconds.
    sample_rate : int, default=44100
        Sample rate in Hz; recordings of other rates are resampled.

    Examples
    --------
    >>> from sklearn_rcrnn.datasets import Excerpt
    >>> np.asarray(Excerpt("night.flac", 3600, 3630)).shape  # doctest: +SKIP
    (1323000,)
    """

    def __init__(
        self, path: str | os.PathLike[str], start: float, stop: float, sample_rate: int = 44100
    ):
        self.path = os.fspath(path)
        self.start = start
        self.stop = stop
        self.sample_rate = sample_rate

    def samples(self) -> NDArray[np.floating]:
        """The samples, averaged over channels.

        Returns
        -------
        float32 array of shape (n_samples,)
        """
        return read_audio(self.path, self.sample_rate, start=self.start, stop=self.stop)

    def _files(self) -> list[str]:
        """What the samples are read from."""
        return [self.path]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self.samples().astype(dtype or np.float32, copy=False)

    def __repr__(self) -> str:
        return f"Excerpt({self.path!r}, {self.start:g}, {self.stop:g})"


def cut_recordings(
    paths: Sequence[str | os.PathLike[str]],
    y: Any,
    *,
    clip_length: float = 30.0,
    empty_ratio: float | None = None,
    sample_rate: int = 44100,
    random_state: Any = None,
) -> tuple[list[Excerpt], list[list[Event]], NDArray[np.int64]]:
    """Cut recordings into clips of about equal length, with their events.

    Parameters
    ----------
    paths : sequence of n_recordings paths
    y : list of n_recordings lists of (onset, offset, label)
    clip_length : float, default=30.0
        Seconds that a clip has at most. Shorter recordings stay whole.
    empty_ratio : float, default=None
        Keep at most so many clips without an event for each clip with one, drawn by
        chance. None: keep all.
    sample_rate : int, default=44100
        Sample rate of the clips in Hz.
    random_state : int, RandomState instance or None, default=None
        Seed of the choice of clips without an event.

    Returns
    -------
    X : list of n_clips Excerpt
        Read when they are needed.
    y : list of n_clips lists of Event
        In seconds from the start of the clip. An event that a cut goes through is in both
        clips, if at least 0.1 s or half of it is.
    groups : int array of shape (n_clips,)
        The recording of each clip, for :class:`sklearn.model_selection.GroupKFold`: clips
        of one recording must not be on both sides of a split. If several paths are the same
        file, for example by a link, the first of them counts.

    Raises
    ------
    FileNotFoundError, ValueError
        If a recording cannot be read or is empty, or an event ends after it.

    Examples
    --------
    >>> X, y, groups = cut_recordings(paths, y, clip_length=20)  # doctest: +SKIP
    >>> pipe.fit(X, y)  # doctest: +SKIP
    """
    if not clip_length > _SHORTEST:
        raise ValueError(f"clip_length must be more than {_SHORTEST} s; got {clip_length!r}")
    if empty_ratio is not None and not empty_ratio >= 0:
        raise ValueError(f"empty_ratio must be 0 or more, or None; got {empty_ratio!r}")
    clips = check_event_lists(y, n_clips=len(paths))
    X, events, groups = [], [], []
    # A recording that is named twice, or by a link, is one.
    for path, own, group in zip(paths, clips, same_files(paths), strict=True):
        duration = audio_duration(path)
        _check_ends(own, duration, path)
        edges = np.linspace(0, duration, math.ceil(duration / clip_length) + 1).tolist()
        for start, stop in pairwise(edges):
            X.append(Excerpt(path, start, stop, sample_rate))
            events.append(events_between(own, start, stop))
            groups.append(group)
    kept = _kept(events, empty_ratio, check_random_state(random_state))
    return [X[i] for i in kept], [events[i] for i in kept], np.array([groups[i] for i in kept])


def _check_ends(events: Sequence[Event], duration: float, path: str | os.PathLike[str]) -> None:
    for event in events:
        # Event lists are rounded to milliseconds, so an event may end a millisecond late.
        if event.offset > duration + 1e-3:
            raise ValueError(
                f"{os.fspath(path)!r} ends at {duration:.3f} s, before the end of its event "
                f"{event.label!r} from {event.onset:g} s to {event.offset:g} s. Are the times in "
                "seconds, and was the recording cut short?"
            )


def events_between(events: Sequence[Event], start: float, stop: float) -> list[Event]:
    """Cut events to the part between two times, and count from the first of these.

    Events of which less than 0.1 s, and less than half, lies there are left out.
    """
    inside = []
    for event in events:
        onset, offset = max(event.onset, start), min(event.offset, stop)
        # Half of an event lies on one side of each cut at least, but for rounding.
        if offset - onset >= min(_SHORTEST, (event.offset - event.onset) / 2) - 1e-9:
            inside.append(event._replace(onset=onset - start, offset=offset - start))
    return inside


def _kept(
    events: Sequence[Sequence[Event]], empty_ratio: float | None, rng: np.random.RandomState
) -> list[int]:
    if empty_ratio is None:
        return list(range(len(events)))
    empty = [i for i, own in enumerate(events) if not own]
    most = round(empty_ratio * (len(events) - len(empty)))
    chosen = set(rng.permutation(empty)[:most].tolist())
    return [i for i, own in enumerate(events) if own or i in chosen]
