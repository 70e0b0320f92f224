"""Scores of each label as functions of the score threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from ..events import Event, Label, check_event_lists, chosen_labels, select_events
from ..metrics.counts import COUNTS, event_counts, rates_of
from ..metrics.durations import total_hours
from ..postprocessing import EventRules, apply_rules

# Thresholds at which curves are computed by default.
THRESHOLDS = tuple(np.round(np.arange(0.05, 1.0, 0.05), 2).tolist())


def threshold_curves(
    y_true: Any,
    y_candidates: Any,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    labels: Sequence[Label] | None = None,
    max_events: int | None = None,
    durations: Sequence[float] | None = None,
    rules: EventRules | None = None,
    **criteria: Any,
) -> Bunch:
    """Compute error rate, F-score, precision and recall of each label at many thresholds.

    Parameters
    ----------
    y_true : list of n_clips lists of (onset, offset, label)
    y_candidates : list of n_clips lists of Event
        All scored events, from ``predict_candidates``.
    thresholds : sequence of float, default=0.05 to 0.95
    labels : sequence, default=None
        Labels in this order; by default all that occur in `y_true`, sorted.
    max_events : int, default=None
        Largest number of events of a clip, as ``max_events_per_clip`` of the detector.
    durations : sequence of n_clips floats, default=None
        Duration of each clip in seconds, for the false alarms per hour.
    rules : EventRules, default=None
        Rules by which events above the threshold are joined and dropped, as `merge_gap`,
        `min_duration` and `max_duration` of the detector.
    **criteria
        ``t_collar``, ``evaluate_onset``, ``evaluate_offset`` and
        ``percentage_of_length``, as for :func:`event_based_error_rate`.

    Returns
    -------
    sklearn.utils.Bunch
        ``thresholds`` (n_thresholds,), ``labels``, and float64 arrays of shape
        (n_labels, n_thresholds): ``error_rate``, ``f_score``, ``precision``, ``recall``.
        Precision is 1 where nothing was found; the other three are NaN for a label without
        true events. With `durations`, also
        ``false_alarms_per_hour``, as :func:`~sklearn_rcrnn.metrics.false_alarms_per_hour`.

    Examples
    --------
    >>> from sklearn_rcrnn import Event
    >>> y_true = [[(1.0, 2.0, "dog")], []]
    >>> y_candidates = [[Event(1.1, 2.0, "dog", 0.9)], [Event(5.0, 6.0, "dog", 0.4)]]
    >>> curves = threshold_curves(y_true, y_candidates, thresholds=[0.3, 0.6, 0.95])
    >>> curves.error_rate
    array([[1., 0., 1.]])
    """
    true = check_event_lists(y_true, name="y_true")
    candidates = check_event_lists(y_candidates, n_clips=len(true), name="y_candidates")
    labels = chosen_labels(labels, true)
    counts = np.array(
        [
            event_counts(
                true, events_at(t, candidates, rules, max_events), labels=labels, **criteria
            )
            for t in thresholds
        ]
    )
    by_label = counts.swapaxes(0, 1)
    curves = Bunch(thresholds=np.asarray(thresholds, float), labels=labels, **rates_of(by_label))
    if durations is not None:
        n_false = by_label[..., COUNTS.index("false")]
        curves.false_alarms_per_hour = n_false / total_hours(durations, len(true))
    return curves


def events_at(
    threshold: float,
    candidates: Sequence[Sequence[Event]],
    rules: EventRules | None,
    max_events: int | None,
) -> list[list[Event]]:
    """The events that a detector with these rules finds at a threshold, out of its candidates."""
    joined = apply_rules(select_events(candidates, threshold), rules or EventRules())
    return select_events(joined, 0.0, max_events)
