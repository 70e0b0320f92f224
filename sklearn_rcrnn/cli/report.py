"""``rcrnn report``: a page to look at and listen to events."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .._utils.text import counted
from ._common import JsonLogs, Log, Model, Quiet, app, fail, load_model, recordings_in
from .detect import Recordings, _followed


@app.command()
def report(
    files: Recordings,
    output: Annotated[Path, typer.Option("--output", "-o", help="The page.")] = Path("report.html"),
    model: Model = "rare-events",
    events: Annotated[
        Path | None, typer.Option(help="Table or folder of events, instead of detecting them.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Table or folder of the true events, for a second lane.")
    ] = None,
    around: Annotated[
        float | None,
        typer.Option(min=0, help="Show only so many seconds around each event, not all."),
    ] = None,
    audio: Annotated[bool, typer.Option(help="Put the recordings into the page.")] = True,
    quiet: Quiet = False,
    as_json: JsonLogs = False,
) -> None:
    """Write a page to listen to the events: one HTML file that needs nothing else.

    \b
    rcrnn report street.wav
    rcrnn report nights/ --events tables/ --around 5 -o nights.html
    """
    from ..annotations.tables import match_files, read_events
    from ..displays.report import write_report
    from ..inference.files import detect_files

    log = Log(quiet, as_json)
    paths = recordings_in(files)
    failed = 0
    try:
        true = None if truth is None else match_files(read_events(truth), paths)
        if events is not None:
            found: list[Any] = match_files(read_events(events), paths)
        else:
            found = []
            for outcome in _followed(detect_files(load_model(model), paths), len(paths), log):
                failed += outcome.error is not None
                found.append(outcome.events or [])
        title = f"Events: {output.stem}"
        write_report(paths, found, output, y_true=true, around=around, audio=audio, title=title)
    except (ImportError, OSError, ValueError) as error:
        fail(str(error))
    n_events = sum(map(len, found))
    text = f"{output}: {counted(n_events, 'event')}"
    log.say("finished", text, file=str(output), n_events=n_events)
    raise typer.Exit(1 if failed else 0)
