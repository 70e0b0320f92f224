"""``rcrnn evaluate``: scores of found events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from .._utils.text import counted, some
from ._common import app, fail, label_scores, rate_text


@app.command()
def evaluate(
    true: Annotated[Path, typer.Argument(help="Table or folder of the true events.")],
    found: Annotated[Path, typer.Argument(help="Table or folder of the found events.")],
    collar: Annotated[float, typer.Option(help="Tolerance in seconds.")] = 0.5,
    offsets: Annotated[bool, typer.Option(help="Offsets must match, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score found events against true ones, by label.

    Recordings are those of the true table. One without an event belongs into it, too, in a
    row with its name alone: else nobody knows that what was found there is false.

    \b
    rcrnn evaluate truth.csv found.csv
    """
    from ..annotations.recording_names import matching_names
    from ..annotations.tables import read_events
    from ..metrics import event_based_error_rate, event_based_f_score

    try:
        reference, estimate = read_events(true), read_events(found)
        y_true = list(reference.values())
        matched = matching_names(estimate, reference)
        _tell_unmatched(reference, estimate, matched)
        y_found = [[] if name is None else estimate[name] for name in matched]
        labels = sorted({event.label for clip in (*y_true, *y_found) for event in clip})
        criteria: dict[str, Any] = {"t_collar": collar, "evaluate_offset": offsets}
        rows = label_scores(y_true, y_found, labels, **criteria)
        rows["all"] = {
            "error_rate": float(event_based_error_rate(y_true, y_found, **criteria)),
            "f_score": float(event_based_f_score(y_true, y_found, zero_division=0, **criteria)),
        }
    except (OSError, TypeError, ValueError) as error:
        fail(str(error))
    if as_json:
        names = ("error_rate", "f_score")
        typer.echo(json.dumps({k: {name: row[name] for name in names} for k, row in rows.items()}))
        return
    width = max(len(label) for label in rows)
    typer.echo(f"{'label':<{width}}  error rate  F-score")
    for label, row in rows.items():
        rate = rate_text(row["error_rate"], 3)
        typer.echo(f"{label:<{width}}  {rate:>10}  {row['f_score']:7.3f}")


def _tell_unmatched(reference: Any, estimate: Any, matched: list[str | None]) -> None:
    """Say which recordings only one of the tables names, for the scores hang on them."""
    used = set(matched)
    missing = [name for name, own in zip(reference, matched, strict=True) if own is None]
    extra = [name for name in estimate if estimate[name] and name not in used]
    if missing:
        text = f"{counted(len(missing), 'recording')} not in the found events, taken as empty"
        typer.echo(f"{text}: {some(missing)}", err=True)
    if extra:
        text = f"{counted(len(extra), 'recording')} not in the true events, and not scored"
        typer.echo(f"{text}: {some(extra)}", err=True)
