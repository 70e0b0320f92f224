"""The command ``rcrnn``. Heavy modules are imported by the commands that need them."""

from __future__ import annotations

from . import detecting, tables, train, tune  # noqa: F401  (each adds its commands)
from .common import app


def main() -> None:
    """Entry point of the command."""
    app()
