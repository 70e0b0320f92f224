"""The three named thresholds of a model, chosen on events that it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evaluation.curves import THRESHOLDS, events_at
from ..events import THRESHOLD_NAMES, Label, check_event_lists
from ..metrics.counts import COUNTS, event_counts
from ..postprocessing import EventRules

# For each name, the cost of a false alarm in missed events, and the threshold that is used as long
# as no event suggests another.
_FALSE_ALARM_COSTS = dict(zip(THRESHOLD_NAMES, (0.25, 1.0, 4.0), strict=True))
_CENTERS = dict(zip(THRESHOLD_NAMES, (0.35, 0.5, 0.65), strict=True))
# A threshold that differs from it by a quarter costs as much as one missed event.
_PULL = 16.0


def choose_thresholds(
    y_true: Any,
    y_candidates: Any,
    labels: Sequence[Label],
    *,
    max_events: int | None = None,
    rules: EventRules | None = None,
    prior_events: float = 5.0,
    thresholds: Sequence[float] = THRESHOLDS,
) -> dict[str, dict[Label, float]]:
    """Choose thresholds for each label at three costs of a false alarm.

    ``"balanced"`` minimizes the error rate: a false alarm costs as much as a missed event. For
    ``"sensitive"`` it costs a quarter of a missed event, and for ``"few false alarms"`` as much
    as four. A misplaced event counts as one missed event and one false alarm.

    Parameters
    ----------
    y_true : list of n_clips lists of (onset, offset, label)
        True events of clips that were not trained on.
    y_candidates : list of n_clips lists of Event
        All scored events of these, from ``predict_candidates``.
    labels : sequence
        All labels of the model. A label without a true event gets the thresholds that are best
        for all labels together.
    max_events : int, default=None
        Largest number of events of a clip.
    rules : EventRules, default=None
        Rules by which events above the threshold are joined and dropped, as `merge_gap`,
        `min_duration` and `max_duration` of the detector.
    prior_events : float, default=5.0
        The errors over all labels together have the weight of this many events of each label,
        because two events alone could put a threshold anywhere. If there are few events in all,
        the thresholds stay near 0.35, 0.5 and 0.65.
    thresholds : sequence of float, default=0.05 to 0.95
        Candidates for the thresholds, ascending.

    Returns
    -------
    dict of str to dict of label to float
        Thresholds by name and label, for ``thresholds_`` of a detector. Under each name they
        are at least as high as under the one before it.

    Raises
    ------
    ValueError
        If no clip has an event.

    Examples
    --------
    >>> from sklearn_rcrnn import Event
    >>> y_true = [[(1.0, 2.0, "dog")], []]
    >>> found = [[Event(1.1, 2.0, "dog", 0.9)], [Event(5.0, 6.0, "dog", 0.4)]]
    >>> choose_thresholds(y_true, found, ["dog"])["balanced"]
    {'dog': 0.5}
    """
    true = check_event_lists(y_true, name="y_true")
    if not any(true):
        raise ValueError("y_true has no event in any clip: there is nothing to choose for")
    candidates = check_event_lists(y_candidates, n_clips=len(true), name="y_candidates")
    counts = np.array(
        [
            event_counts(true, events_at(t, candidates, rules, max_events), labels=list(labels))
            for t in thresholds
        ],
        float,
    )
    # (n_thresholds, n_labels) each.
    n_true, n_found, n_right = (counts[..., COUNTS.index(c)] for c in ("true", "found", "right"))
    missed, false = n_true - n_right, n_found - n_right
    every = max(n_true[0].sum(), 1.0)
    shared = [prior_events * own.sum(1, keepdims=True) / every for own in (missed, false)]
    grid = np.asarray(thresholds, float)
    chosen: dict[str, dict[Label, float]] = {}
    lowest = np.zeros(len(labels))
    for name, cost in _FALSE_ALARM_COSTS.items():
        curves = (missed + shared[0]) + cost * (false + shared[1])
        curves += max(1.0, cost) * _PULL * (grid[:, None] - _CENTERS[name]) ** 2
        lowest = np.maximum([grid[_lowest(curve)] for curve in curves.T], lowest)
        chosen[name] = dict(zip(labels, lowest.tolist(), strict=True))
    return chosen


def _lowest(curve: NDArray[np.float64]) -> int:
    """Index of the lowest point of a curve after smoothing, as each event makes a step in it."""
    return int(np.argmin(np.convolve(np.pad(curve, 1, "edge"), [0.25, 0.5, 0.25], "valid")))
