"""What many tests share: a tiny pipeline, recordings for it, the commands, and scripts."""

from __future__ import annotations

import io
import os
import runpy
import sys
from contextlib import redirect_stdout
from pathlib import Path
from unittest.mock import patch

import soundfile
import torch
from typer.testing import CliRunner

from sklearn_rcrnn import make_rcrnn_pipeline
from sklearn_rcrnn.cli import app
from sklearn_rcrnn.datasets import make_rare_events

RATE = 4000
# The installed command, for tests that need a process of its own; each takes seconds to start.
RCRNN = Path(sys.executable).with_name("rcrnn")


def rcrnn(*args, data=None):
    """Run a command in this process; an exception that it does not turn into an exit code is
    raised."""
    return CliRunner().invoke(app, [str(arg) for arg in args], input=data, catch_exceptions=False)


def run_script(path, *arguments):
    """Run a script in this process as ``python path ...`` would, and return what it prints.

    A new process takes seconds to import PyTorch; what a script changes of this one is undone.
    """
    command = [str(path), *map(str, arguments)]
    threads, printed = torch.get_num_threads(), io.StringIO()
    try:
        with (
            patch.object(sys, "argv", command),
            patch.object(sys, "path", [str(Path(path).parent), *sys.path]),
            patch.dict(os.environ),
            redirect_stdout(printed),
        ):
            runpy.run_path(command[0], run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise AssertionError(f"{path} ended with {end.code}: {printed.getvalue()}") from end
    finally:
        torch.set_num_threads(threads)
    return printed.getvalue()


def unfitted_pipeline(**params):
    """As small as a pipeline can be, at 4 kHz; `params` go to ``make_rcrnn_pipeline``."""
    tiny = {
        "sample_rate": RATE,
        "n_fft": 256,
        "hop_length": 128,
        "n_mels": 16,
        "gru_units": 4,
        "dense_units": 8,
        "max_epochs": 1,
        "random_state": 0,
    }
    return make_rcrnn_pipeline(**tiny | params)


def tiny_pipeline(n_clips=8, **params):
    """Trained hardly at all; it lets everything through unless told otherwise."""
    X, y = make_rare_events(n_clips, duration=4.0, sample_rate=RATE, random_state=0)
    return unfitted_pipeline(**{"score_threshold": 0.0, **params}).fit(X, y)


def write_recordings(folder):
    """Twelve recordings of 3 to 5 s, one of which is broken."""
    folder.mkdir()
    X, _ = make_rare_events(12, duration=5.0, sample_rate=RATE, random_state=1)
    for i, samples in enumerate(X):
        soundfile.write(folder / f"{i:02}.wav", samples[: (3 + i % 3) * RATE], RATE)
    (folder / "05.wav").write_text("no audio")
    return sorted(folder.iterdir())


def paths_in(folder):
    """The recordings that :func:`write_recordings` wrote into the folder `in` of a folder."""
    return sorted((folder / "in").iterdir())


def found_by(outcomes):
    return {outcome.path.name: outcome.events for outcome in outcomes}
