"""Split the source material of a subset in two, recording by recording."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from .layout import data_folder, read_cv_setup, recording_of


def split_by_recording(
    root: str | PathLike[str],
    output_dir: str | PathLike[str],
    subset: str = "devtrain",
    *,
    fraction: float = 0.15,
    parts: tuple[str, str] = ("fit", "hold"),
    random_state: int = 0,
) -> Path:
    """Divide events and backgrounds of a subset, so that no recording is in both parts.

    What is chosen on mixtures of recordings that were trained on is chosen badly. The new
    folder is laid out like `root`, links to its audio, and has the two parts as subsets.

    Parameters
    ----------
    root : str or PathLike
        Folder with ``source_data``, or of the challenge's development set.
    output_dir : str or PathLike
        Made if it is not there.
    subset : str, default="devtrain"
    fraction : float, default=0.15
        Part of the recordings of each class, and of the backgrounds, for the second part;
        at least one.
    parts : (str, str), default=("fit", "hold")
        Names of the new subsets.
    random_state : int, default=0

    Returns
    -------
    pathlib.Path
        `output_dir`, for :func:`generate_mixture_recipes` and :class:`FreshMixtures`.

    Notes
    -----
    The recording of an event is told by its file name up to the last underscore, that of
    a background by its name up to the last but one, as the challenge names them.

    Examples
    --------
    >>> split = split_by_recording("../shared/corpus", "split")  # doctest: +SKIP
    >>> stream = FreshMixtures(split, "fit")  # doctest: +SKIP
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must be between 0 and 1; got {fraction}")
    folder = data_folder(root).resolve()
    events, backgrounds = read_cv_setup(folder, subset)
    target = Path(output_dir) / "source_data"
    setup = target / "cv_setup"
    setup.mkdir(parents=True, exist_ok=True)
    for name in ("events", "bgs"):
        if not (target / name).exists():
            (target / name).symlink_to(folder / "source_data" / name)
    rng = np.random.RandomState(random_state)
    divided: tuple[dict[str, list], dict[str, list]] = ({}, {})
    for label, entries in sorted(events.items()):
        for second, entry in _divide(entries, fraction, rng):
            divided[second].setdefault(label, []).append(entry)
    background_parts: tuple[list, list] = ([], [])
    for second, entry in _divide(backgrounds, fraction, rng):
        background_parts[second].append(entry)
    for name, own_events, own_backgrounds in zip(parts, divided, background_parts, strict=True):
        (setup / f"events_{name}.yaml").write_text(yaml.safe_dump(own_events))
        (setup / f"bgs_{name}.yaml").write_text(yaml.safe_dump(own_backgrounds))
    return Path(output_dir)


def _divide(
    entries: list[dict[str, Any]],
    fraction: float,
    rng: np.random.RandomState,
) -> Iterator[tuple[bool, dict[str, Any]]]:
    """Each entry, and whether its recording is in the second part."""
    names = sorted({recording_of(entry) for entry in entries})
    held = set(rng.permutation(names)[: max(1, round(fraction * len(names)))])
    for entry in entries:
        yield recording_of(entry) in held, entry
