"""Events, and the checks on lists of them that every public door shares."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

Label = str | int
# Names of a model's own thresholds, from many events found to few false alarms.
THRESHOLD_NAMES = ("sensitive", "balanced", "few false alarms")


class Event(NamedTuple):
    """A sound event.

    Attributes
    ----------
    onset, offset : float
        In seconds from the start of the clip.
    label : str or int
    score : float, default=1.0
        Confidence between 0 and 1.

    Examples
    --------
    >>> event = Event(3.2, 4.0, "gunshot", 0.97)
    >>> event.onset, event.label
    (3.2, 'gunshot')
    >>> onset, offset, label, score = event
    """

    onset: float
    offset: float
    label: Label
    score: float = 1.0


class EventLists(list[list[Event]]):
    """The events of each clip: a list of lists that scikit-learn can put together.

    It is a list in every respect, and NumPy takes it for an object array of shape
    (n_clips,): ``cross_val_predict`` can therefore concatenate what ``predict`` returns, and
    gives an object array of lists.

    Examples
    --------
    >>> events = EventLists([[Event(0.5, 1.0, "dog")], []])
    >>> events == [[(0.5, 1.0, "dog", 1.0)], []]
    True
    >>> np.asarray(events).shape
    (2,)
    >>> np.concatenate([events, events]).shape
    (4,)
    >>> events[np.array([1, 0])]
    [[], [Event(onset=0.5, offset=1.0, label='dog', score=1.0)]]
    """

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.object_]:
        if dtype is not None and np.dtype(dtype) != object:
            raise TypeError(f"Lists of events make an object array, none of {np.dtype(dtype)}")
        array = np.empty(len(self), dtype=object)
        for i, clip in enumerate(self):
            array[i] = clip
        return array

    @overload
    def __getitem__(self, index: SupportsIndex) -> list[Event]: ...  # type: ignore[overload-overlap]

    @overload
    def __getitem__(self, index: slice | Sequence[int] | NDArray[Any]) -> EventLists: ...

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return EventLists(super().__getitem__(index))
        if isinstance(index, (Sequence, np.ndarray)):
            places = np.asarray(index) if len(index) else slice(0)
            return EventLists(np.asarray(self)[places])
        return super().__getitem__(index)


def check_event_lists(
    y: Any,
    *,
    n_clips: int | None = None,
    durations: Sequence[float] | None = None,
    name: str = "y",
) -> list[list[Event]]:
    """Check event lists and return them as lists of :class:`Event`, a list for each clip.

    Parameters
    ----------
    y : sequence of sequences of (onset, offset, label) or (onset, offset, label, score)
        One inner sequence for each clip, empty for a clip without event; seconds.
    n_clips : int, default=None
        Expected number of clips.
    durations : sequence of float, default=None
        Length of each clip in seconds; events must end by then.
    name : str, default="y"
        What to call the argument in errors.

    Returns
    -------
    list of list of Event

    Raises
    ------
    TypeError
        For wrong nesting, or labels that are neither strings nor integers, or both.
    ValueError
        For a wrong number of clips, or times that cannot be.

    Examples
    --------
    >>> check_event_lists([[(0.5, 1.0, "dog")], []])
    [[Event(onset=0.5, offset=1.0, label='dog', score=1.0)], []]
    """
    if isinstance(y, (str, bytes, dict)) or not isinstance(y, Iterable):
        raise TypeError(
            f"{name} must hold, for each clip, a list of (onset, offset, label); "
            f"got {type(y).__name__}"
        )
    if hasattr(y, "columns"):
        raise TypeError(
            f"{name} is a frame with a row for each event, and it is not said which clips they are "
            f"of: {name} = sklearn_rcrnn.annotations.match_files({name}, paths) does so"
        )
    clips = [_check_clip(clip, f"{name}[{i}]") for i, clip in enumerate(y)]
    if n_clips is not None and len(clips) != n_clips:
        raise ValueError(
            f"{name} has event lists for {len(clips)} clips, but X has {n_clips} clips: "
            "give one list for each clip, empty for a clip without event"
        )
    if durations is not None:
        _check_ends(clips, durations, name)
    kinds = {type(event.label) for clip in clips for event in clip}
    if len(kinds) > 1:
        raise TypeError(f"labels in {name} must be all strings or all integers, not a mixture")
    return clips


def check_true_and_found(y_true: Any, y_pred: Any) -> tuple[list[list[Event]], list[list[Event]]]:
    """Check the true and the found events of the same clips, as :func:`check_event_lists` does."""
    true = check_event_lists(y_true, name="y_true")
    found = check_event_lists(y_pred, n_clips=len(true), name="y_pred")
    first, second = (next((e.label for clip in own for e in clip), None) for own in (true, found))
    if None not in (first, second) and type(first) is not type(second):
        raise TypeError(
            f"Labels are {type(first).__name__} in y_true, such as {first!r}, and "
            f"{type(second).__name__} in y_pred, such as {second!r}: none of them can be the same. "
            "Tables have labels that are text"
        )
    return true, found


def labels_of(clips: Iterable[Iterable[Event]]) -> list[Label]:
    """The labels that occur, each once, sorted."""
    return sorted({event.label for clip in clips for event in clip})  # type: ignore[type-var]


def chosen_labels(labels: Sequence[Label] | None, clips: Iterable[Iterable[Event]]) -> list[Label]:
    """The labels that are given; by default all that occur in the clips, sorted.

    Raises
    ------
    TypeError
        For a text, whose letters would otherwise be taken for labels that never occur, and for
        texts where the events have integers, or the reverse.
    ValueError
        For a label that is given more than once.
    """
    if isinstance(labels, (str, bytes)):
        raise TypeError(f"labels must be a list of labels; got {labels!r}. Use [{labels!r}]")
    occurring = labels_of(clips)
    if labels is None:
        return occurring
    chosen = list(labels)
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"labels has a label more than once: {chosen}")
    for label in chosen:
        if occurring and isinstance(label, str) != isinstance(occurring[0], str):
            raise TypeError(
                f"labels has {label!r}, and events have labels such as {occurring[0]!r}: none of "
                "them can be the same"
            )
    return chosen


def select_events(
    clips: Iterable[Iterable[Event]],
    threshold: float | Mapping[Label, float],
    max_events: int | None = None,
) -> list[list[Event]]:
    """The events of each clip that reach the threshold, at most so many, by onset.

    Parameters
    ----------
    clips : iterable of iterables of Event
    threshold : float, or mapping of labels to floats
    max_events : int, default=None
        Of each clip, those with the highest scores.

    Examples
    --------
    >>> clip = [Event(4.0, 5.0, "dog", 0.9), Event(1.0, 2.0, "cat", 0.6)]
    >>> select_events([clip], {"dog": 0.95, "cat": 0.5})
    [[Event(onset=1.0, offset=2.0, label='cat', score=0.6)]]
    """
    # Asked once: to ask it of each candidate takes longer than all else here.
    by_label = threshold if isinstance(threshold, Mapping) else None
    chosen = []
    for clip in clips:
        if by_label is None:
            best = [event for event in clip if event.score >= threshold]  # type: ignore[operator]
        else:
            best = [event for event in clip if event.score >= by_label[event.label]]
        if max_events is not None:
            best = sorted(best, key=lambda event: -event.score)[:max_events]
        chosen.append(sorted(best))
    return chosen


def misnamed_labels(by_label: Iterable[Label], labels: Sequence[Label]) -> list[Label]:
    """The labels of a parameter by label that are most likely misspelled.

    As with `class_weight` in scikit-learn, these are the unknown ones, unless all `labels` are
    named as well: a fold of a cross-validation may lack a label.

    Examples
    --------
    >>> misnamed_labels(["dgo"], ["cat", "dog"]), misnamed_labels(["cat", "dog"], ["cat"])
    (['dgo'], [])
    """
    named = list(by_label)
    if not set(labels) - set(named):
        return []
    return [label for label in named if label not in labels]


def check_threshold(threshold: Any, labels: Sequence[Label]) -> None:
    """Raise ValueError unless a threshold by label has one from 0 to 1 for each of `labels`."""
    if not isinstance(threshold, Mapping):
        return
    if set(labels) - set(threshold) or not all(0 <= t <= 1 for t in threshold.values()):
        raise ValueError(
            "score_threshold must be a number, or give one between 0 and 1 for each of "
            f"{list(labels)}; got {threshold}"
        )


def resolve_threshold(
    threshold: float | str | Mapping[Label, float],
    named: Mapping[str, Mapping[Label, float]] | None,
    labels: Sequence[Label],
) -> float | Mapping[Label, float]:
    """The numbers that a ``score_threshold`` stands for, checked.

    Parameters
    ----------
    threshold : float, mapping of labels to floats, or one of THRESHOLD_NAMES
    named : mapping of names to mappings of labels to floats, or None
        What a fitted model has as ``thresholds_``.
    labels : sequence
        That the model has learnt.

    Raises
    ------
    ValueError
        For a name if the model has no thresholds by name, or numbers that cannot be.

    Examples
    --------
    >>> resolve_threshold("sensitive", {"sensitive": {"dog": 0.3}}, ["dog"])
    {'dog': 0.3}
    """
    if isinstance(threshold, str):
        if threshold not in (named or {}):
            there = ", ".join(map(repr, named)) if named else "none"
            raise ValueError(
                f"The model has no thresholds named {threshold!r}; it has {there}. `rcrnn "
                "train` chooses them; else give a number, or one for each label"
            )
        threshold = (named or {})[threshold]
    check_threshold(threshold, labels)
    return threshold


def check_named_thresholds(named: Any, labels: Sequence[Label]) -> dict[str, dict[Label, float]]:
    """Thresholds by name and label, as a model keeps them; else ValueError."""
    if not isinstance(named, Mapping) or set(named) - set(THRESHOLD_NAMES):
        raise ValueError(f"thresholds must have names of {THRESHOLD_NAMES}; got {named!r}")
    for own in named.values():
        if not isinstance(own, Mapping):
            raise ValueError(f"thresholds of a name must be given by label; got {own!r}")
        check_threshold(own, labels)
    return {name: dict(own) for name, own in named.items()}


def _check_clip(clip: Any, where: str) -> list[Event]:
    if isinstance(clip, (str, bytes, dict)) or not isinstance(clip, Iterable):
        raise TypeError(
            f"{where} must be the list of the events of one clip, each "
            f"(onset, offset, label); got {clip!r}"
        )
    return [check_event(event, f"{where}[{j}]") for j, event in enumerate(clip)]


def check_event(event: Any, where: str) -> Event:
    """Check one event and return it as :class:`Event`; errors begin with `where`."""
    kinds: Any = (Sequence, np.ndarray, np.void)
    if isinstance(event, (str, bytes)) or not isinstance(event, kinds):
        raise TypeError(
            f"{where} must be an event (onset, offset, label) in a list for its clip; "
            f"got {event!r}. y is a list (of clips) of lists (of events)"
        )
    event = tuple(event)
    if len(event) not in (3, 4):
        raise ValueError(f"{where} must be (onset, offset, label); got {event!r}")
    onset, offset = (_check_time(t, where, event) for t in event[:2])
    label = _check_label(event[2], where)
    if onset < 0:
        raise ValueError(f"{where} has the negative onset {onset:g} s; times start at 0")
    if onset == offset:
        raise ValueError(
            f"{where}: the event at {onset:g} s has no length. A point label, as Audacity makes "
            "them without a selection, says when and not how long: give it an offset"
        )
    if onset > offset:
        raise ValueError(f"{where}: the onset {onset:g} s must be before the offset {offset:g} s")
    score = event[3] if len(event) == 4 else 1.0
    if not isinstance(score, Real) or not math.isfinite(score):
        raise ValueError(f"{where}: the score must be a finite number; got {score!r}")
    return Event(onset, offset, label, float(score))


def _check_time(time: Any, where: str, event: Any) -> float:
    if isinstance(time, bool) or not isinstance(time, Real):
        raise TypeError(
            f"{where} must be (onset, offset, label) with times in seconds; got {tuple(event)!r}"
        )
    if not math.isfinite(time):
        raise ValueError(f"{where} has a time that is not finite: {tuple(event)!r}")
    return float(time) + 0.0  # no -0.0, which tables would show


def _check_label(label: Any, where: str) -> Label:
    if isinstance(label, str):
        return str(label)
    if isinstance(label, Integral) and not isinstance(label, (bool, np.bool_)):
        return int(label)
    raise TypeError(f"{where}: the label must be a string or an integer; got {label!r}")


def _check_ends(clips: list[list[Event]], durations: Sequence[float], name: str) -> None:
    for i, (clip, duration) in enumerate(zip(clips, durations, strict=True)):
        for j, event in enumerate(clip):
            # Event lists are rounded to milliseconds, so an event may end a millisecond late.
            if event.offset > duration + 1e-3:
                raise ValueError(
                    f"{name}[{i}][{j}] ends at {event.offset:g} s, after the end of clip {i} "
                    f"at {duration:.3f} s. Are the times in seconds, and is frame_shift that "
                    "of the features?"
                )
