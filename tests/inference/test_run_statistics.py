"""What is known of a run over many recordings while it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from sklearn_rcrnn.inference.output import Recording
from sklearn_rcrnn.inference.run_statistics import RunStatistics


def test_time_left(monkeypatch):
    """Of two formats, one ten times smaller, and a long one that is half done."""
    now = [100.0]
    monkeypatch.setattr("sklearn_rcrnn.inference.run_statistics.time.monotonic", lambda: now[0])
    waves = [Recording(Path(f"{i}.wav"), f"{i}", 1000, 0) for i in range(4)]
    packed = [Recording(Path(f"{i}.flac"), f"f{i}", 100, 0) for i in range(2)]
    long = Recording(Path("long.wav"), "long", 8000, 0)
    statistics = RunStatistics([*waves, *packed, long])
    assert statistics.duration_left() is None
    now[0] += 10
    statistics.done(waves[0], [], 50.0)
    statistics.done(packed[0], [], 50.0)
    assert statistics.duration_left() == pytest.approx(3 * 50 + 50 + 400)
    assert statistics.seconds_left() == pytest.approx(60)
    statistics.began(long, 400.0)
    statistics.came_to(long, 200.0)
    assert statistics.duration_left() == pytest.approx(3 * 50 + 50 + 200)
    statistics.skipped(waves[1])
    statistics.failed(packed[1], "broken")
    statistics.done(long, [], 400.0)
    assert statistics.duration_left() == pytest.approx(100)
    statistics.done(waves[2], [], 50.0)
    statistics.done(waves[3], [], 50.0)
    assert statistics.duration_left() == 0
