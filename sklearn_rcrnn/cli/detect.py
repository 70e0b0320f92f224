"""``rcrnn detect``: events of recordings and streams, in tables."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._utils.text import counted
from ._common import (
    JsonLogs,
    Log,
    Model,
    Quiet,
    TableFormat,
    Threshold,
    app,
    fail,
    load_model,
    recordings_in,
    set_threshold,
)

if TYPE_CHECKING:
    from ..inference.files import Outcome


Recordings = Annotated[list[Path], typer.Argument(help="Recordings, or folders of them.")]
_STDIN = Path("-")


@app.command()
def detect(
    files: Annotated[
        list[Path], typer.Argument(help="Recordings, or folders of them; - is standard input.")
    ],
    model: Model = "rare-events",
    format: Annotated[TableFormat, typer.Option(help="Of the tables.")] = TableFormat.csv,
    threshold: Threshold = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="A table; a folder, for a table each; - prints.")
    ] = "-",
    raw: Annotated[
        int | None,
        typer.Option(min=1, help="Standard input is 16-bit mono samples at this rate, endless."),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Recordings to work on side by side.")] = 1,
    overwrite: Annotated[bool, typer.Option(help="Do recordings again that have a table.")] = False,
    quiet: Quiet = False,
    as_json: JsonLogs = False,
) -> None:
    """Find events and write them to a table.

    A recording that cannot be read is reported, and the rest goes on. With a folder as
    output, tables lie in it as recordings do in their folder, and recordings that have
    their table there already are passed over, so that an interrupted run goes on when it
    is repeated. Exit code 1: some recordings failed.

    \b
    rcrnn detect street.wav
    rcrnn detect nights/ --output tables/ --format raven --jobs 2
    ffmpeg -i film.mkv -f wav - | rcrnn detect -
    arecord -t raw -f S16_LE -r 44100 | rcrnn detect - --raw 44100
    """
    from ..annotations.formats import format_named

    pipe = load_model(model)
    log = Log(quiet, as_json)
    set_threshold(pipe, threshold)
    if raw is not None:
        if files != [_STDIN] or output != "-":
            fail("--raw is for standard input to standard output: rcrnn detect - --raw 44100")
        _detect_raw(pipe, raw, format, log)
        return
    if files == [_STDIN]:
        _detect_stdin(pipe, format, output, log)
        return
    folder_out = Path(output) if output.endswith("/") or Path(output).is_dir() else None
    paths = recordings_in(files)
    if folder_out is None:
        if not format_named(format.known_as).many and len(paths) > 1:
            fail(f"{format.value} tables are about one recording each: give a folder, -o tables/")
        if output != "-" and not os.access(Path(output).absolute().parent, os.W_OK):
            fail(f"{output} cannot be written: {Path(output).absolute().parent} is no such folder")
    root = files[0] if len(files) == 1 and files[0].is_dir() else None
    outcomes = _outcomes(pipe, paths, folder_out, format, jobs, overwrite, root)
    _write(outcomes, len(paths), format, None if folder_out else output, log)


def _detect_stdin(pipe: Any, format: TableFormat, output: str, log: Log) -> None:
    """A copy on disk takes the place of standard input, which cannot be read twice."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "stdin"
        with open(copy, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        outcomes = (
            outcome._replace(
                path=Path("stdin"),
                error=outcome.error and outcome.error.replace(str(copy), "standard input"),
            )
            for outcome in _outcomes(pipe, [copy], None, format, 1, True)
        )
        _write(outcomes, 1, format, output, log)


def _outcomes(
    pipe: Any,
    paths: list[Path],
    folder: Path | None,
    format: TableFormat,
    jobs: int,
    overwrite: bool,
    root: Path | None = None,
) -> Iterator[Outcome]:
    from ..inference.files import detect_files

    return detect_files(
        pipe,
        paths,
        output_dir=folder,
        format=format.known_as,
        root=root,
        overwrite=overwrite,
        n_jobs=jobs,
    )


def _write(
    outcomes: Iterator[Outcome], total: int, format: TableFormat, output: str | None, log: Log
) -> None:
    """Follow the work; then, unless tables were written on the way, write one table."""
    from ..annotations.tables import write_events

    found, failed, kept, seconds = {}, 0, 0, 0.0
    try:
        for outcome in _followed(outcomes, total, log):
            seconds += outcome.duration
            failed += outcome.error is not None
            if outcome.events is None:
                kept += outcome.error is None
            elif output is not None:
                found[str(outcome.path)] = outcome.events
        if output is not None:
            write_events(found, None if output == "-" else output, format.known_as)
    except KeyboardInterrupt:
        _keep(found, total, format, output, log)
        raise typer.Exit(130) from None
    except BrokenPipeError:
        raise
    except (ImportError, OSError, ValueError) as error:
        fail(str(error))
    # Of another model or threshold, perhaps.
    text = f"{counted(kept, 'recording')} passed over: the table is there (--overwrite)"
    facts = {"n_files": total, "n_failed": failed, "n_skipped": kept, "duration": round(seconds, 3)}
    log.say("finished", text if kept else "", **facts)
    raise typer.Exit(1 if failed else 0)


def _keep(
    found: dict[str, Any], total: int, format: TableFormat, output: str | None, log: Log
) -> None:
    """Of a run that was interrupted, what would be lost with it."""
    from ..annotations.tables import write_events

    text = "interrupted: repeated, the command goes on with the recordings that have no table"
    if output is not None:
        place = None if output == "-" else f"{output}.part"
        if found:
            write_events(found, place, format.known_as)
        text = f"interrupted: events of {len(found)} of {counted(total, 'recording')}"
        text += f" are in {place}" if place and found else ""
        text += "; with a folder as output (-o tables/) a run goes on when it is repeated"
    log.say("interrupted", text, n_files=total)


def _followed(outcomes: Iterator[Outcome], total: int, log: Log) -> Iterator[Outcome]:
    """The outcomes, each told of when it is there, under a bar."""
    seconds = 0.0
    with log.progress(total, "detecting") as bar:
        for outcome in outcomes:
            seconds += outcome.duration
            speed = seconds / max(time.time() - log.started, 1e-9)
            bar.update(bar.task_ids[0], advance=1, speed=f"{speed:.0f} x real time")
            yield outcome  # what is told of has been taken in
            _tell(outcome, log)


def _tell(outcome: Outcome, log: Log) -> None:
    path = str(outcome.path)
    if outcome.error:
        log.say("error", outcome.error, file=path, error=outcome.error)
    elif outcome.events is None:
        log.say("skipped", file=path)
    else:
        facts: dict[str, Any] = {
            "n_events": len(outcome.events),
            "duration": round(outcome.duration, 3),
        }
        log.say("detected", file=path, **facts)


def _detect_raw(pipe: Any, rate: int, format: TableFormat, log: Log) -> None:
    """Print each event as soon as it is certain."""
    from ..annotations.tables import format_events
    from ..inference.stream import detect_stream

    name = format.known_as
    if name in ("raven", "jams"):
        fail(f"{name} tables are written as a whole: choose another --format for a stream")
    header = format_events({}, name)
    typer.echo(header, nl=False)
    n_events = 0
    try:
        for event in detect_stream(pipe, _raw_blocks(rate), sample_rate=rate):
            n_events += 1
            typer.echo(format_events({"stdin": [event]}, name)[len(header) :], nl=False)
            sys.stdout.flush()
    except ValueError as error:
        fail(str(error))
    except KeyboardInterrupt:
        log.say("interrupted", "stopped")
    log.say("finished", n_files=1, n_failed=0, n_events=n_events)


def _raw_blocks(rate: int) -> Iterator[Any]:
    import numpy as np

    rest = b""
    while data := sys.stdin.buffer.read1(2 * rate):  # type: ignore[union-attr]
        data = rest + data
        whole = len(data) // 2 * 2
        rest = data[whole:]
        if whole:
            yield np.frombuffer(data[:whole], "<i2").astype(np.float32) / 32768
