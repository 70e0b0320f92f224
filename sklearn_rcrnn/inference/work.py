"""The work of a worker: detecting the events of a recording, or of a part of a long one.

A part begins at a window of the recording and is extended by a lead on both sides, from which
no events are kept. Within the part, the predictions are thus those for the whole recording.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from .._utils.caught_warnings import caught_warnings
from ..audio import open_audio
from ..events import Event
from .stream import at_rate, check_streamable, detect_blocks
from .windows import WINDOW

# Duration in seconds of a part within its recording, without its leads.
PART = 1200.0
# Duration in seconds of a lead. The first and the last window of a part are affected by its ends,
# which are not ends of the recording.
_LEAD = WINDOW
# Resampling begins this many seconds before a part, so that the filter has settled there.
_SETTLING = 1

_PACKAGE = __package__.split(".")[0]

Tick = Callable[[float], None]


class Part(NamedTuple):
    """A part of a recording, which keeps events whose center lies from ``begin`` to ``end``.

    ``begin``, ``end`` and ``stop`` are in seconds; reading ends at ``stop``. ``start`` is where
    reading begins, at a window of the recording, in samples at the sample rate of the features.
    The last part ends at infinity.
    """

    begin: float
    end: float
    start: int
    stop: float


class Job(NamedTuple):
    """A task for a worker: a recording, or a part of one.

    ``place`` is that of the recording among those of the run, which may name a path twice.
    """

    path: str
    part: Part | None = None
    place: int = 0


class Result(NamedTuple):
    """The result of a job.

    ``duration`` is the number of seconds of audio that were searched. ``warnings`` are those of
    a worker process, where nobody would see them.
    """

    events: list[Event]
    error: str | None
    duration: float
    warnings: tuple[str, ...] = ()


def parts_of(estimator: Pipeline, duration: float, length: float = PART) -> list[Part]:
    """Divide a recording into parts; the list is empty if the recording should stay whole.

    Parameters
    ----------
    estimator : Pipeline
        A fitted pipeline, as for :func:`detect_file`.
    duration : float
        Presumed duration of the recording in seconds; it may turn out longer or shorter.
    length : float, default=1200
        Duration of a part in seconds.
    """
    features, detector = check_streamable(estimator, any_number=True)
    windows = detector._windows()
    rate = features.sample_rate
    shift = features.frame_shift * rate
    if round(shift) < 1 or abs(shift - round(shift)) > 1e-3:
        return []  # windows begin between samples, but a part must begin at a sample
    hop = windows.hop * round(shift)  # samples between windows
    n_samples = max(1, round(length * rate / hop)) * hop
    n_parts = max(1, math.ceil((duration - 2 * _LEAD) * rate / n_samples))
    if n_parts < 2:
        return []
    parts = []
    for i in range(n_parts):
        start, after = i * n_samples, (i + 1) * n_samples
        last = i == n_parts - 1
        begin = start / rate + _LEAD if i else 0.0
        end = math.inf if last else after / rate + _LEAD
        parts.append(Part(begin, end, start, math.inf if last else end + _LEAD))
    return parts


def work(estimator: Pipeline, job: Job, tick: Tick | None = None) -> Result:
    """Do a job and return its result, which also holds any error.

    Parameters
    ----------
    estimator : Pipeline
    job : Job
    tick : callable, default=None
        Function that is called with the number of seconds read so far.
    """
    path = Path(job.path)
    try:
        return _detect(estimator, path, job.part, tick)
    except (OSError, ValueError) as error:
        return Result([], str(error), 0.0)
    except Exception as error:  # out of memory or unforeseen; other jobs must go on
        return Result([], f"{str(path)!r}: {type(error).__name__}: {error}", 0.0)


def work_elsewhere(estimator: Pipeline, job: Job) -> Result:
    """Do a job as :func:`work` does, but in a worker process; the result holds its warnings."""
    with caught_warnings() as caught:
        result = work(estimator, job)
    ours = [w for w in caught if issubclass(w.category, UserWarning) and _PACKAGE in w.filename]
    return result._replace(warnings=tuple(dict.fromkeys(str(w.message) for w in ours)))


def _detect(estimator: Pipeline, path: Path, part: Part | None, tick: Tick | None) -> Result:
    """Detect the events of a recording or a part.

    The best events of a clip are chosen for a whole recording only; those of parts must first
    be put together.
    """
    features, detector = check_streamable(estimator, any_number=True)
    name = os.fspath(path)
    with open_audio(path) as file:
        reading = _Reading(file, features.sample_rate, part, tick)
        blocks = at_rate(reading.blocks(), reading.rate, features.sample_rate)
        try:
            windows = detector._windows()
            found = list(detect_blocks(features, detector, blocks, windows, side_by_side=True))
        except _NothingThere:
            return Result([], None, 0.0)
        except ValueError as error:
            raise error if name in str(error) else ValueError(f"{name!r}: {error}") from error
    if part is None:
        chosen = detector._finished([found])[0]
        return Result(chosen, None, reading.seconds)
    begin = part.start / features.sample_rate
    moved = [e._replace(onset=e.onset + begin, offset=e.offset + begin) for e in found]
    kept = [e for e in moved if part.begin <= (e.onset + e.offset) / 2 < part.end]
    inside = min(begin + reading.seconds, part.end) - part.begin
    return Result(kept, None, max(0.0, inside))


class _NothingThere(Exception):
    """The recording ends before the part begins, as its header promised too much."""


class _Reading:
    """A reader of the blocks of a recording or a part, which counts the seconds read."""

    def __init__(self, file: Any, sample_rate: int, part: Part | None, tick: Tick | None):
        self.file = file
        self.sample_rate = sample_rate
        self.part = part
        self.tick = tick
        # Parts are resampled here, as they begin at a sample of the features' sample rate.
        self.rate = file.sample_rate if part is None else sample_rate
        self.seconds = 0.0

    def blocks(self) -> Iterator[NDArray[np.floating]]:
        for block in self._raw() if self.part is None else self._part(self.part):
            self.seconds += len(block) / self.rate
            yield block
            if self.tick is not None:
                self.tick(self.seconds)
        if self.part is not None and self.part.start and not self.seconds:
            raise _NothingThere

    def _raw(self) -> Iterator[NDArray[np.floating]]:
        return self.file.blocks()

    def _part(self, part: Part) -> Iterator[NDArray[np.floating]]:
        """Yield samples from exactly ``part.start`` on.

        Reading begins at a whole second, which falls on a sample at any sample rate.
        """
        first = max(0, int(part.start // self.sample_rate) - _SETTLING)
        stop = None if math.isinf(part.stop) else math.ceil(part.stop)
        ahead = round(part.start - first * self.sample_rate)
        blocks = self.file.blocks(float(first), stop)
        for block in at_rate(blocks, self.file.sample_rate, self.sample_rate):
            if ahead < len(block):
                yield block[ahead:]
            ahead = max(0, ahead - len(block))
