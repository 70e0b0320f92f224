"""Detectors inside pipelines, searches and other estimators that wrap an estimator."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from sklearn.utils import _safe_indexing
from sklearn.utils.metadata_routing import _routing_enabled

from ..events import Event


def inside(estimator: Any) -> Any:
    """The estimator that another one wraps, the fitted one if there is one; else None."""
    if "steps" in _attributes(estimator):
        return estimator.steps[-1][1]
    for name in ("best_estimator_", "estimator_", "estimator"):
        if name in _attributes(estimator):
            return _attributes(estimator)[name]
    return None


def detector_in(estimator: Any) -> Any:
    """The detector inside all pipelines, searches and other wrappers."""
    while (inner := inside(estimator)) is not None:
        estimator = inner
    return estimator


def innermost(estimator: Any) -> Any:
    """The detector, or the innermost pipeline that it is a step of."""
    while "steps" not in _attributes(estimator) and (inner := inside(estimator)) is not None:
        estimator = inner
    return estimator


def candidates_of(estimator: Any, X: Any) -> list[list[Event]]:
    """``predict_candidates`` of the detector inside, after the steps before it."""
    inner = inside(estimator)
    if inner is None:
        return estimator.predict_candidates(X)
    if "steps" in _attributes(estimator) and len(estimator.steps) > 1:
        X = estimator[:-1].transform(X)
    return candidates_of(inner, X)


def fit_and_look(
    estimator: Any, data: tuple[Any, Any], train: Any, test: Any, fit_params: dict[str, Any]
) -> list[list[Event]]:
    """Candidates in some clips, after the estimator was fitted to others."""
    X, y = data
    fitted = estimator.fit(_safe_indexing(X, train), [y[i] for i in train], **fit_params)
    return candidates_of(fitted, _safe_indexing(X, test))


def sample_weight_in(estimator: Any, fit_params: Mapping[str, Any]) -> Any:
    """The `sample_weight` of the detector inside, of the parameters that the outer ``fit`` gets."""
    name = "sample_weight"
    if _routing_enabled():
        asked = detector_in(estimator).get_metadata_routing().fit.requests.get(name)
        return fit_params.get(asked if isinstance(asked, str) else name) if asked else None
    while (inner := inside(estimator)) is not None:
        if "steps" in _attributes(estimator):
            name = f"{estimator.steps[-1][0]}__{name}"
        estimator = inner
    return fit_params.get(name)


def with_own_detector(estimator: Any) -> Any:
    """A copy whose thresholds can be set without changing the user's estimator.

    Weights and features are shared: nothing that is fitted is changed or copied.
    """
    own, inner = copy.copy(estimator), inside(estimator)
    if inner is None:
        return own
    if "steps" in _attributes(own):
        own.steps = [*own.steps[:-1], (own.steps[-1][0], with_own_detector(inner))]
        return own
    name = next(name for name, value in _attributes(own).items() if value is inner)
    setattr(own, name, with_own_detector(inner))
    return own


def check_detector_inside(estimator: Any) -> None:
    """Raise ValueError, before anything is fitted, if no threshold can be chosen."""
    detector = detector_in(estimator)
    if not hasattr(detector, "predict_candidates") or not hasattr(detector, "score_threshold"):
        raise ValueError(
            f"{type(detector).__name__} has no score_threshold and predict_candidates: an "
            "RCRNNDetector is needed, or a pipeline, a search or a FrozenEstimator with one "
            "inside. Tune other thresholds by GridSearchCV"
        )
    outer = estimator
    while outer is not None:
        if hasattr(outer, "refit") and not hasattr(outer, "estimator_") and not outer.refit:
            raise ValueError(
                f"{type(outer).__name__}(refit=False) leaves no fitted estimator to choose "
                "thresholds for: refit=True is needed"
            )
        outer = inside(outer)


def _attributes(estimator: Any) -> dict[str, Any]:
    """The attributes of an estimator itself; a FrozenEstimator also passes on those of another."""
    return getattr(estimator, "__dict__", {})  # a step may be the word "passthrough"
