"""``rcrnn detect``: events of recordings and streams, in tables."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from .._utils.text import counted
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
    fail,
    load_model,
    recordings_in,
    set_rules,
    set_threshold,
)
from ._following import Follower, conclusion

if TYPE_CHECKING:
    from ..inference.files import Outcome


Recordings = Annotated[list[Path], typer.Argument(help="Recordings, or folders of them.")]
_STDIN = Path("-")
# Seconds of audio that are looked at once more for their best candidate.
_AGAIN = 600.0

# Those of tables, and one of many recordings together.
Format = Enum("Format", {**{f.name: f.value for f in TableFormat}, "parquet": "parquet"}, type=str)  # type: ignore[misc]


class Target(NamedTuple):
    """Where events go: to a ``folder``, or to a ``table``, which may be ``"-"``."""

    folder: Path | None
    table: str
    format: str


class Terminated(KeyboardInterrupt):
    """Somebody, a batch system for example, wants the process to end."""


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
            help="Of the tables; by default as the name of the output ends, or csv. parquet is "
            "one data set of all recordings."
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
        typer.Option(help="3/20: of the recordings, the third part of twenty, for array jobs."),
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", help="Processes that work side by side.")
    ] = 1,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="The scheduler of a Dask cluster whose workers do the work, as "
            "tcp://host:8786; or local, for --jobs workers here."
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or cuda:1; by default a card where there is one.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Windows that go through the network together.")
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
        bool, typer.Option("--overwrite", help="Do again what is done already.")
    ] = False,
    summary: Annotated[
        Path | None,
        typer.Option(help="Keep the state of the run in this file, as JSON, for programs."),
    ] = None,
    raw: Annotated[
        int | None,
        typer.Option(min=1, help="Standard input is 16-bit mono samples at this rate, endless."),
    ] = None,
    window: Annotated[
        float, typer.Option(help="Of --raw: seconds that the network looks at together.")
    ] = 60.0,
    margin: Annotated[
        float, typer.Option(help="Of --raw: seconds of a window that it only hears, to each side.")
    ] = 10.0,
    quiet: Quiet = False,
    as_json: JsonLogs = False,
) -> None:
    """Find events and write them to a table.

    A recording that cannot be read is reported, and the rest goes on. With a folder as
    output, tables lie in it as recordings do in their folder. A run that was interrupted
    goes on when it is repeated: recordings that this model has done with these settings are
    passed over. Several processes with one folder share the work. Exit code 1: some
    recordings failed; 2: nothing was done; 3: the cluster went away.

    \b
    rcrnn detect street.wav
    rcrnn detect nights/ --output tables --format raven --jobs 2
    rcrnn detect server/ -o events.parquet --cluster tcp://host:8786
    find /data -name '*.flac' | rcrnn detect --files-from - -o tables --shard 3/20
    ffmpeg -i film.mkv -f wav - | rcrnn detect -
    arecord -t raw -f S16_LE -r 44100 | rcrnn detect - --raw 44100 --window 10 --margin 3
    """
    target = _target(output, format, safe_csv)
    given = list(files or [])
    if files_from is not None:
        given += _listed(files_from)
    elif not given:
        fail("no recordings: name some, or a folder of them, or --files-from a list")
    log = Log(quiet, as_json)
    pipe = load_model(model)
    set_threshold(pipe, threshold)
    set_rules(pipe, merge_gap=merge_gap, min_duration=min_duration, max_duration=max_duration)
    _set(pipe, device=device, batch_size=batch_size)
    if raw is not None:
        if given != [_STDIN] or output != "-":
            fail("--raw is for standard input to standard output: rcrnn detect - --raw 44100")
        _detect_raw(pipe, raw, target.format, (window, margin), log)
        return
    run = _Run(pipe, target, log, Follower(log, summary))
    with _ends_by_signal():
        if given == [_STDIN]:
            run.standard_input()
            return
        root = given[0] if len(given) == 1 and given[0].is_dir() else None
        paths = _shard(recordings_in(given), shard)
        _check_table(target, paths)
        options: dict[str, Any] = {"root": root, "overwrite": overwrite, "n_jobs": jobs}
        run.all(paths, cluster, jobs, model_name=Path(model).name, **options)


def _target(output: str, format: Any, safe_csv: bool) -> Target:
    """Where events go, and in which format, by the name of the output and what is there."""
    from ..annotations.formats import FORMATS

    suffix = Path(output).suffix.lower()
    if output == "-":
        if format is not None and format.value == "parquet":
            fail("parquet is a folder of files: say where, -o events.parquet")
        return Target(None, "-", _safe(_known_as(format), safe_csv))
    if format is None:
        by_suffix = {own.suffix: name for name, own in FORMATS.items() if own.suffix != ".txt"}
        by_suffix |= {".csv": "csv", ".json": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
        name = by_suffix.get(suffix, "csv")
    else:
        name = _known_as(format)
    name = _safe(name, safe_csv)
    is_table = suffix in (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".jams")
    if name == "parquet" or output.endswith("/") or Path(output).is_dir() or not is_table:
        return Target(Path(output), "", name)
    return Target(None, output, name)


def _safe(name: str, safe_csv: bool) -> str:
    if safe_csv and name != "csv":
        fail(f"--safe-csv is for tables of the format csv, not {name}")
    return "safe-csv" if safe_csv else name


def _known_as(format: Any) -> str:
    if format is None:
        return "csv"
    return format.value if format.value == "parquet" else TableFormat(format.value).known_as


def _check_table(target: Target, paths: list[Path]) -> None:
    """Find out before hours of work what would go wrong after them."""
    from ..annotations.formats import format_named

    if target.folder is not None:
        return
    if not format_named(target.format).many and len(paths) > 1:
        fail(f"{target.format} tables are about one recording each: give a folder, -o tables/")
    folder = Path(target.table).absolute().parent
    if target.table != "-" and not os.access(folder, os.W_OK):
        fail(f"{target.table} cannot be written: {folder} is no such folder")


def _set(pipe: Any, **params: Any) -> None:
    """Parameters of the detector that were given, checked."""
    from ..training.device import resolve_device

    pipe[-1].set_params(**{name: value for name, value in params.items() if value is not None})
    try:
        resolve_device(pipe[-1].device)
    except ValueError as error:
        fail(f"--{error}")


def _listed(name: str) -> list[Path]:
    """Paths in a list, which may be standard input."""
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        fail(f"--files-from {name}: {error.strerror}")
    parts = data.split(b"\0") if b"\0" in data else data.splitlines()
    return [Path(os.fsdecode(part)) for part in parts if part.strip()]


def _shard(paths: list[Path], shard: str | None) -> list[Path]:
    """Every twentieth of the recordings, from the third on, for ``"3/20"``."""
    if shard is None:
        return paths
    number, _, total = shard.partition("/")
    if not (number.isdecimal() and total.isdecimal() and 1 <= int(number) <= int(total)):
        fail(f"--shard is a number of so many, from 1/20 to 20/20; got {shard!r}")
    return paths[int(number) - 1 :: int(total)]


@contextmanager
def _ends_by_signal() -> Iterator[None]:
    """SIGTERM ends the work in order, as Ctrl-C does: workers go, what is done is kept."""

    def terminate(*_: Any) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread hears signals
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Run:
    """Recordings to events, with all that is said about it."""

    def __init__(self, pipe: Any, target: Target, log: Log, follower: Follower):
        self.pipe = pipe
        self.target = target
        self.log = log
        self.follower = follower

    def all(self, paths: list[Path], cluster: str | None, jobs: int, **options: Any) -> None:
        with ExitStack() as stack:

            def outcomes() -> Iterator[Outcome]:
                client = None
                if cluster is not None:
                    from ..inference.cluster import connected

                    client = stack.enter_context(connected(cluster, jobs if jobs > 1 else None))
                return self._outcomes(paths, client=client, **options)

            self._write(outcomes, paths, str)

    def standard_input(self) -> None:
        """A copy on disk takes the place of standard input, which cannot be read twice."""
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "stdin"
            with open(copy, "wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)

            def outcomes() -> Iterator[Outcome]:
                for outcome in self._outcomes([copy]):
                    error = outcome.error and outcome.error.replace(str(copy), "standard input")
                    yield outcome._replace(path=Path("stdin"), error=error)

            self._write(outcomes, [copy], lambda path: "stdin")

    def _outcomes(self, paths: list[Path], **options: Any) -> Iterator[Outcome]:
        from ..inference.files import detect_files

        return detect_files(
            self.pipe,
            paths,
            output_dir=self.target.folder,
            format=self.target.format,
            ordered=False,
            progress=self.follower.progress,
            **options,
        )

    def _write(
        self,
        outcomes: Callable[[], Iterator[Outcome]],
        paths: list[Path],
        name: Callable[[Path], str],
    ) -> None:
        """Follow the work; then, unless tables were written on the way, write one table."""
        from ..annotations.tables import write_events

        table = self.target.table
        found: dict[str, Any] = {}
        try:
            with self.follower:
                for outcome in self.follower.followed(outcomes()):
                    if table and outcome.events is not None:
                        found[str(outcome.path)] = outcome.events
            # In the order of the recordings, whoever was first.
            found = {name(path): found[name(path)] for path in paths if name(path) in found}
            if table:
                write_events(found, None if table == "-" else table, self.target.format)
        except KeyboardInterrupt as error:
            self._keep(found, len(paths))
            raise typer.Exit(143 if isinstance(error, Terminated) else 130) from None
        except BrokenPipeError:
            raise
        except ConnectionError as error:
            self._keep(found, len(paths))
            self.log.say("error", str(error), error=str(error))
            raise typer.Exit(3) from None
        except (ImportError, OSError, ValueError) as error:
            fail(str(error))
        self._conclude(paths)

    def _conclude(self, paths: list[Path]) -> None:
        summary = self.follower.summary
        if summary is None:  # there was nothing to do
            from ..inference.run_statistics import RunStatistics

            summary = RunStatistics([])
            summary.n_files = summary.n_skipped = len(paths)
        only = len(paths) == 1 and self.target.folder is None
        self.log.say("finished", "" if only else conclusion(summary), **summary.as_dict())
        if summary.n_done and not summary.n_skipped and not summary.events:
            text = self._best(paths, summary.duration)
            self.log.say("nothing", text)
        raise typer.Exit(1 if summary.n_failed else 0)

    def _best(self, paths: list[Path], duration: float) -> str:
        """For people: that nothing was found, and what came nearest to it."""
        from ..inference.work import Job, work

        detector = self.pipe[-1]
        usual = detector._thresholds()
        one = isinstance(usual, float) or len(set(usual.values())) == 1
        limit = usual if isinstance(usual, float) else max(usual.values())
        text = f"No events above {limit:.2f}" if one else "No events above the thresholds"
        if duration > _AGAIN:
            return f"{text}; a lower --threshold shows weaker candidates"
        detector.set_params(score_threshold=0.0)
        found = [(e, path) for path in paths for e in work(self.pipe, Job(str(path))).events]
        if not found:
            return f"{text}, and no candidates under it"
        best, path = max(found, key=lambda pair: pair[0].score)
        where = f" in {path}" if len(paths) > 1 else ""
        return (
            f"{text}; the best candidate is {best.label} at {best.onset:.2f} s{where}, with a "
            f"score of {best.score:.2f}"
        )

    def _keep(self, found: dict[str, Any], total: int) -> None:
        """Of a run that was interrupted, what would be lost with it."""
        from ..annotations.tables import write_events

        table = self.target.table
        text = "interrupted: repeated, the command goes on with the recordings that are not done"
        if table:
            place = None if table == "-" else f"{table}.part"
            if found:
                write_events(found, place, self.target.format)
            text = f"interrupted: events of {len(found)} of {counted(total, 'recording')}"
            text += f" are in {place}" if place and found else ""
            text += "; with a folder as output (-o tables) a run goes on when it is repeated"
        self.log.say("interrupted", text, n_files=total)


def _detect_raw(pipe: Any, rate: int, format: str, spans: tuple[float, float], log: Log) -> None:
    """Print each event as soon as it is certain."""
    from ..annotations.tables import format_events
    from ..inference.stream import detect_stream

    if format in ("raven", "jams"):
        fail(f"{format} tables are written as a whole: choose another --format for a stream")
    header = format_events({}, format)
    typer.echo(header, nl=False)
    n_events = 0
    window, margin = spans
    try:
        blocks = _raw_blocks(rate)
        for event in detect_stream(pipe, blocks, sample_rate=rate, window=window, margin=margin):
            n_events += 1
            typer.echo(format_events({"stdin": [event]}, format)[len(header) :], nl=False)
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
