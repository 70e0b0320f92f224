"""Files appear whole or not at all."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sklearn_rcrnn import Event, RCRNNDetector
from sklearn_rcrnn._utils.files import complete, files_in, is_partial
from sklearn_rcrnn.annotations import write_events
from sklearn_rcrnn.datasets import write_event_clips


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


class TestNoRoom:
    """A file may not be larger than this here; of a full disk the errors are the same."""

    @pytest.fixture(autouse=True)
    def small_files(self):
        resource = pytest.importorskip("resource")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
        yield
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)

    def test_tables(self, tmp_path):
        events = {"a.wav": [Event(i, i + 1, "dog") for i in range(200)]}
        with pytest.raises(OSError, match=r"found\.csv'$"):
            write_events(events, tmp_path / "found.csv")
        assert list(tmp_path.iterdir()) == []

    def test_clips(self, tmp_path):
        recording = tmp_path / "a.au"
        recording.write_bytes(b".snd" + struct.pack(">5I", 24, 2**32 - 1, 2, 8000, 1) + b"." * 1900)
        for format in ("wav", "flac", "mp3"):
            (clip,) = write_event_clips(
                [recording], [[(0.0, 0.2, "dog")]], tmp_path / format, format=format
            )
            if format == "wav":
                assert "is the disk full?" in clip.error
                assert "dog_a_0-00-00.00.wav" in clip.error
            assert len(list((tmp_path / format).iterdir())) == (clip.error is None)

    def test_checkpoints(self, tmp_path):
        X = np.zeros((2, 40, 24), np.float32)
        detector = RCRNNDetector(gru_units=2, dense_units=2, max_epochs=1, random_state=0)
        with pytest.raises(OSError, match=r"\.pt'$"):
            detector.fit(X, [[(0.1, 0.4, "dog")]] * 2, checkpoint=tmp_path / "checkpoints")
        assert list((tmp_path / "checkpoints").iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device on this system")
def test_a_full_device_is_named():
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'"):
        write_events({"a.wav": []}, "/dev/full")


def test_what_a_server_keeps_is_not_the_users(tmp_path):
    for folder in ("site", "@eaDir/site", "#recycle", "$RECYCLE.BIN/x", ".hidden", "#1"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "night.wav").touch()
    found = [str(path.relative_to(tmp_path)) for path in files_in(tmp_path, (".wav",))]
    assert found == ["#1/night.wav", "site/night.wav"]
