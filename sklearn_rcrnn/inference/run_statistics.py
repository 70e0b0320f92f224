"""What a run over many recordings has done, and how long the rest will take."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from ..events import Event
from .output import Recording


class RunStatistics:
    """Counts of a run, kept up to date while it goes on.

    Attributes
    ----------
    n_files, n_done, n_skipped, n_failed : int
        Recordings in all, done by this run, passed over, and failed.
    duration : float
        Seconds of audio that were looked at.
    failures : list of (str, str)
        Recording and reason.
    events : dict of label to int
        Events found by this run.
    """

    def __init__(self, recordings: Iterable[Recording]):
        self.started = time.monotonic()
        self.n_done = self.n_skipped = self.n_failed = 0
        self.duration = 0.0
        self.failures: list[tuple[str, str]] = []
        self.events: Counter[Any] = Counter()
        # Lengths are told from sizes: to open every file first would take minutes.
        self._bytes_left: Counter[str] = Counter()
        self._bytes_done: Counter[str] = Counter()
        self._seconds_done: defaultdict[str, float] = defaultdict(float)
        # Of recordings that are being worked on: length and bytes, and how far it has come.
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
        """Seconds of audio that were looked at, in unfinished recordings too."""
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
        self.failures.append((str(recording.path), reason))
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
        """A long recording is begun; its length, in seconds, is known."""
        self._begun[recording.key] = (duration, max(0, recording.size))
        self._bytes_left[_kind(recording)] -= max(0, recording.size)

    def came_to(self, recording: Recording, seconds: float) -> None:
        """Of a recording that is not finished, the seconds that were looked at by now."""
        self._parts[recording.key] = seconds

    def duration_left(self) -> float | None:
        """Seconds of audio that are still to be looked at, about; None if nothing tells."""
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
        """Nothing is left of a recording."""
        self._parts.pop(recording.key, None)
        if self._begun.pop(recording.key, None) is None:
            self._bytes_left[_kind(recording)] -= max(0, recording.size)

    def seconds_left(self) -> float | None:
        """Seconds until the run ends, about; None if nothing tells."""
        left = self.duration_left()
        return None if left is None or not self.speed else left / self.speed

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
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
