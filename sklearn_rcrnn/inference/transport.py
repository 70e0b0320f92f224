"""Models as bytes for other processes, without the parts that only a training needs."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path
from typing import Any

from torch.nn import Module

from ..models.storage import load, save


def packed(estimator: Any) -> bytes:
    """A fitted pipeline as bytes, for workers of the same version of the package.

    As :func:`save` writes it, a third as large as a pickle of a net with its optimizer, and with
    an extractor of the user's own beside it, because a file holds no code. A pipeline that cannot
    be saved, with steps of the user's own, is pickled.
    """
    import cloudpickle

    # An extractor of the package is a name; one of the user's own is a module. The parameter may
    # have been set to another one since the network was built.
    built_from = (getattr(step, "_built_from", {}) for _, step in estimator.steps)
    extractors = (own.get("extractor") for own in built_from)
    own = next((found for found in extractors if isinstance(found, Module)), None)
    with tempfile.TemporaryDirectory() as folder:
        try:
            save(estimator, Path(folder) / "model")
        except TypeError:
            return cloudpickle.dumps(estimator)
        files = {path.name: path.read_bytes() for path in (Path(folder) / "model").iterdir()}
    return cloudpickle.dumps((files, own))


def unpacked(data: bytes) -> Any:
    """What :func:`packed` was given."""
    content = pickle.loads(data)
    if not isinstance(content, tuple):
        return content
    files, own = content
    with tempfile.TemporaryDirectory() as folder:
        for name, written in files.items():
            (Path(folder) / name).write_bytes(written)
        return load(folder, extractor=own)
