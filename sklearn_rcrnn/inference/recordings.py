"""Events of a recording of any length, from features that come in blocks.

What depends on the frames nearby only, normalization and convolutions, is computed once
over the recording, in chunks that carry the frames around them that they depend on. What
needs to hear more, the recurrence and what follows it, works on overlapping windows of the
feature map, several at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from .._utils.threads import in_order, one_core
from ..events import Event
from .windows import Window, Windows


class Chunk(NamedTuple):
    """Consecutive frames of a recording, among others around them.

    Attributes
    ----------
    features : float32 array of shape (n_frames_with_context, n_bands)
    start, n_frames : int
        Where the chunk begins in `features`, and how many frames it has.
    is_last : bool
        Whether the recording ends with this chunk.
    """

    features: NDArray[np.float32]
    start: int
    n_frames: int
    is_last: bool


class Network(Protocol):
    """A detector's network, taken apart for long recordings.

    Attributes
    ----------
    before, after : int
        Frames around a chunk that its rows depend on.
    frames_per_row : int
    n_threads : int
        Threads that may work on chunks side by side.
    at_once : int
        Windows that go through the recurrence together. With 1, each does so as soon as its
        frames, and those after it that they are normalized by, are there.
    """

    before: int
    after: int
    frames_per_row: int
    n_threads: int
    at_once: int

    def rows(self, chunk: Chunk) -> Tensor:
        """What windows are cut from: a row for each `frames_per_row` frames of a chunk."""

    def events(self, rows: Tensor, n_frames: Sequence[int]) -> list[list[Event]]:
        """Scored events of windows (n_windows, n_rows, n), of so many frames and padded."""

    def events_of_clip(self, features: NDArray[np.float32]) -> list[Event]:
        """Scored events of a clip that needs no windows."""


def detect_recording(
    blocks: Iterable[NDArray[np.float32]],
    windows: Windows,
    network: Network,
) -> Iterator[tuple[Window, list[Event]]]:
    """The events of each window of a recording that belong to it, window by window.

    Parameters
    ----------
    blocks : iterable of float32 arrays of shape (n_frames_i, n_bands)
        Joined, the features of the recording.
    windows : Windows
    network : Network

    Yields
    ------
    window : Window
    events : list of Event
        Scored, in the time of the recording.
    """
    found = _detect(Frames(blocks), windows, network)
    while True:
        # If other threads compute as well, this one must not use several cores.
        with one_core() if network.n_threads > 1 else nullcontext():
            window_and_events = next(found, None)
        if window_and_events is None:
            return
        yield window_and_events


def _detect(
    frames: Frames, windows: Windows, network: Network
) -> Iterator[tuple[Window, list[Event]]]:
    if not frames.read_to(windows.length + 1):
        whole = Window(0, frames.stop, 0.0, frames.stop * windows.frame_shift)
        yield whole, network.events_of_clip(frames[0 : frames.stop])
        return
    length = windows.hop if network.at_once == 1 else windows.length
    chunks = chunks_with_context(
        frames,
        windows.length,
        length,
        before=network.before,
        after=network.after,
        unit=network.frames_per_row,
    )
    cut = _cut(_with_rows(chunks, network), windows, network.frames_per_row)
    for group in _groups(cut, network.at_once):
        # Only the last window of a recording may be shorter than the others.
        rows = pad_sequence([rows for _, rows in group], batch_first=True)
        found = network.events(rows, [window.stop - window.start for window, _ in group])
        for (window, _), events in zip(group, found, strict=True):
            yield window, windows.own_events(window, events)


def chunks_with_context(
    frames: Frames, first_length: int, length: int, *, before: int, after: int, unit: int = 1
) -> Iterator[Chunk]:
    """Chunks of a recording with what lies around them, to its end.

    Parameters
    ----------
    frames : Frames
    first_length, length : int
        Lengths of the first chunk and of the others in frames; multiples of `unit`.
    before, after : int
        Number of frames around a chunk. Near the end of the recording, frames that are missing
        after the chunk are made up for by more frames before it.
    unit : int, default=1
        The first frame that is given before a chunk is a multiple of this number.
    """
    start, stop = 0, first_length
    while True:
        # One more frame shows that the recording continues after the chunk.
        goes_on = frames.read_to(stop + after + 1)
        stop = stop if goes_on else min(stop, frames.stop)
        first = start - before if goes_on else min(start, frames.stop - after) - before
        first = max(0, first) // unit * unit
        is_last = not goes_on and stop == frames.stop
        context = frames[first : min(stop + after, frames.stop)]
        yield Chunk(context, start - first, stop - start, is_last)
        if is_last:
            return
        start, stop = stop, stop + length
        frames.forget_before(start - before - after - unit)


def _with_rows(chunks: Iterable[Chunk], network: Network) -> Iterator[tuple[Chunk, Tensor]]:
    def work(chunk: Chunk) -> tuple[Chunk, Tensor]:
        # Features are no longer needed, so waiting windows must not keep them in memory.
        return chunk._replace(features=chunk.features[:0]), network.rows(chunk)

    return in_order(work, chunks, network.n_threads)


def _cut(
    chunks: Iterable[tuple[Chunk, Tensor]], windows: Windows, frames_per_row: int
) -> Iterator[tuple[Window, Tensor]]:
    """Yield the windows of the recording with their rows, each as soon as it is complete."""
    held: Tensor | None = None
    start = stop = 0
    for chunk, rows in chunks:
        held = rows if held is None else torch.cat([held, rows])
        stop += chunk.n_frames
        while stop - start > windows.length or (
            stop - start == windows.length and not chunk.is_last
        ):
            yield windows.at(start), held[: windows.length // frames_per_row]
            start += windows.hop
            held = held[windows.hop // frames_per_row :]
        if chunk.is_last:
            yield windows.at(start, stop), held


def _groups(
    cut: Iterable[tuple[Window, Tensor]], size: int
) -> Iterator[list[tuple[Window, Tensor]]]:
    """Yield groups of at most `size` windows."""
    group: list[tuple[Window, Tensor]] = []
    for window_and_rows in cut:
        group.append(window_and_rows)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


class Frames:
    """The frames of a recording that have been read and may still be needed."""

    def __init__(self, blocks: Iterable[NDArray[np.float32]]):
        self._blocks = iter(blocks)
        self._held: deque[tuple[int, NDArray[np.float32]]] = deque()
        self.stop = 0

    def read_to(self, stop: int) -> bool:
        """Read on until frame `stop - 1` is there; False if the recording ends before."""
        while self.stop < stop:
            block = next(self._blocks, None)
            if block is None:
                return False
            self._held.append((self.stop, block))
            self.stop += len(block)
        return True

    def __getitem__(self, part: slice) -> NDArray[np.float32]:
        return np.concatenate(
            [
                block[max(0, part.start - start) : max(0, part.stop - start)]
                for start, block in self._held
            ]
        )

    def forget_before(self, start: int) -> None:
        while self._held and self._held[0][0] + len(self._held[0][1]) <= start:
            self._held.popleft()
