"""``rcrnn models``: the models that come with the package, and the card of a model."""

from __future__ import annotations

from typing import Annotated

import typer

from ._common import Log, app, fail

# A line of the list names this many labels; the model card names all.
_MOST_LABELS = 8


@app.command()
def models(
    name: Annotated[
        str | None, typer.Argument(help="A model of the package or a folder: prints its card.")
    ] = None,
) -> None:
    """List the models that come with the package, or print the card of one.

    The list has the labels, the license of the weights, the size, and the mean error rate on
    mixtures that no training has heard.

    \b
    rcrnn models
    rcrnn models rare-events
    """
    from ..models.shipped import list_pretrained, model_card, model_facts

    # Warnings are then printed as sentences, as by the other commands.
    Log(quiet=False, as_json=False)
    if name is not None:
        try:
            typer.echo(model_card(name), nl=False)
        except FileNotFoundError as error:
            fail(str(error))
        return
    for known in list_pretrained():
        facts = model_facts(known)
        rate = "" if facts.error_rate is None else f", error rate {facts.error_rate:.2f}"
        labels = ", ".join(map(str, facts.labels[:_MOST_LABELS]))
        if more := len(facts.labels[_MOST_LABELS:]):
            labels += f" and {more} more (rcrnn models {facts.name})"
        typer.echo(
            f"{facts.name}: {labels}\n"
            f"    {facts.license or 'license unknown'}, {facts.n_bytes / 1e6:.1f} MB{rate}"
        )
