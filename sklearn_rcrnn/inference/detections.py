"""Output of the network as events in seconds."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..events import Event, Label
from ..nn.nms import nms
from ..nn.rcrnn import Detections


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
