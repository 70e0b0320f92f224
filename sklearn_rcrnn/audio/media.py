"""Decode files that libsndfile cannot read, for example videos, with FFmpeg through PyAV."""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from .._utils.files import VIDEO

# Approximate number of samples, of all channels together, in a block.
_BLOCK = 2**17
# FFmpeg guesses the format. These formats begin with a clear signature and are always allowed;
# the others only by file name. Playlists are never allowed, as they could name other files.
_CERTAIN = (
    *("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "asf", "avi", "flv", "mpegts", "mpeg", "caf"),
    *("amr", "ape", "wv", "tta", "mpc", "mpc8", "rm", "dsf", "iff", "ogg", "wav", "w64", "aiff"),
    *("au", "tak", "oma", "voc", "nut"),
)
_BY_NAME = {".aac": "aac", ".ac3": "ac3", ".eac3": "eac3", ".dts": "dts", ".mpc": "mpc"}
_CUT = (
    "it was cut short: the index at its end, without which nothing of an m4a or mp4 can be read, "
    "is missing. Copy or record it again"
)
# Decoding begins this many seconds before the wanted place, so that the codec has settled there.
_RUN_UP = 0.5


def is_media(name: str, begin: bytes) -> bool:
    """Tell by its name or first bytes whether PyAV may be able to read a file."""
    return name.lower().endswith(VIDEO) or begin[4:8] == b"ftyp" or begin[:4] == b"\x1aE\xdf\xa3"


def has_av() -> bool:
    """Tell whether PyAV is installed."""
    return find_spec("av") is not None


class _Source:
    """A file that accepts any seek, as FFmpeg seeks to before the start of broken files."""

    def __init__(self, file: BinaryIO, name: str):
        self.name = name
        self.read = file.read
        self.tell = file.tell
        self._file = file

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self._file.seek(offset, whence)
        except OSError:
            return self._file.seek(0, os.SEEK_END)


class MediaPart:
    """A recording that FFmpeg decodes, with the interface of :class:`Part`.

    Parameters
    ----------
    file : binary file
    name : str
        Name of the file, for errors and warnings.

    Raises
    ------
    ValueError
        If the file has no sound that can be decoded.
    """

    start = 0

    def __init__(self, file: BinaryIO, name: str):
        self.name = name
        self.stop = os.fstat(file.fileno()).st_size
        self._file = file
        self._length: int | None = None
        self._began: float | None = None  # time of the first frame, which need not be 0
        self._container: Any = None
        self.restart()
        self.sample_rate: int = self._stream.rate or 0
        self.n_channels: int = self._stream.layout.nb_channels
        self.holds_floats = self._stream.codec_context.name.startswith("pcm_f")
        if not self.n_channels or not self.sample_rate:
            self.close()
            raise ValueError(f"{name!r} cannot be read as audio: it has no channels or no rate")
        duration = self._stream.duration
        self._promised = 0
        if duration:
            self._promised = int(duration * self._stream.time_base * self.sample_rate)

    def close(self) -> None:
        """Close the decoder, but leave the file open."""
        if self._container is not None:
            self._container.close()

    def restart(self) -> None:
        """Go to the first sample, with a new decoder."""
        import av

        self.close()
        self._file.seek(0)
        own = [form for suffix, form in _BY_NAME.items() if self.name.lower().endswith(suffix)]
        names = ",".join([*_CERTAIN, *own])
        try:
            source = _Source(self._file, self.name)
            self._container = av.open(source, options={"format_whitelist": names})
            streams = self._container.streams.audio
        except Exception as error:  # of many types, OSError and ValueError among them
            told = _told(error) if _has_index(self._file) else _CUT
            raise ValueError(f"{self.name!r} cannot be read as audio ({told})") from error
        known = [stream for stream in streams if stream.codec_context is not None]
        if not known:
            self.close()
            what = "the codec of its sound is not known" if streams else "there is no sound in it"
            raise ValueError(f"{self.name!r} cannot be read as audio: {what}")
        self._stream = known[0]
        self._interleaved = av.AudioResampler("flt", self._stream.layout, self._stream.rate)

    def length(self) -> int:
        """Return the number of samples that can be read; the first call decodes all of them."""
        if self._length is None:
            self.restart()
            self._length = sum(map(len, self._decoded("float32")))
        return self._length

    def samples(self, first: int, count: int, dtype: str) -> Iterator[NDArray[np.floating]]:
        """Yield blocks of all channels from sample `first` on, at most `count` samples in all."""
        self.restart()
        blocks = self._decoded(dtype, first) if first else self._decoded(dtype)
        for block in blocks:
            if count <= 0:
                return
            yield block[:count]
            count -= len(block)

    def _decoded(self, dtype: str, first: int = 0) -> Iterator[NDArray[np.floating]]:
        """Yield blocks of shape (n_samples_i, n_channels) from sample `first` on."""
        pending: list[NDArray[Any]] = []
        n_pending = 0
        position: int | None = None
        for frame in self._frames(first):
            if position is None:
                position = self._place(frame) if first else 0
            samples = self._float(frame)
            skipped = min(max(0, first - position), len(samples))
            position += len(samples)
            if skipped < len(samples):
                pending.append(samples[skipped:])
                n_pending += len(samples) - skipped
            if n_pending * self.n_channels >= _BLOCK:
                yield np.concatenate(pending).astype(dtype)
                pending, n_pending = [], 0
        if pending:
            yield np.concatenate(pending).astype(dtype)

    def _float(self, frame: Any) -> NDArray[np.float32]:
        """Convert a frame to samples between -1 and 1, of shape (n_samples, n_channels)."""
        import av

        try:
            # Interleaved samples, as PyAV reads beyond the planes of more than eight channels.
            parts = self._interleaved.resample(frame)
        except (av.error.FFmpegError, ValueError) as error:
            self._warn(
                f"changes its format, and sound that cannot be converted is left out: {error}"
            )
            return np.empty((0, self.n_channels), np.float32)
        joined = [part.to_ndarray().reshape(-1, self.n_channels) for part in parts]
        return np.concatenate(joined) if joined else np.empty((0, self.n_channels), np.float32)

    def _frames(self, first: int) -> Iterator[Any]:
        """Yield the frames from shortly before a sample on, without those that are damaged."""
        import av

        if first and not self._seek(first):
            self.restart()
        seconds = 0.0
        try:
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except av.error.FFmpegError as error:
                    self._warn(f"is damaged about {seconds:.2f} s: {_told(error)}")
                    continue
                for frame in frames:
                    seconds = frame.time or seconds
                    yield frame
        except (av.error.FFmpegError, OSError) as error:
            self._warn(f"is cut short at about {seconds:.2f} s: {_told(error)}")
            return
        promised = self._promised / max(1, self.sample_rate)
        if seconds < promised - 1:
            self._warn(
                f"is cut short: its header promises {promised:.2f} s, about {seconds:.2f} s can "
                "be read. What is there is used"
            )

    def _seek(self, first: int) -> bool:
        import av

        try:
            if self._began is None:
                frames = self._container.decode(self._stream)
                self._began = next((frame.time for frame in frames), None)
            if self._began is None:
                return False
            at = max(0.0, first / self.sample_rate - _RUN_UP) + self._began
            self._container.seek(int(at / self._stream.time_base), stream=self._stream)
        except (av.error.FFmpegError, OSError):
            return False
        return True

    def _place(self, frame: Any) -> int:
        """Return the sample at which a frame begins; 0 if the frame has no time."""
        if frame.time is None:
            return 0
        return max(0, round((frame.time - (self._began or 0.0)) * self.sample_rate))

    def _warn(self, text: str) -> None:
        warnings.warn(f"{self.name!r} {text}", stacklevel=2)


def _has_index(file: BinaryIO) -> bool:
    """Tell whether a file is no MP4 (or M4A, 3GP) that lacks its index or a part of it."""
    size = os.fstat(file.fileno()).st_size
    place = 0
    while place + 8 <= size:
        file.seek(place)
        length, kind = struct.unpack(">I4s", file.read(8))
        if not place and kind != b"ftyp":
            return True
        if kind == b"moov":
            return place + length <= size
        if length == 1:  # the length follows in 64 bits
            length = struct.unpack(">Q", file.read(8).ljust(8, b"\0"))[0]
        if length < 8:
            break
        place += length
    return False


def _told(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
