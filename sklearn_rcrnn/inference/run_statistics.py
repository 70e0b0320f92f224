"""Statistics of a run over many recordings: what is done, and how long the rest will take."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from .._utils.files import printable
from ..events import Event
from .output import Recording


class RunStatistics:
    """Counts of a run over many recordings, kept up to date during the run.

    Attributes
    ----------
    n_files, n_done, n_skipped, n_failed : int
        Numbers of recordings: all, those done by this run, skipped, and failed.
    duration : float
        Seconds of audio that were searched.
    failures : list of (str, str)
        Recording and reason of each failure.
    events : dict of label to int
        Number of events that this run has found, by label.
    """

    def __init__(self, recordings: Iterable[Recording]):
        self.started = time.monotonic()
        self.n_done = self.n_skipped = self.n_failed = 0
        self.duration = 0.0
        self.failures: list[tuple[str, str]] = []
        self.events: Counter[Any] = Counter()
        # Durations are estimated from file sizes, because opening every file first would take
        # minutes.
        self._bytes_left: Counter[str] = Counter()
        self._bytes_done: Counter[str] = Counter()
        self._seconds_done: defaultdict[str, float] = defaultdict(float)
        # For each recording in work: its duration and bytes, and the seconds searched so far.
        self._begun: dict[str, tuple[float, int]] = {}
        self._parts: dict[str, float] = {}
        self.n_files = 0
        for recording in recordings:
            self.n_files += 1
            self._bytes_left[_kind(recording)] += max(0, recording.size)

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.started

    @property
    def duration_seen(self) -> float:
        """Seconds of audio that were searched, including unfinished recordings."""
        return self.duration + sum(self._parts.values())

    @property
    def speed(self) -> float:
        """How many times faster than real time the run is, so far."""
        return self.duration_seen / max(self.elapsed, 1e-9)

    def skipped(self, recording: Recording) -> None:
        self.n_skipped += 1
        self._settle(recording)

    def failed(self, recording: Recording, reason: str) -> None:
        self.n_failed += 1
        self.failures.append((printable(recording.path), reason))
        self._settle(recording)

    def done(self, recording: Recording, events: list[Event], duration: float) -> None:
        kind = _kind(recording)
        self.n_done += 1
        self.duration += duration
        self.events.update(event.label for event in events)
        self._settle(recording)
        self._bytes_done[kind] += max(0, recording.size)
        self._seconds_done[kind] += duration

    def began(self, recording: Recording, duration: float) -> None:
        """Note that a long recording was begun, whose duration in seconds is known."""
        self._begun[recording.key] = (duration, max(0, recording.size))
        self._bytes_left[_kind(recording)] -= max(0, recording.size)

    def came_to(self, recording: Recording, seconds: float) -> None:
        """Note how many seconds of an unfinished recording were searched so far."""
        self._parts[recording.key] = seconds

    def duration_left(self) -> float | None:
        """Estimated seconds of audio that are left to search; None while unknown."""
        known = sum(seconds for seconds, _ in self._begun.values())
        measured = sum(self._seconds_done.values()) + known
        n_bytes = sum(self._bytes_done.values()) + sum(size for _, size in self._begun.values())
        overall = _rate(measured, n_bytes)
        left = known - sum(self._parts.values())
        for kind, n_bytes in self._bytes_left.items():
            if n_bytes <= 0:
                continue
            rate = _rate(self._seconds_done[kind], self._bytes_done[kind]) or overall
            if rate is None:
                return None
            left += n_bytes * rate
        return max(0.0, left)

    def _settle(self, recording: Recording) -> None:
        """Subtract a finished recording from what is left."""
        self._parts.pop(recording.key, None)
        if self._begun.pop(recording.key, None) is None:
            self._bytes_left[_kind(recording)] -= max(0, recording.size)

    def seconds_left(self) -> float | None:
        """Estimated seconds until the run ends; None while unknown."""
        left = self.duration_left()
        return None if left is None or not self.speed else left / self.speed

    def as_dict(self) -> dict[str, Any]:
        """All statistics as values of JSON."""
        left, seconds = self.duration_left(), self.seconds_left()
        return {
            "n_files": self.n_files,
            "n_done": self.n_done,
            "n_skipped": self.n_skipped,
            "n_failed": self.n_failed,
            "duration": round(self.duration, 3),
            "hours_done": round(self.duration / 3600, 4),
            "hours_left": None if left is None else round(left / 3600, 4),
            "elapsed": round(self.elapsed, 3),
            "x_real_time": round(self.speed, 1),
            "seconds_left": None if seconds is None else round(seconds, 1),
            "n_events": sum(self.events.values()),
            "events": {str(label): n for label, n in sorted(self.events.items())},
            "failures": [{"file": file, "error": why} for file, why in self.failures],
        }


def _kind(recording: Recording) -> str:
    return recording.path.suffix.lower()


def _rate(seconds: float, n_bytes: int) -> float | None:
    return seconds / n_bytes if n_bytes and seconds else None
