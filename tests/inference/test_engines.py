"""The processes that detection is shared between."""

from __future__ import annotations

import threading

from small_runs import tiny_pipeline, write_recordings

from sklearn_rcrnn.inference.engines import Processes
from sklearn_rcrnn.inference.work import Job


def test_closing_right_after_a_job_was_given_ends_without_a_traceback(monkeypatch, tmp_path):
    """Ctrl-C at this moment made loky's thread fail, which printed a KeyError."""
    failures: list = []
    job = Job(str(write_recordings(tmp_path / "in")[0]))
    monkeypatch.setattr(threading, "excepthook", failures.append)
    for _ in range(2):
        engine = Processes(tiny_pipeline(), 1)
        engine._submit(0, job).result()
        thread = engine._workers[0]._executor_manager_thread
        engine._submit(0, job)
        engine.close()
        thread.join(30)
        assert not thread.is_alive()
    assert failures == []
