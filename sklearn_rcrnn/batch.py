"""Many recordings: side by side, one table each, going on where an earlier run stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from joblib import Parallel, delayed

from .annotations import suffix_of, write_events
from .audio import audio_duration
from .events import Event
from .streaming import detect_file


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
        If two recordings would have the same table.

    Examples
    --------
    >>> for outcome in detect_files(load_pretrained(), paths):  # doctest: +SKIP
    ...     print(outcome.path, outcome.error or len(outcome.events))
    """
    files = [Path(path) for path in paths]
    tables: list[Path | None] = [None] * len(files)
    if output_dir is not None:
        folder = Path(output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        tables = [folder / (file.name + suffix_of(format)) for file in files]
        seen: dict[Path | None, Path] = {}
        for file, table in zip(files, tables, strict=True):
            if table in seen:
                raise ValueError(
                    f"{seen[table]} and {file} would both be written to {table}: detect "
                    "events of one folder at a time"
                )
            seen[table] = file
    work = delayed(_detect)
    parallel = Parallel(n_jobs=n_jobs, return_as="generator")
    yield from parallel(
        work(estimator, file, table, format, overwrite)
        for file, table in zip(files, tables, strict=True)
    )


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
    return Outcome(path, events, None, duration)
