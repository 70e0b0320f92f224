"""A long recording needs little memory, whatever the number of threads."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch

RATE = 44100

PROBE = """
import sys
from sklearn_rcrnn.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM:")))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these heaps")
@pytest.mark.skipif(
    torch.version.cuda is not None or torch.version.hip is not None,
    reason="PyTorch for graphics cards takes hundreds of MB more",
)
@pytest.mark.parametrize("n_threads", [2])
def test_ten_minutes(tmp_path, n_threads):
    minute = (0.01 * np.random.default_rng(0).normal(size=60 * RATE)).astype(np.float32)
    with soundfile.SoundFile(tmp_path / "long.wav", "w", RATE, 1) as file:
        for _ in range(10):
            file.write(minute)
    command = [sys.executable, "-c", PROBE, "detect", "long.wav", "-o", "out.csv", "--quiet"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(n_threads)}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
    )
    kilobytes = int(done.stdout)
    assert kilobytes < 400 * 1024
