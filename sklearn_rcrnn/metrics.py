"""Event-based scores, computed by sed_eval, and scorers made of them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import make_scorer

from .events import Event, Label, check_event_lists, labels_of

Average = Literal["micro", "macro"] | None


def event_based_error_rate(
    y_true: Any,
    y_pred: Any,
    *,
    t_collar: float = 0.5,
    evaluate_onset: bool = True,
    evaluate_offset: bool = False,
    percentage_of_length: float = 0.5,
    average: Average = "micro",
    labels: Sequence[Label] | None = None,
) -> float | NDArray[np.float64]:
    """Event-based error rate: substitutions, deletions and insertions over true events.

    Parameters
    ----------
    y_true, y_pred : list of n_clips lists of (onset, offset, label)
        In seconds.
    t_collar : float, default=0.5
        Tolerance of onsets and offsets in seconds.
    evaluate_onset, evaluate_offset : bool, default=True, False
        What has to match. By default onsets only, the rule of DCASE 2017.
    percentage_of_length : float, default=0.5
        An offset may also be off by this part of the true event's length.
    average : {"micro", "macro"} or None, default="micro"
        Over all events, the mean over labels, or each label by itself.
    labels : sequence, default=None
        Labels that count, and their order; by default all that occur, sorted.

    Returns
    -------
    float, or float64 array of shape (n_labels,) if ``average=None``
        0 is best; may exceed 1. The figures are sed_eval's, for labels without true
        events too.

    References
    ----------
    Mesaros, Heittola, Virtanen: Metrics for Polyphonic Sound Event Detection, 2016.

    Examples
    --------
    >>> from sklearn_rcrnn.metrics import event_based_error_rate
    >>> y_true = [[(1.0, 2.0, "dog")], [(3.0, 4.0, "dog")]]
    >>> y_pred = [[(1.2, 2.0, "dog")], [(9.0, 9.5, "dog")]]
    >>> event_based_error_rate(y_true, y_pred)
    1.0
    """
    results = _evaluate(
        y_true,
        y_pred,
        t_collar,
        evaluate_onset,
        evaluate_offset,
        percentage_of_length,
        average,
        labels,
    )
    return _pick(results, "error_rate", np.nan)


def event_based_f_score(
    y_true: Any,
    y_pred: Any,
    *,
    t_collar: float = 0.5,
    evaluate_onset: bool = True,
    evaluate_offset: bool = False,
    percentage_of_length: float = 0.5,
    average: Average = "micro",
    labels: Sequence[Label] | None = None,
    zero_division: float = np.nan,
) -> float | NDArray[np.float64]:
    """Event-based F-score: harmonic mean of precision and recall of events.

    Parameters
    ----------
    y_true, y_pred : list of n_clips lists of (onset, offset, label)
        In seconds.
    t_collar : float, default=0.5
        Tolerance of onsets and offsets in seconds.
    evaluate_onset, evaluate_offset : bool, default=True, False
        What has to match. By default onsets only, the rule of DCASE 2017.
    percentage_of_length : float, default=0.5
        An offset may also be off by this part of the true event's length.
    average : {"micro", "macro"} or None, default="micro"
        Over all events, the mean over labels, or each label by itself.
    labels : sequence, default=None
        Labels that count, and their order; by default all that occur, sorted.
    zero_division : float, default=nan
        Instead of the score where precision or recall is 0 / 0, because no event was
        found or none was there. NaN is sed_eval's answer; "macro" leaves NaN out. The
        scorers and ``RCRNNDetector.score`` use 0.

    Returns
    -------
    float, or float64 array of shape (n_labels,) if ``average=None``
        Between 0 and 1.

    References
    ----------
    Mesaros, Heittola, Virtanen: Metrics for Polyphonic Sound Event Detection, 2016.

    Examples
    --------
    >>> from sklearn_rcrnn.metrics import event_based_f_score
    >>> y_true = [[(1.0, 2.0, "dog")], [(3.0, 4.0, "dog")]]
    >>> y_pred = [[(1.2, 2.0, "dog")], [(9.0, 9.5, "dog")]]
    >>> event_based_f_score(y_true, y_pred)
    0.5
    """
    # sed_eval's own mean over labels leaves NaN out; with a number instead it is counted.
    count_undefined = average == "macro" and not np.isnan(zero_division)
    results = _evaluate(
        y_true,
        y_pred,
        t_collar,
        evaluate_onset,
        evaluate_offset,
        percentage_of_length,
        None if count_undefined else average,
        labels,
    )
    scores = _pick(results, "f_measure", zero_division)
    return float(np.mean(scores)) if count_undefined else scores


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
    """What the scores are made of: true, found, and rightly found events of each label.

    Parameters
    ----------
    y_true, y_pred : list of n_clips lists of (onset, offset, label)
        In seconds.
    t_collar, evaluate_onset, evaluate_offset, percentage_of_length, labels
        As for :func:`event_based_error_rate`.

    Returns
    -------
    int64 array of shape (n_labels, 3)

    Examples
    --------
    >>> from sklearn_rcrnn.metrics import event_counts
    >>> event_counts([[(1.0, 2.0, "dog")]], [[(1.2, 2.0, "dog"), (8.0, 9.0, "dog")]])
    array([[1, 2, 1]])
    """
    criteria = (t_collar, evaluate_onset, evaluate_offset, percentage_of_length)
    metrics, names = _matched(y_true, y_pred, criteria, labels)
    if metrics is None:
        return np.empty((0, 3), np.int64)
    own = (metrics.class_wise[name] for name in names.values())
    return np.array([[c["Nref"], c["Nsys"], c["Ntp"]] for c in own], np.int64)


def counts_by_clip(
    y_true: Any,
    y_pred: Any,
    *,
    t_collar: float = 0.5,
    evaluate_onset: bool = True,
    evaluate_offset: bool = False,
    percentage_of_length: float = 0.5,
) -> NDArray[np.int64]:
    """True, found and rightly found events, and errors, of each clip over all labels.

    Parameters
    ----------
    y_true, y_pred : list of n_clips lists of (onset, offset, label)
        In seconds.
    t_collar, evaluate_onset, evaluate_offset, percentage_of_length
        As for :func:`event_based_error_rate`.

    Returns
    -------
    int64 array of shape (n_clips, 4)
        The error rate is the sum of the last column over that of the first.

    Examples
    --------
    >>> from sklearn_rcrnn.metrics import counts_by_clip
    >>> counts_by_clip([[(1.0, 2.0, "dog")], []], [[(1.2, 2.0, "cat")], []])
    array([[1, 1, 0, 1],
           [0, 0, 0, 0]])
    """
    true = check_event_lists(y_true, name="y_true")
    found = check_event_lists(y_pred, n_clips=len(true), name="y_pred")
    criteria = (t_collar, evaluate_onset, evaluate_offset, percentage_of_length)
    rows = np.zeros((len(true), 4), np.int64)
    for row, events, predicted in zip(rows, true, found, strict=True):
        metrics, _ = _matched([events], [predicted], criteria, None)
        if metrics is not None:
            c = metrics.overall
            row[:] = c["Nref"], c["Nsys"], c["Ntp"], c["Nsubs"] + c["Nfp"] + c["Nfn"]
    return rows


def match_events(y_true: Any, y_pred: Any, *, t_collar: float = 0.5) -> list[list[tuple[int, int]]]:
    """Pair true events with found ones, as the event-based scores do with their defaults.

    A pair has one label and onsets within the collar; no event is in two pairs, and there are
    as many pairs as can be.

    Parameters
    ----------
    y_true, y_pred : list of n_clips lists of (onset, offset, label)
        In seconds.
    t_collar : float, default=0.5
        Largest difference of the onsets in seconds.

    Returns
    -------
    list of n_clips lists of (int, int)
        Places of the events in ``y_true[i]`` and ``y_pred[i]``.

    Examples
    --------
    >>> from sklearn_rcrnn.metrics import match_events
    >>> match_events([[(1.0, 2.0, "dog"), (5.0, 6.0, "dog")]], [[(5.2, 6.0, "dog")]])
    [[(1, 0)]]
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    true = check_event_lists(y_true, name="y_true")
    found = check_event_lists(y_pred, n_clips=len(true), name="y_pred")
    pairs = []
    for events, predicted in zip(true, found, strict=True):
        near = [
            [e.label == f.label and abs(e.onset - f.onset) <= t_collar for f in predicted]
            for e in events
        ]
        graph = csr_array(np.array(near, dtype=bool).reshape(len(events), len(predicted)))
        partners = maximum_bipartite_matching(graph, perm_type="column") if graph.nnz else []
        pairs.append([(i, int(j)) for i, j in enumerate(partners) if j >= 0])
    return pairs


def _evaluate(
    y_true: Any,
    y_pred: Any,
    t_collar: float,
    evaluate_onset: bool,
    evaluate_offset: bool,
    percentage_of_length: float,
    average: Average,
    labels: Sequence[Label] | None,
) -> list[dict] | dict | float:
    """sed_eval's results: of each label in order, or of the average that was asked for."""
    if average not in ("micro", "macro", None):
        raise ValueError(f'average must be "micro", "macro" or None; got {average!r}')
    criteria = (t_collar, evaluate_onset, evaluate_offset, percentage_of_length)
    metrics, names = _matched(y_true, y_pred, criteria, labels)
    if metrics is None:
        return np.nan
    if average == "micro":
        return metrics.results_overall_metrics()
    by_label = metrics.results_class_wise_metrics()
    if average is None:
        return [by_label[name] for name in names.values()]
    return metrics.results_class_wise_average_metrics()


def _matched(
    y_true: Any,
    y_pred: Any,
    criteria: tuple[float, bool, bool, float],
    labels: Sequence[Label] | None,
) -> tuple[Any, dict[Label, str]]:
    """sed_eval's metrics after all clips, and its names of the labels; None without labels."""
    true = check_event_lists(y_true, name="y_true")
    found = check_event_lists(y_pred, n_clips=len(true), name="y_pred")
    wanted = labels_of([*true, *found]) if labels is None else list(labels)
    # sed_eval wants strings; distinct labels keep distinct names.
    names = {label: f"{type(label).__name__}:{label}" for label in wanted}
    if not names:
        return None, names
    t_collar, evaluate_onset, evaluate_offset, percentage_of_length = criteria
    metrics = _sed_eval().sound_event.EventBasedMetrics(
        event_label_list=list(names.values()),
        evaluate_onset=evaluate_onset,
        evaluate_offset=evaluate_offset,
        t_collar=t_collar,
        percentage_of_length=percentage_of_length,
    )
    for reference, estimate in zip(true, found, strict=True):
        metrics.evaluate(_as_container(reference, names), _as_container(estimate, names))
    return metrics, names


def _pick(results: Any, name: str, undefined: float) -> Any:
    """One figure of each result; `undefined` where sed_eval has NaN."""
    if isinstance(results, list):
        return np.array([_pick(result, name, undefined) for result in results])
    value = results[name][name] if isinstance(results, dict) else results
    return undefined if np.isnan(value) else float(value)


def _as_container(events: Sequence[Event], names: dict[Label, str]) -> Any:
    return _sed_eval().io.dcase_util.containers.MetaDataContainer(
        [
            {"onset": event.onset, "offset": event.offset, "event_label": names[event.label]}
            for event in events
            if event.label in names
        ]
    )


def _sed_eval() -> Any:
    with warnings.catch_warnings():  # dcase_util still imports pkg_resources
        warnings.simplefilter("ignore")
        import sed_eval
    return sed_eval


f_score_scorer = make_scorer(event_based_f_score, zero_division=0.0)
"""Scorer for ``GridSearchCV(scoring=...)``: event-based F-score, higher is better."""

error_rate_scorer = make_scorer(event_based_error_rate, greater_is_better=False)
"""Scorer for ``GridSearchCV(scoring=...)``: minus the event-based error rate."""
