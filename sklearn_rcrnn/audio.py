"""From what a user gives as a clip to samples: files, and arrays with their checks."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_UNKNOWN_SIZE = 2**31 - 2**16
_PCM_FULL_SCALE = {np.dtype(np.int16): 2.0**15, np.dtype(np.int32): 2.0**31}


def check_clips(X: Any) -> Sequence[Any]:
    """Check that `X` is a non-empty collection of clips and return it as a sequence.

    Parameters
    ----------
    X : sequence of paths or 1-D arrays, or array of shape (n_clips, n_samples)

    Raises
    ------
    TypeError
        If `X` is one path, or no collection at all.
    ValueError
        If it is empty or an array of the wrong number of dimensions.
    """
    if isinstance(X, (str, bytes, os.PathLike)):
        raise TypeError(f"X must be a list of clips; got the single path {X!r}. Use [path]")
    if hasattr(X, "iloc"):  # a pandas column of paths
        X = X.tolist() if getattr(X, "ndim", 1) == 1 else X.to_numpy()
    if not hasattr(X, "__getitem__") and hasattr(X, "__array__"):
        X = np.asarray(X)
    if isinstance(X, np.ndarray) and X.dtype.kind not in "OUS" and X.ndim != 2:
        raise ValueError(
            f"An array of clips must be of shape (n_clips, n_samples); got {X.shape}. "
            + ("Reshape your data: a single clip is X[None]" if X.ndim == 1 else "")
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
    """Samples of one clip, checked.

    Parameters
    ----------
    clip : path or 1-D array
        Files are read, averaged over channels and resampled. Arrays are taken to have the
        right sample rate; 16- and 32-bit integers are scaled to between -1 and 1.
    sample_rate : int
        In Hz.
    where : str
        Name of the clip for errors.

    Returns
    -------
    float32 array of shape (n_samples,)
    """
    if isinstance(clip, (str, os.PathLike)):
        return read_audio(clip, sample_rate)
    if isinstance(clip, bytes):
        raise TypeError(f"{where} is bytes; give a path or an array of samples")
    samples = np.asarray(clip)
    if samples.ndim != 1:
        raise ValueError(
            f"{where} must be a path or a 1-D array of samples; got shape {samples.shape}"
        )
    if samples.dtype in _PCM_FULL_SCALE:
        samples = samples / np.float32(_PCM_FULL_SCALE[samples.dtype])
    elif samples.dtype.kind != "f":
        raise TypeError(
            f"{where} has samples of type {samples.dtype}; give floats between -1 and 1, "
            "or 16- or 32-bit integers"
        )
    if not len(samples):
        raise ValueError(f"{where} is empty: it has 0 samples")
    return np.ascontiguousarray(samples, dtype=np.float32)


def read_audio(
    path: str | os.PathLike[str],
    sample_rate: int,
    dtype: str = "float32",
    *,
    start: float = 0.0,
    stop: float | None = None,
) -> NDArray[np.floating]:
    """Read a file, or a part of it, as one channel at the given sample rate.

    WAV, FLAC, Ogg, MP3 and whatever else libsndfile reads; channels are averaged.

    Parameters
    ----------
    path : str or PathLike
    sample_rate : int
        In Hz; other rates are resampled.
    dtype : {"float32", "float64"}, default="float32"
    start, stop : float, default=0, None
        Of the part, in seconds; None: to the end.

    Returns
    -------
    array of shape (n_samples,)

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it cannot be read as audio or has no samples, or the part does not begin
        before it ends.
    """
    import soundfile

    name = os.fspath(path)
    if start < 0 or (stop is not None and stop <= start):
        raise ValueError(f"{name!r}: the part from {start} s to {stop} s cannot be read")
    with open_audio(path) as file:
        rate = file.samplerate
        first = min(round(start * rate), len(file))
        n_samples = -1 if stop is None else round(stop * rate) - first
        try:
            if first:
                file.seek(first)
            samples = file.read(n_samples, dtype=dtype, always_2d=True)
        except (soundfile.SoundFileError, OSError) as error:
            raise unreadable(name, error) from error
    if not len(samples):
        raise ValueError(f"{name!r} is empty: it has 0 samples")
    mono = samples.mean(axis=1) if samples.shape[1] > 1 else samples[:, 0]
    return resample(mono, rate, sample_rate)


def audio_duration(path: str | os.PathLike[str]) -> float:
    """Seconds in a file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no audio, or has no samples.
    """
    with open_audio(path) as file:
        if not len(file):
            raise ValueError(f"{os.fspath(path)!r} is empty: it has 0 samples")
        return len(file) / file.samplerate


def open_audio(path: str | os.PathLike[str]) -> Any:
    """Open a file for reading, as a :class:`soundfile.SoundFile`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no audio.

    Warns
    -----
    UserWarning
        If a WAV is shorter than its header says.
    """
    import soundfile

    name = os.fspath(path)
    if not os.path.exists(name):
        raise FileNotFoundError(f"No such audio file: {name!r}")
    try:
        file = soundfile.SoundFile(name)
    except (soundfile.SoundFileError, OSError, TypeError) as error:
        raise unreadable(name, error) from error
    _warn_if_cut_short(file)
    return file


def _warn_if_cut_short(file: Any) -> None:
    """libsndfile reads a WAV as far as it goes, and tells only its log that there was more."""
    told = re.search(r"^data : (\d+) \(should be (\d+)\)", file.extra_info, re.MULTILINE)
    # Programs that write into a pipe do not know the length, and promise the most there is.
    if told and int(told[2]) < int(told[1]) < _UNKNOWN_SIZE:
        warnings.warn(
            f"{file.name!r} is cut short: its header promises {told[1]} bytes of samples, "
            f"{told[2]} are there. What is there is used",
            stacklevel=2,  # one place, so that a file is told of once
        )


def unreadable(name: str, error: Exception) -> ValueError:
    """What to raise for a file that libsndfile gives up on."""
    return ValueError(
        f"{name!r} cannot be read as audio ({error}); WAV, FLAC, Ogg and MP3 are supported. "
        "Convert others first, with ffmpeg -i IN OUT.flac for example"
    )


def resample(samples: NDArray[np.floating], rate: int, sample_rate: int) -> NDArray[np.floating]:
    """Resample from `rate` to `sample_rate` (Hz) with librosa's default, high-quality soxr."""
    if rate == sample_rate:
        return samples
    import librosa

    return librosa.resample(samples, orig_sr=rate, target_sr=sample_rate)
