"""A pipeline taken apart into features and detector, which must agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from sklearn.pipeline import Pipeline

from .clock import as_in_fit, check_settings


class PipelineParts(NamedTuple):
    """A pipeline taken apart.

    Attributes
    ----------
    features : transformer or None
        What comes before the detector: a single transformer, a Pipeline of several, or None
        where the detector stands alone.
    detector : estimator
        The last step.
    """

    features: Any
    detector: Any


def advice_on_wrapped(estimator: Any) -> str:
    """The end of an error for an estimator that holds what is needed; empty for others.

    Examples
    --------
    >>> from sklearn_rcrnn._utils.pipelines import advice_on_wrapped
    >>> advice_on_wrapped(object())
    ''
    """
    known = getattr(estimator, "__dict__", {})
    held = [name for name in ("best_estimator_", "estimator_") if name in known]
    return f". Give its {held[0]}" if held else ""


def split_pipeline(estimator: Any) -> PipelineParts:
    """Take a pipeline apart, and check that its steps have the same clock and know their features.

    Parameters
    ----------
    estimator : Pipeline, or a detector alone
        Every step with a ``frame_shift``, the seconds between frames of the features, must
        have that of the detector.

    Returns
    -------
    PipelineParts

    Raises
    ------
    ValueError
        If a step has another ``frame_shift`` than the detector: its times would be wrong. If the
        parameters of an LFBETransformer are others than those that the step behind it was fitted
        to: they were changed afterwards.

    Examples
    --------
    >>> from sklearn_rcrnn import make_rcrnn_pipeline
    >>> from sklearn_rcrnn._utils.pipelines import split_pipeline
    >>> type(split_pipeline(make_rcrnn_pipeline()).features).__name__
    'LFBETransformer'
    """
    if not isinstance(estimator, Pipeline):
        return PipelineParts(None, estimator)
    *before, (_, detector) = estimator.steps
    steps = [(name, step) for name, step in before if step is not None and step != "passthrough"]
    ours = getattr(detector, "frame_shift", None)
    for name, step in steps:
        theirs = getattr(step, "frame_shift", None)
        if ours is not None and theirs is not None and not math.isclose(ours, theirs, rel_tol=1e-6):
            raise ValueError(
                f"frame_shift={ours:.6g} s of the detector is not that of step {name!r}, "
                f"{theirs:.6g} s: times would be wrong{_clock_advice(step, detector)}"
            )
    check_known_features(estimator.steps)
    if len(steps) > 1:
        return PipelineParts(Pipeline(steps), detector)
    return PipelineParts(steps[0][1] if steps else None, detector)


def _clock_advice(step: Any, detector: Any) -> str:
    """The end of an error for features of another clock than that of the detector."""
    known = getattr(detector, "_feature_settings", None)
    settings = step._settings_of_features() if hasattr(step, "_settings_of_features") else None
    if advice := as_in_fit(known, settings):  # another clock would not mend it
        return f". {advice}"
    return (
        ", and were wrong in training. Build pipelines with make_rcrnn_pipeline, or give the "
        "detector the frame_shift of the features"
    )


def check_known_features(steps: Sequence[tuple[str, Any]]) -> None:
    """Raise ValueError if features have other parameters than those that a step was fitted to.

    Parameters
    ----------
    steps : sequence of (str, estimator)
        Those of a pipeline.
    """
    made_by, settings = "", None
    for name, step in steps:
        known = getattr(step, "_feature_settings", None)
        check_settings(settings, known, f"Step {made_by!r} makes", f"step {name!r}")
        if hasattr(step, "_settings_of_features"):
            made_by, settings = name, step._settings_of_features()
        elif known is not None:
            return  # what comes behind a fitted network are its feature maps
