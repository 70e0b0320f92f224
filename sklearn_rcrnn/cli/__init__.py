"""The command ``rcrnn``. Heavy modules are imported by the commands that need them."""

from __future__ import annotations

from importlib import import_module

from ._common import app

# Each module adds its command to the application; the help lists them in this order.
COMMANDS = ("detect", "report", "clips", "train", "tune", "evaluate", "synthesize", "models")
for _name in COMMANDS:
    import_module(f".{_name}", __name__)


def main() -> None:
    """Entry point of the command."""
    app()
