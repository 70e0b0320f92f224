"""Files appear whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sklearn_rcrnn._utils.files import complete, is_partial


def test_whole_or_not_at_all(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("before")
    with complete(path) as partial:
        partial.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"

    def fail():
        with complete(path) as partial:
            partial.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text() == "after"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_errors_name_the_file_that_was_asked_for(tmp_path):
    def write(path):
        with complete(path) as partial:
            partial.write_text("x")

    with pytest.raises(FileNotFoundError) as missing:
        write(tmp_path / "no" / "table.csv")
    assert missing.value.filename == str(tmp_path / "no" / "table.csv")


def test_names_as_long_as_they_may_be(tmp_path):
    path = tmp_path / ("n" * 255)
    with complete(path) as partial:
        partial.write_text("x")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_two_writers_of_one_file(tmp_path):
    path = tmp_path / "table.csv"
    with complete(path) as first, complete(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"  # the last to finish
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_what_a_killed_writer_left_is_written_over(tmp_path):
    path = tmp_path / "table.csv"
    code = (
        "import os, pathlib, signal, sys; from sklearn_rcrnn._utils.files import complete\n"
        "with complete(pathlib.Path(sys.argv[1])) as partial:\n"
        "    partial.write_text('half of a long table'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, path]).returncode == -signal.SIGKILL
    assert [is_partial(p) for p in tmp_path.iterdir()] == [True]
    with complete(path) as partial:
        assert partial.read_text() == ""
        partial.write_text("whole")
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]
    assert path.read_text() == "whole"


def test_devices_are_not_replaced():
    with complete(Path(os.devnull)) as partial:
        assert partial == Path(os.devnull)
    assert not Path(os.devnull).is_file()
