"""Which recording a table means: names of files, and folders where names are shared."""

from __future__ import annotations

import os
import warnings
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import PurePath, PureWindowsPath
from typing import TYPE_CHECKING, NamedTuple

from .._utils.files import MEDIA, printable
from .._utils.frames import one_column
from .._utils.text import some
from ..events import Event
from .frames import events_from_frame

if TYPE_CHECKING:
    import pandas

# A path as its folders and its name, and the name of a table that means a file.
Parts = tuple[str, ...]
Pairs = dict[Parts, Parts]


def match_files(
    events: Mapping[str, Sequence[Event]] | pandas.DataFrame,
    paths: Iterable[str | os.PathLike[str]],
) -> list[list[Event]]:
    """Event lists in the order of recordings, matched by file name, then by its stem.

    Where several recordings have one name, as in a folder for each day, their folders tell
    them apart, as far as the table and the paths name them.

    Parameters
    ----------
    events : dict of str to list of Event, or pandas.DataFrame
        From :func:`read_events`; or a frame as for :func:`events_from_frame`.
    paths : iterable of paths
        A list, a column of a frame, or a frame with one column.

    Returns
    -------
    list of list of Event
        `y` for ``fit`` and the metrics; empty for recordings that the table does not name.

    Raises
    ------
    ValueError
        If the table leaves open which of several recordings it means.

    Warns
    -----
    UserWarning
        Of events that are left out, because no path is that of their recording.

    Examples
    --------
    >>> match_files({"a.wav": [Event(1.0, 2.0, "dog")]}, ["in/a.wav", "in/b.wav"])
    [[Event(onset=1.0, offset=2.0, label='dog', score=1.0)], []]
    """
    if hasattr(events, "columns"):
        events = events_from_frame(events)
    names = matching_names(events, one_column(paths, "paths"))
    absent = sorted({name for name, own in events.items() if len(own)} - set(names))
    if absent:
        warnings.warn(
            f"left out the events of {some(absent)}: no path is that of their recording. The "
            f"{len(names)} path(s) may lack a folder, or endings like .mp3 and .WAV",
            stacklevel=2,
        )
    return [[] if name is None else list(events[name]) for name in names]


def matching_names(
    names: Iterable[str], paths: Iterable[str | os.PathLike[str]]
) -> list[str | None]:
    """For each path the name in a table that means it, or None.

    Parameters
    ----------
    names : iterable of str
        With or without folders, of this or another machine.
    paths : iterable of paths
        A path that is given twice gets the same name twice.

    Returns
    -------
    list of str or None

    Raises
    ------
    ValueError
        If a name may mean several recordings, or a recording have several names.

    Examples
    --------
    >>> matching_names(["mon/a.wav", "tue/a.wav", "b"], ["x/tue/a.wav", "x/mon/b.mp3", "c.wav"])
    ['tue/a.wav', 'b', None]
    """
    # Understands the separators of every system.
    known = {parts: name for name in names if (parts := PureWindowsPath(name).parts)}
    files = [PureWindowsPath(printable(path)).parts for path in paths]
    there = {parts for parts in files if parts}
    pairs = _pair(there, set(known), _traits(there), _traits(known))
    left = defaultdict(list)
    for parts in sorted(known.keys() - set(pairs.values())):
        left[_stem(parts)].append(parts)
    by_stem = _pair(
        set(map(_stem, there - pairs.keys())),
        set(left),
        _traits(set(map(_stem, there))),
        _traits(set(map(_stem, known))),
    )
    for parts in there - pairs.keys():
        if (stem := _stem(parts)) in by_stem:
            meant = left[by_stem[stem]]
            _check_one(meant, [parts])
            pairs[parts] = meant[0]
    return [known[pairs[parts]] if parts in pairs else None for parts in files]


def _stem(parts: Parts) -> Parts:
    """Without the ending of a recording's name; another dot is part of the name."""
    suffix = PurePath(parts[-1]).suffix
    name = parts[-1][: -len(suffix)] if suffix.lower() in MEDIA else parts[-1]
    return (*parts[:-1], name)


class _Traits(NamedTuple):
    """Of all files, or all names: those that occur twice; how many folders all begin with."""

    shared: set[str]
    root: int


def _traits(paths: Collection[Parts]) -> _Traits:
    counts = Counter(parts[-1] for parts in paths)
    shared = {last for last, count in counts.items() if count > 1}
    # What the first and the last in order have in common, all have.
    ends = min(paths, default=())[:-1], max(paths, default=())[:-1]
    same = takewhile(lambda pair: pair[0] == pair[1], zip(*ends, strict=False))
    return _Traits(shared, len(list(same)))


def _pair(files: set[Parts], names: set[Parts], of_files: _Traits, of_names: _Traits) -> Pairs:
    """The name of each file that has one: that with which it has most in common at the end."""
    pairs = {parts: parts for parts in files & names}
    shared = of_files.shared | of_names.shared
    for depth in range(max(map(len, [*files, *names]), default=0), 0, -1):
        files_by_end = _by_end(files - pairs.keys(), depth)
        names_by_end = _by_end(names - set(pairs.values()), depth)
        for end in files_by_end.keys() & names_by_end.keys():
            own, meant = files_by_end[end], names_by_end[end]
            if end[-1] in shared:
                # Folders that differ speak against a pair, unless they are those of all files
                # or of the whole table, which may have come from another place.
                free_own = [parts for parts in own if len(parts) - depth <= of_files.root]
                free_meant = [parts for parts in meant if len(parts) - depth <= of_names.root]
                if not free_own and not free_meant:
                    continue
                own = own if free_meant else free_own
                meant = meant if free_own else free_meant
            _check_one(meant, own)
            pairs[own[0]] = meant[0]
    return pairs


def _by_end(paths: Iterable[Parts], depth: int) -> dict[Parts, list[Parts]]:
    grouped = defaultdict(list)
    for parts in sorted(paths):
        if len(parts) >= depth:
            grouped[parts[-depth:]].append(parts)
    return grouped


def _check_one(meant: list[Parts], own: list[Parts]) -> None:
    if len(own) > 1 or len(meant) > 1:
        in_table, there = (
            some([PureWindowsPath(*parts).as_posix() for parts in paths]) for paths in (meant, own)
        )
        raise ValueError(
            f"{in_table} in the table may mean {there}: name recordings with as many of their "
            "folders as it takes to tell them apart"
        )
