"""Scores of groups of clips, such as those of one ratio, scene or recorder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..events import Event, Label, check_true_and_found, chosen_labels
from ..metrics.counts import COUNTS, event_counts, rates_of


def scores_by_group(
    y_true: Any,
    y_pred: Any,
    groups: Sequence[Any],
    *,
    labels: Sequence[Label] | None = None,
    **criteria: Any,
) -> list[dict[str, Any]]:
    """Compute error rate, F-score and recall of each label in each group of clips.

    Groups are, for example, the event-to-background ratio of each mixture, its scene, or
    the recorder that made it.

    Parameters
    ----------
    y_true, y_pred : list of n_clips lists of (onset, offset, label)
    groups : sequence of n_clips sortable values
    labels : sequence, default=None
        Labels in this order; by default all that occur in `y_true`, sorted.
    **criteria
        Criteria as for :func:`event_based_error_rate`.

    Returns
    -------
    list of dict
        One row for each label and each group that has true events of this label, with the keys
        ``label``, ``group``, ``n_events``, ``error_rate``, ``f_score`` and ``recall``.
        ``pandas.DataFrame(rows)`` makes a table of them.

    Raises
    ------
    ValueError
        If there are not as many groups as clips, or one is NaN.

    Examples
    --------
    >>> y_true = [[(1.0, 2.0, "dog")], [(3.0, 4.0, "dog")]]
    >>> rows = scores_by_group(y_true, [[(1.0, 2.0, "dog")], []], groups=[6, -6])
    >>> [(row["group"], row["recall"]) for row in rows]
    [(-6, 0.0), (6, 1.0)]
    """
    true, found = check_true_and_found(y_true, y_pred)
    if len(groups) != len(true):
        raise ValueError(f"groups has {len(groups)} values for {len(true)} clips")
    if (unequal := next((i for i, own in enumerate(groups) if own != own), None)) is not None:
        raise ValueError(f"groups[{unequal}] is NaN, which is no group: give another value")
    labels = chosen_labels(labels, true)
    rows = []
    for group in sorted(set(groups)):
        inside = [i for i, own in enumerate(groups) if own == group]
        counts = event_counts(
            [true[i] for i in inside], [found[i] for i in inside], labels=labels, **criteria
        )
        rates = rates_of(counts)
        for i, label in enumerate(labels):
            if n_events := int(counts[i, COUNTS.index("true")]):
                row = {name: float(rates[name][i]) for name in ("error_rate", "f_score", "recall")}
                rows.append({"label": label, "group": group, "n_events": n_events, **row})
    return sorted(rows, key=lambda row: labels.index(row["label"]))


def by_own_mixtures(
    y_true: Any, y_pred: Any, made_for: Sequence[Label]
) -> dict[Label, tuple[list[list[Event]], list[list[Event]]]]:
    """Sort true and found events by class, each over the clips that were made for it.

    This is the rule of DCASE 2017: each mixture is made for one class, half of them without an
    event, and a class is scored only on its own mixtures. Events of other classes do not count
    there.

    Parameters
    ----------
    y_true : list of n_clips lists of (onset, offset, label)
    y_pred : list of n_clips lists of Event
        Events from ``predict``, or candidates for :func:`threshold_curves`.
    made_for : sequence of n_clips labels
        The class that each clip was made for.

    Returns
    -------
    dict of label to (true events, found events)
        Sorted by label. Both are lists with an entry for each clip of the class, as
        :func:`event_based_error_rate`, :func:`threshold_curves` and
        :func:`bootstrap_interval` take them.

    Raises
    ------
    TypeError
        If classes are texts and the labels of events integers, or the reverse.
    ValueError
        If the three do not have the same length.

    Examples
    --------
    >>> from sklearn_rcrnn.metrics import event_based_f_score
    >>> y_true = [[(1.0, 2.0, "cat")], [], [(3.0, 4.0, "dog")]]
    >>> y_pred = [[(1.1, 2.0, "cat")], [(0.0, 1.0, "dog")], []]
    >>> own = by_own_mixtures(y_true, y_pred, ["cat", "cat", "dog"])
    >>> for label, both in own.items():
    ...     print(label, event_based_f_score(*both, labels=[label], zero_division=0))
    cat 1.0
    dog 0
    """
    true, found = check_true_and_found(y_true, y_pred)
    if len(made_for) != len(true):
        raise ValueError(f"made_for has {len(made_for)} values for {len(true)} clips")
    classes = chosen_labels(sorted(set(made_for)), [*true, *found])
    own: dict[Label, tuple[list[list[Event]], list[list[Event]]]] = {
        label: ([], []) for label in classes
    }
    for label, *clips in zip(made_for, true, found, strict=True):
        for part, events in zip(own[label], clips, strict=True):
            part.append([event for event in events if event.label == label])
    return own
