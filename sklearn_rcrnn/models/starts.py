"""Models that a training starts from, given by name, by folder, or as an object."""

from __future__ import annotations

import os
from typing import Any

from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from . import NO_START
from .shipped import is_shipped, list_pretrained, load_pretrained
from .storage import load

# Parameters that a detector takes over: with other values, the weights would not fit, or
# would mean something else.
_TAKEN = (
    "gru_units",
    "dense_units",
    "head",
    "extractor",
    "normalization",
    "anchor_sizes",
    "frame_shift",
    "recipe",
    "nms_threshold",
)


def load_start(start: Any) -> Pipeline | None:
    """Load the fitted pipeline that a start stands for.

    Parameters
    ----------
    start : str, PathLike, fitted Pipeline or None
        The name of a model of the package, a folder that :func:`save` wrote, or a pipeline.
        ``"none"`` and None stand for no model.

    Returns
    -------
    Pipeline or None

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such name or folder; the message lists the names.
    TypeError
        For anything but a pipeline of features and detector.

    Examples
    --------
    >>> load_start("rare-events")[-1].classes_.tolist()
    ['babycry', 'glassbreak', 'gunshot']
    """
    if start is None or start == NO_START:
        return None
    if isinstance(start, (str, os.PathLike)):
        name = os.fspath(start)
        if is_shipped(name):
            return load_pretrained(name)
        try:
            start = load(name)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{error}. start must be a folder of a model, or one of "
                f"{', '.join([*list_pretrained(), NO_START])}"
            ) from error
    is_pipeline = isinstance(start, Pipeline) and len(start) > 1
    if not is_pipeline or not hasattr(start[-1], "predict_candidates"):
        raise TypeError(
            "A start must be a pipeline of an LFBETransformer and a fitted RCRNNDetector, its "
            f"folder or its name; got {type(start).__name__}"
        )
    check_is_fitted(start[-1])
    return start


def taken_over(model: Pipeline) -> dict[str, Any]:
    """The parameters of a model that a detector which starts from it must share.

    Parameters
    ----------
    model : fitted Pipeline

    Returns
    -------
    dict of str to value
    """
    # Those that its network was built from, whatever has been set since.
    own = {**model[-1].get_params(deep=False), **model[-1]._built_from}
    # Copies, because values of a recipe may be set one by one, and those of the start must not.
    return {name: clone(own[name], safe=False) for name in _TAKEN}
