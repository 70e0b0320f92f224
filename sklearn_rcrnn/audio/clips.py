"""Check the clips that a user gives, files or arrays, and load their samples."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils.frames import one_column
from .reading import read_audio, resample, warn_if_cancelled

_PCM_FULL_SCALE = {np.dtype(np.int16): 2.0**15, np.dtype(np.int32): 2.0**31}

# The shorter axis of a 2-D array holds channels if it is no longer than this.
CHANNELS = 8


def check_clips(X: Any) -> Sequence[Any]:
    """Check that `X` is a non-empty collection of clips and return it as a sequence.

    Parameters
    ----------
    X : sequence of paths or 1-D arrays, or array of shape (n_clips, n_samples)
        The clips. A pandas frame with one column counts as the list in that column.

    Raises
    ------
    TypeError
        If `X` is a single path, or no collection at all.
    ValueError
        If `X` is empty, or an array of the wrong shape.
    """
    if isinstance(X, (str, bytes, os.PathLike)):
        raise TypeError(f"X must be a list of clips; got the single path {X!r}. Use [path]")
    X = one_column(X, "X")
    if not hasattr(X, "__getitem__") and hasattr(X, "__array__"):
        X = np.asarray(X)
    if isinstance(X, np.ndarray) and X.dtype.kind not in "OUS" and X.ndim != 2:
        raise ValueError(
            f"An array of clips must be of shape (n_clips, n_samples); got {X.shape}. "
            + ("Reshape your data: a single clip is X[None]" if X.ndim == 1 else "")
        )
    if isinstance(X, np.ndarray) and X.ndim == 2 and len(X) >= 1000 and X.shape[1] <= CHANNELS:
        raise ValueError(
            f"X of shape {X.shape} would be {len(X)} clips of {X.shape[1]} sample(s). If it is one "
            "recording with its channels in columns, give X=[samples.mean(axis=1)], a list of one "
            "clip"
        )
    if not hasattr(X, "__len__") or not hasattr(X, "__getitem__"):
        raise TypeError(
            f"X must be a list of paths or of 1-D arrays, or an (n_clips, n_samples) array; "
            f"got {type(X).__name__}"
        )
    if len(X) == 0:
        raise ValueError("X is empty (0 clips, 0 sample(s)): at least one clip is required")
    return X


def load_clip(clip: Any, sample_rate: int, where: str) -> NDArray[np.float32]:
    """Load the samples of one clip and check them.

    Parameters
    ----------
    clip : path, 1-D array, or element of an audio column of a Hugging Face data set
        Files are read, averaged over channels and resampled. Arrays must already have the
        right sample rate, unless they know theirs as ``sample_rate``; 16- and 32-bit integers are
        scaled to between -1 and 1.
    sample_rate : int
        Sample rate of the result in Hz.
    where : str
        Name of the clip for error messages.

    Returns
    -------
    float32 array of shape (n_samples,)
    """
    if isinstance(clip, (str, os.PathLike)):
        return read_audio(clip, sample_rate)
    if isinstance(clip, Mapping) or hasattr(clip, "get_all_samples"):
        return _of_a_data_set(clip, sample_rate, where)
    if isinstance(clip, bytes):
        raise TypeError(f"{where} is bytes; give a path or an array of samples")
    rate = getattr(clip, "sample_rate", None)  # of an excerpt of a recording, for example
    if isinstance(rate, Real) and rate < sample_rate:
        raise ValueError(
            f"{where} is at {rate} Hz, and {sample_rate} Hz are needed: give its sample_rate where "
            "it is cut, as in cut_recordings(..., sample_rate=...)"
        )
    samples = np.asarray(clip)
    if samples.ndim == 2 and 0 < min(samples.shape) <= CHANNELS:
        axis = int(np.argmin(samples.shape))
        raise ValueError(
            f"{where} has shape {samples.shape}, like {samples.shape[axis]} channels; give a 1-D "
            f"array of their average, samples.mean(axis={axis})"
        )
    if samples.ndim != 1:
        raise ValueError(
            f"{where} must be a path or a 1-D array of samples; got shape {samples.shape}"
        )
    full_scale = _PCM_FULL_SCALE.get(samples.dtype.newbyteorder("="))
    if full_scale is not None:
        samples = samples / np.float32(full_scale)
    elif samples.dtype.kind != "f":
        raise TypeError(
            f"{where} has samples of type {samples.dtype}; give floats between -1 and 1, "
            "or 16- or 32-bit integers"
        )
    if not len(samples):
        raise ValueError(f"{where} is empty: it has 0 samples")
    samples = as_float32(samples, where)
    return resample(samples, float(rate), sample_rate) if isinstance(rate, Real) else samples


def as_float32(samples: NDArray[Any], where: str) -> NDArray[np.float32]:
    """Convert samples to float32; ValueError for numbers that it cannot hold."""
    with np.errstate(over="ignore"):
        narrow = np.ascontiguousarray(samples, np.float32)
    if samples.dtype != narrow.dtype and np.isinf(narrow).any() and np.isfinite(samples).all():
        raise ValueError(
            f"{where} has a sample of {np.abs(samples).max():.3g}, which is more than float32 can "
            "hold: samples are usually between -1 and 1"
        )
    return narrow


def _of_a_data_set(clip: Any, sample_rate: int, where: str) -> NDArray[np.float32]:
    """Load an element of an audio column, decoded or not, of any version of `datasets`."""
    if not isinstance(clip, Mapping):  # a decoder of torchcodec
        decoded = clip.get_all_samples()
        channels = np.asarray(decoded.data, np.float32).T
        samples = channels.mean(axis=1)
        warn_if_cancelled(channels, samples, where)
        return resample(samples, int(decoded.sample_rate), sample_rate)
    if clip.get("array") is not None and clip.get("sampling_rate"):
        samples = load_clip(np.asarray(clip["array"]), sample_rate, where)
        return resample(samples, int(clip["sampling_rate"]), sample_rate)
    if isinstance(clip.get("bytes"), bytes):
        suffix = os.path.splitext(clip.get("path") or "")[1]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, f"clip{suffix}")
            with open(path, "wb") as file:
                file.write(clip["bytes"])
            try:
                return read_audio(path, sample_rate)
            except ValueError as error:
                raise ValueError(f"{where}: {str(error).replace(path, 'its bytes')}") from error
    if isinstance(clip.get("path"), str):
        return read_audio(clip["path"], sample_rate)
    raise TypeError(
        f"{where} is a mapping with {', '.join(map(str, clip)) or 'nothing in it'}; one of a data "
        "set has array and sampling_rate, or path, or bytes"
    )
