"""All checks: lint, format, types, tests and docs; stops at the first that fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = [sys.executable, "-m"]
QUICK = {
    "lint": [*PYTHON, "ruff", "check", "."],
    "format": [*PYTHON, "ruff", "format", "--check", "."],
    "types": [*PYTHON, "mypy"],
}
DOCS = [*PYTHON, "sphinx", "-W", "-q", "-b", "html", "docs", "docs/_build/html"]
# Files of tests side by side; a test that hangs fails instead of holding up the rest. In the order
# of their names, in which the short doctests come last: else the files with the fewest tests
# would, and those take the longest.
TESTS = [*PYTHON, "pytest", "-q", "-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder"]
TESTS += ["--timeout", "600"]
# Each process computes in one thread: several that wait for each other's cores are slower.
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}


def ended(name: str, code: int, started: float) -> int:
    print(f"== {name}: {'failed' if code else 'ok'} ({time.time() - started:.0f} s)", flush=True)
    return code


def run(name: str, command: list[str]) -> int:
    print(f"== {name}", flush=True)
    started = time.time()
    return ended(name, subprocess.run(command, cwd=ROOT, env=ENVIRONMENT).returncode, started)


def main() -> int:
    # API pages are written anew, so that a name that is gone leaves no page behind.
    shutil.rmtree(ROOT / "docs" / "api", ignore_errors=True)
    # The docs keep one core busy, and are done long before the tests are.
    started = time.time()
    with tempfile.TemporaryFile("w+") as text:
        docs = subprocess.Popen(DOCS, cwd=ROOT, env=ENVIRONMENT, stdout=text, stderr=text)
        try:
            for name, command in QUICK.items():
                if code := run(name, command):
                    return code
            code = run("tests", TESTS)
            docs_code = docs.wait()
        finally:
            docs.kill()
        text.seek(0)
        print("== docs", text.read(), sep="\n", end="", flush=True)
    return ended("docs and all else", code or docs_code, started)


if __name__ == "__main__":
    sys.exit(main())
