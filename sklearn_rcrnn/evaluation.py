"""What a single score does not tell: by ratio, over thresholds, in time, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch, check_random_state

from ._utils.optional import need
from .events import Event, Label, check_event_lists, labels_of, select_events
from .matching import COUNTS, event_counts, rates_of
from .metrics import check_hours, counts_by_clip, event_based_error_rate, event_based_f_score
from .postprocessing import EventRules, apply_rules
from .summary import detection_summary as detection_summary

# Thresholds at which curves are computed unless told otherwise.
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
    """Error rate, F-score, precision and recall of each label over the score threshold.

    Parameters
    ----------
    y_true : list of n_clips lists of (onset, offset, label)
    y_candidates : list of n_clips lists of Event
        All scored events, from ``predict_candidates``.
    thresholds : sequence of float, default=0.05 to 0.95
    labels : sequence, default=None
        By default all that occur in `y_true`, sorted.
    max_events : int, default=None
        Events of a clip at most, as ``max_events_per_clip`` of the detector.
    durations : sequence of n_clips floats, default=None
        Seconds of each clip, for the false alarms an hour.
    rules : EventRules, default=None
        How events above the threshold are joined and kept, as `merge_gap`, `min_duration` and
        `max_duration` of the detector.
    **criteria
        ``t_collar``, ``evaluate_onset``, ``evaluate_offset`` and
        ``percentage_of_length``, as for :func:`event_based_error_rate`.

    Returns
    -------
    sklearn.utils.Bunch
        ``thresholds`` (n_thresholds,), ``labels``, and float64 arrays of shape
        (n_labels, n_thresholds): ``error_rate``, ``f_score``, ``precision``, ``recall``.
        0 / 0 counts as 0, but as 1 for precision where nothing was found; the error rate
        of a label without true events is NaN. With `durations`, also
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
    labels = labels_of(true) if labels is None else list(labels)
    rules = rules or EventRules()

    def found_at(threshold: float) -> list[list[Event]]:
        joined = apply_rules(select_events(candidates, threshold), rules)
        return select_events(joined, 0.0, max_events)

    counts = np.array(
        [event_counts(true, found_at(t), labels=labels, **criteria) for t in thresholds]
    )
    by_label = counts.swapaxes(0, 1)
    curves = Bunch(thresholds=np.asarray(thresholds, float), labels=labels, **rates_of(by_label))
    if durations is not None:
        n_false = by_label[..., COUNTS.index("false")]
        curves.false_alarms_per_hour = n_false / check_hours(durations, len(true))
    return curves


def scores_by_group(
    y_true: Any,
    y_pred: Any,
    groups: Sequence[Any],
    *,
    labels: Sequence[Label] | None = None,
    **criteria: Any,
) -> list[dict[str, Any]]:
    """Error rate and F-score of each label in each group of clips.

    Groups are, for example, the event-to-background ratio of each mixture, its scene, or
    the recorder that made it.

    Parameters
    ----------
    y_true, y_pred : list of n_clips lists of (onset, offset, label)
    groups : sequence of n_clips sortable values
    labels : sequence, default=None
        By default all that occur in `y_true`, sorted.
    **criteria
        As for :func:`event_based_error_rate`.

    Returns
    -------
    list of dict
        A row for each label and group that has true events of it: ``label``, ``group``,
        ``n_events``, ``error_rate``, ``f_score``, and ``recall``. ``pandas.DataFrame``
        takes it as it is.

    Examples
    --------
    >>> y_true = [[(1.0, 2.0, "dog")], [(3.0, 4.0, "dog")]]
    >>> rows = scores_by_group(y_true, [[(1.0, 2.0, "dog")], []], groups=[6, -6])
    >>> [(row["group"], row["recall"]) for row in rows]
    [(-6, 0.0), (6, 1.0)]
    """
    true = check_event_lists(y_true, name="y_true")
    found = check_event_lists(y_pred, n_clips=len(true), name="y_pred")
    if len(groups) != len(true):
        raise ValueError(f"groups has {len(groups)} values for {len(true)} clips")
    labels = labels_of(true) if labels is None else list(labels)
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
    """True and found events of each class over the clips that were made for it.

    The rule of DCASE 2017: mixtures are made for one class, half of them without an event,
    and a detector of a class is scored on those of its class alone. Events of other
    classes do not count there.

    Parameters
    ----------
    y_true : list of n_clips lists of (onset, offset, label)
    y_pred : list of n_clips lists of Event
        From ``predict``, or candidates for :func:`threshold_curves`.
    made_for : sequence of n_clips labels

    Returns
    -------
    dict of label to (true events, found events)
        Sorted by label; each a list with an entry for each of its clips, ready for
        :func:`event_based_error_rate`, :func:`threshold_curves` or
        :func:`bootstrap_interval`.

    Raises
    ------
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
    true = check_event_lists(y_true, name="y_true")
    found = check_event_lists(y_pred, n_clips=len(true), name="y_pred")
    if len(made_for) != len(true):
        raise ValueError(f"made_for has {len(made_for)} values for {len(true)} clips")
    own: dict[Label, tuple[list[list[Event]], list[list[Event]]]] = {
        label: ([], []) for label in sorted(set(made_for))
    }
    for label, *clips in zip(made_for, true, found, strict=True):
        for part, events in zip(own[label], clips, strict=True):
            part.append([event for event in events if event.label == label])
    return own


def onset_errors(
    y_true: Any, y_pred: Any, *, max_error: float = 5.0
) -> dict[Label, NDArray[np.float64]]:
    """How far the onsets of found events are from the true ones, by label.

    Each true event is paired with the found event of its label that overlaps it most.

    Parameters
    ----------
    y_true, y_pred : list of n_clips lists of (onset, offset, label)
    max_error : float, default=5.0
        Pairs that are further apart, in seconds, are left out.

    Returns
    -------
    dict of label to float64 array of shape (n_pairs,)
        Found minus true onset in seconds.

    Examples
    --------
    >>> onset_errors([[(1.0, 2.0, "dog")]], [[(1.25, 2.0, "dog")]])
    {'dog': array([0.25])}
    """
    true = check_event_lists(y_true, name="y_true")
    found = check_event_lists(y_pred, n_clips=len(true), name="y_pred")
    errors: dict[Label, list[float]] = {label: [] for label in labels_of(true)}
    for events, predicted in zip(true, found, strict=True):
        for event in events:
            overlaps = [
                (min(event.offset, other.offset) - max(event.onset, other.onset), other.onset)
                for other in predicted
                if other.label == event.label
            ]
            overlap, onset = max(overlaps, default=(0.0, 0.0))
            if overlap > 0 and abs(onset - event.onset) <= max_error:
                errors[event.label].append(onset - event.onset)
    return {label: np.array(own) for label, own in errors.items()}


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
    """Confidence interval of a score, by drawing clips with replacement.

    Parameters
    ----------
    y_true, y_pred : list of n_clips lists of (onset, offset, label)
    metric : event_based_error_rate or event_based_f_score
        Micro average over all labels.
    confidence : float, default=0.95
    n_resamples : int, default=1000
    random_state : int, RandomState instance or None, default=None
    **criteria
        As for :func:`event_based_error_rate`.

    Returns
    -------
    low, high : float

    Notes
    -----
    Clips are matched by sed_eval once; it is the counts of each clip that are drawn.

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
    true = check_event_lists(y_true, name="y_true")
    found = check_event_lists(y_pred, n_clips=len(true), name="y_pred")
    by_clip = counts_by_clip(true, found, **criteria)
    rng = check_random_state(random_state)
    drawn = rng.randint(len(true), size=(n_resamples, len(true)))
    n_true, n_found, n_right, n_errors = by_clip[drawn].sum(1).T.astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        if metric is event_based_error_rate:
            values = np.where(n_true > 0, n_errors / n_true, np.nan)
        else:
            values = 2 * n_right / (n_true + n_found)
    if np.isnan(values).all():
        return np.nan, np.nan
    tail = 100 * (1 - confidence) / 2
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return float(low), float(high)


def psds(
    y_true: Any,
    y_candidates: Any,
    durations: Sequence[float],
    *,
    dtc_threshold: float = 0.7,
    gtc_threshold: float = 0.7,
    cttc_threshold: float | None = None,
    alpha_ct: float = 0.0,
    alpha_st: float = 0.0,
    max_efpr: float = 100.0,
) -> float:
    """Polyphonic sound detection score, over all thresholds, by ``sed_scores_eval``.

    It asks for intersection with the true events, not for onsets. Needs the extra
    ``psds``: ``pip install 'sklearn-rcrnn[psds]'``, which compiles a little.

    Parameters
    ----------
    y_true : list of n_clips lists of (onset, offset, label)
    y_candidates : list of n_clips lists of Event
        All scored events, from ``predict_candidates``.
    durations : sequence of n_clips floats
        Seconds.
    dtc_threshold, gtc_threshold, cttc_threshold, alpha_ct, alpha_st, max_efpr
        Of the score; by default its first scenario without cross-triggers.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    ImportError
        If ``sed_scores_eval`` is not installed.

    References
    ----------
    Bilen et al., A framework for the robust evaluation of sound event detection, 2020;
    Ebbers, Serizel, Haeb-Umbach, Threshold-independent evaluation of sound event
    detection scores, 2022.

    Examples
    --------
    >>> psds(y, pipe[-1].predict_candidates(features), [30.0] * len(y))  # doctest: +SKIP
    """
    need("psds needs", "psds", "sed_scores_eval")
    from sed_scores_eval import intersection_based
    from sed_scores_eval.base_modules.scores import create_score_dataframe

    true = check_event_lists(y_true, durations=durations, name="y_true")
    found = check_event_lists(y_candidates, n_clips=len(true), name="y_candidates")
    labels = labels_of([*true, *found])
    names = [str(label) for label in labels]
    scores, reference, lengths = {}, {}, {}
    for i, (events, candidates, duration) in enumerate(zip(true, found, durations, strict=True)):
        # Scores are constant between the edges of events: the highest of those around.
        edges = {0.0, duration, *(t for e in candidates for t in e[:2] if t < duration)}
        times = np.array(sorted(edges))
        rows = np.zeros((len(times) - 1, len(labels)))
        for event in candidates:
            inside = (times[:-1] >= event.onset) & (times[:-1] < event.offset)
            column = rows[:, labels.index(event.label)]
            column[inside] = np.maximum(column[inside], event.score)
        scores[str(i)] = create_score_dataframe(rows, times, names)
        reference[str(i)] = [(e.onset, e.offset, str(e.label)) for e in events]
        lengths[str(i)] = duration
    result = intersection_based.psds(
        scores,
        reference,
        lengths,
        dtc_threshold=dtc_threshold,
        gtc_threshold=gtc_threshold,
        cttc_threshold=cttc_threshold,
        alpha_ct=alpha_ct,
        alpha_st=alpha_st,
        max_efpr=max_efpr,
    )
    return float(result[0])
