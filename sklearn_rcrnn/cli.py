"""The command ``rcrnn``. Heavy modules are imported by the commands that need them."""

from __future__ import annotations

import json
import sys
import time
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

app = typer.Typer(
    name="rcrnn",
    help="Find sound events in recordings.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

AUDIO = (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff", ".opus")


class TableFormat(str, Enum):
    csv = "csv"
    tsv = "tsv"
    jsonl = "jsonl"
    audacity = "audacity"
    raven = "raven"
    dcase = "dcase"


def _fail(message: str) -> NoReturn:
    typer.echo(f"rcrnn: {message}", err=True)
    raise typer.Exit(2)


def _model(name: str) -> Any:
    """A pipeline from a folder, or one that comes with the package."""
    from . import list_pretrained, load, load_pretrained

    try:
        return load_pretrained(name) if name in list_pretrained() else load(name)
    except (FileNotFoundError, ValueError) as error:
        _fail(f"{error}; models that come with the package: {', '.join(list_pretrained())}")


def _recordings(paths: list[Path]) -> list[Path]:
    """Files, and the recordings in folders, however deep."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(p for p in path.rglob("*") if p.suffix.lower() in AUDIO)
        else:
            files.append(path)
    if not files:
        _fail(f"no recordings in {', '.join(map(str, paths))} (looked for {' '.join(AUDIO)})")
    return files


@app.command()
def detect(
    files: Annotated[list[Path], typer.Argument(help="Recordings, or folders of them.")],
    model: Annotated[
        str, typer.Option(help="A model of the package (see `rcrnn models`) or a folder.")
    ] = "rare-events",
    format: Annotated[TableFormat, typer.Option(help="Of the tables.")] = TableFormat.csv,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Lowest score; by default the model's.")
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="A table; a folder, for a table each; - prints.")
    ] = "-",
    jobs: Annotated[int, typer.Option(help="Recordings to work on side by side.")] = 1,
    overwrite: Annotated[bool, typer.Option(help="Do recordings again that have a table.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Find events and write them to a table.

    A recording that cannot be read is reported, and the rest goes on. With a folder as
    output, recordings that have their table there already are passed over, so that an
    interrupted run goes on when it is repeated. Exit code 1: some recordings failed.

    \b
    rcrnn detect street.wav
    rcrnn detect nights/ --output tables/ --format raven --jobs 2
    """
    from .annotations import write_events
    from .batch import detect_files

    pipe = _model(model)
    if threshold is not None:
        pipe[-1].set_params(score_threshold=threshold)
    paths = _recordings(files)
    folder = Path(output) if output.endswith("/") or Path(output).is_dir() else None
    if folder is None and format is TableFormat.audacity and len(paths) > 1:
        _fail("Audacity's labels belong to one recording: give a folder, --output tables/")
    found, failed, seconds, started = {}, 0, 0.0, time.time()
    try:
        outcomes = detect_files(
            pipe,
            paths,
            output_dir=folder,
            format=format.value,
            overwrite=overwrite,
            n_jobs=jobs,
        )
        for number, outcome in enumerate(outcomes, 1):
            seconds += outcome.duration
            if outcome.error:
                failed += 1
                typer.echo(f"rcrnn: {outcome.error}", err=True)
            elif outcome.events is not None and folder is None:
                found[str(outcome.path)] = outcome.events
            if not quiet and sys.stderr.isatty():
                speed = seconds / max(time.time() - started, 1e-9)
                typer.echo(f"\r{number}/{len(paths)}  {speed:.0f} x real time ", err=True, nl=False)
        if folder is None:
            write_events(found, None if output == "-" else output, format.value)
    except (OSError, ValueError) as error:
        _fail(str(error))
    if not quiet and sys.stderr.isatty():
        typer.echo("", err=True)
    raise typer.Exit(1 if failed else 0)


@app.command()
def evaluate(
    true: Annotated[Path, typer.Argument(help="Table of the true events.")],
    found: Annotated[Path, typer.Argument(help="Table of the found events.")],
    collar: Annotated[float, typer.Option(help="Tolerance in seconds.")] = 0.5,
    offsets: Annotated[bool, typer.Option(help="Offsets must match, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score found events against true ones, by label.

    \b
    rcrnn evaluate truth.csv found.csv
    """
    from .annotations import match_files, read_events
    from .metrics import event_based_error_rate, event_based_f_score

    try:
        reference, estimate = read_events(true), read_events(found)
        y_true = list(reference.values())
        y_found = match_files(estimate, reference)
        labels = sorted({event.label for clip in (*y_true, *y_found) for event in clip})
        criteria: dict[str, Any] = {
            "t_collar": collar,
            "evaluate_offset": offsets,
            "labels": labels,
        }
        rates: Any = event_based_error_rate(y_true, y_found, average=None, **criteria)
        scores: Any = event_based_f_score(
            y_true, y_found, average=None, zero_division=0, **criteria
        )
        both = (
            float(event_based_error_rate(y_true, y_found, **criteria)),
            float(event_based_f_score(y_true, y_found, zero_division=0, **criteria)),
        )
    except (OSError, TypeError, ValueError) as error:
        _fail(str(error))
    rows = dict(zip(labels, zip(rates, scores, strict=True), strict=True)) | {"all": both}
    if as_json:
        table = {
            str(k): {"error_rate": float(r), "f_score": float(f)} for k, (r, f) in rows.items()
        }
        typer.echo(json.dumps(table))
        return
    width = max(len(str(label)) for label in rows)
    typer.echo(f"{'label':<{width}}  error rate  F-score")
    for label, (rate, score) in rows.items():
        typer.echo(f"{label!s:<{width}}  {rate:10.3f}  {score:7.3f}")


@app.command()
def models() -> None:
    """List the models that come with the package."""
    from . import list_pretrained, load_pretrained

    for name in list_pretrained():
        typer.echo(f"{name}: {', '.join(map(str, load_pretrained(name)[-1].classes_))}")


def main() -> None:
    """Entry point of the command."""
    app()
