"""Many recordings: side by side, one table each, going on where an earlier run stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from joblib import Parallel, delayed

from ..annotations.tables import suffix_of, write_events
from ..audio import audio_duration
from ..events import Event
from .stream import detect_file


class Outcome(NamedTuple):
    """What became of a recording.

    Attributes
    ----------
    path : Path
    events : list of Event, or None
        None if there was an error, or an earlier run had written its table.
    error : str or None
    duration : float
        Seconds of audio that were looked at.
    """

    path: Path
    events: list[Event] | None
    error: str | None
    duration: float


def detect_files(
    estimator: Any,
    paths: Sequence[str | PathLike[str]],
    *,
    output_dir: str | PathLike[str] | None = None,
    format: str = "csv",
    root: str | PathLike[str] | None = None,
    overwrite: bool = False,
    n_jobs: int | None = None,
) -> Iterator[Outcome]:
    """Detect events in many recordings; a broken one does not stop the others.

    Parameters
    ----------
    estimator : Pipeline
        As for :func:`detect_file`.
    paths : sequence of paths
    output_dir : str or PathLike, default=None
        Write a table for each recording to this folder as soon as it is done, under the
        name of the recording. Tables that are there already are kept and their recordings
        passed over, so that a run that was interrupted goes on when it is repeated.
    format : str, default="csv"
        Of the tables; see :func:`write_events`.
    root : str or PathLike, default=None
        A folder that all recordings are in: tables lie in folders of `output_dir` as
        recordings do in folders of this one. None: tables lie side by side.
    overwrite : bool, default=False
        Do all recordings again.
    n_jobs : int, default=None
        Worker processes.

    Yields
    ------
    Outcome
        In the order of `paths`.

    Raises
    ------
    ValueError
        If two recordings would have the same table, or one is not in `root`.

    Examples
    --------
    >>> for outcome in detect_files(load_pretrained(), paths):  # doctest: +SKIP
    ...     print(outcome.path, outcome.error or len(outcome.events))
    """
    files = [Path(path) for path in paths]
    tables: Sequence[Path | None] = [None] * len(files)
    if output_dir is not None:
        tables = _tables(files, Path(output_dir), suffix_of(format), root)
    work = delayed(_detect)
    parallel = Parallel(n_jobs=n_jobs, return_as="generator")
    yield from parallel(
        work(estimator, file, table, format, overwrite)
        for file, table in zip(files, tables, strict=True)
    )


def _tables(
    files: list[Path], folder: Path, suffix: str, root: str | PathLike[str] | None
) -> list[Path]:
    """Where the table of each recording goes; their folders are made."""
    seen: dict[Path, Path] = {}
    for file in files:
        place = Path(file.name) if root is None else file.relative_to(root)
        table = folder / place.with_name(place.name + suffix)
        if table in seen:
            raise ValueError(
                f"{seen[table]} and {file} would both be written to {table}: give the folder "
                "that both are in as root (rcrnn detect FOLDER), or detect events of one folder "
                "at a time"
            )
        seen[table] = file
    for parent in {folder, *(table.parent for table in seen)}:
        parent.mkdir(parents=True, exist_ok=True)
    return list(seen)


def _detect(
    estimator: Any, path: Path, table: Path | None, format: str, overwrite: bool
) -> Outcome:
    if table is not None and table.exists() and not overwrite:
        return Outcome(path, None, None, 0.0)
    try:
        duration = audio_duration(path)
        events = detect_file(estimator, path)
        if table is not None:
            write_events({path.name: events}, table, format)
    except (OSError, ValueError) as error:
        return Outcome(path, None, str(error), 0.0)
    except Exception as error:  # of memory, or what nobody thought of: the others go on
        return Outcome(path, None, f"{str(path)!r}: {type(error).__name__}: {error}", 0.0)
    return Outcome(path, events, None, duration)
