"""Durations of the clips that a score is computed from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def total_hours(durations: Sequence[float], n_clips: int) -> float:
    """The sum of the durations in hours; ValueError unless each clip has a positive one."""
    seconds = np.asarray(durations, float)
    if seconds.shape != (n_clips,):
        raise ValueError(
            f"durations has the shape {seconds.shape} for {n_clips} clips: give the seconds of each"
        )
    wrong = np.flatnonzero(~(np.isfinite(seconds) & (seconds > 0)))
    if len(wrong):
        raise ValueError(
            f"durations[{wrong[0]}] must be a positive number of seconds; got {seconds[wrong[0]]}"
        )
    return float(seconds.sum() / 3600)


def clip_durations(estimator: Any, X: Any) -> list[float]:
    """Find out how many seconds each clip of `X` lasts.

    Parameters
    ----------
    estimator : estimator or Pipeline
        An estimator whose parameters ``sample_rate`` and ``frame_shift``, or those of its steps,
        tell how long samples and frames of features are.
    X : what the estimator's ``predict`` takes
        Paths of files, samples of shape (n_samples,), elements of an audio column of a Hugging Face
        data set, features of shape (n_frames, n_bands), or feature maps of shape (n_steps,
        n_channels).

    Returns
    -------
    list of float

    Raises
    ------
    ValueError
        If a file cannot be read, or the estimator has no such parameter.
    """
    from ..audio import audio_duration, check_clips
    from ..audio.clips import load_clip

    if not isinstance(X, np.ndarray) or X.ndim != 3:  # features are no audio to check
        X = check_clips(X)
    params = {"": estimator, **estimator.get_params()}

    def seconds(clip: Any, index: int) -> float:
        if isinstance(clip, (str, os.PathLike)):
            return audio_duration(clip)
        if isinstance(clip, Mapping) or hasattr(clip, "get_all_samples"):
            rate = round(_owner_and_value(params, "sample_rate", index)[1])
            return len(load_clip(clip, rate, f"clip {index}")) / rate
        shape = np.shape(clip)
        if len(shape) == 1:
            own = getattr(clip, "sample_rate", None)  # of an excerpt of a recording, for example
            return shape[0] / (own or _owner_and_value(params, "sample_rate", index)[1])
        owner, frame_shift = _owner_and_value(params, "frame_shift", index)
        # Rows of feature maps are further apart than the frames that the maps were made of.
        row_seconds = getattr(owner, "_frame_seconds", lambda: frame_shift)
        return shape[0] * row_seconds()

    return [seconds(clip, i) for i, clip in enumerate(X)]


def _owner_and_value(params: dict[str, Any], name: str, index: int) -> tuple[Any, float]:
    """Find the first estimator that has a parameter of that name, and its value."""
    for own, value in params.items():
        owner, _, last = own.rpartition("__")
        if last == name:
            return params[owner], float(value)
    raise ValueError(
        f"The length of clip {index} is not known: the estimator has no parameter {name}. "
        "Give recordings to a pipeline of make_rcrnn_pipeline, or the durations themselves"
    )
