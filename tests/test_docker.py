"""The image of the Dockerfile is built and finds events, where Docker is there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sklearn_rcrnn import __version__
from sklearn_rcrnn.annotations import read_events

REPOSITORY = Path(__file__).parents[1]


def docker(*args):
    done = subprocess.run(["docker", *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_image(tmp_path):
    if (
        not shutil.which("docker")
        or subprocess.run(["docker", "info"], capture_output=True).returncode
    ):
        pytest.skip("Docker is not there, or does not run")
    image = "rcrnn-test"
    docker("build", "--tag", image, REPOSITORY)
    assert docker("run", "--rm", image, "--version") == f"rcrnn {__version__}\n"
    noise = 0.01 * np.random.default_rng(0).normal(size=3 * 44100)
    soundfile.write(tmp_path / "a.wav", noise, 44100)
    tmp_path.chmod(0o777)  # rootless Docker has other numbers for users
    user = ["--user", f"{os.getuid()}:{os.getgid()}"]  # as whom the container writes
    mount = ["-v", f"{tmp_path}:/data"]
    docker("run", "--rm", *user, *mount, image, "detect", "/data", "-o", "/data/out")
    assert list(read_events(tmp_path / "out")) == ["a.wav"]
