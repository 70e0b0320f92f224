"""``rcrnn synthesize`` when it is killed, or the disk is full."""

from __future__ import annotations

import resource
import signal
import subprocess
import time

import pytest
import soundfile
from small_runs import RCRNN, rcrnn

from sklearn_rcrnn.annotations.tables import read_events

SECONDS = 3.0


def arguments(folder, n_clips):
    return ["synthesize", folder, "--clips", str(n_clips), "--length", str(SECONDS)]


def check_whole(folder):
    for path in folder.glob("*.wav"):
        assert soundfile.info(path).frames == SECONDS * 44100


def test_killed(tmp_path):
    process = subprocess.Popen([RCRNN, *arguments(tmp_path / "clips", 400)])
    while len(list((tmp_path / "clips").glob("*.wav"))) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    check_whole(tmp_path / "clips")
    assert not (tmp_path / "clips" / "events.csv").exists()
    # Repeated, it leaves nothing but what was asked for.
    n_clips = len(list((tmp_path / "clips").glob("*.wav"))) + 1
    assert rcrnn(*arguments(tmp_path / "clips", n_clips)).exit_code == 0
    check_whole(tmp_path / "clips")
    assert len(list((tmp_path / "clips").iterdir())) == n_clips + 1
    assert len(read_events(tmp_path / "clips" / "events.csv")) == n_clips


def test_full_disk(tmp_path):
    def little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    command = [RCRNN, *arguments(tmp_path / "clips", 2)]
    out = subprocess.run(command, capture_output=True, text=True, preexec_fn=little_room)
    assert out.returncode == 2
    assert "Traceback" not in out.stderr
    assert "clip_00000.wav" in out.stderr
    assert list((tmp_path / "clips").iterdir()) == []


def test_what_another_run_has_left(tmp_path):
    """Its clips counted as recordings without events, and had some."""
    (tmp_path / "clip_00001.wav").touch()
    out = rcrnn(*arguments(tmp_path, 1))
    assert out.exit_code == 0
    assert "which count as recordings without events: clip_00001.wav" in out.stderr


@pytest.mark.parametrize("length", ["0", "nan", "x"])
def test_lengths_that_cannot_be(tmp_path, length):
    assert rcrnn("synthesize", tmp_path, "--length", length).exit_code == 2


def test_a_table_that_is_there_stays(tmp_path):
    """The user's own table was replaced, and clips of an earlier run were in none."""
    assert rcrnn(*arguments(tmp_path, 2)).exit_code == 0
    table = (tmp_path / "events.csv").read_bytes()
    out = rcrnn(*arguments(tmp_path, 1), "--seed", 7)
    assert out.exit_code == 2
    assert "events.csv is there already" in out.stderr
    assert (tmp_path / "events.csv").read_bytes() == table
