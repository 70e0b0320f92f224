"""Between events in seconds and the network's intervals in steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from .events import Event, Label
from .nn.intervals import nms
from .nn.rcrnn import Detections


def check_known_labels(
    events: Sequence[Sequence[Event]], labels: Sequence[Label], name: str
) -> None:
    """Raise ValueError where an event has a label that is not in `labels`."""
    for i, clip in enumerate(events):
        for event in clip:
            if event.label not in labels:
                raise ValueError(
                    f"{name}[{i}] has the label {event.label!r}, which y does not have: "
                    f"y has {list(labels)}"
                )


def to_targets(
    events: Sequence[Sequence[Event]], labels: Sequence[Label], step: float
) -> list[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Intervals (n, 2) in steps and class indices (n,) of each clip.

    Parameters
    ----------
    events : sequence of sequences of Event
    labels : sequence of str or int
        Their order gives the indices.
    step : float
        Seconds in a step of the feature map.
    """
    index = {label: i for i, label in enumerate(labels)}
    return [
        (
            np.array([event[:2] for event in clip], np.float32).reshape(-1, 2) / np.float32(step),
            np.array([index[event.label] for event in clip], np.int64),
        )
        for clip in events
    ]


def to_events(
    found: Detections, labels: Sequence[Label], step: float, nms_threshold: float
) -> list[list[Event]]:
    """Scored events of each clip of a batch, after suppression within each label.

    Parameters
    ----------
    found : Detections
    labels : sequence of str or int
    step : float
        Seconds in a step of the feature map.
    nms_threshold : float
        IoU above which the weaker of two events of a label is dropped.
    """
    # Suppression is within a label: each (clip, label) is a row of its own.
    scores = found.scores.transpose(1, 2).flatten(0, 1)
    intervals = found.intervals.transpose(1, 2).flatten(0, 1)
    wide = intervals[..., 1] > intervals[..., 0]
    valid = found.valid.repeat_interleave(len(labels), 0) & wide
    kept, mask = nms(intervals, scores, nms_threshold, valid=valid)
    rows, columns = torch.nonzero(mask, as_tuple=True)
    picked = kept[rows, columns]
    seconds = (intervals[rows, picked].double() * step).tolist()
    events: list[list[Event]] = [[] for _ in range(len(found.valid))]
    for row, (onset, offset), score in zip(
        rows.tolist(), seconds, scores[rows, picked].tolist(), strict=True
    ):
        place, label = divmod(row, len(labels))
        events[place].append(Event(onset, offset, labels[label], score))
    return events
