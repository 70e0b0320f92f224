"""A script that uses the public interface passes mypy's strictest check and pyright's usual one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).with_name("typed_user.py")


@pytest.fixture
def scripts(tmp_path):
    """In another folder, so that the package is found as an installed one is."""
    (tmp_path / "right.py").write_text(EXAMPLE.read_text())
    (tmp_path / "wrong.py").write_text("from sklearn_rcrnn import Event\nEvent(1.0, 2.0, 3.0j)\n")
    return tmp_path


@pytest.mark.slow
def test_what_a_user_writes_is_typed_for_mypy(scripts):
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", scripts / "cache"]
    command += ["right.py", "wrong.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=scripts)
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert len(errors) == 1, done.stdout + done.stderr
    assert errors[0].startswith("wrong.py:2: ")
    assert '"complex"' in errors[0]


@pytest.mark.slow
def test_what_a_user_writes_is_typed_for_pyright(scripts):
    """With basedpyright, which is pyright with Node.js in a wheel: nothing else is downloaded."""
    (scripts / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}')
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run([*command, scripts], capture_output=True, text=True, cwd=scripts)
    (error,) = json.loads(done.stdout)["generalDiagnostics"]
    assert Path(error["file"]).name == "wrong.py"
    assert error["rule"] == "reportArgumentType"
    assert '"complex"' in error["message"]
