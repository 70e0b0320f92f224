"""Counts of true, found, missed and false events, from which scores are computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from ..events import Label, check_true_and_found, chosen_labels
from .event_based import matched_by_sed_eval
from .event_pairs import Criteria, pair_events

# The columns of :func:`event_counts`.
COUNTS = ("true", "found", "right", "misplaced", "missed", "false")


def event_counts(
    y_true: Any,
    y_pred: Any,
    *,
    t_collar: float = 0.5,
    evaluate_onset: bool = True,
    evaluate_offset: bool = False,
    percentage_of_length: float = 0.5,
    labels: Sequence[Label] | None = None,
) -> NDArray[np.int64]:
    """Count the events of each label that are right, misplaced, missed and false.

    Parameters
    ----------
    y_true, y_pred : list of n_clips lists of (onset, offset, label)
        In seconds.
    t_collar, evaluate_onset, evaluate_offset, percentage_of_length, labels
        Criteria and labels as for :func:`event_based_error_rate`.

    Returns
    -------
    int64 array of shape (n_labels, 6)
        The columns, named by ``COUNTS``, are the numbers of events that are true, found, right,
        misplaced, missed and false. Each true event is right, misplaced or missed, and each
        found one right, misplaced or false. A misplaced event overlaps a true one of its label,
        but is not within the tolerance.

    Examples
    --------
    >>> from sklearn_rcrnn.metrics import event_counts
    >>> event_counts([[(1.0, 2.0, "dog")]], [[(1.2, 2.0, "dog"), (8.0, 9.0, "dog")]])
    array([[1, 2, 1, 0, 0, 1]])
    """
    true, found = check_true_and_found(y_true, y_pred)
    wanted = chosen_labels(labels, [*true, *found])
    row_of = {label: i for i, label in enumerate(wanted)}
    counts = np.zeros((len(wanted), len(COUNTS)), np.int64)
    criteria = Criteria(t_collar, evaluate_onset, evaluate_offset, percentage_of_length)
    for clip, predicted in zip(true, found, strict=True):
        ours, theirs = ([e for e in own if e.label in row_of] for own in (clip, predicted))
        pairs = pair_events(ours, theirs, criteria)
        for column, own in enumerate((ours, theirs)):
            for event in own:
                counts[row_of[event.label], column] += 1
        for column, both in enumerate((pairs.right, pairs.misplaced), start=2):
            for i, _ in both:
                counts[row_of[ours[i].label], column] += 1
    # All other events belong to no pair.
    counts[:, 4:] = counts[:, :2] - counts[:, 2:3] - counts[:, 3:4]
    return counts


def counts_by_clip(
    y_true: Any,
    y_pred: Any,
    *,
    t_collar: float = 0.5,
    evaluate_onset: bool = True,
    evaluate_offset: bool = False,
    percentage_of_length: float = 0.5,
) -> NDArray[np.int64]:
    """Count true, found and right events, and errors, in each clip over all labels.

    Parameters
    ----------
    y_true, y_pred : list of n_clips lists of (onset, offset, label)
        In seconds.
    t_collar, evaluate_onset, evaluate_offset, percentage_of_length
        Criteria as for :func:`event_based_error_rate`.

    Returns
    -------
    int64 array of shape (n_clips, 4)
        Columns are the numbers of true, found and right events, and of errors. The sum of the
        last column divided by that of the first is the error rate.

    Examples
    --------
    >>> from sklearn_rcrnn.metrics import counts_by_clip
    >>> counts_by_clip([[(1.0, 2.0, "dog")], []], [[(1.2, 2.0, "cat")], []])
    array([[1, 1, 0, 1],
           [0, 0, 0, 0]])
    """
    true, found = check_true_and_found(y_true, y_pred)
    criteria = Criteria(t_collar, evaluate_onset, evaluate_offset, percentage_of_length)
    rows = np.zeros((len(true), 4), np.int64)
    for row, events, predicted in zip(rows, true, found, strict=True):
        metrics, _ = matched_by_sed_eval([events], [predicted], criteria, None)
        if metrics is not None:
            c = metrics.overall
            row[:] = c["Nref"], c["Nsys"], c["Ntp"], c["Nsubs"] + c["Nfp"] + c["Nfn"]
    return rows


def rates_of(counts: NDArray[np.int64]) -> Bunch:
    """Compute error rate, F-score, precision and recall from counts of events.

    Parameters
    ----------
    counts : int64 array of shape (..., 6)
        Counts from :func:`event_counts`.

    Returns
    -------
    sklearn.utils.Bunch
        float64 arrays of shape (...,): ``error_rate``, in which an event of a wrong label is
        two errors, ``f_score`` and ``recall``, which all three are NaN without true events;
        ``precision``, which is 1 where nothing was found.
    """
    n_true, n_found, n_right = np.moveaxis(counts, -1, 0)[:3].astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return Bunch(
            error_rate=np.where(n_true > 0, (n_true + n_found - 2 * n_right) / n_true, np.nan),
            f_score=np.where(n_true > 0, 2 * n_right / (n_true + n_found), np.nan),
            precision=np.where(n_found > 0, n_right / n_found, 1.0),
            recall=np.where(n_true > 0, n_right / n_true, np.nan),
        )
