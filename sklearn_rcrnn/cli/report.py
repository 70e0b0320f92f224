"""``rcrnn report``: a page to look at and listen to events."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .._utils.text import counted
from ._clips import say_unnamed
from ._columns import Columns, with_columns
from ._common import (
    JsonLogs,
    Log,
    Model,
    Quiet,
    app,
    check_output,
    compare_labels,
    fail,
    load_model,
    measured,
    recordings_in,
    typed,
)
from ._following import Follower


@app.command()
@with_columns
def report(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Recordings, or folders of them.")],
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
        typer.Option(
            min=0,
            help="Show this many seconds around each event. By default recordings over ten "
            "minutes show 5 s around their events, and shorter ones all.",
        ),
    ] = None,
    whole: Annotated[bool, typer.Option("--whole", help="Show all of every recording.")] = False,
    audio: Annotated[bool, typer.Option(help="Put the recordings into the page.")] = True,
    quiet: Quiet = False,
    as_json: JsonLogs = False,
    table_columns: Columns = None,
) -> None:
    """Write a page to listen to events and to correct them: one HTML file, nothing else.

    Events can be kept, rejected, given another label, moved and added, by keyboard and
    mouse. A recording that cannot be read is reported and named on the page, and the exit code is
    1. The page exports the decisions as a table for `rcrnn train ... --corrections`.
    Options for columns are about the table of --truth, or else that of --events.

    \b
    rcrnn report street.wav
    rcrnn report nights/ --events tables/ --around 5 -o nights.html
    """
    from ..displays.report import write_report
    from ..inference.files import detect_files

    log = Log(quiet, as_json)
    _check_together(typed(ctx, "model", "whole", "around"), table_columns, events, truth)
    check_output(output)
    paths = recordings_in(files)
    failed = 0
    try:
        true = None
        if truth is not None:
            true = _matched(truth, table_columns, paths, log)
        if events is not None:
            # Without true events there are no verdicts, which a recording without a row would get.
            columns, told = (table_columns, None) if truth is None else (None, log)
            found: list[Any] = _matched(events, columns, paths, told)
            title, thresholds = f"Events of {events.name}", 0.5
            failed = _say_unreadable(paths, log)
        else:
            pipe, found = load_model(model), []
            title, thresholds = f"Events found by {Path(model).name}", pipe[-1]._thresholds()
            with Follower(log) as follower:
                outcomes = detect_files(pipe, paths, progress=follower.progress)
                for outcome in follower.followed(outcomes):
                    failed += outcome.error is not None
                    found.append(outcome.events or [])
        compare_labels(true or [], found, log)
        write_report(
            paths,
            found,
            output,
            y_true=true,
            around=None if whole else "auto" if around is None else around,
            audio=audio,
            title=title,
            subtitle="" if events is not None else _thresholds_text(thresholds),
            threshold=thresholds,
        )
    except (ImportError, OSError, ValueError) as error:
        fail(str(error))
    n_events = sum(map(len, found))
    text = f"{output}: {counted(n_events, 'event')}"
    log.say("finished", text, file=str(output), n_events=n_events)
    raise typer.Exit(1 if failed else 0)


def _check_together(
    options: list[str], columns: Columns, events: Path | None, truth: Path | None
) -> None:
    """End the command if an option that was given would have no effect beside the others."""
    if "--whole" in options and "--around" in options:
        fail("--whole shows all of every recording, and --around only what is near events")
    if "--model" in options and events is not None:
        fail(
            "--events shows the events of a table, and --model finds others: give one of them. To "
            "compare what a model finds with a table, give the table as --truth"
        )
    if columns and events is None and truth is None:
        name = next(iter(columns))
        fail(f"--{name}-column is about a table of events: give one, as --events or --truth")


def _say_unreadable(paths: list[Path], log: Log) -> int:
    """Report recordings that cannot be read, as a detection would; return how many there are."""
    from ..audio import audio_duration

    _, broken = measured(paths, audio_duration)
    for path, error in broken.items():
        log.say("error", str(error), file=str(path), error=str(error))
    return len(broken)


def _matched(table: Path, columns: Columns, paths: list[Path], log: Log | None) -> list[Any]:
    """The events of each recording in a table; the log tells of recordings without a row in it."""
    from ..annotations import match_files, read_events
    from ..annotations.recording_names import matching_names

    events = read_events(table, columns=columns)
    if log is not None:
        names = zip(paths, matching_names(events, paths), strict=True)
        say_unnamed([path.name for path, name in names if name is None], table, log)
    return match_files(events, paths)


def _thresholds_text(thresholds: Any) -> str:
    """Describe the thresholds of a model in words."""
    if not isinstance(thresholds, dict):
        return f"Threshold: {thresholds:.2f}"
    return "Thresholds: " + ", ".join(f"{label} {t:.2f}" for label, t in thresholds.items())
