"""How the C library keeps freed memory, in processes that detect events and do little else.

glibc, the C library of most Linux systems, has a heap for each thread and keeps in each what was
freed there: 50 MB more for each thread that detects. With these settings all threads share one
heap, at which they hardly wait for each other, since the pieces that networks need are few and
large. The largest pieces do not lie in it, and free memory at its end goes back to the system;
without the settings, glibc raises these two limits by itself. Other C libraries ignore them.
"""

from __future__ import annotations

import ctypes
import sys

# Environment variables that glibc reads when a process starts.
ONE_HEAP = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "16000000",
    "MALLOC_TRIM_THRESHOLD_": "16000000",
}
# Numbers of the same parameters in its malloc.h.
_PARAMETERS = {"MALLOC_ARENA_MAX": -8, "MALLOC_MMAP_THRESHOLD_": -3, "MALLOC_TRIM_THRESHOLD_": -1}


def share_one_heap() -> None:
    """Apply the settings to this process, in which no other thread may have started yet."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for name, parameter in _PARAMETERS.items():
            mallopt(parameter, int(ONE_HEAP[name]))
