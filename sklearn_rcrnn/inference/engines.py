"""The engines that do jobs: this process, worker processes, or another backend of joblib.

An engine takes jobs from an iterator as it has room for them and gives back each with its
result, in the order in which they are done. The iterator may give None: there is no job now,
ask again. A job whose worker dies is given to another; one that kills its workers fails.
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

from .transport import packed
from .work import Job, Result, work, work_elsewhere
from .worker_process import become_worker, work_here

# A job that has killed this many workers is given up.
STRIKES = 3
# Seconds until an engine asks again for a job when there was none.
IDLE = 0.5

Jobs = Iterator[Job | None]
# Called with a job that is under way, and the seconds of its recording that were read.
Progress = Callable[[Job, float], None]


class Engine(Protocol):
    """See the module."""

    @property
    def n_workers(self) -> int:
        """How many jobs are worked on at a time, about."""

    def run(self, jobs: Jobs) -> Iterator[tuple[Job, Result]]:
        """Jobs with their results, as they are done."""

    def close(self) -> None:
        """End the workers at once, whatever they do."""


class Here:
    """Does one job after the other in this process."""

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
    """Worker processes on this machine; each loads the model once, and dead ones are replaced.

    Parameters
    ----------
    estimator : Pipeline
    n_workers : int
    """

    def __init__(self, estimator: Any, n_workers: int):
        self.n_workers = n_workers
        # In a file: what a process is started with goes through a pipe, and loky waits for
        # ever if the process dies before it has read more than that holds.
        self._folder = tempfile.TemporaryDirectory(prefix="rcrnn-")
        self.model = Path(self._folder.name) / "model"
        self.model.write_bytes(packed(estimator))
        self._workers: dict[int, Any] = {}

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
            self._workers.popitem()[1].shutdown(wait=False, kill_workers=True)
        self._folder.cleanup()

    def _submit(self, worker: int, job: Job) -> Future:
        """Each worker is a pool of one: so it is known which job it died over."""
        from joblib.externals.loky import ProcessPoolExecutor

        while True:
            if worker not in self._workers:
                n_threads = max(1, (os.cpu_count() or 1) // self.n_workers)
                self._workers[worker] = ProcessPoolExecutor(
                    1,
                    initializer=become_worker,
                    initargs=(self.model, worker, n_threads, os.getpid()),
                    env={"OMP_NUM_THREADS": str(n_threads)},
                )
            try:
                return self._workers[worker].submit(work_here, job)
            except BrokenExecutor:  # it died while it had nothing to do
                self._workers.pop(worker).shutdown(wait=False, kill_workers=True)


class Joblib:
    """The backend that the user has chosen by :func:`joblib.parallel_config`."""

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

        tasks = (delayed(_work_on)(self.estimator, job) for job in self._waited_for(jobs))
        if self.as_they_come:
            yield from Parallel(n_jobs=self.n_jobs, return_as="generator_unordered")(tasks)
            return
        # Ray's backend, for example, gives lists only: by and by, so that what is done is kept.
        while batch := list(islice(tasks, 16 * self.n_workers)):
            yield from Parallel(n_jobs=self.n_jobs)(batch)

    def close(self) -> None:
        pass

    def _waited_for(self, jobs: Jobs) -> Iterator[Job]:
        for job in jobs:
            if job is None:
                time.sleep(IDLE)
            else:
                yield job


def engine_for(estimator: Any, n_jobs: int | None, progress: Progress | None) -> Engine:
    """The engine for so many jobs, unless joblib was told of another backend.

    Parameters
    ----------
    estimator : Pipeline
    n_jobs : int or None
        Number of processes, as in joblib.
    progress : callable or None
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
    """The result of a job that has killed several workers."""
    why = "perhaps it needs more memory than there is"
    return Result([], f"{job.path!r}: {STRIKES} workers died over it ({why})", 0.0)


def next_job(jobs: Jobs, more: bool) -> tuple[Job | None, bool]:
    """The next job, and whether there may be more."""
    if not more:
        return None, False
    try:
        return next(jobs), True
    except StopIteration:
        return None, False


def _work_on(estimator: Any, job: Job) -> tuple[Job, Result]:
    return job, work_elsewhere(estimator, job)
