"""Decode a recording with libsndfile: all that can be read, even if its header is wrong."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from .._utils.interrupts import interrupts_wait
from .repair import Source, Spliced, end_of_part, endless_flac, ogg_has_end, source_at

# Number of samples, of all channels together, that are read at once. Memory thus does not grow
# with the number of channels or the sample rate.
BLOCK = 2**19
# Largest number of bytes that a decoder reads ahead.
_READ_AHEAD = 2**14
# Headers written without knowing the length claim about the largest possible one.
_UNKNOWN_LENGTH = 2**35
_UNKNOWN_SIZE = 2**31 - 2**16
# Number of preceding samples on which the decoded sound of an MP3 depends.
_RUN_UP = 11520
# Most samples of an Ogg page: 255 packets. Where libvorbis goes to a sample in the last page, it is
# wrong by as many samples as were cut off at the end.
_LAST_PAGE = 255 * 1024 + 2048
# Distances in seconds after damage at which reading is tried again.
_BEHIND = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Part:
    """A recording that begins at a byte of a file; most files are a single recording.

    Parameters
    ----------
    file : binary file, unbuffered
    name : str
        Name of the file, for errors and warnings.
    start : int, default=0
        Byte at which the recording begins.

    Raises
    ------
    ValueError
        If the file is not audio.
    """

    def __init__(self, file: BinaryIO, name: str, start: int = 0):
        self.name = name
        self.start = start
        self._file = file
        try:
            self._source = source_at(file, start)
        except ValueError as error:
            raise ValueError(f"{name!r} cannot be read as audio: {error}") from error
        self._used = self._is_all = self._is_bounded = False
        self._sound = self._decoder()
        self.sample_rate: int = self._sound.samplerate
        self.n_channels: int = self._sound.channels
        self.holds_floats = self._sound.subtype in ("FLOAT", "DOUBLE")
        self._promised: int = self._sound.frames
        self._warn_of_header()

    def close(self) -> None:
        """Close the decoder, but leave the file open."""
        self._sound.close()

    def restart(self) -> None:
        """Go to the first sample, with a new decoder, as one that has failed stays broken."""
        if self._used:
            self._sound.close()
            self._sound = self._decoder()
            self._used = False

    @property
    def stop(self) -> int | None:
        """Byte at which the recording ends; None if that is not known before it is read."""
        return self._source.stop

    def samples(self, first: int, count: int, dtype: str) -> Iterator[NDArray[np.floating]]:
        """Yield blocks of all channels from sample `first` on, at most `count` samples in all."""
        # The recording may turn out to be longer than the header states.
        if not self._go_to(first) and not (first < self.length() and self._go_to(first)):
            return
        position, error = first, None
        while count > 0:
            # A decoder that is asked for more than it expects may read that and drop it.
            ahead = self._promised - position if self._promised > position else count
            most = max(1, BLOCK // self.n_channels)
            block, error = self._read(min(count, ahead, most), dtype)
            if not position and error is not None and not len(block):
                raise unreadable(self.name, error)
            if len(block):
                yield block
            count -= len(block)
            position += len(block)
            if not count:
                break
            if error is not None:
                behind = self._behind_damage(position)
                if behind is None:
                    break
                for size in _sizes(min(count, behind - position), BLOCK // self.n_channels):
                    yield np.zeros((size, self.n_channels), dtype)
                count -= min(count, behind - position)
                position = behind
            elif not len(block) and not self._goes_on(position):
                break
        if count > 0:
            self._warn_if_short(position)

    def length(self) -> int:
        """Return the number of samples that can be read: that of the header, if it is right."""
        if not 0 < self._promised < _UNKNOWN_LENGTH or not self._has_last_second():
            self.restart()
            return sum(map(len, self.samples(0, _UNKNOWN_LENGTH, "float32")))
        return self._promised

    def _decoder(self) -> Any:
        import soundfile

        source = self._source.file
        source.seek(0)
        try:
            # A descriptor needs neither callbacks into Python nor a file name in UTF-8.
            given = self._file.fileno() if source is self._file else source
            with self._undisturbed():
                return soundfile.SoundFile(given, closefd=False)
        except (soundfile.SoundFileError, OSError, TypeError) as error:
            raise unreadable(self.name, error) from error

    def _undisturbed(self) -> AbstractContextManager[None]:
        """Make Ctrl-C wait until libsndfile returns if it calls back into Python."""
        return interrupts_wait() if isinstance(self._source.file, Spliced) else nullcontext()

    def _has_last_second(self) -> bool:
        """Tell whether the recording ends where its header says, by reading its last second."""
        left = min(self._promised, self.sample_rate)
        if not self._sound.seekable() or not self._go_to(self._promised - left, exactly=False):
            return False
        while left:
            block, error = self._read(min(left, max(1, BLOCK // self.n_channels)), "float32")
            left -= len(block)
            if error is not None or not len(block):
                return False
        return not self._goes_on(self._promised)

    def _go_to(self, sample: int, exactly: bool = True) -> bool:
        """Make `sample` the next to be read; return False if the recording ends before it."""
        if not self._used and not sample:
            return True
        if self._sound.seekable():
            self._bound()
            run_up = self._run_up(sample, exactly)
            if self._seek(sample - run_up):
                return self._skip(run_up)
        self.restart()
        return self._skip(sample)

    def _run_up(self, sample: int, exactly: bool) -> int:
        """Return how many samples before this one have to be decoded, too, for it to be right."""
        if self._sound.format == "MP3":
            return min(sample, _RUN_UP)
        if self._sound.subtype == "VORBIS" and exactly:
            return max(0, min(sample, sample - self._sound.frames + _LAST_PAGE))
        return 0

    def _bound(self) -> None:
        """Hide recordings that follow in the file from the decoder, before it seeks."""
        if self._is_bounded:
            return
        self._is_bounded = True
        if self._source.stop is None:
            stop = end_of_part(self._file, self.start)
            if stop is not None:
                self._source = Source(Spliced(self._file, [(self.start, stop)]), stop)
                self._used = True
                self.restart()

    def _seek(self, sample: int) -> bool:
        import soundfile

        self._bound()
        self._used = True
        try:
            with self._undisturbed():
                return sample < self._sound.frames and self._sound.seek(sample) == sample
        except soundfile.SoundFileError:
            return False

    def _skip(self, count: int) -> bool:
        while count > 0:
            block, error = self._read(min(count, max(1, BLOCK // self.n_channels)), "float32")
            count -= len(block)
            if error is not None or not len(block):
                return False
        return True

    def _read(self, count: int, dtype: str) -> tuple[NDArray[np.floating], Exception | None]:
        """Read up to `count` samples of all channels; return them and the error that stopped it."""
        import soundfile

        self._used = True
        buffer = np.empty((count, self.n_channels), dtype)
        breaks_off = self._sound.format == "FLAC"
        if breaks_off:  # an error within a block leaves the samples before it in the buffer
            buffer.fill(np.nan)
        try:
            with self._undisturbed():
                return self._sound.read(out=buffer), None
        except (soundfile.SoundFileError, OSError) as error:
            unset = np.isnan(buffer).any(axis=1) if breaks_off else np.ones(count, bool)
            return buffer[: int(unset.argmax()) if unset.any() else count], error

    def _behind_damage(self, sample: int) -> int | None:
        """Go to the first sample that can be read after damage and return it; None if none can."""
        if self._sound.format != "FLAC" or not sample < self._promised < _UNKNOWN_LENGTH:
            return None
        for seconds in _BEHIND:
            behind = sample + round(seconds * self.sample_rate)
            self.restart()
            if self._seek(behind) and len(self._read(1, "float32")[0]):
                self._warn(
                    f"is damaged: silence takes the place of what lies from "
                    f"{sample / self.sample_rate:.2f} s to {behind / self.sample_rate:.2f} s"
                )
                return behind if self._seek(behind) else None
        return None

    def _goes_on(self, sample: int) -> bool:
        """Tell whether a FLAC continues after the end that its header states; go there if so."""
        n_behind = os.fstat(self._file.fileno()).st_size - self._file.tell()
        if self._sound.format != "FLAC" or self._promised >= _UNKNOWN_LENGTH or self._is_all:
            return False
        self._is_all = True
        if n_behind < _READ_AHEAD or end_of_part(self._file, self.start) is not None:
            return False
        stated, self._source = self._source, endless_flac(self._file, self.start)
        self.restart()
        if self._go_to(sample) and len(self._read(1, "float32")[0]):
            self._warn(
                f"goes on behind the {sample / self.sample_rate:.2f} s that its header states"
            )
            self._promised = self._sound.frames
            return self._go_to(sample)
        self._source = stated
        self.restart()
        return False

    def _warn_if_short(self, n_samples: int) -> None:
        slack = _RUN_UP if self._sound.format == "MP3" else 0
        if n_samples + slack < self._promised < _UNKNOWN_LENGTH:
            self._warn(
                f"is cut short: its header promises {self._promised / self.sample_rate:.2f} s, "
                f"{n_samples / self.sample_rate:.2f} s can be read. What is there is used"
            )

    def _warn_of_header(self) -> None:
        """Warn of errors of the header, of which libsndfile itself only writes to its log."""
        if self._sound.format == "OGG" and not self.start and not ogg_has_end(self._file):
            self._warn(
                "seems to be cut short: its last page is not marked as the "
                "last one. All of it is used"
            )
        if self._source.repaired:
            self._warn(self._source.repaired)
        told = re.search(r"^data : (\d+) \(should be (\d+)\)", self._sound.extra_info, re.MULTILINE)
        # Programs that write to a pipe do not know the length and state the largest possible one.
        if told and int(told[2]) < int(told[1]) < _UNKNOWN_SIZE:
            self._warn(
                f"is cut short: its header promises {told[1]} bytes of samples, {told[2]} are "
                "there. What is there is used"
            )

    def _warn(self, text: str) -> None:
        # Located in this module and not in calling code, so that Python shows each warning once.
        warnings.warn(f"{self.name!r} {text}", stacklevel=2)


def _sizes(count: int, most: int) -> Iterator[int]:
    """Split `count` into pieces of at most `most`."""
    while count > 0:
        yield min(count, max(1, most))
        count -= max(1, most)


def unreadable(name: str, error: Exception) -> ValueError:
    """Make the error for a file that libsndfile cannot read."""
    told = str(getattr(error, "error_string", error))
    if told.startswith("File does not exist"):  # which is wrong, as it was opened before
        told = "it begins as an MP3, but has no sound that can be decoded"
    return ValueError(
        f"{name!r} cannot be read as audio ({told}); WAV, FLAC, Ogg and MP3 are supported. "
        "Convert others first, with ffmpeg -i IN OUT.flac for example"
    )
