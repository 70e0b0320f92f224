"""The backgrounds and events that a recipe mixes, read from the source material."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils.clock import Origin, origin_of
from ..audio import read_audio

SAMPLE_RATE = 44100


def files_of(folder: Path, recipe: Mapping[str, Any]) -> list[Path]:
    """The background of a recipe, and its event if it has one."""
    source = folder / "source_data"
    files = [source / "bgs" / recipe["bg_path"]]
    if recipe["event_present"]:
        files.append(source / "events" / recipe["event_path"])
    return files


def background_of(folder: Path, recipe: Mapping[str, Any], mixture_length: float) -> NDArray[Any]:
    """The background of a recipe, cut or repeated to the length of a mixture in seconds."""
    path = files_of(folder, recipe)[0]
    return _background(path, origin_of(path), mixture_length)


def event_of(folder: Path, recipe: Mapping[str, Any]) -> NDArray[Any]:
    """The event of a recipe that has one."""
    path = files_of(folder, recipe)[1]
    start, end = recipe["segment_start_seconds"], recipe["segment_end_seconds"]
    return _segment(path, origin_of(path), start, end)


# The state of a file belongs to the key: one that has changed is read again.
@lru_cache(maxsize=8)
def _background(path: Path, origin: Origin | None, mixture_length: float) -> NDArray[Any]:
    samples = read_audio(path, SAMPLE_RATE, "float64")
    return np.resize(samples, round(mixture_length * SAMPLE_RATE))


@lru_cache(maxsize=512)
def _segment(path: Path, origin: Origin | None, start: float, end: float) -> NDArray[Any]:
    # A copy, so that the cache keeps only the event and not the whole recording.
    samples = read_audio(path, SAMPLE_RATE, "float64")
    return samples[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)].copy()
