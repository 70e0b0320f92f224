"""The score threshold of each label, chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.model_selection import GroupKFold, check_cv
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from .evaluation import THRESHOLDS, threshold_curves
from .events import Event, check_event_lists, labels_of

_PARAMETER = "score_threshold"


def _estimator_has(name: str) -> Any:
    def check(self: Any) -> bool:
        getattr(getattr(self, "estimator_", self.estimator), name)
        return True

    return check


class TunedThresholdDetectorCV(MetaEstimatorMixin, BaseEstimator):
    """Choose the ``score_threshold`` of each label on clips that were not trained on.

    What :class:`sklearn.model_selection.TunedThresholdClassifierCV` is for classifiers,
    for a detector or a pipeline that ends in one.

    Parameters
    ----------
    estimator : RCRNNDetector, or Pipeline that ends in one
        Needs ``predict_candidates`` and a parameter ``score_threshold``.
    scoring : {"error_rate", "f_score"}, default="error_rate"
        What each label's threshold is best for: event-based, onset only, collar 0.5 s.
    thresholds : sequence of float, default=0.05, 0.10, ..., 0.95
        Those to choose from.
    cv : int, cross-validation generator, iterable or "prefit", default=5
        Splits of the clips; an int is a KFold, or a GroupKFold where ``fit`` has groups.
        ``"prefit"``: the estimator is fitted already, and `X` and `y` of ``fit`` are new
        to it.
    refit : bool, default=True
        Fit on all clips in the end. Must be True unless ``cv="prefit"``.
    n_jobs : int, default=None
        Processes that fit on different parts.

    Attributes
    ----------
    estimator_ : estimator
        Fitted, with the best thresholds set.
    best_threshold_ : dict of label to float
    best_score_ : dict of label to float
        Error rate or F-score of each label at its threshold, on clips not trained on.
    curves_ : sklearn.utils.Bunch
        From :func:`threshold_curves`.
    classes_ : ndarray of shape (n_classes,)

    See Also
    --------
    sklearn_rcrnn.evaluation.threshold_curves : What the choice is made of.

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

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict"])],
        "scoring": [StrOptions({"error_rate", "f_score"})],
        "thresholds": ["array-like"],
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
        cv: Any = 5,
        refit: bool = True,
        n_jobs: int | None = None,
    ):
        self.estimator = estimator
        self.scoring = scoring
        self.thresholds = thresholds
        self.cv = cv
        self.refit = refit
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any, *, groups: Any = None) -> TunedThresholdDetectorCV:
        """Choose the thresholds, and fit the estimator on all clips.

        Parameters
        ----------
        X : what the estimator's ``fit`` takes, but no stream
        y : list of n_clips lists of (onset, offset, label)
        groups : sequence of n_clips values, default=None
            The recording that each clip is of, from :func:`cut_recordings` for example:
            clips of one must not be on both sides of a split. Of no use with ``"prefit"``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the estimator has no ``score_threshold``, or no clip has an event.
        """
        self._validate_params()
        name = self._parameter_name()
        true = check_event_lists(y, n_clips=len(X))
        labels = labels_of(true)
        if not labels:
            raise ValueError("y has no event in any clip: there is nothing to choose for")
        if isinstance(self.cv, str):
            check_is_fitted(self.estimator)
            self.estimator_ = self.estimator
            unknown = sorted(set(labels) - set(self.estimator.classes_.tolist()))
            if unknown:
                raise ValueError(
                    f"y has the labels {unknown}, which the estimator has not learnt; it knows "
                    f"{self.estimator.classes_.tolist()}"
                )
            candidates = _candidates(self.estimator_, X)
        else:
            if not self.refit:
                raise ValueError('refit=False is for cv="prefit": no single estimator is fitted')
            candidates = self._cross_validate(X, true, groups)
            self.estimator_ = clone(self.estimator).fit(X, y)
        self.classes_ = self.estimator_.classes_
        most = self.estimator_.get_params()[name.replace(_PARAMETER, "max_events_per_clip")]
        self.curves_ = threshold_curves(
            true, candidates, thresholds=self.thresholds, labels=labels, max_events=most
        )
        self.best_threshold_, self.best_score_ = {}, {}
        rows = self.curves_[self.scoring]
        sign = -1 if self.scoring == "error_rate" else 1
        for label, row in zip(labels, rows, strict=True):
            # Of equally good thresholds the one in their middle holds best on new clips.
            best = np.flatnonzero(row == row[np.argmax(sign * row)])
            chosen = best[len(best) // 2]
            self.best_threshold_[label] = float(self.curves_.thresholds[chosen])
            self.best_score_[label] = float(row[chosen])
        # A label that no clip of y has keeps the threshold that it had.
        before = self.estimator_.get_params()[name]
        if isinstance(before, str):
            before = getattr(self.estimator_, "steps", [("", self.estimator_)])[-1][1]._thresholds()
        rest = {
            label: before[label] if isinstance(before, dict) else before
            for label in self.classes_.tolist()
            if label not in self.best_threshold_
        }
        self.estimator_.set_params(**{name: {**rest, **self.best_threshold_}})
        return self

    def predict(self, X: Any) -> list[list[Event]]:
        """Detect events with the thresholds that were chosen.

        Parameters
        ----------
        X : what the estimator's ``predict`` takes

        Returns
        -------
        list of n_clips lists of Event
        """
        check_is_fitted(self)
        return self.estimator_.predict(X)

    def score(self, X: Any, y: Any) -> float:
        """The estimator's ``score`` with the thresholds that were chosen.

        Parameters
        ----------
        X : what the estimator's ``predict`` takes
        y : list of n_clips lists of (onset, offset, label)

        Returns
        -------
        float
        """
        check_is_fitted(self)
        return self.estimator_.score(X, y)

    @available_if(_estimator_has("predict_candidates"))
    def predict_candidates(self, X: Any) -> list[list[Event]]:
        """All scored events; available if the estimator is a detector, not a pipeline.

        Parameters
        ----------
        X : what the estimator's ``predict`` takes

        Returns
        -------
        list of n_clips lists of Event
        """
        check_is_fitted(self)
        return self.estimator_.predict_candidates(X)

    def _parameter_name(self) -> str:
        """Name of the threshold in the estimator's parameters, ``detector__...`` in a pipeline."""
        there = self.estimator.get_params()
        for name in there:
            if name == _PARAMETER or name.endswith("__" + _PARAMETER):
                return name
        raise ValueError(
            f"{type(self.estimator).__name__} has no parameter {_PARAMETER}: an RCRNNDetector is "
            "needed, or a pipeline that ends in one. Tune other thresholds by GridSearchCV"
        )

    def _cross_validate(self, X: Any, true: list[list[Event]], groups: Any) -> list[list[Event]]:
        """Candidates of every clip, from an estimator that was not trained on it."""
        by_group = groups is not None and isinstance(self.cv, Integral)
        cv = GroupKFold(self.cv) if by_group else check_cv(self.cv)
        parts = list(cv.split(np.arange(len(true)), groups=groups))
        found = Parallel(n_jobs=self.n_jobs)(
            delayed(_fit_and_look)(clone(self.estimator), X, true, train, test)
            for train, test in parts
        )
        candidates: list[list[Event] | None] = [None] * len(true)
        for (_, test), own in zip(parts, found, strict=True):
            for i, clip in zip(test, own, strict=True):
                candidates[i] = clip
        missing = [i for i, clip in enumerate(candidates) if clip is None]
        if missing:
            raise ValueError(f"cv must test every clip; it never tests clips {missing[:5]}")
        return candidates  # type: ignore[return-value]


def _fit_and_look(estimator: Any, X: Any, y: Any, train: Any, test: Any) -> list[list[Event]]:
    estimator.fit(_safe_indexing(X, train), [y[i] for i in train])
    return _candidates(estimator, _safe_indexing(X, test))


def _candidates(estimator: Any, X: Any) -> list[list[Event]]:
    """``predict_candidates`` of a detector, or of the last step of a pipeline."""
    if hasattr(estimator, "predict_candidates"):
        return estimator.predict_candidates(X)
    return estimator[-1].predict_candidates(estimator[:-1].transform(X))
