"""Errors of the onsets of found events."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..events import Label, check_true_and_found, labels_of
from ..metrics.event_pairs import Criteria, parts_apart


def onset_errors(
    y_true: Any, y_pred: Any, *, max_error: float = 5.0
) -> dict[Label, NDArray[np.float64]]:
    """Measure how far the onsets of found events are from the true ones, by label.

    Each true event is paired with the found event of its label that overlaps it most.

    Parameters
    ----------
    y_true, y_pred : list of n_clips lists of (onset, offset, label)
    max_error : float, default=5.0
        Pairs whose onsets are further apart, in seconds, are left out.

    Returns
    -------
    dict of label to float64 array of shape (n_pairs,)
        Found minus true onset in seconds.

    Examples
    --------
    >>> onset_errors([[(1.0, 2.0, "dog")]], [[(1.25, 2.0, "dog")]])
    {'dog': array([0.25])}
    """
    true, found = check_true_and_found(y_true, y_pred)
    errors: dict[Label, list[float]] = {label: [] for label in labels_of(true)}
    for events, predicted in zip(true, found, strict=True):
        for ours, theirs in parts_apart(events, predicted, Criteria(t_collar=0.0)):
            for event in (events[i] for i in ours):
                overlaps = [
                    (min(event.offset, other.offset) - max(event.onset, other.onset), other.onset)
                    for other in (predicted[j] for j in theirs)
                    if other.label == event.label
                ]
                overlap, onset = max(overlaps, default=(0.0, 0.0))
                if overlap > 0 and abs(onset - event.onset) <= max_error:
                    errors[event.label].append(onset - event.onset)
    return {label: np.array(own) for label, own in errors.items()}
