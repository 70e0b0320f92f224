"""The output of the network as events in seconds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..events import Event, Label
from ..nn.intervals import gather_intervals
from ..nn.nms import nms
from ..nn.rcrnn import Detections


def to_events(
    found: Detections, labels: Sequence[Label], step: float, nms_threshold: float
) -> list[list[Event]]:
    """Turn the output for a batch into scored events, suppressing within each label.

    Parameters
    ----------
    found : Detections
    labels : sequence of str or int
    step : float
        Seconds in a step of the feature map.
    nms_threshold : float
        IoU above which the weaker of two events of a label is dropped.
    """
    # Each (clip, label) is a row of its own, as suppression is within a label.
    scores = found.scores.transpose(1, 2).flatten(0, 1)
    intervals = found.intervals.transpose(1, 2).flatten(0, 1)
    wide = intervals[..., 1] > intervals[..., 0]
    valid = found.valid.repeat_interleave(len(labels), 0) & wide
    kept, mask = nms(intervals, scores, nms_threshold, valid=valid)
    picked = gather_intervals(intervals, kept), scores.gather(1, kept)[..., None]
    # Everything is copied from the device at once, so that there is only one wait for it.
    table = torch.cat([*picked, mask[..., None]], -1).cpu().double().numpy()
    rows, columns = np.nonzero(table[..., 3])
    times = table[rows, columns, :2] * step
    events: list[list[Event]] = [[] for _ in range(len(found.valid))]
    for row, (onset, offset), score in zip(
        rows.tolist(), times.tolist(), table[rows, columns, 2].tolist(), strict=True
    ):
        place, label = divmod(row, len(labels))
        events[place].append(Event(onset, offset, labels[label], score))
    return events
