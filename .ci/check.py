"""All checks: lint, format, types, tests and docs; stops at the first that fails."""

from __future__ import annotations

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
    "tests": [*PYTHON, "pytest", "-q"],
}


def main() -> int:
    # API pages are written anew, so that a name that is gone leaves no page behind.
    shutil.rmtree(ROOT / "docs" / "api", ignore_errors=True)
    for name, command in STEPS.items():
        started = time.time()
        print(f"== {name}", flush=True)
        code = subprocess.run(command, cwd=ROOT).returncode
        print(
            f"== {name}: {'failed' if code else 'ok'} ({time.time() - started:.0f} s)", flush=True
        )
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
