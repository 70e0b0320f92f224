"""``rcrnn clips``: each event as an audio file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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

    Exit code 1: some events could not be written; the rest was.

    \b
    rcrnn clips found.csv -o clips/
    rcrnn clips tables/ -r nights/ -o clips/ --label gunshot --context 2
    """
    from ..annotations import match_files, read_events
    from ..datasets import write_event_clips

    log = Log(quiet, as_json)
    if output.exists() and not output.is_dir():
        fail(f"{output} is a file: give a folder for the clips")
    written, failed = 0, 0
    try:
        by_name = read_events(found, columns=table_columns)
        if recordings:
            paths = recordings_in(recordings)
            events = match_files(by_name, paths)
        else:
            paths = [_beside(name, found) for name in by_name]
            events = list(by_name.values())
        if absent := [str(path) for path in paths if not path.exists()]:
            fail(f"no such recording as {some(absent)}: name their folder with --recordings")
        labels = sorted({str(e.label) for own in events for e in own})
        if absent := [name for name in label or [] if name not in labels]:
            known = some(labels) or "no events"
            log.say("warning", f"no event of {some(absent)}; there are {known}", labels=labels)
        chosen = [
            [e for e in own if e.score >= threshold and (not label or str(e.label) in label)]
            for own in events
        ]
        for clip in write_event_clips(paths, chosen, output, context=context, format=format):
            if clip.error is None:
                written += 1
            else:
                failed += 1
                where = f"{clip.recording}, event at {clip.event.onset:g} s"
                log.say("error", f"{where}: {clip.error}", file=clip.recording, error=clip.error)
    except (OSError, ValueError) as error:
        fail(str(error))
    log.say("finished", f"{output}: {counted(written, 'clip')}", folder=str(output), n=written)
    raise typer.Exit(1 if failed else 0)


def _beside(name: str, table: Path) -> Path:
    """Resolve a path from the current folder, or else from the folder of the table."""
    path = Path(name)
    folder = table if table.is_dir() else table.parent
    return path if path.exists() else folder / path
