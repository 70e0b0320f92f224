"""The folders and files of DCASE 2017 task 2."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import yaml

CLASSES = ("babycry", "glassbreak", "gunshot")
DEVELOPMENT = "TUT-rare-sound-events-2017-development"
EVALUATION = "TUT-rare-sound-events-2017-evaluation"


def data_folder(root: str | PathLike[str], package: str = DEVELOPMENT) -> Path:
    """The folder with ``source_data`` or ``mixture_data`` at or under `root`."""
    root = Path(root)
    for folder in (root, root / "data", root / package / "data"):
        if (folder / "source_data").is_dir() or (folder / "mixture_data").is_dir():
            return folder
    raise FileNotFoundError(
        f"{root} holds neither source_data nor mixture_data (nor do its folders data and "
        f"{package}/data): it is not laid out as DCASE 2017 task 2"
    )


def read_cv_setup(folder: Path, subset: str) -> tuple[dict[str, list[dict]], list[dict]]:
    """Event segments by class, and backgrounds, of a subset."""
    setup = folder / "source_data" / "cv_setup"
    return _read(setup / f"events_{subset}.yaml"), _read(setup / f"bgs_{subset}.yaml")


def _read(path: Path) -> Any:
    if not path.is_file():
        there = sorted(p.name for p in path.parent.glob("*.yaml"))
        raise FileNotFoundError(f"{path} is missing; {path.parent} has {there}")
    return yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
