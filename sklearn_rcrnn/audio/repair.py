"""Make libsndfile read files with wrong headers, and files that were joined into one.

libsndfile trusts the lengths in headers, and of files that were joined it reads only the first.
Therefore, it is given a corrected header if that of a file states too little. The file itself
is not changed.
"""

from __future__ import annotations

import io
import mmap
import os
import struct
from typing import BinaryIO, NamedTuple

from . import mp3

# Largest number of bytes that headers take, and that decoders read ahead.
AHEAD = 2**17
# Fewer bytes than this after the samples of a WAV that are no chunks are not samples either.
_JUNK = 4096
# Programs that cannot know the length write about the largest possible one.
_UNKNOWN = 2**31 - 2**16
_UNFINISHED = "has a broken header: it says that there are no samples; what is there is used"


class Spliced(io.RawIOBase):
    """A readable file that is made up of given bytes and of ranges of another file.

    Parameters
    ----------
    file : binary file
        The other file; reading changes its position.
    pieces : list of bytes or (start, stop)
        Bytes and ranges of the other file, in order.
    """

    def __init__(self, file: BinaryIO, pieces: list[bytes | tuple[int, int]]):
        super().__init__()
        self.name = getattr(file, "name", "")
        self._file = file
        self._pieces = pieces
        self._ends: list[int] = []
        for piece in pieces:
            length = len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]
            self._ends.append((self._ends[-1] if self._ends else 0) + length)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = (0, self._position, self._ends[-1])[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def, override]
        wanted = memoryview(buffer)
        n_read = 0
        for piece, end in zip(self._pieces, self._ends, strict=True):
            while self._position < end and n_read < len(wanted):
                length = len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]
                offset = length - (end - self._position)
                n_bytes = min(len(wanted) - n_read, end - self._position)
                if isinstance(piece, bytes):
                    data = piece[offset : offset + n_bytes]
                else:
                    self._file.seek(piece[0] + offset)
                    data = self._file.read(n_bytes)
                if not data:
                    return n_read
                wanted[n_read : n_read + len(data)] = data
                n_read += len(data)
                self._position += len(data)
        return n_read


class Source(NamedTuple):
    """The input that libsndfile is given.

    Attributes
    ----------
    file : binary file or Spliced
    stop : int or None
        Byte of the file at which the recording ends; None if that is known only after reading.
    repaired : str or None
        Description of the repair, as the end of a sentence that begins with the file name.
    """

    file: BinaryIO | Spliced
    stop: int | None
    repaired: str | None = None


def source_at(file: BinaryIO, start: int) -> Source:
    """Return the input for libsndfile for the recording that begins at this byte of a file."""
    size = os.fstat(file.fileno()).st_size
    file.seek(start)
    begin = file.read(12)
    source = Source(file if not start else Spliced(file, [(start, size)]), None)
    if begin[:4] in (b"RIFF", b"RF64") and begin[8:] == b"WAVE":
        source = _wav(file, start, size, begin[:4] == b"RF64")
    elif begin[:4] == b".snd" and begin[8:] == bytes(4):
        unknown: list[bytes | tuple[int, int]] = [begin[:8] + b"\xff" * 4, (start + 12, size)]
        source = Source(Spliced(file, unknown), size, _UNFINISHED)
    elif begin[:4] == b"FORM" and begin[8:] in (b"AIFF", b"AIFC"):
        source = _aiff(file, start, size) or source
    elif begin[:3] == b"ID3" or begin[:1] == b"\xff":
        layout = mp3.layout(file, start)
        source = source._replace(stop=size)
        if layout is not None:
            whole = Spliced(file, [layout.header, *layout.ranges])
            source = Source(whole, size, layout.repaired)
    file.seek(start)
    return source


def endless_flac(file: BinaryIO, start: int) -> Source:
    """Return a FLAC without the length in its header, so that all of it is read."""
    size = os.fstat(file.fileno()).st_size
    file.seek(start)
    header = bytearray(file.read(26))
    header[21] &= 0xF0
    header[22:] = bytes(4)
    return Source(Spliced(file, [bytes(header), (start + 26, size)]), None)


def next_start(file: BinaryIO, start: int, stop: int | None) -> int | None:
    """Find where the next recording begins in files that were joined; None if there is none.

    Parameters
    ----------
    file : binary file
        The file; if `stop` is None, its position must be about where the recording ends.
    start : int
        Byte at which the recording that was read begins.
    stop : int or None
        Byte at which that recording ends, if known.
    """
    if stop is not None:
        return stop if stop < os.fstat(file.fileno()).st_size else None
    position = file.tell()
    file.seek(start)
    magic = file.read(4)
    file.seek(position)  # the decoder shares this position
    return _following(file, magic, start, position - AHEAD)


def end_of_part(file: BinaryIO, start: int) -> int | None:
    """Find where the recording after the one at `start` begins; None if there is none.

    The whole file is searched, however much of it has been read, and the process remembers the
    result. Without this limit, a decoder that seeks could end up in another recording.
    """
    status = os.fstat(file.fileno())
    key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, start)
    if key not in _ENDS:
        position = file.tell()
        file.seek(start)
        magic = file.read(4)
        file.seek(position)
        if len(_ENDS) >= 10_000:
            _ENDS.clear()
        _ENDS[key] = _following(file, magic, start, start)
    return _ENDS[key]


_ENDS: dict[tuple[int, ...], int | None] = {}


def _following(file: BinaryIO, magic: bytes, start: int, position: int) -> int | None:
    """Find the next recording of the same format: a FLAC from `position` on, or an Ogg."""
    if magic not in (b"OggS", b"fLaC"):
        return None
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if magic == b"OggS":
            return _next_ogg(data, start)
        place = max(start + 4, position)
        while (place := data.find(magic, place)) >= 0:
            # A FLAC begins with a block of 34 bytes that describes the stream; a flag in its
            # header says whether it is the only one.
            if data[place + 4 : place + 8] in (b"\0\0\0\x22", b"\x80\0\0\x22"):
                return place
            place += 4
    return None


def ogg_has_end(file: BinaryIO) -> bool:
    """Tell whether the last page of an Ogg file is marked as the last one of its stream."""
    position = file.tell()
    file.seek(max(0, os.fstat(file.fileno()).st_size - 2**17))  # no page is longer
    content = file.read()
    file.seek(position)
    last = content.rfind(b"OggS\0")
    return last < 0 or len(content) < last + 6 or bool(content[last + 5] & 4)


def _next_ogg(data: mmap.mmap, start: int) -> int | None:
    """Find where a new recording begins; the streams of one recording begin side by side."""
    is_within, place = False, start
    while (place := data.find(b"OggS\0", place)) >= 0 and place + 5 < len(data):
        begins = bool(data[place + 5] & 2)
        if begins and is_within:
            return place
        is_within |= not begins
        place += 5
    return None


def _aiff(file: BinaryIO, start: int, size: int) -> Source | None:
    """Repair an AIFF whose header was not completed after its samples; None if all is well."""
    begin, length = _chunks(file, start + 12, size, b"SSND", ">4sI").get(b"SSND", (size, 0))
    if length > 8 or size - begin <= _JUNK:
        return None
    n_bytes = struct.pack(">I", min(size - begin, 2**32 - 1))
    pieces: list[bytes | tuple[int, int]] = [(start, begin - 4), n_bytes, (begin, size)]
    return Source(Spliced(file, pieces), size, _UNFINISHED)


def _wav(file: BinaryIO, start: int, size: int, is_long: bool) -> Source:
    """Return a WAV, repaired if its header states fewer samples than there are."""
    chunks = _chunks(file, start + 12, size)
    whole: BinaryIO | Spliced = file if not start else Spliced(file, [(start, size)])
    begin, length = chunks.get(b"data", (size, 0))
    if is_long and length == 2**32 - 1 and chunks.get(b"ds64", (0, 0))[1] >= 16:
        file.seek(chunks[b"ds64"][0] + 8)
        length = struct.unpack("<Q", file.read(8))[0]
    if begin + length >= size:
        return Source(whole, size)
    for padding in {length % 2, 0}:
        stop = _end_of_chunks(file, begin + length + padding, size)
        if stop == size:
            return Source(whole, size)
        if stop is not None:
            return Source(Spliced(file, [(start, stop)]), stop)
    if length and size - begin - length < _JUNK:
        return Source(Spliced(file, [(start, begin + length)]), size)
    repaired = None
    if length < _UNKNOWN:
        repaired = (
            f"has a broken header: it says that {length} bytes of samples are there; "
            f"{size - begin} are, and are used"
        )
    return Source(Spliced(file, _wav_pieces(file, start, chunks, size, is_long)), size, repaired)


def _wav_pieces(
    file: BinaryIO, start: int, chunks: dict[bytes, tuple[int, int]], size: int, is_long: bool
) -> list[bytes | tuple[int, int]]:
    """Return the WAV with the right sizes, or an RF64 if they are too large for a WAV."""
    begin = chunks[b"data"][0]
    n_bytes = size - begin
    if not is_long and size - start < 2**32:
        riff, data = struct.pack("<I", size - start - 8), struct.pack("<I", n_bytes)
        return [b"RIFF" + riff, (start + 8, begin - 4), data, (begin, size)]
    where, length = chunks.get(b"fmt ", (begin, 0))
    file.seek(where)
    described = file.read(min(length, 64))  # none of the formats has more
    described = struct.pack("<I", len(described)) + described
    sizes = struct.pack("<IQQQI", 28, n_bytes + 52 + len(described), n_bytes, 0, 0)
    header = b"RF64\xff\xff\xff\xffWAVEds64" + sizes + b"fmt " + described
    return [header + b"data\xff\xff\xff\xff", (begin, size)]


def _chunks(
    file: BinaryIO, position: int, size: int, last: bytes = b"data", layout: str = "<4sI"
) -> dict[bytes, tuple[int, int]]:
    """Find where the content of each chunk up to the samples begins, and its stated length."""
    found: dict[bytes, tuple[int, int]] = {}
    while position + 8 <= size and last not in found:
        file.seek(position)
        name, length = struct.unpack(layout, file.read(8))
        found.setdefault(name, (position + 8, length))
        position += 8 + length + length % 2
    return found


def _end_of_chunks(file: BinaryIO, position: int, size: int) -> int | None:
    """Find where the chunks after the samples end: at another WAV or the end of the file.

    None if something else than chunks follows the samples.
    """
    while position + 8 <= size:
        file.seek(position)
        name, length = struct.unpack("<4sI", file.read(8))
        if name == b"RIFF":
            return position
        if not all(32 <= byte < 127 for byte in name) or position + 8 + length > size:
            return None
        position += 8 + length + length % 2
    return size
