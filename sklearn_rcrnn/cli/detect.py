"""``rcrnn detect``: events of recordings and streams, in tables."""

from __future__ import annotations

import codecs
import os
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from .._utils import spared_imports
from .._utils.heap import share_one_heap
from ._common import (
    JsonLogs,
    Log,
    MaxDuration,
    MergeGap,
    MinDuration,
    Model,
    Quiet,
    TableFormat,
    Threshold,
    app,
    check_output,
    fail,
    load_model,
    recordings_in,
    set_rules,
    set_threshold,
)
from ._detection_run import DetectionRun, ends_by_signal
from ._following import Follower
from ._raw_stream import detect_raw
from ._target import check_table, target_of

_STDIN = Path("-")
# Seconds that a stream has for a window and its margins by default.
_WINDOW, _MARGIN = 60.0, 10.0
_ONE_TABLE = (
    "{table} has only the recordings of shard {shard}, and another shard that writes to it would "
    "replace it: each needs a table of its own name, or all of them the same folder, -o tables/"
)

# The formats of tables, and Parquet, whose files hold many recordings.
Format = Enum("Format", {**{f.name: f.value for f in TableFormat}, "parquet": "parquet"}, type=str)  # type: ignore[misc]


@app.command()
def detect(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Recordings, or folders of them; - is standard input."),
    ] = None,
    model: Model = "rare-events",
    format: Annotated[
        Format | None,
        typer.Option(
            help="Format of the tables; by default the one that the name of the output ends with, "
            "or csv. parquet writes one data set of all recordings."
        ),
    ] = None,
    threshold: Threshold = None,
    merge_gap: MergeGap = None,
    min_duration: MinDuration = None,
    max_duration: MaxDuration = None,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="A name that ends as a table does (found.csv): one table of all recordings. Any "
            "other name: a folder, made if need be, with a table for each. - prints.",
        ),
    ] = "-",
    files_from: Annotated[
        str | None,
        typer.Option(
            help="A file that lists recordings or folders, one a line (or separated by zero "
            "bytes); - is standard input."
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            help="Do only a part of the recordings, for array jobs: 3/20 is the third of twenty."
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", help="Number of processes that work side by side.")
    ] = 1,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="The scheduler of a Dask cluster whose workers do the work, as "
            "tcp://host:8786; or local, for --jobs workers here."
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="cpu, cuda or cuda:1; by default a graphics card if there is one."),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How much of a recording goes through the network at once, in clips of 30 s. A "
            "graphics card is faster with more; a processor takes at most 8.",
        ),
    ] = None,
    safe_csv: Annotated[
        bool,
        typer.Option(
            "--safe-csv",
            help="Put an apostrophe before what a spreadsheet would take for a formula: labels "
            "and names that begin with =, +, - or @.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Do all recordings again.")
    ] = False,
    summary: Annotated[
        Path | None,
        typer.Option(help="Write the state of the run to this file, as JSON, for programs."),
    ] = None,
    raw: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Standard input is an endless stream of 16-bit mono samples at this rate in Hz.",
        ),
    ] = None,
    window: Annotated[
        float,
        typer.Option(
            help="With --raw: seconds of sound that the network sees at once, more than twice the "
            "margin."
        ),
    ] = _WINDOW,
    margin: Annotated[
        float,
        typer.Option(
            help="With --raw: seconds on each side of a window from which no events are taken."
        ),
    ] = _MARGIN,
    quiet: Quiet = False,
    as_json: JsonLogs = False,
) -> None:
    """Find events and write them to a table.

    A recording that cannot be read is reported, and the rest goes on. If the output is a
    folder, its tables are laid out like the recordings. To continue an interrupted run, repeat
    the command: recordings that this model has done with these settings are skipped. Several
    processes with the same output folder share the work. Exit code 1: some recordings failed;
    2: nothing was done; 3: the cluster became unreachable.

    \b
    rcrnn detect street.wav
    rcrnn detect nights/ --output tables --format raven --jobs 2
    rcrnn detect server/ -o events.parquet --cluster tcp://host:8786
    find /data -name '*.flac' | rcrnn detect --files-from - -o tables
    ffmpeg -i film.mkv -f wav - | rcrnn detect -
    arecord -t raw -f S16_LE -r 44100 | rcrnn detect - --raw 44100 --window 30
    """
    if spared_imports.is_command:
        share_one_heap()  # NumPy, which the next line imports, starts threads
    target = target_of(output, None if format is None else format.value, safe_csv)
    given = list(files or [])
    if files_from is not None:
        given += _listed(files_from)
    elif not given:
        fail("no recordings: name some, or a folder of them, or --files-from a list")
    log = Log(quiet, as_json)
    # The folder of the output is made later, and need not be there yet.
    made = None if target.folder is None else target.folder.absolute()
    if summary is not None and summary.absolute().parent != made:
        check_output(summary)
    _check_together(
        given,
        divided=shard is not None or cluster is not None,
        raw=raw,
        summary=summary,
        spans=(window, margin),
    )
    _check_jobs(jobs, raw, cluster)
    spared_imports.import_for_detection()
    pipe = load_model(model)
    set_threshold(pipe, threshold)
    set_rules(pipe, merge_gap=merge_gap, min_duration=min_duration, max_duration=max_duration)
    _set(pipe, device=device, batch_size=batch_size)
    if raw is not None:
        if given != [_STDIN] or output != "-":
            fail("--raw is for standard input to standard output: rcrnn detect - --raw 44100")
        detect_raw(pipe, raw, target.format, (window, margin), log)
        return
    labels = pipe[-1].classes_.tolist()
    run = DetectionRun(pipe, target, log, Follower(log, summary))
    with ends_by_signal():
        if given == [_STDIN]:
            check_table(target, given, labels)
            run.standard_input(overwrite, jobs)
            return
        root = given[0] if len(given) == 1 and given[0].is_dir() else None
        paths = _shard(recordings_in(given), shard)
        check_table(target, paths, labels)
        if shard is not None and target.table not in ("", "-"):
            log.say("warning", _ONE_TABLE.format(table=target.table, shard=shard))
        options: dict[str, Any] = {"root": root, "overwrite": overwrite, "n_jobs": jobs}
        run.all(paths, cluster, jobs, model_name=Path(model).name, **options)


def _check_together(
    given: list[Path],
    *,
    divided: bool,
    raw: int | None,
    summary: Path | None,
    spans: tuple[float, float],
) -> None:
    """End the command if an option that was given would have no effect beside the others."""
    if raw is None and spans != (_WINDOW, _MARGIN):
        fail("--window and --margin are for --raw; recordings have windows of 60 s")
    if given == [_STDIN] and divided:
        fail("--shard and --cluster divide recordings, and standard input is only one")
    if raw is not None and summary is not None:
        fail("--summary is for recordings, and --raw is a stream without an end")


def _check_jobs(jobs: int, raw: int | None, cluster: str | None) -> None:
    """End the command if processes were asked for that would have nothing to do."""
    if jobs > 1 and raw is not None:
        fail("--jobs divides recordings among processes, and --raw is one stream: leave one out")
    if jobs > 1 and cluster not in (None, "local"):
        fail(
            f"--jobs is for processes on this machine, and --cluster {cluster} has workers of its "
            "own: leave one out"
        )


def _set(pipe: Any, **params: Any) -> None:
    """Set the parameters of the detector that were given, after checking them."""
    from ..training.device import resolve_device

    pipe[-1].set_params(**{name: value for name, value in params.items() if value is not None})
    try:
        resolve_device(pipe[-1].device)
    except ValueError as error:
        fail(f"--{error}")


def _listed(name: str) -> list[Path]:
    """Read paths from a list, which may be standard input."""
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        fail(f"--files-from {name}: {error.strerror}")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # as PowerShell writes it
        data = data.decode("utf-16", "replace").encode()
    data = data.removeprefix(codecs.BOM_UTF8)
    parts = data.split(b"\0") if b"\0" in data else data.splitlines()
    paths = [Path(os.fsdecode(part)) for part in parts if part.strip()]
    if not paths:
        fail(f"--files-from {name}: the list is empty")
    return paths


def _shard(paths: list[Path], shard: str | None) -> list[Path]:
    """Choose recordings: for ``"3/20"``, every twentieth from the third on."""
    if shard is None:
        return paths
    number, _, total = shard.partition("/")
    if not (number.isdecimal() and total.isdecimal() and 1 <= int(number) <= int(total)):
        fail(f"--shard is a number of so many, from 1/20 to 20/20; got {shard!r}")
    return paths[int(number) - 1 :: int(total)]
