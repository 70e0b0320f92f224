"""Models as bytes for other processes, without the parts that only a training needs."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path
from typing import Any

from ..models.storage import load, save


def packed(estimator: Any) -> bytes:
    """A fitted pipeline as bytes, for workers of the same version of the package.

    As :func:`save` writes it, a third as large as a pickle of a net with its optimizer; a
    pipeline with steps or an extractor of the user's own is pickled, because a file holds no code.
    """
    import cloudpickle

    # An extractor of the package is a name; one of the user's own is a module.
    if any(not isinstance(getattr(step, "extractor", ""), str) for _, step in estimator.steps):
        return cloudpickle.dumps(estimator)
    with tempfile.TemporaryDirectory() as folder:
        try:
            save(estimator, Path(folder) / "model")
        except TypeError:
            return cloudpickle.dumps(estimator)
        files = {path.name: path.read_bytes() for path in (Path(folder) / "model").iterdir()}
    return pickle.dumps(files)


def unpacked(data: bytes) -> Any:
    """What :func:`packed` was given."""
    files = pickle.loads(data)
    if not isinstance(files, dict):
        return files
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        return load(folder)
