"""Fitted detectors for programs without PyTorch: ONNX."""

from __future__ import annotations

import copy
import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .._utils.files import complete
from .._utils.optional import need
from .._utils.pipelines import advice_on_wrapped, split_pipeline
from ..detector import RCRNNDetector
from ..features import LFBETransformer

OPSET = 18


def export_onnx(
    estimator: Pipeline | RCRNNDetector, path: str | os.PathLike[str], *, nms: bool = True
) -> Path:
    """Write a fitted detector as one ONNX graph, from features to scored intervals.

    The graph takes ``features``, float32 of shape (n_frames, n_bands) and of any length,
    and gives, by falling score,

    - ``intervals``: float32 of shape (n, 2), onset and offset in seconds;
    - ``labels``: int64 of shape (n,), places in the list of labels;
    - ``scores``: float32 of shape (n,); 0 from the first place on that holds no event.

    Parameters
    ----------
    estimator : RCRNNDetector, or Pipeline of features and one
        The fitted detector. The parameters of an LFBETransformer go into the metadata of the
        graph. Other features are left out, which a warning and the metadata say.
    path : str or PathLike
        File to write; its name usually ends in ``.onnx``.
    nms : bool, default=True
        Drop events that a stronger one of their label overlaps, as ``predict_candidates``
        does. False leaves that to whoever runs the graph.

    Returns
    -------
    pathlib.Path
        `path`.

    Raises
    ------
    ImportError
        If the packages ``onnx`` and ``onnxscript`` are not installed.
    TypeError
        If the estimator is of another class.

    Warns
    -----
    UserWarning
        If there are features of another class than LFBETransformer, or if the detector joins
        events, or drops some by their durations or number, which the graph does not.

    Notes
    -----
    The entry ``sklearn_rcrnn`` of the graph's metadata is a JSON object with ``labels``,
    ``score_threshold`` (by label), ``nms_threshold`` and ``frame_shift``. For a pipeline it also
    holds ``features``, the parameters of the LFBETransformer, or ``left_out``, the features that
    have to be computed by other means. The graph takes clips of more than a minute in one piece,
    and ``predict`` in windows, so that their events differ slightly.

    Examples
    --------
    >>> from sklearn_rcrnn import export_onnx, load_pretrained
    >>> export_onnx(load_pretrained(), "rare-events.onnx")  # doctest: +SKIP
    """
    from ..nn.onnx import TRANSLATIONS, ExportedRCRNN

    need("ONNX export needs", "onnx", "onnx", "onnxscript")
    features, detector = split_pipeline(estimator)
    if not isinstance(detector, RCRNNDetector):
        raise TypeError(
            "estimator must be an RCRNNDetector, or a Pipeline that ends with one; it ends with "
            f"{type(detector).__name__}{advice_on_wrapped(detector)}"
        )
    check_is_fitted(detector)
    network = copy.deepcopy(detector.net_.module_).cpu()
    threshold = detector.nms_threshold if nms else None
    graph = ExportedRCRNN(network, detector._step_seconds(), threshold).eval()
    length = torch.export.Dim("n_frames", min=2)
    with _quietly():
        program = torch.onnx.export(
            graph,
            (torch.zeros(500, detector.n_features_in_),),
            input_names=["features"],
            output_names=["intervals", "labels", "scores"],
            dynamic_shapes={"features": {0: length}},
            custom_translation_table=dict(TRANSLATIONS),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props["sklearn_rcrnn"] = json.dumps(
        _metadata(detector, features), ensure_ascii=False, default=np.generic.item
    )
    _warn_of_rules(detector)
    path = Path(path)
    with complete(path) as partial:
        program.save(partial, external_data=False)
    return path


def _metadata(detector: RCRNNDetector, features: Any) -> dict[str, Any]:
    threshold, labels = detector._thresholds(), detector.classes_.tolist()
    by_label = threshold if isinstance(threshold, Mapping) else dict.fromkeys(labels, threshold)
    known: dict[str, Any] = {
        "labels": labels,
        "score_threshold": [by_label[label] for label in labels],
        "nms_threshold": detector.nms_threshold,
        "frame_shift": detector.frame_shift,
    }
    if type(features) is LFBETransformer:
        known["features"] = features.get_params()
        known["features"].pop("n_jobs")
    elif features is not None:
        name = type(features).__name__
        known["left_out"] = f"The features, {name}: compute them before, as in training"
        warnings.warn(
            f"The graph begins at the features. What {name} does is left out: whoever runs the "
            "graph has to compute the same features before",
            stacklevel=3,
        )
    return known


def _warn_of_rules(detector: RCRNNDetector) -> None:
    """Warn of what `predict` does after the graph."""
    names = ("merge_gap", "min_duration", "max_duration", "max_events_per_clip")
    params = {name: getattr(detector, name) for name in names}
    if given := [f"{name}={value!r}" for name, value in params.items() if value is not None]:
        warnings.warn(
            f"The graph does not apply {', '.join(given)}: whoever runs it has to do so after the "
            "thresholds",
            stacklevel=3,
        )


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence messages of the exporter about operators that are not used here."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
