"""The command ``rcrnn``. Heavy modules are imported by the commands that need them."""

from __future__ import annotations

# Each module adds its command to the application, in the order of the help.
from . import detect, report, clips, models, evaluate, synthesize, train, tune  # noqa: F401, I001
from ._common import app


def main() -> None:
    """Entry point of the command."""
    app()
