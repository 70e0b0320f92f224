"""Counts and scores of each label, and confusions between labels, in one result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from ..events import Event, Label, check_true_and_found, chosen_labels
from ..metrics.counts import COUNTS, event_counts, rates_of
from ..metrics.durations import total_hours
from ..metrics.event_based import event_based_error_rate
from ..metrics.event_pairs import Criteria, pair_events


def detection_summary(
    y_true: Any,
    y_pred: Any,
    *,
    durations: Sequence[float] | None = None,
    labels: Sequence[Label] | None = None,
    **criteria: Any,
) -> Bunch:
    """Summarize a detection: counts, scores, false alarms per hour, and confused labels.

    Parameters
    ----------
    y_true, y_pred : list of n_clips lists of (onset, offset, label)
        In seconds.
    durations : sequence of n_clips floats, default=None
        Duration of each clip in seconds, for the false alarms per hour.
    labels : sequence, default=None
        Labels that count, in this order; by default all that occur, sorted.
    **criteria
        ``t_collar``, ``evaluate_onset``, ``evaluate_offset`` and
        ``percentage_of_length``, as for :func:`event_based_error_rate`.

    Returns
    -------
    sklearn.utils.Bunch
        - ``labels`` : list of n_labels labels.
        - ``by_label`` : list of n_labels dicts with the keys ``n_true``, ``n_found``,
          ``n_right``, ``n_misplaced``, ``n_missed`` and ``n_false`` (:func:`event_counts`),
          ``error_rate``, ``f_score`` and ``false_alarms_per_hour``.
        - ``overall`` : such a dict for all events together.
        - ``confusions`` : int64 array of shape (n_labels, n_labels), the numbers of true events
          of a label (row) in whose place an event of another label (column) was found. Each of
          them is also counted as one missed and one false event.
        - ``hours`` : float or None, the duration of all clips together.

        Error rate and F-score are None if there is no true event: ``n_false`` then says what
        was found in its place. The false alarms per hour are None without `durations`, and if
        there is no clip.

    Raises
    ------
    ValueError
        If the numbers of clips differ, or a duration is not a positive number.

    Examples
    --------
    >>> from sklearn_rcrnn.evaluation import detection_summary
    >>> y_true = [[(1.0, 2.0, "dog"), (5.0, 6.0, "cat")], []]
    >>> y_pred = [[(1.1, 2.0, "dog"), (5.0, 6.0, "dog")], [(3.0, 4.0, "cat")]]
    >>> summary = detection_summary(y_true, y_pred, durations=[900, 900])
    >>> summary.by_label[0]["n_false"], summary.by_label[0]["false_alarms_per_hour"]
    (1, 2.0)
    >>> summary.confusions
    array([[0, 1],
           [0, 0]])
    """
    true, found = check_true_and_found(y_true, y_pred)
    labels = chosen_labels(labels, [*true, *found])
    hours = None if durations is None else total_hours(durations, len(true))
    counts = event_counts(true, found, labels=labels, **criteria)
    overall = _row(counts.sum(0), hours)
    # Over all labels, an event of a wrong label is one error, a substitution, and not two.
    rate: Any = event_based_error_rate(true, found, labels=labels, **criteria)
    overall["error_rate"] = None if np.isnan(rate) else rate
    return Bunch(
        labels=labels,
        by_label=[_row(own, hours) for own in counts],
        overall=overall,
        confusions=_confusions(true, found, labels, Criteria(**criteria)),
        hours=hours,
    )


def _row(counts: NDArray[np.int64], hours: float | None) -> dict[str, Any]:
    row: dict[str, Any] = {f"n_{name}": int(n) for name, n in zip(COUNTS, counts, strict=True)}
    rates = rates_of(counts)
    row["error_rate"] = float(rates.error_rate) if row["n_true"] else None
    row["f_score"] = float(rates.f_score) if row["n_true"] else None
    row["false_alarms_per_hour"] = row["n_false"] / hours if hours else None
    return row


def _confusions(
    true: list[list[Event]],
    found: list[list[Event]],
    labels: list[Label],
    criteria: Criteria,
) -> NDArray[np.int64]:
    place = {label: i for i, label in enumerate(labels)}
    confusions = np.zeros((len(labels), len(labels)), np.int64)
    for clip, predicted in zip(true, found, strict=True):
        ours, theirs = ([e for e in own if e.label in place] for own in (clip, predicted))
        for i, j in pair_events(ours, theirs, criteria).confused:
            confusions[place[ours[i].label], place[theirs[j].label]] += 1
    return confusions
