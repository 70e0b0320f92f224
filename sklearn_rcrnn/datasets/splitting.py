"""Split the source material of a subset in two, by recording or by where it came from."""

from __future__ import annotations

import csv
import os
import warnings
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from .._utils.files import complete
from .._utils.text import some
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

    Thresholds and parameters that are chosen on mixtures of recordings that were also trained
    on are chosen badly. The new folder is laid out like `root`, links to its audio, and has the
    two parts as subsets.

    Parameters
    ----------
    root : str or PathLike
        Folder with ``source_data``, or of the challenge's development set.
    output_dir : str or PathLike
        New folder; created if it does not exist.
    subset : str, default="devtrain"
    fraction : float, default=0.15
        Part of the recordings of each class, and of the backgrounds, for the second part;
        at least one. The only recording of a class, and at least one of the backgrounds, stays in
        the first part.
    parts : (str, str), default=("fit", "hold")
        Names of the new subsets.
    random_state : int, default=0

    Returns
    -------
    pathlib.Path
        `output_dir`, for :func:`generate_mixture_recipes` and :class:`FreshMixtures`.

    Raises
    ------
    ValueError
        If all backgrounds are of one recording, if nothing of a class would be left in the first
        part, or if `output_dir` has links to other audio.

    Warns
    -----
    UserWarning
        If a class has a single recording, so that the second part lacks the class.

    Notes
    -----
    As the challenge names its files, the name of an event file up to the last underscore is
    that of its recording, and the name of a background file up to the last underscore but one.
    Events of several classes may be of one recording.

    Examples
    --------
    >>> split = split_by_recording("../shared/corpus", "split")  # doctest: +SKIP
    >>> stream = FreshMixtures(split, "fit")  # doctest: +SKIP
    """
    _check_fraction(fraction)
    folder = data_folder(root).resolve()
    events, backgrounds = read_cv_setup(folder, subset)
    rng = np.random.RandomState(random_state)
    held = _drawn_of_each(events, fraction, rng)
    held_backgrounds = _drawn(backgrounds, fraction, rng)
    return _write_parts(
        folder,
        Path(output_dir),
        parts,
        events,
        backgrounds,
        is_held=lambda label, entry: recording_of(entry) in held,
        is_held_background=lambda entry: recording_of(entry) in held_backgrounds,
    )


def read_sources(root: str | PathLike[str], subset: str = "devtrain2") -> dict[str, str]:
    """Read which source each file of a subset came from.

    Parameters
    ----------
    root : str or PathLike
        Folder with ``source_data`` and, in it or above it, ``provenance.csv`` with the
        columns ``file`` (``events/...`` or ``bgs/...``; a ``*`` at the end stands
        for all files whose names begin so) and ``repository``.
    subset : str, default="devtrain2"

    Returns
    -------
    dict of str to str
        The source of each file, events first.

    Raises
    ------
    FileNotFoundError
        If the folder has no ``provenance.csv``, as the challenge's own has none.
    ValueError
        If the table lacks a column, or has no row for a file of the subset.

    Examples
    --------
    >>> sources = read_sources("../shared/corpus")  # doctest: +SKIP
    >>> sources["events/babycry/dac-1445575b_0.flac"]  # doctest: +SKIP
    'gveres/donateacry-corpus'
    """
    folder = data_folder(root)
    events, backgrounds = read_cv_setup(folder, subset)
    path = _provenance(folder)
    with open(path, newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        missing = {"file", "repository"} - set(rows.fieldnames or ())
        if missing:
            raise ValueError(
                f"{path} lacks the columns {sorted(missing)}; it has {rows.fieldnames}"
            )
        known = {row["file"]: row["repository"] for row in rows}
    names = [_event_file(label, e) for label, own in events.items() for e in own]
    names += map(_background_file, backgrounds)
    sources = {name: _source_of(name, known) for name in names}
    if unknown := [name for name, source in sources.items() if source is None]:
        raise ValueError(f"{path} does not say where {some(unknown)} came from")
    return {name: str(source) for name, source in sources.items()}


def _source_of(name: str, known: dict[str, str]) -> str | None:
    """The source of a file, from its own row or from the longest pattern that matches it."""
    if name in known:
        return known[name]
    beginnings = [key for key in known if key.endswith("*") and name.startswith(key[:-1])]
    return known[max(beginnings, key=len)] if beginnings else None


def _event_file(label: str, entry: dict[str, Any]) -> str:
    return f"events/{label}/{entry['audio_filename']}"


def _background_file(entry: dict[str, Any]) -> str:
    return f"bgs/{entry['filepath']}"


def split_by_source(
    root: str | PathLike[str],
    output_dir: str | PathLike[str],
    held_out: str | Sequence[str],
    subset: str = "devtrain2",
    *,
    background_fraction: float = 0.15,
    parts: tuple[str, str] = ("heard", "unheard"),
    random_state: int = 0,
) -> Path:
    """Hold out all recordings of some sources, to test a model on unfamiliar ones.

    Results on held-out recordings are too good if other recordings of their source were
    trained on, because both have the same microphones, rooms and guns. The new folder is laid
    out like `root`, links to its audio, and has the two parts as subsets.

    Parameters
    ----------
    root : str or PathLike
        Folder with ``source_data`` and ``provenance.csv``.
    output_dir : str or PathLike
        New folder; created if it does not exist.
    held_out : str or sequence of str
        Sources to hold out, as the column ``repository`` names them; see :func:`read_sources`.
    subset : str, default="devtrain2"
    background_fraction : float, default=0.15
        Part of the background recordings of the other sources that goes to the second part,
        too, so that there is always something to mix events with. The backgrounds of the
        sources that are held out all go there.
    parts : (str, str), default=("heard", "unheard")
        Names of the new subsets. The second has only the classes that the sources have.
    random_state : int, default=0

    Returns
    -------
    pathlib.Path
        `output_dir`, for :func:`generate_mixture_recipes` and :class:`FreshMixtures`.

    Raises
    ------
    ValueError
        If a source has no event in the subset, or if a class has no other sources.

    See Also
    --------
    split_by_recording : Holds out recordings of each source.

    Examples
    --------
    >>> split = split_by_source(
    ...     "../shared/corpus", "split", "Alejandro-131004/AC-II"
    ... )  # doctest: +SKIP
    >>> stream = FreshMixtures(split, "heard")  # doctest: +SKIP
    """
    _check_fraction(background_fraction)
    folder = data_folder(root).resolve()
    sources = read_sources(root, subset)
    events, backgrounds = read_cv_setup(folder, subset)
    held = {held_out} if isinstance(held_out, str) else set(held_out)

    def is_held(label: str, entry: dict[str, Any]) -> bool:
        return sources[_event_file(label, entry)] in held

    there = {
        label: {sources[_event_file(label, entry)] for entry in entries}
        for label, entries in events.items()
    }
    known = set().union(*there.values())
    if not held or held - known:
        raise ValueError(
            f"{subset} has no events of the sources {sorted(held - known)}; it has events of "
            f"{sorted(known)}"
        )
    if alone := sorted(label for label, own in there.items() if not own - held):
        raise ValueError(f"Without these sources there is nothing left to learn {alone} from")
    rest = [entry for entry in backgrounds if sources[_background_file(entry)] not in held]
    drawn = _drawn(rest, background_fraction, np.random.RandomState(random_state))
    return _write_parts(
        folder,
        Path(output_dir),
        parts,
        events,
        backgrounds,
        is_held=is_held,
        is_held_background=lambda entry: entry not in rest or recording_of(entry) in drawn,
    )


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must be between 0 and 1; got {fraction}")


def _provenance(folder: Path) -> Path:
    """Find the table of sources beside the audio, or one or two folders above it."""
    places = [folder / "source_data", folder, folder.parent]
    for place in places:
        if (place / "provenance.csv").is_file():
            return place / "provenance.csv"
    raise FileNotFoundError(
        f"No provenance.csv in {', '.join(map(os.fspath, places))}: it is not known where the "
        "recordings came from"
    )


def _drawn(entries: list[dict[str, Any]], fraction: float, rng: np.random.RandomState) -> set[str]:
    """Draw the background recordings of the second part: at least one, and not all."""
    names = sorted({recording_of(entry) for entry in entries})
    if len(names) < 2:
        raise ValueError(
            "Each part needs backgrounds of a recording of its own, but all backgrounds are of "
            f"{some(names) or 'none'}"
        )
    n_held = min(max(1, round(fraction * len(names))), len(names) - 1)
    return set(rng.permutation(names)[:n_held])


def _drawn_of_each(
    events: dict[str, list[dict[str, Any]]], fraction: float, rng: np.random.RandomState
) -> set[str]:
    """Draw the recordings with events of the second part, for each class at least one."""
    names = {
        label: sorted({recording_of(entry) for entry in entries})
        for label, entries in sorted(events.items())
    }
    # Without its only recording, a class could not be learnt.
    kept = {own[0] for own in names.values() if len(own) == 1}
    if single := [label for label, own in names.items() if len(own) == 1]:
        warnings.warn(
            f"The only recording of {some(single)} is in the first part, and none in the second",
            stacklevel=3,
        )
    held: set[str] = set()
    for own in names.values():
        shuffled = [name for name in rng.permutation(own) if name not in held | kept]
        # A recording with events of several classes may have been drawn already.
        n_more = max(1, round(fraction * len(own))) - len(held.intersection(own))
        held.update(shuffled[: max(0, n_more)])
    if lost := [label for label, own in names.items() if held.issuperset(own)]:
        raise ValueError(
            f"All recordings of {some(lost)} would be in the second part: try another random_state "
            "or a smaller fraction"
        )
    return held


def _write_parts(
    folder: Path,
    output: Path,
    parts: tuple[str, str],
    events: dict[str, list],
    backgrounds: list[dict[str, Any]],
    *,
    is_held: Callable[[str, dict[str, Any]], bool],
    is_held_background: Callable[[dict[str, Any]], bool],
) -> Path:
    """Write a folder with links to the audio of the first and the two parts as subsets."""
    target = output / "source_data"
    setup = target / "cv_setup"
    setup.mkdir(parents=True, exist_ok=True)
    for name in ("events", "bgs"):
        link, audio = target / name, folder / "source_data" / name
        if not link.exists():
            link.symlink_to(audio)
        elif link.resolve() != audio.resolve():
            raise ValueError(f"{link} has other audio than {audio}: give a new folder")
    for second, part in enumerate(parts):
        own = {
            label: kept
            for label, entries in sorted(events.items())
            if (kept := [entry for entry in entries if is_held(label, entry) == bool(second)])
        }
        with complete(setup / f"events_{part}.yaml") as partial:
            partial.write_text(yaml.safe_dump(own))
        rest = [entry for entry in backgrounds if is_held_background(entry) == bool(second)]
        with complete(setup / f"bgs_{part}.yaml") as partial:
            partial.write_text(yaml.safe_dump(rest))
    return output
