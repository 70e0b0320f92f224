"""Event-based scores, computed by sed_eval, and scorers made of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import make_scorer

from ._durations import clip_durations
from .events import Event, Label, check_event_lists, labels_of
from .matching import COUNTS as COUNTS
from .matching import Criteria
from .matching import event_counts as event_counts
from .matching import match_events as match_events

Average = Literal["micro", "macro"] | None
# Of sed_eval, where it has no label to look for.
_NOTHING: tuple[Any, Any] = {"Nref": 0}, {"f_measure": {"f_measure": np.nan}}


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
        0 is best; may exceed 1. The figures are sed_eval's, but NaN where there is no true
        event: errors are counted per true event. The mean over labels leaves those out;
        :func:`false_alarms_per_hour` tells what was found there.

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
    criteria = Criteria(t_collar, evaluate_onset, evaluate_offset, percentage_of_length)
    return _scores((y_true, y_pred), criteria, average, labels, _error_rate)


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
    criteria = Criteria(t_collar, evaluate_onset, evaluate_offset, percentage_of_length)
    figure = partial(_f_score, zero_division=zero_division)
    return _scores((y_true, y_pred), criteria, average, labels, figure)


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
    """Found events in an hour of recordings where no event of their label is.

    A misplaced event, which overlaps a true one of its label but is not where it should be, is
    no false alarm; one that has the label of another sound is.

    Parameters
    ----------
    y_true, y_pred : list of n_clips lists of (onset, offset, label)
        In seconds.
    durations : sequence of n_clips floats
        How long each clip is, in seconds.
    t_collar, evaluate_onset, evaluate_offset, percentage_of_length
        As for :func:`event_based_error_rate`.
    average : {"micro", "macro"} or None, default="micro"
        Of all labels together, the mean over labels, or each label by itself.
    labels : sequence, default=None
        Labels that count, and their order; by default all that occur, sorted.

    Returns
    -------
    float, or float64 array of shape (n_labels,) if ``average=None``

    Raises
    ------
    ValueError
        If a duration is missing or not a positive number.

    See Also
    --------
    false_alarm_scorer : The same for searches; it measures the clips by itself.

    Examples
    --------
    >>> from sklearn_rcrnn.metrics import false_alarms_per_hour
    >>> y_pred = [[(1.0, 2.0, "dog")], [(3.0, 4.0, "dog")]]
    >>> false_alarms_per_hour([[(1.1, 2.0, "dog")], []], y_pred, durations=[1800, 1800])
    1.0
    """
    _check_average(average)
    criteria = Criteria(t_collar, evaluate_onset, evaluate_offset, percentage_of_length)
    true = check_event_lists(y_true, name="y_true")
    counts = event_counts(true, y_pred, labels=labels, **criteria._asdict())
    rates = counts[:, COUNTS.index("false")] / check_hours(durations, len(true))
    return float(rates.sum()) if average == "micro" else _averaged(rates.tolist(), average)


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
    criteria = Criteria(t_collar, evaluate_onset, evaluate_offset, percentage_of_length)
    rows = np.zeros((len(true), 4), np.int64)
    for row, events, predicted in zip(rows, true, found, strict=True):
        metrics, _ = _matched([events], [predicted], criteria, None)
        if metrics is not None:
            c = metrics.overall
            row[:] = c["Nref"], c["Nsys"], c["Ntp"], c["Nsubs"] + c["Nfp"] + c["Nfn"]
    return rows


def check_hours(durations: Sequence[float], n_clips: int) -> float:
    """How many hours so many clips last together; ValueError unless each has a duration."""
    seconds = np.asarray(durations, float)
    if seconds.shape != (n_clips,):
        raise ValueError(
            f"durations has the shape {seconds.shape} for {n_clips} clips: give the seconds of each"
        )
    wrong = np.flatnonzero(~(np.isfinite(seconds) & (seconds > 0)))
    if len(wrong):
        raise ValueError(
            f"durations[{wrong[0]}] must be a positive number of seconds; got {seconds[wrong[0]]}"
        )
    return float(seconds.sum() / 3600)


def _check_average(average: Average) -> None:
    if average not in ("micro", "macro", None):
        raise ValueError(f'average must be "micro", "macro" or None; got {average!r}')


def _scores(
    lists: tuple[Any, Any],
    criteria: Criteria,
    average: Average,
    labels: Sequence[Label] | None,
    figure: Callable[[Any, Any], float],
) -> float | NDArray[np.float64]:
    """The figure of sed_eval's counts and results, of all events or by label."""
    _check_average(average)
    metrics, names = _matched(*lists, criteria, labels)
    if average == "micro":
        if metrics is None:
            return figure(*_NOTHING)
        return figure(metrics.overall, metrics.results_overall_metrics())
    by_label = {} if metrics is None else metrics.results_class_wise_metrics()
    own = [figure(metrics.class_wise[name], by_label[name]) for name in names.values()]
    return _averaged(own, average)


def _averaged(values: list[float], average: Average) -> float | NDArray[np.float64]:
    """Of each label, or the mean of those that have one."""
    if average is None:
        return np.array(values, float)
    there = [value for value in values if not np.isnan(value)]
    return float(np.mean(there)) if there else np.nan


def _matched(
    y_true: Any,
    y_pred: Any,
    criteria: Criteria,
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
    metrics = _sed_eval().sound_event.EventBasedMetrics(
        event_label_list=list(names.values()), **criteria._asdict()
    )
    for reference, estimate in zip(true, found, strict=True):
        metrics.evaluate(_as_container(reference, names), _as_container(estimate, names))
    return metrics, names


def _error_rate(counts: Any, results: Any) -> float:
    """NaN where there is no event to miss: sed_eval divides by almost nothing there."""
    return float(results["error_rate"]["error_rate"]) if counts["Nref"] else np.nan


def _f_score(_: Any, results: Any, zero_division: float) -> float:
    value = results["f_measure"]["f_measure"]
    return zero_division if np.isnan(value) else float(value)


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


def false_alarm_scorer(estimator: Any, X: Any, y: Any) -> float:
    """Scorer for ``GridSearchCV(scoring=...)``: minus the false alarms in an hour.

    Parameters
    ----------
    estimator : fitted estimator or Pipeline
        With ``predict``.
    X : what its ``predict`` takes
        Paths, samples or features: how long the clips are follows from them.
    y : list of n_clips lists of (onset, offset, label)

    Returns
    -------
    float
        At most 0. Few false alarms alone are easy, by finding nothing: ask for another score
        beside it.

    Examples
    --------
    >>> from sklearn.model_selection import cross_validate
    >>> scoring = {"f": f_score_scorer, "false_alarms": false_alarm_scorer}
    >>> cross_validate(pipe, X, y, scoring=scoring)  # doctest: +SKIP
    """
    durations = clip_durations(estimator, X)
    return -float(false_alarms_per_hour(y, estimator.predict(X), durations=durations))
