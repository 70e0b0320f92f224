"""A pipeline taken apart into features and detector, whose clocks must agree."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from sklearn.pipeline import Pipeline


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
    """Take a pipeline apart, and check that all its steps have the same clock.

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
        If a step has another ``frame_shift`` than the detector: its times would be wrong.

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
                f"{theirs:.6g} s: times would be wrong, and were wrong in training. Build "
                "pipelines with make_rcrnn_pipeline, or give the detector the frame_shift of "
                "the features"
            )
    if len(steps) > 1:
        return PipelineParts(Pipeline(steps), detector)
    return PipelineParts(steps[0][1] if steps else None, detector)
