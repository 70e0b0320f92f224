"""Repair MP3 files whose frame count is missing or covers only a part of the file.

An MP3 is a sequence of frames. A first frame without sound (``Xing`` or ``Info``) may state how
many there are. If it does not, libsndfile guesses their number from the bit rate of the first
frames and reads no more than that; of files that were joined, it reads only the first.
"""

from __future__ import annotations

import mmap
import struct
from typing import BinaryIO, NamedTuple

# kbit/s of layer III by the index in the header, for MPEG-1 and for MPEG-2 and 2.5.
_BIT_RATES = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
)
_SAMPLE_RATES = (44100, 48000, 32000)
# Markers of a frame that describes the other frames of the file.
_ABOUT = (b"Xing", b"Info")
# Bytes that look like frames are frames if this many of them follow each other.
_CERTAIN = 3


class Layout(NamedTuple):
    """A first frame that states the number of frames, and the ranges of bytes that hold them.

    ``repaired`` says how much the file lacks of what its own first frame promises, or is None.
    """

    header: bytes
    ranges: list[tuple[int, int]]
    repaired: str | None = None


class _Kind(NamedTuple):
    """The properties that all frames of a file share.

    Attributes
    ----------
    second : int
        Second byte of their headers, with the bit for "no checksum" set.
    lengths : dict of int to int
        Number of bytes of a frame by the third byte of its header.
    mono : bool
    side : int
        Number of bytes between the header of a frame and the marker in the describing frame.
    seconds : float
        Duration of a frame.
    """

    second: int
    lengths: dict[int, int]
    mono: bool
    side: int
    seconds: float


def layout(file: BinaryIO, start: int) -> Layout | None:
    """Find all frames from a byte on; None if the file itself states them correctly.

    Raises
    ------
    ValueError
        If the file ends before its first whole frame of sound.
    """
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        begin = _behind_tag(data, start)
        first = _first_frame(data, begin)
        if first is None:
            if _ends_at_once(data, begin):
                raise ValueError("it is an MP3 that ends before its first whole frame of sound")
            return None
        position, kind = first
        told = _told(data, position, kind)
        if told is not None and _is_right(told, data, position):
            return None
        ranges, n_frames = _frames(data, position, kind)
    if not n_frames:
        return None
    n_bytes = sum(stop - begin for begin, stop in ranges)
    repaired, delays = None, b"" if told is None else told.delays
    if told is not None and n_frames < told.n_frames - 1:
        # The padding that encoders add at the end is missing, so none may be removed.
        delays = delays[:22] + bytes([delays[22] & 0xF0, 0]) + delays[24:] if delays else b""
        repaired = (
            f"is cut short: its header promises {told.n_frames * kind.seconds:.2f} s, "
            f"{n_frames * kind.seconds:.2f} s can be read. What is there is used"
        )
    return Layout(_header(kind, n_frames, n_bytes, delays), ranges, repaired)


def _ends_at_once(data: mmap.mmap, position: int) -> bool:
    """Tell whether the file ends before or within the first frame that has sound."""
    kind = _kind(data, position)
    if kind is None:
        return False
    if _told(data, position, kind) is not None:
        position += _length(data, position, kind)
    return position + (_length(data, position, kind) or 4) > len(data)


def _is_right(told: _Told, data: mmap.mmap, position: int) -> bool:
    """Tell whether all stated frames are present and no others follow them."""
    # The decoder, too, tolerates a file that is shorter by one percent.
    if not told.n_bytes or len(data) - position < 0.99 * told.n_bytes:
        return False
    return _first_frame(data, position + told.n_bytes) is None


def _behind_tag(data: mmap.mmap, position: int) -> int:
    """Return the position after any ID3v2 tags that begin here."""
    while data[position : position + 3] == b"ID3" and position + 10 <= len(data):
        size = data[position + 6 : position + 10]
        length = sum(byte << shift for byte, shift in zip(size, (21, 14, 7, 0), strict=True))
        position += length + (20 if data[position + 5] & 0x10 else 10)
    return position


def _kind(data: mmap.mmap, position: int) -> _Kind | None:
    """Return the kind of the frame that may begin here; None if none can."""
    if position + 4 > len(data) or data[position] != 0xFF:
        return None
    second, third = data[position + 1], data[position + 2]
    version = second >> 3 & 3  # 0: MPEG-2.5, 2: MPEG-2, 3: MPEG-1
    if second & 0xE6 != 0xE2 or version == 1 or third >> 2 & 3 == 3:
        return None
    rate = _SAMPLE_RATES[third >> 2 & 3] >> (0 if version == 3 else 1 if version == 2 else 2)
    n_bytes = 144000 if version == 3 else 72000
    lengths = {
        index << 4 | (third & 0x0C) | padding << 1 | private: kilobits * n_bytes // rate + padding
        for index, kilobits in enumerate(_BIT_RATES[version != 3])
        for padding in (0, 1)
        for private in (0, 1)
        if kilobits
    }
    mono = data[position + 3] >> 6 == 3
    side = (17 if mono else 32) if version == 3 else (9 if mono else 17)
    seconds = (1152 if version == 3 else 576) / rate
    # Frames of one file may differ in whether they have a checksum, so this bit is ignored.
    return _Kind(second | 1, lengths, mono, side, seconds) if third in lengths else None


def _length(data: mmap.mmap, position: int, kind: _Kind) -> int:
    """Return the number of bytes of the frame that begins here; 0 if none does."""
    if position + 4 > len(data) or data[position] != 0xFF or data[position + 1] | 1 != kind.second:
        return 0
    return kind.lengths.get(data[position + 2], 0)


def _first_frame(data: mmap.mmap, position: int) -> tuple[int, _Kind] | None:
    """Find the first frame from here on that is followed by others."""
    while (position := data.find(b"\xff", position)) >= 0:
        kind = _kind(data, position)
        if kind is not None:
            place = position
            for _ in range(_CERTAIN):
                length = _length(data, place, kind)
                if not length:
                    break
                place += length
            else:
                return position, kind
        position += 1
    return None


class _Told(NamedTuple):
    """What the first frame states about the others, 0 where it is silent, and its delay field."""

    n_frames: int
    n_bytes: int
    delays: bytes


def _told(data: mmap.mmap, position: int, kind: _Kind) -> _Told | None:
    """Read what the frame here states about all others; None if it is an ordinary frame."""
    place = position + 4 + kind.side
    if data[place : place + 4] not in _ABOUT:
        return None
    flags = int.from_bytes(data[place + 4 : place + 8], "big")
    place += 8
    numbers = [0, 0]
    for i in range(2):
        if flags & 1 << i:
            numbers[i] = int.from_bytes(data[place : place + 4], "big")
            place += 4
    place += (100 if flags & 4 else 0) + (4 if flags & 8 else 0)
    delays = data[place : place + 36]
    n_frames, n_bytes = numbers
    return _Told(n_frames, n_bytes if n_frames else 0, delays if delays[:4].strip(b"\0") else b"")


def _frames(data: mmap.mmap, position: int, kind: _Kind) -> tuple[list[tuple[int, int]], int]:
    """Find the ranges of bytes with frames of sound, and the number of these frames.

    Tags, junk and describing frames are left out.
    """
    ranges: list[tuple[int, int]] = []
    n_frames = 0
    about = 4 + kind.side
    following: int | None = position
    while following is not None:
        begin = position = following
        while (length := _length(data, position, kind)) and position + length <= len(data):
            if data[position + about : position + about + 4] in _ABOUT:
                ranges.append((begin, position))
                begin = position + length
            else:
                n_frames += 1
            position += length
        ranges.append((begin, position))
        following = _next_frame(data, position, kind)
    return [(begin, stop) for begin, stop in ranges if stop > begin], n_frames


def _next_frame(data: mmap.mmap, position: int, kind: _Kind) -> int | None:
    position = _behind_tag(data, position)
    while (position := data.find(b"\xff", position)) >= 0:
        length = _length(data, position, kind)
        if length and (position + length == len(data) or _length(data, position + length, kind)):
            return position
        position += 1
    return None


def _header(kind: _Kind, n_frames: int, n_bytes: int, delays: bytes) -> bytes:
    """Make a frame without sound that states how many frames and bytes follow."""
    third = max(kind.lengths, key=lambda key: (kind.lengths[key] < 1000, kind.lengths[key]))
    length = kind.lengths[third]
    begin = bytes([0xFF, kind.second, third, 0xC4 if kind.mono else 0x44]) + bytes(kind.side)
    told = b"Info" + struct.pack(">III", 3, n_frames, n_bytes + length) + delays
    return (begin + told).ljust(length, b"\0")
