"""Events of clips as targets of the networks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..events import Event, Label, check_event_lists


def check_known_labels(
    events: Sequence[Sequence[Event]], labels: Sequence[Label], name: str
) -> None:
    """Raise ValueError where an event has a label that is not in `labels`."""
    for i, clip in enumerate(events):
        for event in clip:
            if event.label not in labels:
                raise ValueError(
                    f"{name}[{i}] has the label {event.label!r}, which is none of those to "
                    f"learn: {list(labels)}"
                )


def warn_of_shared_times(clips: Sequence[Sequence[Event]]) -> None:
    """Warn of events with the onset and offset of one of another label.

    A region detector gives an interval one label: anchors and RoIs learn the first of such events.
    """
    pairs = []
    for clip in clips:
        first: dict[Any, Label] = {}
        labels = [(first.setdefault(event[:2], event.label), event.label) for event in clip]
        pairs += [pair for pair in labels if pair[0] != pair[1]]
    if pairs:
        warnings.warn(
            f"{len(pairs)} event(s) have the onset and offset of one of another label, such as "
            f"{pairs[0][0]!r} and {pairs[0][1]!r}. An RCRNNDetector gives an interval one label, "
            "and learns the first: give such events a label for both, or train a detector for "
            "each set of labels. A FrameDetector can learn several labels at a time",
            stacklevel=4,
        )


def to_target(
    events: Sequence[Event], labels: Sequence[Label], step: float
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The target of a clip: intervals of shape (n, 2) in steps, and class indices of shape (n,).

    Parameters
    ----------
    events : sequence of Event
    labels : sequence of str or int
        Their order gives the indices.
    step : float
        Seconds in a step of the feature map.
    """
    times = np.array([event[:2] for event in events], np.float32).reshape(-1, 2)
    return times / np.float32(step), np.array([labels.index(e.label) for e in events], np.int64)


def to_presence(events: Sequence[Event], labels: Sequence[Label]) -> NDArray[np.float32]:
    """An array (n_labels,) of 1 for labels that occur in a clip, and 0 for the others."""
    present = {event.label for event in events}
    return np.array([label in present for label in labels], np.float32)


def stream_target(
    clip: NDArray[np.float32],
    events: Any,
    *,
    labels: Sequence[Label],
    frame: float | None,
    convert: Callable[[Sequence[Event]], Any],
) -> Any:
    """Check the events of a clip that a stream made, and convert them.

    Parameters
    ----------
    clip : array of shape (n_frames, n_bands)
    events : list of (onset, offset, label)
    labels : sequence of str or int
        Labels that may occur.
    frame : float or None
        Seconds in a frame; None where the length of the clip is not known in seconds.
    convert : callable
    """
    durations = None if frame is None else [len(clip) * frame]
    checked = check_event_lists([events], durations=durations, name="stream")
    check_known_labels(checked, labels, "stream")
    return convert(checked[0])
