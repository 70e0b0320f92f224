"""What a command does not need it does not import: each takes seconds."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

PROBE = """
import json, sys
from sklearn_rcrnn.cli import app
sys.argv = ["rcrnn", *json.loads(sys.argv[1])]
try:
    app()
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted({name for name in sys.modules})), file=sys.stderr)
"""


def imported(*arguments):
    """Modules that a command has imported at its end."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [["models"], ["--help"], ["detect", "--help"]])
def test_commands_without_a_network(arguments):
    modules = imported(*arguments)
    for heavy in ("torch", "sklearn", "scipy", "librosa", "skorch"):
        assert heavy not in modules, heavy


def test_detection(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.random.default_rng(0).normal(size=48000) / 10, 48000)
    modules = imported("detect", str(path), "--quiet")
    assert "torch" in modules
    for heavy in ("librosa", "sed_eval", "dcase_util", "numba", "matplotlib", "torch.onnx", "onnx"):
        assert heavy not in modules, heavy
