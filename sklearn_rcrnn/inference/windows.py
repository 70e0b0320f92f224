"""Long recordings in overlapping windows, and one list of events out of theirs.

Windows begin at fixed places of the recording, a whole number of feature steps apart. From
each come the events whose center lies in its inner part; the margins give the network
context on both sides. Neighboring inner parts overlap a little, so that no event falls
between them, and what both find is kept once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ..events import Event
from ..nn.crnn import FRAMES_PER_STEP
from ..nn.nms import nms

# Seconds. A clip that is not longer than a window is one piece and needs no merging.
WINDOW = 60.0
MARGIN = 10.0
_OVERLAP = 1.0


class Piece(NamedTuple):
    """A window of a recording: its frames, and the part whose events are kept, in seconds."""

    start: int
    stop: int
    keep_from: float
    keep_to: float


class Horizon(NamedTuple):
    """Of windows to come: they hear from `heard` on and keep centers from `kept` on; seconds."""

    heard: float
    kept: float


# Nothing comes any more.
END = Horizon(math.inf, math.inf)


class Windows:
    """Where the windows of recordings lie.

    Parameters
    ----------
    frame_shift : float
        Seconds between frames.
    window, margin : float, default=60, 10
        Seconds; a margin is at least as long as most events.
    frames_per_step : int, default=8
        Frames in a step of the feature map.
    """

    def __init__(
        self,
        frame_shift: float,
        window: float = WINDOW,
        margin: float = MARGIN,
        frames_per_step: int = FRAMES_PER_STEP,
    ):
        step = frames_per_step * frame_shift
        self.frame_shift = frame_shift
        self.length = round(window / step) * frames_per_step
        self.margin = round(margin / step) * frames_per_step
        self.hop = self.length - 2 * self.margin
        if not 0 < self.margin < self.length // 2:
            raise ValueError(
                f"window={window} s must be more than twice margin={margin} s, and both more "
                f"than a feature step of {step:.3f} s"
            )

    def piece(self, start: int, stop: int | None) -> Piece:
        """The window that begins at frame `start`; `stop` where the recording ends in it."""
        last = stop is not None
        stop = start + self.length if stop is None else stop
        first_kept = (start + self.margin) * self.frame_shift - _OVERLAP if start else 0.0
        last_kept = stop * self.frame_shift
        if not last:
            last_kept -= self.margin * self.frame_shift - _OVERLAP
        return Piece(start, stop, first_kept, last_kept)

    def cut(self, n_frames: int) -> Iterator[Piece]:
        """The windows of a recording of `n_frames` frames."""
        start = 0
        while n_frames - start > self.length:
            yield self.piece(start, None)
            start += self.hop
        yield self.piece(start, n_frames)

    def cut_all(self, clips: Any) -> tuple[list[list[Piece]], list[Any]]:
        """The windows of each clip, and what lies in them, one after the other."""
        cuts = [list(self.cut(len(clip))) for clip in clips]
        return cuts, [
            clip[piece.start : piece.stop]
            for clip, own in zip(clips, cuts, strict=True)
            for piece in own
        ]

    def horizon(self, start: int) -> Horizon:
        """What windows from `start` on can still bring."""
        return Horizon(start * self.frame_shift, self.piece(start, None).keep_from)


def in_windows(
    detect: Callable[[Any], list[list[Event]]],
    clips: Any,
    frame_shift: float,
    nms_threshold: float,
    *,
    frames_per_step: int = FRAMES_PER_STEP,
) -> list[list[Event]]:
    """Events of clips of any length, from a function for clips of at most a window.

    Parameters
    ----------
    detect : callable
        Gives the scored events of each clip that it is given.
    clips : array of shape (n_clips, n_frames, n_bands) or list of (n_frames_i, n_bands)
    frame_shift : float
        Seconds between frames.
    nms_threshold : float
        IoU above which the weaker of two events of a label is dropped.
    frames_per_step : int, default=8
        Frames in a step of the feature map.
    """
    windows = Windows(frame_shift, frames_per_step=frames_per_step)
    if max(map(len, clips)) <= windows.length:
        return detect(clips)
    cuts, pieces = windows.cut_all(clips)
    found = iter(detect(pieces))
    joined = []
    for own in cuts:
        kept = [event for piece in own for event in keep(next(found), piece, frame_shift)]
        joined.append(kept if len(own) == 1 else merge(kept, nms_threshold))
    return joined


def frames_in_windows(
    compute: Callable[[Any], list[NDArray[np.float32]]],
    clips: Any,
    frame_shift: float,
    *,
    frames_per_row: int = 1,
) -> list[NDArray[np.float32]]:
    """Rows along the time of clips of any length, from a function for at most a window.

    Each row comes from the window in whose inner part it lies.

    Parameters
    ----------
    compute : callable
        Gives the rows of each clip that it is given.
    clips : array of shape (n_clips, n_frames, n_bands) or list of (n_frames_i, n_bands)
    frame_shift : float
        Seconds between frames.
    frames_per_row : int, default=1
        Frames from one row to the next: 1 for frames, those of a step for feature maps.
    """
    windows = Windows(frame_shift, frames_per_step=frames_per_row)
    margin = windows.margin // frames_per_row
    cuts, pieces = windows.cut_all(clips)
    rows = iter(compute(pieces))
    joined = []
    for own in cuts:
        parts = []
        for piece in own:
            found = next(rows)
            first = margin if piece.start else 0
            last = len(found) - (margin if piece is not own[-1] else 0)
            parts.append(found[first:last])
        joined.append(np.concatenate(parts))
    return joined


def keep(events: Sequence[Event], piece: Piece, frame_shift: float) -> list[Event]:
    """Events of a window in the time of the recording, if they belong to its inner part."""
    begin = piece.start * frame_shift
    moved = [e._replace(onset=e.onset + begin, offset=e.offset + begin) for e in events]
    return [e for e in moved if piece.keep_from <= (e.onset + e.offset) / 2 <= piece.keep_to]


def merge(events: Sequence[Event], nms_threshold: float) -> list[Event]:
    """Non-maximum suppression within each label of what several windows found; by onset."""
    kept: list[Event] = []
    for label in {event.label for event in events}:
        own = sorted((event for event in events if event.label == label), key=lambda e: -e.score)
        times = torch.tensor([[[e.onset, e.offset] for e in own]], dtype=torch.float64)
        scores = torch.tensor([[e.score for e in own]], dtype=torch.float64)
        indices, valid = nms(times, scores, nms_threshold)
        kept += [own[i] for i in indices[valid].tolist()]
    return sorted(kept)


class Pending:
    """Events of a stream between being found and being certain.

    Parameters
    ----------
    nms_threshold : float
        IoU above which the weaker of two events of a label is dropped.
    """

    def __init__(self, nms_threshold: float):
        self.nms_threshold = nms_threshold
        self.events: list[Event] = []
        self.given: set[Event] = set()

    def add(self, events: Sequence[Event]) -> None:
        """Take in what a window has found."""
        self.events += events

    def take(self, horizon: Horizon) -> list[Event]:
        """Events that nothing to come can suppress any more, each once; by onset."""
        certain = self._certain(horizon)
        kept = [e for e in merge(self.events, self.nms_threshold) if e in certain]
        chosen = [event for event in kept if event not in self.given]
        waiting = [event for event in self.events if event not in certain]
        # Events that were given out still suppress those that wait or come; what they
        # suppressed itself is gone.
        first = min([horizon.heard, *(event.onset for event in waiting)])
        self.given = {event for event in kept if event.offset > first}
        self.events = [*waiting, *self.given]
        return chosen

    def _certain(self, horizon: Horizon) -> set[Event]:
        """Events whose fate does not hang on one that is not settled, however indirectly."""
        open_ = [event for event in self.events if not self._settled(event, horizon)]
        undecided = set(open_)
        while open_:
            stronger = open_.pop()
            for event in self.events:
                if (
                    event not in undecided
                    and event.label == stronger.label
                    and event.score <= stronger.score
                    and _iou(event, stronger) > self.nms_threshold
                ):
                    undecided.add(event)
                    open_.append(event)
        return set(self.events) - undecided

    def _settled(self, event: Event, horizon: Horizon) -> bool:
        """Whether no event to come can overlap this one by more than the threshold."""
        if event.offset <= horizon.heard:
            return True
        # With an event whose center is at `kept` or later, the IoU is highest where both
        # begin together: length / (2 (kept - onset)).
        length = event.offset - event.onset
        reach = length * max(1.0, 0.5 / self.nms_threshold) if self.nms_threshold else math.inf
        return event.onset + reach <= horizon.kept


def _iou(first: Event, second: Event) -> float:
    common = min(first.offset, second.offset) - max(first.onset, second.onset)
    return max(0.0, common) / (max(first.offset, second.offset) - min(first.onset, second.onset))
