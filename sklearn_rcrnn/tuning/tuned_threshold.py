"""The score threshold of each label, chosen by cross-validation."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.model_selection import check_cv
from sklearn.utils import Bunch, get_tags
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    _routing_enabled,
    process_routing,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params, check_is_fitted

from ..annotations.named_clips import lists_of_clips
from ..evaluation.curves import THRESHOLDS, threshold_curves
from ..events import Event, Label, check_event_lists, labels_of
from ..metrics.durations import clip_durations
from ..training.inputs import check_weights
from .folds import stratified_folds, warn_of_missing_labels
from .wrapped import (
    candidates_of,
    check_detector_inside,
    detector_in,
    fit_and_look,
    innermost,
    sample_weight_in,
    with_own_detector,
)

_PARAMETER = "score_threshold"


def _gives_candidates(tuned: TunedThresholdDetectorCV) -> bool:
    estimator = getattr(tuned, "estimator_", tuned.estimator)
    return hasattr(detector_in(estimator), "predict_candidates")


class TunedThresholdDetectorCV(MetaEstimatorMixin, BaseEstimator):
    """Choose the ``score_threshold`` of each label on clips that were not trained on.

    This is for detectors what :class:`sklearn.model_selection.TunedThresholdClassifierCV` is for
    classifiers.

    Parameters
    ----------
    estimator : RCRNNDetector, or an estimator with one inside
        The detector, a Pipeline that ends in one, a search of scikit-learn over either, or
        any of these in a FrozenEstimator. It is never changed.
    scoring : {"error_rate", "f_score"}, default="error_rate"
        The score that each label's threshold optimizes: event-based, by onsets only, with a
        collar of 0.5 s.
    thresholds : sequence of float, default=0.05, 0.10, ..., 0.95
        Candidates for the thresholds.
    max_false_alarms_per_hour : float, default=None
        Largest number of false alarms of a label in an hour of the clips
        (:func:`~sklearn_rcrnn.metrics.false_alarms_per_hour`). Only thresholds that keep to it
        are chosen, if there are any.
    cv : int, cross-validation generator, iterable or "prefit", default=5
        Splits of the clips. An integer is a number of folds, over which the events of each
        label are spread evenly; if ``fit`` is given groups, the clips of a group are in the
        same fold. With ``"prefit"`` the estimator is fitted already, on other clips than those
        given to ``fit``.
    refit : bool, default=True
        Fit on all clips in the end. Must be True unless ``cv="prefit"``.
    n_jobs : int, default=None
        Number of processes that fit on different folds.

    Attributes
    ----------
    estimator_ : estimator
        The fitted estimator, with the best thresholds set.
    best_threshold_ : dict of label to float
    best_score_ : dict of label to float
        Error rate or F-score of each label at its threshold, on clips not trained on.
    false_alarms_per_hour_ : dict of label to float
        False alarms per hour of each label at its threshold, on the same clips. Only set with
        `max_false_alarms_per_hour`.
    curves_ : sklearn.utils.Bunch
        Scores at all thresholds, from :func:`threshold_curves`.
    classes_ : ndarray of shape (n_classes,)

    See Also
    --------
    sklearn_rcrnn.evaluation.threshold_curves : The scores that thresholds are chosen by.

    Examples
    --------
    >>> from sklearn_rcrnn import TunedThresholdDetectorCV, make_rcrnn_pipeline
    >>> from sklearn_rcrnn.datasets import make_rare_events
    >>> X, y = make_rare_events(12, duration=4.0, random_state=0)
    >>> pipe = make_rcrnn_pipeline(gru_units=4, dense_units=8, max_epochs=1, random_state=0)
    >>> tuned = TunedThresholdDetectorCV(pipe, cv=2).fit(X, y)
    >>> sorted(tuned.best_threshold_)
    ['babycry', 'glassbreak', 'gunshot']
    """

    estimator_: Any
    best_threshold_: dict[Label, float]
    best_score_: dict[Label, float]
    false_alarms_per_hour_: dict[Label, float]
    curves_: Bunch
    classes_: NDArray[Any]

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit"])],
        "scoring": [StrOptions({"error_rate", "f_score"})],
        "thresholds": ["array-like"],
        "max_false_alarms_per_hour": [Interval(Real, 0, None, closed="left"), None],
        "cv": ["cv_object", StrOptions({"prefit"})],
        "refit": ["boolean"],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        scoring: str = "error_rate",
        thresholds: Sequence[float] = THRESHOLDS,
        max_false_alarms_per_hour: float | None = None,
        cv: Any = 5,
        refit: bool = True,
        n_jobs: int | None = None,
    ):
        self.estimator = estimator
        self.scoring = scoring
        self.thresholds = thresholds
        self.max_false_alarms_per_hour = max_false_alarms_per_hour
        self.cv = cv
        self.refit = refit
        self.n_jobs = n_jobs

    def fit(
        self, X: Any, y: Any, *, groups: Any = None, **fit_params: Any
    ) -> TunedThresholdDetectorCV:
        """Choose the thresholds, and fit the estimator on all clips.

        Parameters
        ----------
        X : what the estimator's ``fit`` takes, but no stream
        y : list of n_clips lists of (onset, offset, label), or DataFrame
            A frame has a row for each event, as for :func:`match_files`.
        groups : sequence of n_clips values, default=None
            The recording that each clip was cut from, for example as :func:`cut_recordings`
            gives it: the clips of a recording are never on both sides of a split. Not used with
            ``"prefit"``.
        **fit_params
            Parameters of the estimator's ``fit``; those with a value for each clip are split
            like the clips. With metadata routing, only those that the estimator and `cv` have
            requested. Clips with a ``sample_weight`` of 0 do not count when thresholds are
            chosen, either; with ``cv="prefit"``, weights have no other effect.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            Before anything is fitted: if the estimator has no ``score_threshold``, or no clip
            has an event, or a threshold is not between 0 and 1.

        Warns
        -----
        UserWarning
            If a fold lacks a label, or if all thresholds have more false alarms than allowed.
        """
        self._validate_params()
        # What an earlier fit found must not be taken for the result of this one, if it fails.
        for name in [own for own in vars(self) if own.endswith("_")]:
            delattr(self, name)
        check_detector_inside(self.estimator)
        _check_thresholds(self.thresholds)
        # From here on `y` is not used: it may be one that can be read only once.
        true = check_event_lists(lists_of_clips(y, X), n_clips=len(X))
        weights = sample_weight_in(self.estimator, fit_params)
        counts = np.ones(len(true)) if weights is None else check_weights(weights, len(true))
        counted = [own if weight else [] for own, weight in zip(true, counts, strict=True)]
        labels = labels_of(counted)
        if not labels:
            raise ValueError("y has no event in any clip: there is nothing to choose for")
        durations = None
        if self.max_false_alarms_per_hour is not None:
            # Before the fits, so that what cannot be read is found out now.
            durations = clip_durations(innermost(self.estimator), X)
        if isinstance(self.cv, str):
            check_is_fitted(detector_in(self.estimator))
            fitted = self.estimator
            known = detector_in(fitted).classes_.tolist()
            if unknown := sorted(set(labels) - set(known)):
                raise ValueError(
                    f"y has the labels {unknown}, which the estimator has not learnt; it knows "
                    f"{known}"
                )
            _kept_thresholds(detector_in(fitted), labels)  # raises now, not after the detection
            candidates = candidates_of(fitted, X)
        else:
            if not self.refit:
                raise ValueError('refit=False is for cv="prefit": no single estimator is fitted')
            routed = self._routed(groups, fit_params)
            candidates = self._cross_validate(X, true, counted, routed)
            own = _check_method_params(X, routed.estimator.fit)
            fitted = clone(self.estimator).fit(X, true, **own)
        self.estimator_ = with_own_detector(fitted)
        places = np.flatnonzero(counts)
        lists: list[Any] = [true, candidates, durations]
        self._choose(labels, *(own and [own[i] for i in places] for own in lists))
        return self

    def _choose(
        self, labels: list[Any], true: Any, candidates: Any, durations: list[float] | None
    ) -> None:
        """Choose the thresholds of ``estimator_``, and set the attributes that describe them."""
        detector = detector_in(self.estimator_)
        self.classes_ = detector.classes_
        limit = self.max_false_alarms_per_hour
        self.curves_ = threshold_curves(
            true,
            candidates,
            thresholds=_check_thresholds(self.thresholds).tolist(),
            labels=labels,
            max_events=detector.max_events_per_clip,
            rules=detector._rules(),
            durations=durations,
        )
        self.best_threshold_, self.best_score_ = {}, {}
        if limit is not None:
            self.false_alarms_per_hour_ = {}
        sign = -1 if self.scoring == "error_rate" else 1
        for i, label in enumerate(labels):
            row = sign * self.curves_[self.scoring][i]
            allowed = np.ones(len(row), bool)
            if limit is not None:
                allowed = self._few_enough(label, self.curves_.false_alarms_per_hour[i], limit)
            # Of equally good thresholds, the middle one is most likely to hold on new clips.
            best = np.flatnonzero(allowed & (row == row[allowed].max()))
            chosen = best[len(best) // 2]
            self.best_threshold_[label] = float(self.curves_.thresholds[chosen])
            self.best_score_[label] = float(sign * row[chosen])
            if limit is not None:
                rate = self.curves_.false_alarms_per_hour[i, chosen]
                self.false_alarms_per_hour_[label] = float(rate)
        before = _kept_thresholds(detector, labels)
        detector.set_params(**{_PARAMETER: {**before, **self.best_threshold_}})

    def _few_enough(
        self, label: Any, rates: NDArray[np.float64], limit: float
    ) -> NDArray[np.bool_]:
        """Tell which thresholds keep to the limit; if none does, those that come nearest."""
        if rates.min() > limit:
            warnings.warn(
                f"No threshold up to {self.curves_.thresholds.max():g} keeps {label!r} to "
                f"{limit:g} false alarms an hour; the fewest are {rates.min():.3g}",
                UserWarning,
                stacklevel=4,
            )
        return rates <= max(limit, rates.min())

    def predict(self, X: Any) -> list[list[Event]]:
        """Detect events with the chosen thresholds.

        Parameters
        ----------
        X : what the estimator's ``predict`` takes

        Returns
        -------
        list of n_clips lists of Event
        """
        check_is_fitted(self)
        return self.estimator_.predict(X)

    def score(self, X: Any, y: Any, **score_params: Any) -> float:
        """Compute the estimator's ``score`` with the chosen thresholds.

        Parameters
        ----------
        X : what the estimator's ``predict`` takes
        y : list of n_clips lists of (onset, offset, label)
        **score_params
            Parameters of the estimator's ``score``, for example ``sample_weight``.

        Returns
        -------
        float
        """
        check_is_fitted(self)
        return self.estimator_.score(X, y, **score_params)

    @available_if(_gives_candidates)
    def predict_candidates(self, X: Any) -> list[list[Event]]:
        """Predict all scored events, whatever their scores.

        Parameters
        ----------
        X : what the estimator's ``predict`` takes

        Returns
        -------
        list of n_clips lists of Event
        """
        check_is_fitted(self)
        return candidates_of(self.estimator_, X)

    def get_metadata_routing(self) -> MetadataRouter:
        """The metadata that ``fit`` and ``score`` pass on to the estimator and to `cv`.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRouter
        """
        mapping = MethodMapping().add(caller="fit", callee="fit")
        mapping = mapping.add(caller="score", callee="score")
        router = MetadataRouter(owner=self).add(estimator=self.estimator, method_mapping=mapping)
        if isinstance(self.cv, (str, Integral)):
            return router
        splits = MethodMapping().add(caller="fit", callee="split")
        return router.add(splitter=check_cv(self.cv), method_mapping=splits)

    def _routed(self, groups: Any, fit_params: dict[str, Any]) -> Bunch:
        """Divide the parameters between the estimator's ``fit`` and the splitter."""
        if _routing_enabled():
            asked = self.get_metadata_routing().consumes("fit", ["groups"])
            if groups is not None and asked:
                fit_params = {**fit_params, "groups": groups}
            routed = process_routing(self, "fit", **fit_params)
        else:
            routed = Bunch(estimator=Bunch(fit=fit_params))
        # Groups always go to the splitter, even if others request them as well.
        routed.groups = groups
        return routed

    def _cross_validate(
        self, X: Any, true: list[list[Event]], counted: list[list[Event]], routed: Bunch
    ) -> list[list[Event]]:
        """Detect candidates in every clip by an estimator that was not trained on that clip."""
        if isinstance(self.cv, Integral):
            parts = stratified_folds(counted, int(self.cv), routed.groups)
        else:
            own = routed.splitter.split if "splitter" in routed else {}
            settings = {"groups": routed.groups, **own}
            parts = list(check_cv(self.cv).split(X, true, **settings))
        untested = np.setdiff1d(np.arange(len(true)), np.concatenate([test for _, test in parts]))
        if len(untested):
            raise ValueError(
                f"cv must test every clip; it never tests clips {untested[:5].tolist()}"
            )
        warn_of_missing_labels(counted, parts)
        found = Parallel(n_jobs=self.n_jobs)(
            delayed(fit_and_look)(
                clone(self.estimator),
                (X, true),
                train,
                test,
                _check_method_params(X, routed.estimator.fit, indices=train),
            )
            for train, test in parts
        )
        candidates: list[list[Event]] = [[]] * len(true)
        for (_, test), own in zip(parts, found, strict=True):
            for i, clip in zip(test, own, strict=True):
                candidates[i] = clip
        return candidates

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        theirs = get_tags(self.estimator)
        for name in ("estimator_type", "target_tags", "input_tags", "non_deterministic"):
            setattr(tags, name, copy.copy(getattr(theirs, name)))
        return tags


def _check_thresholds(thresholds: Any) -> NDArray[np.float64]:
    values = np.asarray(thresholds, float)
    if values.ndim != 1 or not len(values) or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"thresholds must be numbers between 0 and 1; got {thresholds!r}")
    return np.unique(values)  # rising, as the middle one of equally good ones is chosen


def _kept_thresholds(detector: Any, chosen: list[Label]) -> dict[Label, float]:
    """The thresholds of the labels of a fitted detector for which none is chosen."""
    left = [label for label in detector.classes_.tolist() if label not in chosen]
    if not left:
        return {}
    before = detector._thresholds()
    return {label: before[label] if isinstance(before, dict) else before for label in left}
