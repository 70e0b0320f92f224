"""Confidence intervals of scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from ..events import check_true_and_found
from ..metrics.counts import counts_by_clip
from ..metrics.event_based import event_based_error_rate, event_based_f_score


def bootstrap_interval(
    y_true: Any,
    y_pred: Any,
    *,
    metric: Callable[..., Any] = event_based_error_rate,
    confidence: float = 0.95,
    n_resamples: int = 1000,
    random_state: Any = None,
    **criteria: Any,
) -> tuple[float, float]:
    """Estimate the confidence interval of a score by bootstrapping clips.

    Parameters
    ----------
    y_true, y_pred : list of n_clips lists of (onset, offset, label)
    metric : callable, default=event_based_error_rate
        The score, this or :func:`event_based_f_score`, a micro average over all labels.
    confidence : float, default=0.95
        Probability with which the interval holds the score.
    n_resamples : int, default=1000
        Number of times that as many clips are drawn with replacement.
    random_state : int, RandomState instance or None, default=None
    **criteria
        Criteria as for :func:`event_based_error_rate`.

    Returns
    -------
    low, high : float
        NaN if there is no true event. Resamples without a true event are left out.

    Raises
    ------
    ValueError
        If `metric` is another function, or `confidence` is not between 0 and 1.

    Notes
    -----
    sed_eval matches the events of each clip only once; the counts of clips are resampled.

    Examples
    --------
    >>> y_true = [[(1.0, 2.0, "dog")], [(3.0, 4.0, "dog")]] * 20
    >>> y_pred = [[(1.2, 2.0, "dog")], []] * 20
    >>> low, high = bootstrap_interval(y_true, y_pred, random_state=0)
    >>> bool(low < 0.5 < high)
    True
    """
    if metric not in (event_based_error_rate, event_based_f_score):
        raise ValueError("metric must be event_based_error_rate or event_based_f_score")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1; got {confidence}")
    true, found = check_true_and_found(y_true, y_pred)
    by_clip = counts_by_clip(true, found, **criteria)
    rng = check_random_state(random_state)
    drawn = rng.randint(len(true), size=(n_resamples, len(true)))
    n_true, n_found, n_right, n_errors = by_clip[drawn].sum(1).T.astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        is_rate = metric is event_based_error_rate
        values = n_errors / n_true if is_rate else 2 * n_right / (n_true + n_found)
        values = np.where(n_true > 0, values, np.nan)
    if np.isnan(values).all():
        return np.nan, np.nan
    tail = 100 * (1 - confidence) / 2
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return float(low), float(high)
