"""``rcrnn clips``: each event as an audio file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

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
    1: some events could not be written; 2: nothing was done. Recordings that are named one by one
    with -r are a choice: others that the table has are left out with a warning.

    \b
    rcrnn clips found.csv -o clips/
    rcrnn clips tables/ -r nights/ -o clips/ --label gunshot --context 2
    """
    from ..annotations import read_events
    from ..datasets import write_event_clips

    log = Log(quiet, as_json)
    if output.exists() and not output.is_dir():
        fail(f"{output} is a file: give a folder for the clips")
    written = 0
    failures: dict[str, int] = {}
    try:
        by_name = read_events(found, columns=table_columns)
        sources = _sources(by_name, found, recordings)
        labels = sorted({str(e.label) for source in sources for e in source.events})
        if absent := [name for name in label or [] if name not in labels]:
            known = some(labels) or "no events"
            log.say("warning", f"no event of {some(absent)}; there are {known}", labels=labels)
        chosen = [
            source._replace(
                events=[
                    e
                    for e in source.events
                    if e.score >= threshold and (not label or str(e.label) in label)
                ]
            )
            for source in sources
        ]
        there, failures = _there(chosen, recordings, log)
        paths, events = [source.path for source in there], [source.events for source in there]
        for clip in write_event_clips(paths, events, output, context=context, format=format):
            if clip.error is None:
                written += 1
            else:
                failures[clip.recording] = failures.get(clip.recording, 0) + 1
                where = f"{clip.recording}, event at {clip.event.onset:g} s"
                log.say("error", f"{where}: {clip.error}", file=clip.recording, error=clip.error)
    except (OSError, ValueError) as error:
        fail(str(error))
    _conclude(output, written, failures, log)


class _Source(NamedTuple):
    """A recording with its events.

    Attributes
    ----------
    path : Path
        Where it lies, or its name in the table if no folder that was given has it.
    events : list of Event
    is_there : bool
    """

    path: Path
    events: list[Any]
    is_there: bool


def _sources(
    by_name: Mapping[str, list[Any]], table: Path, recordings: list[Path] | None
) -> list[_Source]:
    """The recordings that the table means, and those that the folders should have and do not."""
    from ..annotations import match_files
    from ..annotations.recording_names import matching_names, without_path

    absent: list[str] = []
    if not recordings:
        paths, events = [_beside(name, table) for name in by_name], [*by_name.values()]
    elif not any(map(Path.is_dir, recordings)):
        paths = recordings_in(recordings)
        events = match_files(by_name, paths)
    else:
        paths = recordings_in(recordings)
        names = matching_names(by_name, paths)
        events = [[] if name is None else by_name[name] for name in names]
        absent = without_path(by_name, names)
        if absent and not any(events):
            are = "are" if len(paths) > 1 else "is"
            fail(
                f"no recording with events in {some(recordings)}: the table names {some(absent)}, "
                f"and there {are} {some([path.name for path in paths])}"
            )
    rows = zip(paths, events, strict=True)
    found = [_Source(path, own, path.exists()) for path, own in rows]
    return [*found, *(_Source(Path(name), by_name[name], False) for name in absent)]


def _there(
    sources: list[_Source], recordings: list[Path] | None, log: Log
) -> tuple[list[_Source], dict[str, int]]:
    """Recordings that are there, and how many events each of the others has.

    Each of the others is reported once; if there is no recording at all, the command ends.
    """
    kept = [source for source in sources if source.is_there]
    if sources and not kept:
        paths = [source.path for source in sources]
        fail(f"no such recording as {some(paths)}: name their folder with --recordings")
    lost: dict[str, int] = {}
    for path, own, is_there in sources:
        if own and not is_there:
            lost[str(path)] = lost.get(str(path), 0) + len(own)
    advice = "give its folder, too" if recordings else "name its folder with --recordings"
    where = f" in {some(recordings)}" if recordings else ""
    for name, n in lost.items():
        error = f"no such recording as {name}{where}: {advice}"
        log.say("error", f"left out {counted(n, 'event')}: {error}", file=name, error=error)
    return kept, lost


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
