"""False alarms per hour of recordings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..events import Label, check_event_lists
from .counts import COUNTS, event_counts
from .durations import total_hours
from .event_based import Average, averaged, check_average
from .event_pairs import Criteria


def false_alarms_per_hour(
    y_true: Any,
    y_pred: Any,
    *,
    durations: Sequence[float],
    t_collar: float = 0.5,
    evaluate_onset: bool = True,
    evaluate_offset: bool = False,
    percentage_of_length: float = 0.5,
    average: Average = "micro",
    labels: Sequence[Label] | None = None,
) -> float | NDArray[np.float64]:
    """Count false alarms, found events without a true event, per hour of recordings.

    A misplaced event, which overlaps a true one of its label but is not within the tolerance, is
    no false alarm. A found event with the label of another sound is one.

    Parameters
    ----------
    y_true, y_pred : list of n_clips lists of (onset, offset, label)
        In seconds.
    durations : sequence of n_clips floats
        Duration of each clip in seconds.
    t_collar, evaluate_onset, evaluate_offset, percentage_of_length
        Criteria as for :func:`event_based_error_rate`.
    average : {"micro", "macro"} or None, default="micro"
        ``"micro"`` counts all labels together, ``"macro"`` is the mean over labels, and None
        gives the rate of each label.
    labels : sequence, default=None
        Labels that count, in this order; by default all that occur, sorted.

    Returns
    -------
    float, or float64 array of shape (n_labels,) if ``average=None``

    Raises
    ------
    ValueError
        If a duration is missing or not a positive number.

    See Also
    --------
    false_alarm_scorer : The same as a scorer, which finds the durations out by itself.

    Examples
    --------
    >>> from sklearn_rcrnn.metrics import false_alarms_per_hour
    >>> y_pred = [[(1.0, 2.0, "dog")], [(3.0, 4.0, "dog")]]
    >>> false_alarms_per_hour([[(1.1, 2.0, "dog")], []], y_pred, durations=[1800, 1800])
    1.0
    """
    check_average(average)
    criteria = Criteria(t_collar, evaluate_onset, evaluate_offset, percentage_of_length)
    true = check_event_lists(y_true, name="y_true")
    counts = event_counts(true, y_pred, labels=labels, **criteria._asdict())
    rates = counts[:, COUNTS.index("false")] / total_hours(durations, len(true))
    return float(rates.sum()) if average == "micro" else averaged(rates.tolist(), average)
