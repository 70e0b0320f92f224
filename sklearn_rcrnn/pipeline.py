"""From recordings to events in one estimator."""

from __future__ import annotations

import os
from typing import Any, Literal

from sklearn.pipeline import Pipeline

from .detector import RCRNNDetector
from .features import LFBETransformer
from .pretraining import CRNNPretrainer


def _paper() -> dict[str, Any]:
    """Sections 3.2 and 3.3 of the paper, and what its text leaves to Faster R-CNN."""
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
    sample_rate: int = 44100,
    n_fft: int = 2048,
    hop_length: int = 1024,
    n_mels: int = 64,
    n_jobs: int | None = None,
    memory: Any = None,
    **detector_params: Any,
) -> Pipeline:
    """Build a pipeline from recordings to events, with features and clock set together.

    Parameters
    ----------
    preset : {"default", "paper"}, default="default"
        ``"paper"``: the network is trained as in the paper: the matching, coding and
        losses of Faster R-CNN's time (``recipe="paper"``), fine-tuned after pre-training
        with batches of 80 at 1e-3, then at 1e-5. Parameters that are given go first.
    sample_rate : int, default=44100
        In Hz.
    n_fft : int, default=2048
        Window in samples.
    hop_length : int, default=1024
        Distance of frames in samples.
    n_mels : int, default=64
        Mel bands.
    n_jobs : int, default=None
        Threads that compute features.
    memory : str, PathLike or joblib.Memory, default=None
        Where to keep features and pre-trained extractors between fits.
    **detector_params
        Parameters of :class:`RCRNNDetector`.

    Returns
    -------
    sklearn.pipeline.Pipeline
        With the steps ``"lfbe"`` and ``"detector"``.

    Examples
    --------
    >>> from sklearn_rcrnn import make_rcrnn_pipeline
    >>> pipe = make_rcrnn_pipeline(sample_rate=22050, hop_length=512, gru_units=100)
    >>> round(pipe["detector"].frame_shift * 1000, 2)
    23.22
    >>> make_rcrnn_pipeline(preset="paper")["detector"].lr
    1e-05
    """
    lfbe = LFBETransformer(
        sample_rate=sample_rate, n_fft=n_fft, hop_length=hop_length, n_mels=n_mels, n_jobs=n_jobs
    )
    if "frame_shift" in detector_params:
        raise ValueError("frame_shift follows from hop_length and sample_rate; do not give it")
    if preset not in ("default", "paper"):
        raise ValueError(f'preset must be "default" or "paper"; got {preset!r}')
    if preset == "paper":
        detector_params = _paper() | detector_params
    if isinstance(memory, os.PathLike):
        memory = os.fspath(memory)  # a Pipeline takes strings only
    detector = RCRNNDetector(frame_shift=lfbe.frame_shift, memory=memory, **detector_params)
    return Pipeline([("lfbe", lfbe), ("detector", detector)], memory=memory)
