"""Work side by side in threads, each of which computes on one core."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Seconds after which a thread that waits for room checks whether its items are still wanted.
_PATIENCE = 0.1

_lock = threading.Lock()
_users = 0
_before: list[tuple[Any, int]] = []


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """A context in which products of features, too small for threads, take no other cores.

    The number of threads belongs to the process. Where several threads are inside, the
    first sets the limit and the last restores what was before.
    """
    global _users, _before
    with _lock:
        if not _users:
            _before = [(pool, pool.num_threads) for pool in _pools()]
            for pool, _ in _before:
                _limit(pool, 1)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                for pool, n_threads in _before:
                    _limit(pool, n_threads)


def _limit(pool: Any, n_threads: int) -> None:
    # From threadpoolctl 3.8 on, set_num_threads has no effect in a thread while another thread
    # counts as the one in control, even if that one has already left this block.
    getattr(pool, "_real_set_num_threads", pool.set_num_threads)(n_threads)


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], n_threads: int
) -> Iterator[Result]:
    """Results of a function, in the order of the items, from several threads.

    No more than twice as many items as there are threads are in work or wait to be taken, so
    that memory does not grow. Each thread computes on one core, whatever PyTorch is set to;
    with ``n_threads=1`` the calling thread does all the work and uses PyTorch's setting.

    Parameters
    ----------
    function : callable
    items : iterable
        It is run by the calling thread.
    n_threads : int
    """
    if n_threads == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(n_threads, "rcrnn", initializer=_compute_on_one_core) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) == 2 * n_threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def read_ahead(items: Iterable[Item], n_ahead: int = 2) -> Iterator[Item]:
    """The same items, which a thread of its own gets while the caller works on earlier ones.

    An error of `items` is raised where its item would have come. When the caller stops
    early, so does the thread.

    Parameters
    ----------
    items : iterable
    n_ahead : int, default=2
        Items that may wait to be taken.
    """
    ready: queue.Queue[tuple[str, Any]] = queue.Queue(n_ahead)
    stopped = threading.Event()

    def give(kind: str, value: Any = None) -> bool:
        while not stopped.is_set():
            try:
                ready.put((kind, value), timeout=_PATIENCE)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        _compute_on_one_core()
        try:
            for item in items:
                if not give("item", item):
                    return
            give("end")
        except BaseException as error:  # any exception belongs to the caller
            give("error", error)

    thread = threading.Thread(target=work, name="rcrnn-read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = ready.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        stopped.set()
        thread.join()


def one_core() -> Any:
    """A context in which the calling thread, and no other, computes on one core.

    A thread that shares its work with others waits for them busily: where each core has a
    thread of its own already, that costs more than it gives.
    """
    import torch

    torch.get_num_threads()  # PyTorch sets the number for a new thread when it is first asked for
    return _pools_with_torch().limit(limits=1, user_api="openmp")


def _compute_on_one_core() -> None:
    """Make the calling thread compute on one core from now on."""
    one_core()


@cache
def _pools() -> list[Any]:
    """Find the thread pools once, since that takes half as long as making a clip."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas").lib_controllers


@cache
def _pools_with_torch() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
