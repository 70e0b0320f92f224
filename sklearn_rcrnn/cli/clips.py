"""``rcrnn clips``: each event as an audio file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .._utils.text import counted, some
from ._columns import Columns, with_columns
from ._common import JsonLogs, Log, Quiet, app, fail, recordings_in


@app.command()
@with_columns
def clips(
    found: Annotated[Path, typer.Argument(help="Table of events, or a folder of tables.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the clips.")],
    recordings: Annotated[
        list[Path] | None,
        typer.Option(
            "--recordings",
            "-r",
            help="Recordings, or folders of them. By default the table names their paths.",
        ),
    ] = None,
    context: Annotated[
        float, typer.Option(min=0, help="Seconds before and after each event.")
    ] = 1.0,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out events with a lower score.")
    ] = 0.0,
    label: Annotated[
        list[str] | None, typer.Option(help="Only events of this label; may be repeated.")
    ] = None,
    format: Annotated[str, typer.Option(help="wav, flac, ogg or mp3.")] = "wav",
    quiet: Quiet = False,
    as_json: JsonLogs = False,
    table_columns: Columns = None,
) -> None:
    """Write each event as an audio file, named by its label, score, recording and time.

    Where the table has no scores, names have none.

    A recording that is not there or cannot be read is reported, and the rest goes on. Exit code
    1: some events could not be written; 2: nothing was done.

    \b
    rcrnn clips found.csv -o clips/
    rcrnn clips tables/ -r nights/ -o clips/ --label gunshot --context 2
    """
    from ..annotations import match_files, read_events
    from ..datasets import write_event_clips

    log = Log(quiet, as_json)
    if output.exists() and not output.is_dir():
        fail(f"{output} is a file: give a folder for the clips")
    written = 0
    failures: dict[str, int] = {}
    try:
        by_name = read_events(found, columns=table_columns)
        if recordings:
            paths = recordings_in(recordings)
            events = match_files(by_name, paths)
        else:
            paths = [_beside(name, found) for name in by_name]
            events = list(by_name.values())
        labels = sorted({str(e.label) for own in events for e in own})
        if absent := [name for name in label or [] if name not in labels]:
            known = some(labels) or "no events"
            log.say("warning", f"no event of {some(absent)}; there are {known}", labels=labels)
        chosen = [
            [e for e in own if e.score >= threshold and (not label or str(e.label) in label)]
            for own in events
        ]
        paths, chosen, failures = _there(paths, chosen, log)
        for clip in write_event_clips(paths, chosen, output, context=context, format=format):
            if clip.error is None:
                written += 1
            else:
                failures[clip.recording] = failures.get(clip.recording, 0) + 1
                where = f"{clip.recording}, event at {clip.event.onset:g} s"
                log.say("error", f"{where}: {clip.error}", file=clip.recording, error=clip.error)
    except (OSError, ValueError) as error:
        fail(str(error))
    _conclude(output, written, failures, log)


def _there(
    paths: list[Path], events: list[list[Any]], log: Log
) -> tuple[list[Path], list[list[Any]], dict[str, int]]:
    """Recordings that are there, their events, and how many events each of the others has.

    Each of the others is reported once; if there is no recording at all, the command ends.
    """
    there = [path.exists() for path in paths]
    if paths and not any(there):
        fail(f"no such recording as {some(paths)}: name their folder with --recordings")
    lost: dict[str, int] = {}
    for path, own, is_there in zip(paths, events, there, strict=True):
        if own and not is_there:
            lost[str(path)] = lost.get(str(path), 0) + len(own)
    for name, n in lost.items():
        error = f"no such recording as {name}: name its folder with --recordings"
        log.say("error", f"left out {counted(n, 'event')}: {error}", file=name, error=error)
    kept = [i for i, is_there in enumerate(there) if is_there]
    return [paths[i] for i in kept], [events[i] for i in kept], lost


def _conclude(output: Path, written: int, failures: dict[str, int], log: Log) -> None:
    """Say how much was written, and last what was not; end with the exit code for that."""
    failed = sum(failures.values())
    text = f"{output}: {counted(written, 'clip')}"
    if failed:
        of = f"{counted(failed, 'event')} of {counted(len(failures), 'recording')}"
        text += f"\n{of} failed: {some([Path(name).name for name in failures])}"
    told = [{"file": name, "n_events": n} for name, n in failures.items()]
    log.say("finished", text, folder=str(output), n=written, n_failed=failed, failures=told)
    raise typer.Exit(1 if failed else 0)


def _beside(name: str, table: Path) -> Path:
    """Resolve a path from the current folder, or else from the folder of the table."""
    path = Path(name)
    folder = table if table.is_dir() else table.parent
    return path if path.exists() else folder / path
