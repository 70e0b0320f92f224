"""Keep Ctrl-C from being lost, and from leaving something half made."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Inside, Ctrl-C and SIGTERM wait until the end of the block.

    libsndfile calls back into Python where what it reads or writes is no file of the system.
    An exception cannot pass through it: raised there, the one of Ctrl-C is printed and
    forgotten, and the program goes on as if nobody had pressed anything. A PyTorch loader that
    is interrupted while it starts its worker processes fails once more when it is taken down.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread hears signals
        return
    heard: list[tuple[int, Any]] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    handlers = {number: handler for number, handler in before.items() if callable(handler)}
    try:
        for number in handlers:
            signal.signal(number, lambda *signal_and_frame: heard.append(signal_and_frame))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for told, frame in heard:
            handlers[signal.Signals(told)](told, frame)
