"""All checks: lint, format, types, tests and docs; stops at the first that fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = [sys.executable, "-m"]
STEPS = {
    "lint": [*PYTHON, "ruff", "check", "."],
    "format": [*PYTHON, "ruff", "format", "--check", "."],
    "types": [*PYTHON, "mypy"],
    "docs": [*PYTHON, "sphinx", "-W", "-q", "-b", "html", "docs", "docs/_build/html"],
    # Files of tests side by side; a test that hangs fails instead of holding up the rest.
    "tests": [*PYTHON, "pytest", "-q", "-n", "auto", "--dist", "loadfile", "--timeout", "600"],
}
# Each process computes in one thread: several that wait for each other's cores are slower.
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}


def main() -> int:
    # API pages are written anew, so that a name that is gone leaves no page behind.
    shutil.rmtree(ROOT / "docs" / "api", ignore_errors=True)
    for name, command in STEPS.items():
        started = time.time()
        print(f"== {name}", flush=True)
        code = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT).returncode
        print(
            f"== {name}: {'failed' if code else 'ok'} ({time.time() - started:.0f} s)", flush=True
        )
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
