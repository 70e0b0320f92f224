"""Error rate and F-score of events, computed by sed_eval."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from numbers import Real
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import UndefinedMetricWarning

from ..events import Event, Label, check_event_lists, check_true_and_found, chosen_labels
from .event_pairs import Criteria, parts_apart

Average = Literal["micro", "macro"] | None
# The counts and results that stand in for those of sed_eval if there is no label.
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
    """Event-based error rate: substitutions, deletions and insertions per true event.

    Parameters
    ----------
    y_true, y_pred : list of n_clips lists of (onset, offset, label)
        In seconds.
    t_collar : float, default=0.5
        Tolerance of onsets and offsets in seconds.
    evaluate_onset, evaluate_offset : bool, default=True, False
        Whether onsets and offsets have to match. Onsets alone are the rule of DCASE 2017.
    percentage_of_length : float, default=0.5
        An offset may also be off by this part of the true event's length, if that is more.
    average : {"micro", "macro"} or None, default="micro"
        ``"micro"`` scores all events together, ``"macro"`` is the mean over labels, and None
        gives the score of each label.
    labels : sequence, default=None
        Labels that count, in this order; by default all that occur, sorted.

    Returns
    -------
    float, or float64 array of shape (n_labels,) if ``average=None``
        0 is best, and it may exceed 1. The figures are those of sed_eval, except that they are
        NaN without true events, per which errors are counted. The mean over labels leaves such
        labels out; :func:`false_alarms_per_hour` scores what was found of them.

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
    zero_division: float | Literal["warn"] = np.nan,
) -> float | NDArray[np.float64]:
    """Event-based F-score: harmonic mean of precision and recall of events.

    Parameters
    ----------
    y_true, y_pred : list of n_clips lists of (onset, offset, label)
        In seconds.
    t_collar : float, default=0.5
        Tolerance of onsets and offsets in seconds.
    evaluate_onset, evaluate_offset : bool, default=True, False
        Whether onsets and offsets have to match. Onsets alone are the rule of DCASE 2017.
    percentage_of_length : float, default=0.5
        An offset may also be off by this part of the true event's length, if that is more.
    average : {"micro", "macro"} or None, default="micro"
        ``"micro"`` scores all events together, ``"macro"`` is the mean over labels, and None
        gives the score of each label.
    labels : sequence, default=None
        Labels that count, in this order; by default all that occur, sorted.
    zero_division : float or "warn", default=nan
        The score if precision or recall is 0 / 0, because no event was found or there is none.
        NaN is what sed_eval gives; the mean of "macro" leaves NaN out. As in scikit-learn,
        ``"warn"`` acts as 0, but warns if no event is true: the score is then undefined, and a
        detector that finds nothing scores no better than one with many false alarms. The scorer
        and ``RCRNNDetector.score`` use ``"warn"``.

    Returns
    -------
    float, or float64 array of shape (n_labels,) if ``average=None``
        Between 0 and 1.

    Warns
    -----
    sklearn.exceptions.UndefinedMetricWarning
        With ``zero_division="warn"``, if there is no true event in any clip.

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
    if zero_division == "warn":
        y_true, zero_division = check_event_lists(y_true, name="y_true"), 0.0
        warn_if_undefined(y_true, labels)
    elif not isinstance(zero_division, Real):
        raise ValueError(f'zero_division must be a number or "warn"; got {zero_division!r}')
    figure = partial(_f_score, zero_division=zero_division)
    return _scores((y_true, y_pred), criteria, average, labels, figure)


def warn_if_undefined(
    true: Sequence[Sequence[Event]], labels: Sequence[Label] | None = None
) -> None:
    """Warn if no event is true of those that count, so that there is no F-score."""
    if not any(labels is None or event.label in labels for own in true for event in own):
        warnings.warn(
            "The F-score is undefined and counts as 0, because no event is true in these clips. "
            "Score false alarms by false_alarm_scorer or false_alarms_per_hour",
            UndefinedMetricWarning,
            stacklevel=3,
        )


def check_average(average: Average) -> None:
    if average not in ("micro", "macro", None):
        raise ValueError(f'average must be "micro", "macro" or None; got {average!r}')


def _scores(
    lists: tuple[Any, Any],
    criteria: Criteria,
    average: Average,
    labels: Sequence[Label] | None,
    figure: Callable[[Any, Any], float],
) -> float | NDArray[np.float64]:
    """Compute a score from sed_eval's counts and results, for all events or by label."""
    check_average(average)
    metrics, names = matched_by_sed_eval(*lists, criteria, labels)
    if average == "micro":
        if metrics is None:
            return figure(*_NOTHING)
        return figure(metrics.overall, metrics.results_overall_metrics())
    by_label = {} if metrics is None else metrics.results_class_wise_metrics()
    own = [figure(metrics.class_wise[name], by_label[name]) for name in names.values()]
    return averaged(own, average)


def averaged(values: list[float], average: Average) -> float | NDArray[np.float64]:
    """The values of all labels, or the mean of those that are not NaN."""
    if average is None:
        return np.array(values, float)
    there = [value for value in values if not np.isnan(value)]
    return float(np.mean(there)) if there else np.nan


def matched_by_sed_eval(
    y_true: Any,
    y_pred: Any,
    criteria: Criteria,
    labels: Sequence[Label] | None,
) -> tuple[Any, dict[Label, str]]:
    """sed_eval's metrics of all clips, or None without labels; and its names of the labels."""
    criteria.check()
    true, found = check_true_and_found(y_true, y_pred)
    wanted = chosen_labels(labels, [*true, *found])
    # sed_eval requires strings, so each label gets a name, distinct labels distinct ones.
    names = {label: f"{type(label).__name__}:{label}" for label in wanted}
    if not names:
        return None, names
    # sed_eval takes nothing but floats, and no collar of 0, for which the smallest float stands.
    metrics = _sed_eval().sound_event.EventBasedMetrics(
        event_label_list=list(names.values()),
        evaluate_onset=criteria.evaluate_onset,
        evaluate_offset=criteria.evaluate_offset,
        t_collar=max(float(criteria.t_collar), np.finfo(float).tiny),
        percentage_of_length=float(criteria.percentage_of_length),
    )
    for reference, estimate in zip(true, found, strict=True):
        for ours, theirs in parts_apart(reference, estimate, criteria):
            metrics.evaluate(
                _as_container([reference[i] for i in ours], names),
                _as_container([estimate[j] for j in theirs], names),
            )
    return metrics, names


def _error_rate(counts: Any, results: Any) -> float:
    """The error rate; NaN without true events, where sed_eval divides by almost nothing."""
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
