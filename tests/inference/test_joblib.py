"""Many recordings, on a backend of joblib that the user has chosen."""

from __future__ import annotations

import threading
import time

import joblib
import pytest
from small_runs import found_by, tiny_pipeline, write_recordings

from sklearn_rcrnn import detect_file, detect_files
from sklearn_rcrnn.inference import files


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


def test_backends_that_give_lists_only(pipe, paths, expected):
    """As Ray's, which was asked for a generator and failed."""
    from joblib._parallel_backends import ThreadingBackend

    class ListsOnly(ThreadingBackend):
        supports_return_generator = False

    joblib.register_parallel_backend("lists", ListsOnly)
    with joblib.parallel_config("lists", n_jobs=2):
        assert found_by(detect_files(pipe, paths)) == expected
