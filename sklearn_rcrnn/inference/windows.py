"""Where the overlapping windows of long recordings lie, and which events belong to each.

Windows begin at fixed places of the recording, a whole number of feature steps apart. To
each belong the events whose center lies in its inner part; the margins give the network
context on both sides. Neighboring inner parts overlap a little, so that no event falls
between them, and what is found in both is kept once (see :mod:`.merging`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..events import Event
from ..nn.crnn import FRAMES_PER_STEP

# In seconds. A clip that is not longer than a window is not cut.
WINDOW = 60.0
MARGIN = 10.0
_OVERLAP = 1.0


class Window(NamedTuple):
    """A part of a recording that goes through the network in one piece.

    Attributes
    ----------
    start, stop : int
        Its first frame, and the frame after its last one.
    first_center, last_center : float
        Seconds of the recording: events whose center lies between them belong to the window.
    """

    start: int
    stop: int
    first_center: float
    last_center: float


class Earliest(NamedTuple):
    """The earliest onset and center that events of later windows can have, in seconds."""

    onset: float
    center: float


# The earliest possible event if there is no later window.
NEVER = Earliest(math.inf, math.inf)


class Windows:
    """Where the windows of recordings lie.

    Parameters
    ----------
    frame_shift : float
        Seconds between frames.
    window, margin : float, default=60, 10
        Seconds; a margin is at least as long as most events.
    frames_per_step : int, default=8
        Windows begin and end at whole steps of the feature map.

    Attributes
    ----------
    length, hop : int
        Number of frames of a window, and from the start of one to the start of the next.

    Raises
    ------
    ValueError
        If the window is not more than twice its margin.
    """

    def __init__(
        self,
        frame_shift: float,
        window: float = WINDOW,
        margin: float = MARGIN,
        frames_per_step: int = FRAMES_PER_STEP,
    ):
        step = frames_per_step * frame_shift
        if not (math.isfinite(window) and math.isfinite(margin)):
            raise ValueError(f"window={window} s and margin={margin} s must be finite")
        self.frame_shift = frame_shift
        self.length = round(window / step) * frames_per_step
        self.margin = round(margin / step) * frames_per_step
        self.hop = self.length - 2 * self.margin
        if not 0 < self.margin < self.length // 2:
            raise ValueError(
                f"window={window} s must be more than twice margin={margin} s, and both more "
                f"than a feature step of {step:.3f} s"
            )

    def at(self, start: int, stop: int | None = None) -> Window:
        """The window that begins at frame `start`; `stop` where the recording ends in it."""
        last = stop is not None
        stop = start + self.length if stop is None else stop
        first_center = (start + self.margin) * self.frame_shift - _OVERLAP if start else 0.0
        last_center = stop * self.frame_shift
        if not last:
            last_center -= self.margin * self.frame_shift - _OVERLAP
        return Window(start, stop, first_center, last_center)

    def of_recording(self, n_frames: int) -> Iterator[Window]:
        """The windows of a recording of `n_frames` frames."""
        start = 0
        while n_frames - start > self.length:
            yield self.at(start)
            start += self.hop
        yield self.at(start, n_frames)

    def earliest_after(self, window: Window) -> Earliest:
        """The earliest onset and center of events that later windows can still bring."""
        start = window.start + self.hop
        return Earliest(start * self.frame_shift, self.at(start).first_center)

    def own_events(self, window: Window, events: Sequence[Event]) -> list[Event]:
        """The events of a window that belong to it, in seconds of the recording."""
        begin = window.start * self.frame_shift
        moved = [e._replace(onset=e.onset + begin, offset=e.offset + begin) for e in events]
        return [
            event
            for event in moved
            if window.first_center <= (event.onset + event.offset) / 2 <= window.last_center
        ]


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
    cuts = [list(windows.of_recording(len(clip))) for clip in clips]
    parts = [
        clip[window.start : window.stop]
        for clip, own in zip(clips, cuts, strict=True)
        for window in own
    ]
    rows = iter(compute(parts))
    joined = []
    for own in cuts:
        inner = []
        for window in own:
            found = next(rows)
            first = margin if window.start else 0
            last = len(found) - (margin if window is not own[-1] else 0)
            inner.append(found[first:last])
        joined.append(np.concatenate(inner))
    return joined
