"""Ctrl-C that comes while libsndfile calls back into Python is heard afterwards."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading

import numpy as np
import pytest
import soundfile

from sklearn_rcrnn._utils.interrupts import interrupts_wait
from sklearn_rcrnn.audio import read_audio
from sklearn_rcrnn.audio.repair import Spliced

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for a process alone")
RATE = 8000


@pytest.fixture(autouse=True)
def heard():
    """As in a terminal, whatever runs the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


class Interrupted(io.BytesIO):
    """A file while which is written to somebody presses Ctrl-C."""

    def write(self, content):
        os.kill(os.getpid(), signal.SIGINT)
        return super().write(content)


def write_to(file):
    with soundfile.SoundFile(file, "w", RATE, 1, format="WAV") as sound:
        sound.write(np.zeros(RATE))


def test_it_waits():
    file = Interrupted()
    with pytest.raises(KeyboardInterrupt), interrupts_wait():
        write_to(file)
    assert len(soundfile.read(io.BytesIO(file.getvalue()))[0]) == RATE


def test_while_a_repaired_recording_is_read(tmp_path, monkeypatch):
    path = tmp_path / "unfinished.wav"
    soundfile.write(path, np.zeros(RATE), RATE)
    content = bytearray(path.read_bytes())
    content[40:44] = bytes(4)
    path.write_bytes(content)
    readinto = Spliced.readinto

    def interrupted(self, buffer):
        os.kill(os.getpid(), signal.SIGINT)
        return readinto(self, buffer)

    monkeypatch.setattr(Spliced, "readinto", interrupted)
    with pytest.raises(KeyboardInterrupt):
        read_audio(path, RATE)


def test_other_threads_hear_no_signals():
    done = []

    def work():
        with interrupts_wait():
            done.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [1]
