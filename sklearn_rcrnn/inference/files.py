"""Detection in many recordings, side by side, continuing where an earlier run stopped."""

from __future__ import annotations

import errno
import math
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from .._utils.files import printable
from ..audio import audio_duration
from ..events import Event
from .claims import Claims
from .engines import Engine, engine_for
from .output import HIDDEN, Found, Output, Recording, Tables, table_keys
from .run_statistics import RunStatistics
from .settings import settings_of
from .work import PART, Job, Part, Result, parts_of

# The duration of recordings with more bytes than this is looked up first, to divide them into
# parts.
_LONG = 8_000_000
# Parts are this many times as long while there are enough recordings for all workers.
_LONGER = 6


class Outcome(NamedTuple):
    """The result for one recording.

    Attributes
    ----------
    path : Path
    events : list of Event, or None
        None if there was an error, or if an earlier run or another process has done the
        recording.
    error : str or None
    duration : float
        Seconds of audio that were searched.
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
    client: Any = None,
    ordered: bool = True,
    progress: Callable[[RunStatistics], None] | None = None,
    model_name: str = "model",
) -> Iterator[Outcome]:
    """Detect events in many recordings; a broken one does not stop the others.

    Parameters
    ----------
    estimator : Pipeline
        A fitted pipeline, as for :func:`detect_file`.
    paths : sequence of paths
        Recordings, not folders.
    output_dir : str or PathLike, default=None
        Folder to write a table for each recording to, named like the recording, as soon as it
        is done. To continue an interrupted run, repeat it: recordings that were done with this
        model and these settings are skipped, unless the files have changed since. Several
        processes that share the folder, also on several machines, share the work.
    format : str, default="csv"
        Format of the tables, as for :func:`write_events`. ``"parquet"`` writes one data set of
        all events instead, with the columns ``file``, ``onset``, ``offset``, ``label``,
        ``score`` and ``model``.
    root : str or PathLike, default=None
        A folder that holds all recordings: its tree of folders is repeated in `output_dir`.
        None: all tables lie side by side.
    overwrite : bool, default=False
        Do all recordings again.
    n_jobs : int, default=None
        Number of worker processes; one that is killed is replaced. A backend that
        :func:`joblib.parallel_config` names is used, too.
    client : distributed.Client, default=None
        Client of a Dask cluster whose workers do the work. They must see the recordings under
        the same paths; only this process writes.
    ordered : bool, default=True
        Yield in the order of `paths`. False: yield each recording as soon as it is done.
    progress : callable, default=None
        Called whenever something is done, also within long recordings, with an object that has
        the numbers `n_files`, `n_done`, `n_skipped` and `n_failed` of recordings, and the
        `duration` in seconds that was searched.
    model_name : str, default="model"
        Name with which the column ``model`` of a Parquet data set begins.

    Yields
    ------
    Outcome
        A named tuple: `path`; `events`, or None after an error and where the recording was done
        already; `error`, the reason as a str, or None; and `duration`, the seconds that were
        searched.

    Raises
    ------
    ConnectionError
        If the scheduler of the cluster is unreachable for more than a minute. What is done is
        kept.
    ImportError
        If ``format="parquet"`` and ``pyarrow`` is not installed.
    ValueError
        If two recordings would have the same table, one is not in `root`, or `output_dir`
        holds tables of other recordings, another model or other settings.

    Examples
    --------
    >>> for outcome in detect_files(load_pretrained(), paths):  # doctest: +SKIP
    ...     print(outcome.path, outcome.error or len(outcome.events))

    On the machines of a Dask cluster:

    >>> from distributed import Client  # doctest: +SKIP
    >>> client = Client("tcp://host:8786")  # doctest: +SKIP
    >>> outcomes = detect_files(pipe, paths, output_dir="found", client=client)  # doctest: +SKIP
    """
    files = [Path(path) for path in paths]
    output = claims = None
    keys = [str(i) for i in range(len(files))]
    if output_dir is not None:
        folder = Path(output_dir)
        keys = _keys(files, folder, format, root)
        output = _output(estimator, folder, format, overwrite, model_name)
        claims = Claims(folder / HIDDEN / "claims")
    recordings = [_recording(file, key) for file, key in zip(files, keys, strict=True)]
    if output is not None and claims is not None:
        if overwrite and format == "parquet" and (others := claims.others()):
            raise ValueError(f"{', '.join(others)} write to {output_dir}: it cannot be overwritten")
        output.check(recordings)
    run = _Run(estimator, recordings, output, claims, progress)
    outcomes = run.outcomes(n_jobs, client)
    return _in_order(outcomes) if ordered else (o for _, o in outcomes)


class _Run:
    """A run over recordings: it claims them, divides long ones into parts, and gives outcomes."""

    def __init__(
        self,
        estimator: Any,
        recordings: list[Recording],
        output: Output | None,
        claims: Claims | None,
        progress: Callable[[RunStatistics], None] | None,
    ):
        self.estimator = estimator
        self.recordings = recordings
        self.output = output
        self.claims = claims
        self.progress = progress
        self.summary = RunStatistics(recordings)
        self.waiting = deque(range(len(recordings)))
        self.parts: dict[int, list[Result | None]] = {}
        self.ready: deque[tuple[int, Outcome]] = deque()
        # Some backends of joblib ask for jobs in threads of their own while results are taken.
        self.lock = threading.Lock()

    def outcomes(self, n_jobs: int | None, client: Any) -> Iterator[tuple[int, Outcome]]:
        """Places in the list of recordings, and what became of them."""
        with ExitStack() as stack:
            if self.claims is not None:
                stack.enter_context(self.claims)
            engine = self._engine(n_jobs, client)
            stack.callback(engine.close)
            if self.output is not None:
                stack.callback(self._flush)
            for job, result in engine.run(self._one_by_one(self._jobs(engine))):
                with self.lock:
                    self._take(job, result)
                yield from self._told()
            yield from self._told()

    def _flush(self) -> None:
        assert self.output is not None
        with self.lock:
            self.output.flush()

    def _one_by_one(self, jobs: Iterator[Job | None]) -> Iterator[Job | None]:
        """Yield jobs, each of which is made while no result is taken."""
        while True:
            with self.lock:
                try:
                    job = next(jobs)
                except StopIteration:
                    return
            yield job

    def _engine(self, n_jobs: int | None, client: Any) -> Engine:
        if client is None:
            return engine_for(self.estimator, n_jobs, self.progress and self._tick)
        from .cluster import Dask

        return Dask(self.estimator, client)

    def _told(self) -> Iterator[tuple[int, Outcome]]:
        while self.ready:
            yield self.ready.popleft()

    def _jobs(self, engine: Engine) -> Iterator[Job | None]:
        """Yield jobs for the engine; None while other processes have claimed all that is left."""
        passed = 0
        while self.waiting:
            place = self.waiting.popleft()
            recording = self.recordings[place]
            if self.output is not None and self.output.is_done(recording):
                self._skip(place)
            elif self.claims is not None and not self.claims.take(recording.key):
                self.waiting.append(place)
                passed += 1
                if passed >= len(self.waiting):
                    passed = 0
                    self._refresh()
                    yield None
                continue
            elif self.output is None or self._is_mine(place):
                yield from self._jobs_of(place, engine)
            passed = 0

    def _refresh(self) -> None:
        assert self.output is not None
        for recording in self.output.flush():
            self._release(recording)
        self.output.refresh()

    def _is_mine(self, place: int) -> bool:
        """Tell whether a recording just claimed is still to do, and was not finished by another."""
        assert self.output is not None
        recording = self.recordings[place]
        self.output.refresh(recording)
        error = self.output.failure(recording)
        if error is None and self.output.is_done(recording):
            self._release(recording)
            self._skip(place)
            return False
        if error is None:
            try:
                self.output.check([recording])
            except ValueError as problem:
                error = str(problem)
        if error is not None:
            self._release(recording)
            self._fail(place, error)
        return error is None

    def _jobs_of(self, place: int, engine: Engine) -> Iterator[Job]:
        """Make one job for a recording, or one for each part of a long recording."""
        recording = self.recordings[place]
        path = str(recording.path)
        parts: list[Part] = []
        if recording.size > _LONG:
            try:
                duration = audio_duration(recording.path)
            except (OSError, ValueError):  # the job will report the error
                duration = 0.0
            self.summary.began(recording, duration)
            if engine.n_workers > 1:
                plenty = len(self.waiting) > 4 * engine.n_workers
                parts = parts_of(self.estimator, duration, PART * (_LONGER if plenty else 1))
        jobs = [Job(path, part, place) for part in parts] or [Job(path, None, place)]
        self.parts[place] = [None] * len(jobs)
        yield from jobs

    def _take(self, job: Job, result: Result) -> None:
        """Take the result of a job; the last one of a recording completes the recording."""
        place = job.place
        results = self.parts[place]
        results[results.index(None)] = result
        known = [own for own in results if own is not None]
        for text in result.warnings:  # all parts of a recording give the same warnings
            if sum(text in own.warnings for own in known) == 1:
                warnings.warn(text, stacklevel=2)
        if len(known) < len(results):
            self._tick_parts(place, known)
            return
        del self.parts[place]
        recording = self.recordings[place]
        errors = [own.error for own in known if own.error is not None]
        if errors:
            if self.output is not None:
                self.output.fail(recording, errors[0])
            self._release(recording)
            self._fail(place, errors[0])
            return
        events = [event for own in known for event in own.events]
        if len(known) > 1:
            events = self.estimator[-1]._finished([events])[0]
        duration = math.fsum(own.duration for own in known)
        self._finish(place, events, duration)

    def _finish(self, place: int, events: list[Event], duration: float) -> None:
        recording = self.recordings[place]
        if self.output is not None:
            try:
                for written in self.output.put(Found(recording, events, duration)):
                    self._release(written)
            except (OSError, ValueError) as error:  # a label that the format cannot hold
                if isinstance(error, OSError) and error.errno != errno.ENAMETOOLONG:
                    raise  # such as a full disk, with which all others would fail too
                self._release(recording)
                self._fail(place, str(error))
                return
        self.summary.done(recording, events, duration)
        self.ready.append((place, Outcome(recording.path, events, None, duration)))
        self._report()

    def _skip(self, place: int) -> None:
        recording = self.recordings[place]
        self.summary.skipped(recording)
        self.ready.append((place, Outcome(recording.path, None, None, 0.0)))

    def _fail(self, place: int, error: str) -> None:
        recording = self.recordings[place]
        self.summary.failed(recording, error)
        self.ready.append((place, Outcome(recording.path, None, error, 0.0)))
        self._report()

    def _release(self, recording: Recording) -> None:
        if self.claims is not None:
            self.claims.release(recording.key)

    def _tick(self, job: Job, seconds: float) -> None:
        self.summary.came_to(self.recordings[job.place], seconds)
        self._report()

    def _tick_parts(self, place: int, known: list[Result]) -> None:
        seconds = math.fsum(own.duration for own in known)
        self.summary.came_to(self.recordings[place], seconds)
        self._report()

    def _report(self) -> None:
        if self.progress is not None:
            self.progress(self.summary)


def _in_order(outcomes: Iterator[tuple[int, Outcome]]) -> Iterator[Outcome]:
    early: dict[int, Outcome] = {}
    due = 0
    for place, outcome in outcomes:
        early[place] = outcome
        while due in early:
            yield early.pop(due)
            due += 1


def _keys(
    files: list[Path], folder: Path, format: str, root: str | PathLike[str] | None
) -> list[str]:
    """The name of each recording in the output."""
    if format == "parquet":
        if root is None:
            return [printable(file) for file in files]
        return [printable(file.relative_to(root).as_posix()) for file in files]
    from ..annotations.tables import suffix_of

    return table_keys(files, root, str(folder / f"{{}}{suffix_of(format)}"))


def _output(estimator: Any, folder: Path, format: str, overwrite: bool, model_name: str) -> Output:
    settings = settings_of(estimator)
    if format == "parquet":
        from .parquet import ParquetDataset

        return ParquetDataset(folder, settings, model_name, overwrite)
    return Tables(folder, format, settings, overwrite)


def _recording(path: Path, key: str) -> Recording:
    try:
        state = path.stat()
    except OSError:
        return Recording(path, key, -1, -1)
    return Recording(path, key, state.st_size, state.st_mtime_ns)
