"""``rcrnn models``: the models that come with the package."""

from __future__ import annotations

import typer

from ._common import app


@app.command()
def models() -> None:
    """List the models that come with the package."""
    from .. import list_pretrained, load_pretrained

    for name in list_pretrained():
        typer.echo(f"{name}: {', '.join(map(str, load_pretrained(name)[-1].classes_))}")
