"""Many recordings, on a backend of joblib that the user has chosen."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import joblib
import pytest
from small_runs import found_by, tiny_pipeline, write_recordings

from sklearn_rcrnn import detect_file, detect_files
from sklearn_rcrnn.inference import files
from sklearn_rcrnn.inference.engines import Joblib
from sklearn_rcrnn.inference.work import Job


@pytest.fixture(scope="module")
def pipe():
    return tiny_pipeline()


@pytest.fixture
def paths(tmp_path):
    return write_recordings(tmp_path / "in")


@pytest.fixture
def expected(pipe, paths):
    good = [path for path in paths if path.name != "05.wav"]
    return {path.name: detect_file(pipe, path) for path in good} | {"05.wav": None}


def test_backends_of_the_user(pipe, paths, expected):
    with joblib.parallel_config("threading", n_jobs=2):
        assert found_by(detect_files(pipe, paths)) == expected


def test_one_path_many_times(pipe, paths):
    """Two jobs for the third one had the same name, which ended the run."""
    path = paths[0]
    with joblib.parallel_config("threading", n_jobs=2):
        outcomes = list(detect_files(pipe, [path] * 3))
    assert [outcome.events for outcome in outcomes] == [detect_file(pipe, path)] * 3


def test_jobs_are_not_made_while_a_result_is_taken(pipe, paths, monkeypatch):
    """Joblib asks for jobs in threads of its own: both use the output and the claims."""
    taking, seen = threading.Event(), []
    take, is_mine = files._Run._take, files._Run._is_mine

    def take_slowly(*args):
        taking.set()
        time.sleep(0.1)
        take(*args)
        taking.clear()

    def look(*args):
        seen.append(taking.is_set())
        return is_mine(*args)

    monkeypatch.setattr(files._Run, "_take", take_slowly)
    monkeypatch.setattr(files._Run, "_is_mine", look)
    with joblib.parallel_config("threading", n_jobs=2):
        list(detect_files(pipe, paths, output_dir=paths[0].parent / "out"))
    assert seen == [False] * 12


@pytest.mark.parametrize("as_they_come", [True, False])
def test_jobs_are_done_while_there_are_no_others(pipe, paths, as_they_come):
    """Two processes that shared a folder waited for each other, each with a job not begun."""
    done, end = threading.Event(), time.monotonic() + 20

    def jobs():
        yield Job(str(paths[0]))
        while not done.is_set():  # as while another process has all that is left
            assert time.monotonic() < end
            yield None
        yield Job(str(paths[1]))

    with joblib.parallel_config("threading", n_jobs=2):
        engine = Joblib(pipe, 2)
        engine.as_they_come = as_they_come
        found = []
        for job, result in engine.run(jobs()):
            found.append((Path(job.path), result.error))
            done.set()
    assert found == [(paths[0], None), (paths[1], None)]


def test_backends_that_give_lists_only(pipe, paths, expected):
    """As Ray's, which was asked for a generator and failed."""
    from joblib._parallel_backends import ThreadingBackend

    class ListsOnly(ThreadingBackend):
        supports_return_generator = False

    joblib.register_parallel_backend("lists", ListsOnly)
    with joblib.parallel_config("lists", n_jobs=2):
        assert found_by(detect_files(pipe, paths)) == expected
