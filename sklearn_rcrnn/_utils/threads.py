"""Keep NumPy's products to one thread where clips are worked on side by side."""

from __future__ import annotations

from functools import cache
from typing import Any


def one_blas_thread() -> Any:
    """A context in which products of features, too small for threads, take no other cores."""
    return _pools().limit(limits=1, user_api="blas")


@cache
def _pools() -> Any:
    """To look for the libraries takes half as long as to make a clip: once is enough."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
