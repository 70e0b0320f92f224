"""The command ``rcrnn``. Heavy modules are imported by the commands that need them."""

from __future__ import annotations

from importlib import import_module
from inspect import cleandoc
from typing import Annotated

import typer

from .._utils import spared_imports
from ._common import Log, Once, app

# Each module adds its command to the application; the help lists them in this order.
COMMANDS = ("detect", "report", "clips", "train", "tune", "evaluate", "synthesize", "models")
for _name in COMMANDS:
    import_module(f".{_name}", __name__)


def _unwrapped(text: str) -> str:
    """Join the lines of each paragraph, except in examples, which begin with a backspace."""
    paragraphs = cleandoc(text).split("\n\n")
    return "\n\n".join(p if p.startswith("\b") else p.replace("\n", " ") for p in paragraphs)


for _command in app.registered_commands:
    _command.cls = Once
    _command.help = _unwrapped((_command.callback and _command.callback.__doc__) or "")


def _version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"rcrnn {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Find sound events in recordings, and learn to find others."""
    Log.active = None


def main() -> None:
    """Entry point of the command."""
    spared_imports.is_command = True
    app()
