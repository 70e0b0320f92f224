"""An engine whose jobs the workers of a Dask cluster do, on one machine or on many."""

from __future__ import annotations

import hashlib
import math
import queue
import threading
import time
import warnings
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .._utils.optional import need
from .engines import IDLE, STRIKES, Jobs, died, next_job
from .transport import packed, unpacked
from .work import Job, Result, work_elsewhere

# Seconds to wait for a scheduler that does not answer.
PATIENCE = 60.0
# Seconds to wait for the first answer of a scheduler.
FIRST_ANSWER = 10.0
# Number of models that a worker keeps in memory.
_KEPT = 2


class ClusterLost(ConnectionError):
    """The scheduler became unreachable and did not come back."""


class Dask:
    """An engine that uses the workers of a :class:`distributed.Client`.

    If a worker dies, the scheduler gives its jobs to others. If the scheduler itself restarts,
    the jobs that it had not finished are submitted again.

    Parameters
    ----------
    estimator : Pipeline
    client : distributed.Client
    patience : float, default=60
        Number of seconds to wait for a scheduler that does not answer.
    """

    def __init__(self, estimator: Any, client: Any, patience: float | None = None):
        need("Clusters need", "cluster", "distributed")

        self.client = client
        self.address = client.scheduler.address
        self.patience = PATIENCE if patience is None else patience
        self.model = packed(estimator)
        self.digest = hashlib.sha256(self.model).hexdigest()
        self._done: queue.SimpleQueue[tuple[Job, Any]] = queue.SimpleQueue()
        self._running: dict[Job, Any] = {}
        self._sent: Any = None
        self._alone_since: float | None = None

    @property
    def n_workers(self) -> int:
        """Number of threads of all workers at present; at least two, as workers may join."""
        return max(2, sum(self.client.nthreads().values()))

    def run(self, jobs: Jobs) -> Iterator[tuple[Job, Result]]:
        strikes: Counter[Job] = Counter()
        more, room, looked = True, self.n_workers, time.monotonic()
        while more or self._running:
            asked = True
            # Submit a few more jobs than there are workers, so that no worker has to wait.
            while more and asked and len(self._running) < room + room // 2:
                new, more = next_job(jobs, more)
                asked = new is not None
                if new is not None:
                    self._submit(new)
            if time.monotonic() - looked > 2:
                room, looked = self._look(room), time.monotonic()
            try:
                job, future = self._done.get(timeout=IDLE if self._running or more else 0)
            except queue.Empty:
                continue
            if job not in self._running or self._running[job] is not future:
                continue  # from a scheduler that is gone
            del self._running[job]
            result, killed = self._result(job, future)
            if result is not None:
                yield job, result
                continue
            strikes[job] += killed
            if strikes[job] >= STRIKES:
                yield job, died(job)
            else:
                self._submit(job)

    def _result(self, job: Job, future: Any) -> tuple[Result | None, bool]:
        """Return the result of a job, None if it must be repeated, and whether a worker died."""
        from concurrent.futures import CancelledError

        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker

        try:
            return future.result(timeout=self.patience), False
        except (KilledWorker, OSError, TimeoutError):  # or the worker died with the result
            return None, True
        except (CancelledError, FutureCancelledError):  # the scheduler forgot the job, or is gone
            return None, False
        except Exception as error:  # in the worker itself, for example in loading the model
            return Result([], f"{job.path!r}: {error!r}", 0.0), False

    def close(self) -> None:
        if self._running and self.client.status == "running":
            self.client.cancel(list(self._running.values()), force=True)
        self._running.clear()
        self._sent = None

    def _submit(self, job: Job) -> None:
        self._wait_for_scheduler()
        if self._sent is None or self._sent.status in ("cancelled", "lost", "error"):
            # A task rather than scattered data, which would be lost with a worker that dies.
            self._sent = self.client.submit(bytes, self.model, key=f"rcrnn-{self.digest[:16]}")
        future = self.client.submit(_work_here, self._sent, self.digest, job, pure=False)
        self._running[job] = future
        future.add_done_callback(lambda done, job=job: self._done.put((job, done)))

    def _look(self, room: int) -> int:
        """Submit jobs again that the scheduler forgot, and return the number of workers."""
        self._wait_for_scheduler()
        for job, future in list(self._running.items()):
            if future.status in ("cancelled", "lost"):
                self._submit(job)
        try:
            if self.client.nthreads():
                self._alone_since = None
            elif self._alone_since is None:
                self._alone_since = time.monotonic()
            elif time.monotonic() - self._alone_since > self.patience / 2:
                warnings.warn(f"{self.address} has no workers: waiting for some", stacklevel=2)
                self._alone_since = math.inf  # warn only once
            return self.n_workers
        except (OSError, TimeoutError):
            return room

    def _wait_for_scheduler(self) -> None:
        end = time.monotonic() + self.patience
        while self.client.status != "running":
            if time.monotonic() > end or self.client.status == "closed":
                raise ClusterLost(
                    f"the scheduler at {self.address} went away and did not "
                    f"come back within {self.patience:.0f} s. What is done is kept: repeat the "
                    "command with a scheduler, and the run goes on"
                )
            time.sleep(IDLE)


@contextmanager
def connected(address: str, n_workers: int | None = None) -> Iterator[Any]:
    """Connect to the cluster at an address; ``"local"`` starts one on this machine.

    Parameters
    ----------
    address : str
        Address of the scheduler, as ``"tcp://host:8786"``, or ``"local"``.
    n_workers : int, default=None
        Number of worker processes of a local cluster; by default the number of cores.

    Raises
    ------
    ImportError
        If ``distributed`` is not installed.
    ConnectionError
        If no scheduler answers.
    """
    need("Clusters need", "cluster", "distributed")
    import distributed

    if address != "local":
        try:
            client = distributed.Client(address, timeout=FIRST_ANSWER)
        except (OSError, TimeoutError, ValueError) as error:
            raise ConnectionError(
                f"no scheduler answers at {address} ({error}): start one with `dask scheduler`"
            ) from error
        with client:
            yield client
        return
    with (
        distributed.LocalCluster(
            n_workers=n_workers, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


_MODELS: OrderedDict[str, Any] = OrderedDict()
# Number of times that this process has loaded a model.
N_LOADED = 0
_LOCK = threading.Lock()


def _work_here(model: bytes, digest: str, job: Job) -> Result:
    """Do a job in a worker, which loads the model unless it did so for an earlier job."""
    global N_LOADED
    with _LOCK:
        if digest not in _MODELS:
            N_LOADED += 1
            _MODELS[digest] = unpacked(model)
            while len(_MODELS) > _KEPT:
                _MODELS.popitem(last=False)
        estimator = _MODELS[digest]
    return work_elsewhere(estimator, job)
