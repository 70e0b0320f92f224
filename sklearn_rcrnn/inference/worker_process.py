"""A process of :class:`.engines.Processes`: it loads the model once and works on recordings."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._utils.spared_imports import import_for_detection

# These are imported only after the process has become a worker, which chooses what to import.
if TYPE_CHECKING:
    from .work import Job, Result

_estimator: Any = None


def become_worker(model: Path, number: int, n_threads: int, parent: int) -> None:
    """Load the model, in a process that ends with the one that started it.

    Parameters
    ----------
    model : Path
        The file with the packed pipeline.
    number : int
        Of the worker; where there are several cards, it says which one is its own.
    n_threads : int
        Threads of PyTorch.
    parent : int
        The process that started this one.
    """
    global _estimator
    # Ctrl-C reaches all processes of a terminal, but the one that started the workers ends them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    import_for_detection()
    import torch

    from .transport import unpacked

    torch.set_num_threads(n_threads)
    _estimator = unpacked(model.read_bytes())
    n_cards = torch.cuda.device_count()
    if n_cards > 1 and _estimator[-1].device in (
        "auto",
        "cuda",
    ):  # one process a card
        _estimator[-1].set_params(device=f"cuda:{number % n_cards}")


def work_here(job: Job) -> Result:
    """The result of a job, by the model that was loaded."""
    from .work import work_elsewhere

    return work_elsewhere(_estimator, job)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
