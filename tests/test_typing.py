"""A script that uses the public interface passes the strictest type check."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).with_name("typed_user.py")


@pytest.mark.slow
def test_what_a_user_writes_is_typed(tmp_path):
    # From another folder, so that the package is found as an installed one is.
    (tmp_path / "right.py").write_text(EXAMPLE.read_text())
    (tmp_path / "wrong.py").write_text("from sklearn_rcrnn import Event\nEvent(1.0, 2.0, 3.0j)\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache"]
    command += ["right.py", "wrong.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert len(errors) == 1, done.stdout + done.stderr
    assert errors[0].startswith("wrong.py:2: ")
    assert '"complex"' in errors[0]
