"""A memory of computed features that notices when the recordings have changed."""

from __future__ import annotations

import inspect
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from joblib import Memory
from joblib.func_inspect import get_func_code

from .clock import ClockedArray

# What the pickle of a clip holds beside its attributes.
_FOUND = "files as found"


class FileMemory(Memory):
    """A :class:`joblib.Memory` for functions of files: a file that has changed is a new one.

    ``Pipeline(memory=...)`` looks up features by the names of recordings, and would give those
    of a file that was there before. With this memory it looks up by their sizes and the times
    of their last change, too. :func:`make_rcrnn_pipeline` makes one of the folder that it is
    given.

    Parameters
    ----------
    location : str or PathLike
        The folder to keep results in.
    verbose : int, default=0
    **settings
        As for :class:`joblib.Memory`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.pipeline import Pipeline
    >>> from sklearn_rcrnn import FileMemory, LFBETransformer, RCRNNDetector
    >>> folder = tempfile.mkdtemp()
    >>> steps = [("lfbe", LFBETransformer()), ("detector", RCRNNDetector())]
    >>> pipe = Pipeline(steps, memory=FileMemory(folder))
    """

    def __init__(self, location: Any = None, verbose: int = 0, **settings: Any):
        super().__init__(location=location, verbose=verbose, **settings)

    def cache(self, func: Callable | None = None, ignore: Any = None, **settings: Any) -> Any:
        """As of :class:`joblib.Memory`."""
        if func is None or self.location is None:
            return super().cache(func, ignore=ignore, **settings)
        kept = super().cache(_call, ignore=["func", "bound"], **settings)
        # The code belongs to the key, because another version may give other results.
        name = f"{func.__module__}.{func.__qualname__}", get_func_code(func)[0]
        signature = inspect.signature(func)

        def look_up(*args: Any, **kwargs: Any) -> Any:
            bound = signature.bind(*args, **kwargs)
            given = {k: v for k, v in bound.arguments.items() if k not in (ignore or ())}
            return kept(func, bound, name, list(_files(given)), given)

        return look_up


class ReadsFiles(ABC):
    """A clip whose samples are read from files when they are asked for.

    Joblib looks up results by what pickle keeps of an object. Sizes and times of the last change
    are part of that, so that any memory of joblib notices changed files, also that of
    ``Pipeline(memory=...)``.
    """

    @abstractmethod
    def _files(self) -> Sequence[str | os.PathLike[str]]:
        """The paths."""

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), _FOUND: list(_files(self))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update({name: value for name, value in state.items() if name != _FOUND})


def _call(func: Callable, bound: Any, name: Any, files: Any, given: Any) -> Any:
    """Call the function; the last three arguments are only what its result is looked up by."""
    return func(*bound.args, **bound.kwargs)


def _files(value: Any) -> Iterator[tuple[str, int, int]]:
    """Name, size and time of the last change of each file that is named in lists and dicts.

    Features name the files that they were computed from.
    """
    if isinstance(value, (str, os.PathLike)):
        try:
            found = os.stat(value)
        except (OSError, ValueError):
            return
        yield os.fspath(value), found.st_size, found.st_mtime_ns
    elif isinstance(value, ReadsFiles):
        with suppress(OSError):  # the folder may be on another machine
            yield from _files(list(value._files()))
    elif isinstance(value, ClockedArray):
        yield from (origin for origin in value.origins or () if origin is not None)
    elif isinstance(value, dict):
        yield from _files(list(value.values()))
    elif hasattr(value, "iloc"):
        yield from _files(value.to_numpy())
    elif isinstance(value, np.ndarray) and value.dtype.kind in "OUS":
        yield from _files(value.ravel().tolist())
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _files(item)
