"""Warnings caught in several threads at a time."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

_lock = threading.Lock()
_restoring = ExitStack()
# The warnings of each thread that catches them, by its number.
_caught: dict[int, list[warnings.WarningMessage]] = {}


@contextmanager
def caught_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """Catch all warnings of this thread; those of other threads are shown as before.

    :func:`warnings.catch_warnings` would catch those of all threads, and where its blocks overlap
    it would leave the process without any warnings.

    Yields
    ------
    list of warnings.WarningMessage
        The warnings so far.
    """
    mine: list[warnings.WarningMessage] = []
    with _lock:
        if not _caught:
            _restoring.enter_context(warnings.catch_warnings())
            warnings.simplefilter("always")
            shown = warnings.showwarning

            def show(message: Any, category: Any, filename: str, lineno: int, *rest: Any) -> None:
                own = _caught.get(threading.get_ident())
                if own is None:
                    shown(message, category, filename, lineno, *rest)
                else:
                    own.append(warnings.WarningMessage(message, category, filename, lineno, *rest))

            warnings.showwarning = show  # type: ignore[assignment]
        _caught[threading.get_ident()] = mine
    try:
        yield mine
    finally:
        with _lock:
            del _caught[threading.get_ident()]
            if not _caught:
                _restoring.close()
