"""From recordings to events in one estimator."""

from __future__ import annotations

import os
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from ._utils.memory import FileMemory
from ._utils.pipelines import advice_on_wrapped, split_pipeline
from .detector import RCRNNDetector
from .features import LFBETransformer
from .models.starts import load_start, taken_over
from .pretraining import CRNNPretrainer
from .training.augmentation import FeatureAugmentation

# Parameters of the features, and their values where neither the caller nor a start says others.
_FEATURES = {"sample_rate": 44100, "n_fft": 2048, "hop_length": 1024, "n_mels": 64}


def _paper() -> dict[str, Any]:
    """Detector parameters of the paper, sections 3.2 and 3.3.

    What its text leaves open is as in Faster R-CNN.
    """
    return {
        "recipe": "paper",
        "pretrainer": CRNNPretrainer(lr=1e-3, batch_size=80, patience=10),
        "normalization": "training",
        "lr": 1e-5,
        "lr_schedule": "constant",
        "max_epochs": 100,
        "patience": 10,
        "score_threshold": 0.8,
        "nms_threshold": 0.5,
    }


def make_rcrnn_pipeline(
    *,
    preset: Literal["default", "paper"] = "default",
    start: Any = None,
    sample_rate: int | None = None,
    n_fft: int | None = None,
    hop_length: int | None = None,
    n_mels: int | None = None,
    n_jobs: int | None = None,
    memory: Any = None,
    **detector_params: Any,
) -> Pipeline:
    """Build a pipeline from recordings to events, with features and clock set together.

    Parameters
    ----------
    preset : {"default", "paper"}, default="default"
        ``"paper"`` trains the network as the paper does: with the matching, coding and
        losses of Faster R-CNN's time (``recipe="paper"``), pre-trained at a learning rate
        of 1e-3 with batches of 80, then fine-tuned at 1e-5. Parameters that you give take
        precedence.
    start : str, PathLike or fitted Pipeline, default=None
        A model whose weights the training starts from (a warm start): its name in the
        package, as for :func:`load_pretrained`, its folder, or the model itself. A few
        examples of each new sound are then enough. Features, sizes and everything else
        that belongs to the weights are those of the start, and the new model carries its
        license and attribution. None or ``"none"`` starts from random weights, as a search
        over sizes needs it.
    sample_rate : int, default=None
        Rate in Hz at which recordings are analyzed; files are resampled to it. None, here and
        for the next three, takes the value of the start. Without a start, the rate is 44100.
    n_fft : int, default=None
        Length of the analysis window in samples; 2048 without a start.
    hop_length : int, default=None
        Distance of frames in samples; 1024 without a start.
    n_mels : int, default=None
        Number of mel bands; 64 without a start.
    n_jobs : int, default=None
        Threads that compute features.
    memory : str, PathLike or joblib.Memory, default=None
        Cache of features and pre-trained extractors between fits. A folder becomes a
        :class:`FileMemory`, which notices recordings that have changed.
    **detector_params
        Parameters of :class:`RCRNNDetector`.

    Returns
    -------
    sklearn.pipeline.Pipeline
        With the steps ``"lfbe"`` and ``"detector"``.

    Raises
    ------
    ValueError
        For an unknown preset, a ``frame_shift``, which follows from the hop and the rate, or
        features other than those of the start.

    Examples
    --------
    >>> from sklearn_rcrnn import make_rcrnn_pipeline
    >>> pipe = make_rcrnn_pipeline(sample_rate=22050, hop_length=512, gru_units=100)
    >>> round(pipe["detector"].frame_shift * 1000, 2)
    23.22
    >>> make_rcrnn_pipeline(preset="paper")["detector"].lr
    1e-05

    From weights that have learnt other sounds:

    >>> make_rcrnn_pipeline(start="rare-events")["detector"].dense_units
    256
    """
    values = (sample_rate, n_fft, hop_length, n_mels)
    given = {
        name: value for name, value in zip(_FEATURES, values, strict=True) if value is not None
    }
    if "frame_shift" in detector_params:
        raise ValueError("frame_shift follows from hop_length and sample_rate; do not give it")
    if preset not in ("default", "paper"):
        raise ValueError(f'preset must be "default" or "paper"; got {preset!r}')
    if preset == "paper":
        detector_params = _paper() | detector_params
    lfbe = LFBETransformer(**(_FEATURES | given), n_jobs=n_jobs)
    if (model := load_start(start)) is not None:
        if preset == "paper":
            raise ValueError('preset="paper" trains from scratch: give no start with it')
        lfbe = _features_of(model, given, n_jobs)
        detector_params = _from_start(model) | detector_params
    if isinstance(memory, (str, os.PathLike)):
        memory = FileMemory(os.fspath(memory))
    detector_params["frame_shift"] = lfbe.frame_shift
    detector = RCRNNDetector(memory=memory, **detector_params)
    return Pipeline([("lfbe", lfbe), ("detector", detector)], memory=memory)


def event_embeddings(estimator: Pipeline, X: Any, events: Any) -> list[NDArray[np.float32]]:
    """Compute a vector for each event of recordings.

    Parameters
    ----------
    estimator : Pipeline
        Fitted; it ends in an :class:`RCRNNDetector`.
    X : what ``estimator.predict`` takes
        Recordings, as paths or waveforms.
    events : list of n_clips lists of (onset, offset, label)
        In seconds, for example ``estimator.predict(X)``.

    Returns
    -------
    list of n_clips float32 arrays of shape (n_events_i, n_units)
        See :meth:`RCRNNDetector.event_embeddings`.

    Raises
    ------
    TypeError
        If the last step has no ``event_embeddings``.

    Examples
    --------
    >>> from sklearn_rcrnn import event_embeddings, load_pretrained
    >>> from sklearn_rcrnn.datasets import make_rare_events
    >>> X, y = make_rare_events(2, duration=10.0, random_state=0)
    >>> vectors = event_embeddings(load_pretrained(), X, y)
    >>> [len(own) for own in vectors] == [len(clip) for clip in y]
    True
    """
    features, detector = split_pipeline(estimator)
    if not hasattr(detector, "event_embeddings"):
        raise TypeError(
            "estimator must be an RCRNNDetector or a Pipeline that ends in one; got "
            f"{type(detector).__name__}{advice_on_wrapped(detector)}"
        )
    if features is not None:
        X = features.transform(X)
    return detector.event_embeddings(X, events)


def _features_of(model: Pipeline, given: dict[str, int], n_jobs: int | None) -> LFBETransformer:
    """Take over the features of a start; raise ValueError for parameters that differ."""
    lfbe: LFBETransformer = clone(model[0]).set_params(n_jobs=n_jobs)
    for name, value in given.items():
        theirs = getattr(lfbe, name)
        if value != theirs:
            raise ValueError(
                f"The start was trained with {name}={theirs}; {name}={value} cannot be had with "
                'it. Leave it out, or use start="none"'
            )
    return lfbe


def _from_start(model: Pipeline) -> dict[str, Any]:
    """Make the parameters of a detector that continues from a fitted one."""
    return {
        **taken_over(model),
        "pretrainer": FrozenEstimator(model[-1]),
        "augmentation": FeatureAugmentation(),
    }
