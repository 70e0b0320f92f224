"""From recordings to events in one estimator."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline

from .detector import RCRNNDetector
from .features import LFBETransformer


def make_rcrnn_pipeline(
    *,
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
    """
    lfbe = LFBETransformer(
        sample_rate=sample_rate, n_fft=n_fft, hop_length=hop_length, n_mels=n_mels, n_jobs=n_jobs
    )
    if "frame_shift" in detector_params:
        raise ValueError("frame_shift follows from hop_length and sample_rate; do not give it")
    detector = RCRNNDetector(frame_shift=lfbe.frame_shift, memory=memory, **detector_params)
    return Pipeline([("lfbe", lfbe), ("detector", detector)], memory=memory)
