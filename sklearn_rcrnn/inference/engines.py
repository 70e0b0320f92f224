"""The engines that do jobs: this process, worker processes, or another backend of joblib.

An engine takes jobs from an iterator when it has room for them and yields each with its result,
in the order in which they finish. The iterator yields None if there is no job now but may be
later. If a worker dies, its job goes to another; a job that kills several workers fails.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from pathlib import Path
from typing import Any, Protocol

from .._utils.heap import ONE_HEAP
from .._utils.interrupts import interrupts_wait
from .transport import packed
from .work import Job, Result, work, work_elsewhere
from .worker_process import become_worker, work_here

# Number of workers that a job may kill before it is given up.
STRIKES = 3
# Seconds that an engine waits before it asks again for a job, if there was none.
IDLE = 0.5
# Longest time in seconds that the thread of an executor needs to take a job.
_TAKEN = 1.0

Jobs = Iterator[Job | None]
# A function that is called with a running job and the seconds of its recording read so far.
Progress = Callable[[Job, float], None]


class Engine(Protocol):
    """The interface of engines, which the docstring of the module describes."""

    @property
    def n_workers(self) -> int:
        """Approximate number of jobs that are done at the same time."""

    def run(self, jobs: Jobs) -> Iterator[tuple[Job, Result]]:
        """Do jobs, and yield each with its result when it is done."""

    def close(self) -> None:
        """End the workers at once, even if they are busy."""


class Here:
    """An engine that does one job after the other in this process."""

    n_workers = 1

    def __init__(self, estimator: Any, progress: Progress | None = None):
        self.estimator = estimator
        self.progress = progress

    def run(self, jobs: Jobs) -> Iterator[tuple[Job, Result]]:
        for job in jobs:
            if job is None:
                time.sleep(IDLE)
                continue
            yield job, work(self.estimator, job, self._tick(job))

    def close(self) -> None:
        pass

    def _tick(self, job: Job) -> Callable[[float], None] | None:
        progress = self.progress
        return None if progress is None else lambda seconds: progress(job, seconds)


class Processes:
    """An engine of worker processes on this machine.

    Each worker loads the model once, and dead workers are replaced.

    Parameters
    ----------
    estimator : Pipeline
    n_workers : int
    """

    def __init__(self, estimator: Any, n_workers: int):
        self.n_workers = n_workers
        # The model goes to the workers in a file, as start arguments go through a pipe. loky
        # would wait forever if a process died before it had read more than the pipe holds.
        self._folder = tempfile.TemporaryDirectory(prefix="rcrnn-")
        self.model = Path(self._folder.name) / "model"
        self.model.write_bytes(packed(estimator))
        self._workers: dict[int, Any] = {}
        self._latest: dict[int, Future] = {}

    def run(self, jobs: Jobs) -> Iterator[tuple[Job, Result]]:
        idle = deque(range(self.n_workers))
        running: dict[Future, tuple[int, Job]] = {}
        retries: deque[Job] = deque()
        strikes: Counter[Job] = Counter()
        more = True
        while more or running or retries:
            asked = True
            while idle and asked:
                job, more = (retries.popleft(), more) if retries else next_job(jobs, more)
                asked = job is not None
                if job is not None:
                    worker = idle.popleft()
                    running[self._submit(worker, job)] = (worker, job)
            if not running:
                if more:
                    time.sleep(IDLE)
                continue
            done, _ = wait(running, IDLE if idle and more else None, FIRST_COMPLETED)
            for future in done:
                worker, job = running.pop(future)
                idle.append(worker)
                try:
                    yield job, future.result()
                except BrokenExecutor:
                    self._workers.pop(worker).shutdown(wait=False, kill_workers=True)
                    strikes[job] += 1
                    if strikes[job] < STRIKES:
                        retries.append(job)
                    else:
                        yield job, died(job)

    def close(self) -> None:
        while self._workers:
            worker, executor = self._workers.popitem()
            _wait_until_taken(self._latest.get(worker))
            executor.shutdown(wait=False, kill_workers=True)
        self._folder.cleanup()

    def _submit(self, worker: int, job: Job) -> Future:
        """Submit a job to a worker, a pool of one process, so that deaths are traced to jobs."""
        from joblib.externals.loky import ProcessPoolExecutor

        while True:
            if worker not in self._workers:
                n_threads = max(1, (os.cpu_count() or 1) // self.n_workers)
                self._workers[worker] = ProcessPoolExecutor(
                    1,
                    initializer=become_worker,
                    initargs=(self.model, worker, n_threads, os.getpid()),
                    env={"OMP_NUM_THREADS": str(n_threads), **ONE_HEAP},
                )
            try:
                # An interrupted pool would have a job that close() does not know of.
                with interrupts_wait():
                    self._latest[worker] = self._workers[worker].submit(work_here, job)
                return self._latest[worker]
            except BrokenExecutor:  # it died while it had nothing to do
                self._workers.pop(worker).shutdown(wait=False, kill_workers=True)


def _wait_until_taken(future: Future | None) -> None:
    """Wait until the thread of an executor has taken a job.

    If the executor is shut down before, that thread of loky ends with a traceback.
    """
    end = time.monotonic() + _TAKEN
    while future is not None and not (future.running() or future.done()):
        if time.monotonic() > end:
            return
        time.sleep(0.001)


class Joblib:
    """An engine for the backend that the user has chosen with :func:`joblib.parallel_config`."""

    def __init__(self, estimator: Any, n_jobs: int | None):
        from joblib import Parallel, effective_n_jobs

        self.estimator = estimator
        self.n_jobs = n_jobs
        self.n_workers = effective_n_jobs(n_jobs)
        backend = Parallel(n_jobs=n_jobs)._backend
        self.as_they_come = getattr(backend, "supports_return_generator", False)

    def run(self, jobs: Jobs) -> Iterator[tuple[Job, Result]]:
        from itertools import islice

        from joblib import Parallel, delayed

        # Joblib collects several tasks before it begins any of them. Where there is no job now, it
        # gets a pause to do: while it waited for a job, the first ones would stay undone, and two
        # processes that share a folder would wait for each other.
        tasks = (
            delayed(_pause)() if job is None else delayed(_work_on)(self.estimator, job)
            for job in jobs
        )
        if self.as_they_come:
            done = Parallel(n_jobs=self.n_jobs, return_as="generator_unordered")(tasks)
            yield from filter(None, done)
            return
        # Some backends, as Ray's, only return whole lists. Jobs go to them in batches, so that
        # finished work is kept.
        while batch := list(islice(tasks, 16 * self.n_workers)):
            yield from filter(None, Parallel(n_jobs=self.n_jobs)(batch))

    def close(self) -> None:
        pass


def engine_for(estimator: Any, n_jobs: int | None, progress: Progress | None) -> Engine:
    """Choose the engine for a number of processes, or for the joblib backend in use.

    Parameters
    ----------
    estimator : Pipeline
    n_jobs : int or None
        Number of processes, as in joblib.
    progress : callable or None
        Function that is told how far a job in this process has come; see ``Progress``.
    """
    from joblib import effective_n_jobs
    from joblib.parallel import get_active_backend

    backend, configured = get_active_backend()
    usual = type(backend).__name__ in ("LokyBackend", "SequentialBackend")
    if not usual:
        return Joblib(estimator, n_jobs)
    n_workers = effective_n_jobs(configured if n_jobs is None else n_jobs)
    return Here(estimator, progress) if n_workers == 1 else Processes(estimator, n_workers)


def died(job: Job) -> Result:
    """Make the result of a job that has killed several workers."""
    why = "perhaps it needs more memory than there is"
    return Result([], f"{job.path!r}: {STRIKES} workers died over it ({why})", 0.0)


def next_job(jobs: Jobs, more: bool) -> tuple[Job | None, bool]:
    """Return the next job, None if there is none now, and whether there may be more."""
    if not more:
        return None, False
    try:
        return next(jobs), True
    except StopIteration:
        return None, False


def _pause() -> None:
    time.sleep(IDLE)


def _work_on(estimator: Any, job: Job) -> tuple[Job, Result]:
    return job, work_elsewhere(estimator, job)
