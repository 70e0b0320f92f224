"""Recordings on disk: the one reader of blocks that everything else reads through."""

from __future__ import annotations

import os
import re
import stat
import sys
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

# Samples of all channels together that are read at once: memory does not grow with the
# number of channels or the sample rate.
_BLOCK = 2**19
# What can be the sample rate of a recording, in Hz. A header that claims another is broken,
# and resampling from 1 Hz would fill the disk.
_RATES = (100, 10_000_000)
# A header that does not know its length claims the most there is, or nearly.
_UNKNOWN_LENGTH = 2**35
_UNKNOWN_SIZE = 2**31 - 2**16


class AudioFile:
    """A recording on disk, read in blocks of one channel.

    Headers lie about lengths, so blocks go to the real end: a file that is cut short gives
    what is there. Use it as a context manager, or close it.

    Parameters
    ----------
    path : str or PathLike
        WAV, FLAC, Ogg, MP3 or whatever else libsndfile reads.

    Attributes
    ----------
    name : str
        The path.
    sample_rate : int
        In Hz.
    n_channels : int
    n_read : int
        Samples of each channel that the blocks given so far have had; at the end of a
        recording read from its start, its length.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no audio, or no file that can be read more than once, as a pipe.

    Examples
    --------
    >>> with AudioFile("night.flac") as recording:  # doctest: +SKIP
    ...     for block in recording.blocks():
    ...         print(block.shape, block.dtype)
    (524288,) float32
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.name = os.fspath(path)
        self.n_read = 0
        self._start()
        _warn_if_wav_cut_short(self.name, self._file.extra_info)

    def _start(self) -> None:
        import soundfile

        self._opened = _open(self.name)
        try:
            # By descriptor: names need not be UTF-8, which libsndfile insists on.
            self._file = soundfile.SoundFile(self._opened.fileno(), closefd=False)
        except (soundfile.SoundFileError, OSError, TypeError) as error:
            self._opened.close()
            raise unreadable(self.name, error) from error
        self.sample_rate: int = self._file.samplerate
        self.n_channels: int = self._file.channels
        if not _RATES[0] <= self.sample_rate <= _RATES[1]:
            self.close()
            raise ValueError(
                f"{self.name!r} claims a sample rate of {self.sample_rate} Hz, which no recording "
                f"has ({_RATES[0]} to {_RATES[1]} Hz are taken): its header is broken"
            )

    def __enter__(self) -> AudioFile:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._opened.close()

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
            Of the part, in seconds; None: to the end.
        dtype : {"float32", "float64"}, default="float32"

        Yields
        ------
        array of shape (n_samples_i,)
            None is empty; together with all channels none has more than 2**19 samples.

        Raises
        ------
        ValueError
            If nothing at all can be read.

        Warns
        -----
        UserWarning
            If there is less than the header promises.
        """
        first = round(start * self.sample_rate)
        left = sys.maxsize if stop is None else round(stop * self.sample_rate) - first
        self.n_read = 0
        reached = self._go_to(first)
        while reached and left > 0:
            samples, error = self._read(min(left, max(1, _BLOCK // self.n_channels)), dtype)
            if error is not None and not (first or self.n_read or len(samples)):
                raise unreadable(self.name, error)
            if len(samples):
                self.n_read += len(samples)
                left -= len(samples)
                yield samples.mean(axis=1) if samples.shape[1] > 1 else samples[:, 0]
            if error is not None or not len(samples):
                break
        if left > 0:
            self._warn_if_cut_short(first + self.n_read)

    def duration(self) -> float:
        """Seconds that can be read, which may be less than the header says.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If nothing can be read.
        """
        n_samples = self._file.frames
        if not 0 < n_samples < _UNKNOWN_LENGTH or not self._has_last_second():
            self.close()
            self._start()  # a decoder that has failed stays broken
            for _ in self.blocks():
                pass
            n_samples = self.n_read
        if not n_samples:
            raise ValueError(f"{self.name!r} is empty: it has 0 samples")
        return n_samples / self.sample_rate

    def _has_last_second(self) -> bool:
        """Whether the header's length is right, for all that is to be seen at its end."""
        n_samples = self._file.frames
        left = min(n_samples, self.sample_rate)
        if not self._file.seekable() or not self._go_to(n_samples - left):
            return False
        while left:
            samples, error = self._read(min(left, max(1, _BLOCK // self.n_channels)), "float32")
            left -= len(samples)
            if error is not None or not len(samples):
                break
        return not left

    def _go_to(self, sample: int) -> bool:
        """Make `sample` the next to be read; False if the recording ends before."""
        import soundfile

        if self._file.seekable():
            try:
                return self._file.seek(sample) == sample if sample < self._file.frames else False
            except soundfile.SoundFileError:
                return False
        while sample > 0:
            samples, error = self._read(min(sample, max(1, _BLOCK // self.n_channels)), "float32")
            sample -= len(samples)
            if error is not None or not len(samples):
                return False
        return True

    def _read(self, n_samples: int, dtype: str) -> tuple[NDArray[np.floating], Exception | None]:
        """What can be read of the next samples of all channels, and the error behind it."""
        import soundfile

        # Where decoding breaks off, what came before lies in the buffer.
        buffer = np.full((n_samples, self.n_channels), np.nan, dtype)
        try:
            return self._file.read(out=buffer), None
        except (soundfile.SoundFileError, OSError) as error:
            unset = np.isnan(buffer).any(axis=1)
            return buffer[: int(unset.argmax()) if unset.any() else n_samples], error

    def _warn_if_cut_short(self, n_samples: int) -> None:
        promised = self._file.frames
        # Lengths of MP3 are estimates where the file does not state them.
        slack = self.sample_rate // 4 + promised // 100 if self._file.format == "MP3" else 0
        if n_samples + slack < promised < _UNKNOWN_LENGTH:
            warnings.warn(
                f"{self.name!r} is cut short or damaged: its header promises "
                f"{promised / self.sample_rate:.2f} s, {n_samples / self.sample_rate:.2f} s can "
                "be read. What is there is used",
                stacklevel=2,  # one place, so that a file is told of once
            )


def _warn_if_wav_cut_short(name: str, log: str) -> None:
    """libsndfile reads a WAV as far as it goes, and tells only its log that there was more."""
    told = re.search(r"^data : (\d+) \(should be (\d+)\)", log, re.MULTILINE)
    # Programs that write into a pipe do not know the length, and promise the most there is.
    if told and int(told[2]) < int(told[1]) < _UNKNOWN_SIZE:
        warnings.warn(
            f"{name!r} is cut short: its header promises {told[1]} bytes of samples, {told[2]} "
            "are there. What is there is used",
            stacklevel=2,
        )


def open_audio(path: str | os.PathLike[str]) -> AudioFile:
    """Open a recording to read its blocks: see :class:`AudioFile`."""
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

    Warns
    -----
    UserWarning
        If there is less than the header promises.
    """
    name = os.fspath(path)
    if start < 0 or (stop is not None and stop <= start):
        raise ValueError(f"{name!r}: the part from {start} s to {stop} s cannot be read")
    samples = np.empty(0, dtype)
    with AudioFile(path) as file:
        for block in file.blocks(start, stop, dtype):
            # Grows in place: the header does not say for certain how much there will be.
            samples.resize(len(samples) + len(block), refcheck=False)
            samples[-len(block) :] = block
    if not len(samples):
        raise ValueError(f"{name!r} is empty: it has 0 samples")
    return resample(samples, file.sample_rate, sample_rate)


def audio_duration(path: str | os.PathLike[str]) -> float:
    """Seconds in a file, as far as it can be read.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no audio, or has no samples.
    """
    with AudioFile(path) as file:
        return file.duration()


def _open(name: str) -> BinaryIO:
    """The file, if it is a regular one: a pipe without a writer would wait for ever."""
    try:
        mode = os.stat(name).st_mode
        if not stat.S_ISREG(mode):
            kind = "folder" if stat.S_ISDIR(mode) else "pipe, socket or device"
            raise ValueError(f"{name!r} cannot be read as audio: it is a {kind}, not a file")
        return open(name, "rb", buffering=0)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"No such audio file: {name!r}") from error
    except OSError as error:
        raise OSError(f"{name!r} cannot be read: {error.strerror}") from error


def unreadable(name: str, error: Exception) -> ValueError:
    """What to raise for a file that libsndfile gives up on."""
    told = getattr(error, "error_string", error)
    return ValueError(
        f"{name!r} cannot be read as audio ({told}); WAV, FLAC, Ogg and MP3 are supported. "
        "Convert others first, with ffmpeg -i IN OUT.flac for example"
    )


def resample(samples: NDArray[np.floating], rate: int, sample_rate: int) -> NDArray[np.floating]:
    """Resample from `rate` to `sample_rate` (Hz) with librosa's default, high-quality soxr."""
    if rate == sample_rate:
        return samples
    import librosa

    return librosa.resample(samples, orig_sr=rate, target_sr=sample_rate)
