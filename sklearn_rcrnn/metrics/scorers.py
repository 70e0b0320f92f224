"""Scorers for ``GridSearchCV(scoring=...)``."""

from __future__ import annotations

from typing import Any

from sklearn.metrics import make_scorer

from .durations import clip_durations
from .event_based import event_based_error_rate, event_based_f_score
from .false_alarms import false_alarms_per_hour

f_score_scorer = make_scorer(event_based_f_score, zero_division="warn")
"""Scorer for ``GridSearchCV(scoring=...)``: event-based F-score, higher is better."""

error_rate_scorer = make_scorer(event_based_error_rate, greater_is_better=False)
"""Scorer for ``GridSearchCV(scoring=...)``: minus the event-based error rate."""


def false_alarm_scorer(estimator: Any, X: Any, y: Any) -> float:
    """Scorer for ``GridSearchCV(scoring=...)``: minus the false alarms per hour.

    Parameters
    ----------
    estimator : fitted estimator or Pipeline
    X : what the estimator's ``predict`` takes
        Paths, samples or features, from which the durations of the clips are found out.
    y : list of n_clips lists of (onset, offset, label)

    Returns
    -------
    float
        0 or less; higher is better. An estimator that finds nothing has no false alarms, so use
        another score beside this one.

    Examples
    --------
    >>> from sklearn.model_selection import cross_validate
    >>> scoring = {"f": f_score_scorer, "false_alarms": false_alarm_scorer}
    >>> cross_validate(pipe, X, y, scoring=scoring)  # doctest: +SKIP
    """
    durations = clip_durations(estimator, X)
    return -float(false_alarms_per_hour(y, estimator.predict(X), durations=durations))
