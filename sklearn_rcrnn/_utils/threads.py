"""Keep NumPy's products to one thread where clips are worked on side by side."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_lock = threading.Lock()
_users = 0
_limit: Any = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """A context in which products of features, too small for threads, take no other cores.

    The number of threads belongs to the process. Where several threads are inside, the
    first sets the limit and the last restores what was before.
    """
    global _users, _limit
    with _lock:
        if not _users:
            _limit = _pools().limit(limits=1, user_api="blas")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                _limit.restore_original_limits()


@cache
def _pools() -> Any:
    """To look for the libraries takes half as long as to make a clip: once is enough."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
