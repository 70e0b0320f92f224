"""Read recordings on disk in blocks; all other code reads audio through this module."""

from __future__ import annotations

import math
import os
import stat
import sys
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal, cast

import numpy as np
from numpy.typing import NDArray

from .media import MediaPart, has_av, is_media
from .parts import Part
from .repair import next_start

# Lowest and highest plausible sample rate of a recording in Hz. A header that claims another is
# broken, and resampling from 1 Hz would fill the disk.
RATES = (100, 10_000_000)
# The average of channels is lost if it has less than this part of their power, in at least so many
# samples.
_CANCELLED, _FEWEST_SAMPLES = 1e-3, 1000
# The power of a window of louder samples would overflow a 32-bit float.
_LOUDEST = 1e14


class AudioFile:
    """A recording on disk, read in blocks and averaged over channels.

    Reading goes to the real end of the file, as headers may state a wrong length: a file that
    is cut short gives the samples that are there, and recordings that were joined into one file
    are read one after the other. Use it as a context manager, or close it.

    Parameters
    ----------
    path : str or PathLike
        File in WAV, FLAC, Ogg, MP3 or any other format that libsndfile reads; with PyAV (the
        extra ``media``) also M4A, MP4, MOV, WebM, 3GP, AAC, WMA and the sound of other videos.

    Attributes
    ----------
    name : str
        The path.
    sample_rate : int
        Sample rate in Hz.
    n_channels : int
    holds_floats : bool
        Whether samples are stored as floating-point numbers, which may be NaN.
    n_read : int
        Number of samples of each channel in the blocks so far; the length of the recording
        once it has been read from start to end.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not audio, or not a regular file but, for example, a pipe.

    Examples
    --------
    >>> with AudioFile("night.flac") as recording:  # doctest: +SKIP
    ...     for block in recording.blocks():
    ...         print(block.shape, block.dtype)
    (524288,) float32
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.name = os.fsdecode(path)
        self.n_read = 0
        self._is_cancelled = False  # there was a warning of that
        self._file = _open(self.name)
        try:
            self._first: Part | MediaPart = self._decoder()
        except BaseException:
            self._file.close()
            raise
        self.sample_rate = self._first.sample_rate
        self.n_channels = self._first.n_channels
        self.holds_floats = self._first.holds_floats
        if not RATES[0] <= self.sample_rate <= RATES[1]:
            self.close()
            raise ValueError(
                f"{self.name!r} claims a sample rate of {self.sample_rate} Hz, which no recording "
                f"has ({RATES[0]} to {RATES[1]} Hz are taken): its header is broken"
            )

    def _decoder(self) -> Part | MediaPart:
        """Return a decoder of libsndfile or, if that cannot read the file, of FFmpeg."""
        try:
            return Part(self._file, self.name)
        except ValueError as error:
            self._file.seek(0)
            if has_av():
                return _with_both_errors(self._file, self.name, error)
            if is_media(self.name, self._file.read(12)):
                raise ValueError(
                    f"{self.name!r} needs PyAV (the extra 'media') to be read: pip install av. Or "
                    "convert it first, with ffmpeg -i IN OUT.flac for example"
                ) from error
            raise

    def __enter__(self) -> AudioFile:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._first.close()
        self._file.close()

    def blocks(
        self,
        start: float = 0.0,
        stop: float | None = None,
        dtype: Literal["float32", "float64"] = "float32",
    ) -> Iterator[NDArray[np.floating]]:
        """Read the recording or a part of it, averaged over channels.

        Parameters
        ----------
        start, stop : float, default=0, None
            Begin and end of the part in seconds; None reads to the end.
        dtype : {"float32", "float64"}, default="float32"

        Yields
        ------
        array of shape (n_samples_i,)
            Consecutive samples. No block is empty, and none has more than 2**19 samples, all
            channels counted.

        Raises
        ------
        ValueError
            If nothing at all can be read.

        Warns
        -----
        UserWarning
            If there is less audio than the header promises, if a part cannot be read, or if
            channels cancel each other out.
        """
        skip = round(start * self.sample_rate)
        left = sys.maxsize if stop is None else round(stop * self.sample_rate) - skip
        self.n_read = 0
        for part in self._parts():
            n_before = self.n_read
            for samples in part.samples(skip, left, dtype):
                self.n_read += len(samples)
                left -= len(samples)
                yield self._averaged(samples)
            if left <= 0:
                return
            skip = 0 if self.n_read > n_before or not skip else max(0, skip - part.length())

    def _averaged(self, samples: NDArray[np.floating]) -> NDArray[np.floating]:
        if samples.shape[1] == 1:
            return samples[:, 0]
        mean = samples.mean(axis=1)
        if not self._is_cancelled:
            self._is_cancelled = warn_if_cancelled(samples, mean, repr(self.name))
        return mean

    def duration(self) -> float:
        """Return the seconds of audio that can be read, which may differ from the header.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If nothing can be read.
        """
        n_samples = sum(part.length() for part in self._parts())
        if not n_samples:
            raise ValueError(f"{self.name!r} is empty: it has 0 samples")
        return n_samples / self.sample_rate

    def _parts(self) -> Iterator[Part | MediaPart]:
        """Yield the recording and any joined to it, each after the one before has been read."""
        part: Part | MediaPart = self._first
        part.restart()
        yield part
        while (start := next_start(self._file, part.start, part.stop)) is not None:
            try:
                following = Part(self._file, self.name, start)
            except ValueError as error:
                _warn(f"{error}: what lies in it from byte {start} on is left out")
                return
            if part is not self._first:
                part.close()
            part = following
            if part.sample_rate == self.sample_rate:
                yield part
            else:
                _warn(
                    f"{self.name!r} goes on at another sample rate, {part.sample_rate} Hz "
                    f"instead of {self.sample_rate} Hz: the "
                    f"{part.length() / part.sample_rate:.2f} s there are left out"
                )
        if part is not self._first:
            part.close()


def _with_both_errors(file: BinaryIO, name: str, error: ValueError) -> MediaPart:
    try:
        return MediaPart(file, name)
    except ValueError as other:
        is_ours = is_media(name, b"")
        raise (other if is_ours else error) from other


def warn_if_cancelled(samples: NDArray[np.floating], mean: NDArray[np.floating], name: str) -> bool:
    """Warn if the mean of the channels has all but nothing of what each of them has.

    Parameters
    ----------
    samples : array of shape (n_samples, n_channels)
    mean : array of shape (n_samples,)
    name : str
        The recording.

    Returns
    -------
    bool
        Whether there was a warning.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        power = np.vdot(samples, samples) / samples.shape[1]
        is_lost = len(mean) >= _FEWEST_SAMPLES and np.vdot(mean, mean) < _CANCELLED * power
    if is_lost:
        _warn(
            f"{name}: channels cancel each other out, as if one were wired the wrong way round, "
            "so that their average is all but silent. Convert one of them: ffmpeg -i IN -af "
            '"pan=mono|c0=c0" OUT.flac'
        )
    return bool(is_lost)


def _warn(text: str) -> None:
    # Located in this module and not in calling code, so that Python shows each warning once.
    warnings.warn(text, stacklevel=2)


def open_audio(path: str | os.PathLike[str]) -> AudioFile:
    """Open a recording to read it in blocks; see :class:`AudioFile`."""
    return AudioFile(path)


def read_audio(
    path: str | os.PathLike[str],
    sample_rate: int,
    dtype: Literal["float32", "float64"] = "float32",
    *,
    start: float = 0.0,
    stop: float | None = None,
) -> NDArray[np.floating]:
    """Read a file, or a part of it, as one channel at the given sample rate.

    It reads WAV, FLAC, Ogg, MP3 and any other format of libsndfile, and with PyAV (the extra
    ``media``) M4A, MP4, MOV, WebM, AAC, WMA and the like. Channels are averaged.

    Parameters
    ----------
    path : str or PathLike
    sample_rate : int
        Sample rate of the result in Hz; files of other rates are resampled.
    dtype : {"float32", "float64"}, default="float32"
    start, stop : float, default=0, None
        Begin and end of the part in seconds; None reads to the end.

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

    Warns
    -----
    UserWarning
        If there is less than the header promises.
    """
    name = os.fsdecode(path)
    if start < 0 or (stop is not None and stop <= start):
        raise ValueError(f"{name!r}: the part from {start} s to {stop} s cannot be read")
    samples = np.empty(0, dtype)
    with AudioFile(path) as file:
        for block in file.blocks(start, stop, dtype):
            # The array grows in place, as the header may state a wrong length.
            samples.resize(len(samples) + len(block), refcheck=False)
            samples[-len(block) :] = block
    if not len(samples):
        if start:
            raise ValueError(f"{name!r} ends before the part from {start:g} s on begins")
        raise ValueError(f"{name!r} is empty: it has 0 samples")
    return resample(samples, file.sample_rate, sample_rate)


def audio_duration(path: str | os.PathLike[str]) -> float:
    """Return the seconds of audio in a file that can be read.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not audio, or has no samples.
    """
    with AudioFile(path) as file:
        return file.duration()


def check_audio(path: str | os.PathLike[str]) -> float:
    """Check that features can be computed of all of a file, and return its seconds of audio.

    If samples are stored as floating-point numbers, which may be NaN, all of them are read.

    Parameters
    ----------
    path : str or PathLike

    Returns
    -------
    float

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not audio, has no samples, or has samples that are infinite, NaN or far too
        large; the message says where.
    """
    with AudioFile(path) as file:
        if not file.holds_floats:
            return file.duration()
        for block in file.blocks():
            wrong = ~(np.abs(block) < _LOUDEST)
            if wrong.any():
                place = (file.n_read - len(block) + int(wrong.argmax())) / file.sample_rate
                what = "too large" if np.isfinite(block[wrong.argmax()]) else "NaN or infinite"
                raise ValueError(
                    f"{file.name!r} has samples that are {what}, the first at {place:.2f} s; "
                    "samples must be finite, and are usually between -1 and 1"
                )
        if not file.n_read:
            raise ValueError(f"{file.name!r} is empty: it has 0 samples")
        return file.n_read / file.sample_rate


def _open(name: str) -> BinaryIO:
    """Open a regular file; nothing else, as a pipe without a writer would wait forever."""
    try:
        state = os.stat(name)
        if not stat.S_ISREG(state.st_mode):
            kind = "folder" if stat.S_ISDIR(state.st_mode) else "pipe, socket or device"
            raise ValueError(f"{name!r} cannot be read as audio: it is a {kind}, not a file")
        if not state.st_size:
            raise ValueError(f"{name!r} is empty: it has 0 bytes")
        return cast(BinaryIO, open(name, "rb", buffering=0))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"No such audio file: {name!r}") from error
    except OSError as error:
        raise OSError(f"{name!r} cannot be read: {error.strerror}") from error


def resample(samples: NDArray[np.floating], rate: float, sample_rate: int) -> NDArray[np.floating]:
    """Resample from `rate` to `sample_rate` (Hz) with librosa's default, high-quality soxr."""
    if rate == sample_rate:
        return samples
    import soxr

    n_samples = math.ceil(len(samples) * sample_rate / rate)
    resampled = soxr.resample(samples, rate, sample_rate, quality="HQ")[:n_samples]
    return np.pad(resampled, (0, n_samples - len(resampled)))
