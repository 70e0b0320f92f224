"""Match the names in a table to recordings by file name, and by folder if names repeat."""

from __future__ import annotations

import os
import re
import unicodedata
import warnings
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import PurePath
from typing import TYPE_CHECKING, NamedTuple

from .._utils.files import MEDIA, printable
from .._utils.frames import one_column
from .._utils.text import some
from ..events import Event
from .frames import events_from_frame

if TYPE_CHECKING:
    import pandas

# A path split into its folders and its name, and the name in the table for each file.
Parts = tuple[str, ...]
Pairs = dict[Parts, Parts]


def match_files(
    events: Mapping[str, Sequence[Event]] | pandas.DataFrame,
    paths: Iterable[str | os.PathLike[str]],
) -> list[list[Event]]:
    """Arrange event lists in the order of recordings, matched by file name, then by its stem.

    If several recordings have the same name, as with one folder for each day, their folders
    tell them apart, as far as the table and the paths name folders.

    Parameters
    ----------
    events : dict of str to list of Event, or pandas.DataFrame
        Events from :func:`read_events`, or a frame as for :func:`events_from_frame`.
    paths : iterable of paths
        Paths of the recordings: a list, a column of a frame, or a frame with one column.

    Returns
    -------
    list of list of Event
        Events of each recording, as `y` for ``fit`` and the metrics; empty for recordings that
        the table does not name.

    Raises
    ------
    ValueError
        If the table does not make clear which of several recordings it means.

    Warns
    -----
    UserWarning
        If events are left out because no path is that of their recording.

    Examples
    --------
    >>> match_files({"a.wav": [Event(1.0, 2.0, "dog")]}, ["in/a.wav", "in/b.wav"])
    [[Event(onset=1.0, offset=2.0, label='dog', score=1.0)], []]
    """
    if hasattr(events, "columns"):
        events = events_from_frame(events)
    names = matching_names(events, one_column(paths, "paths"))
    if absent := without_path(events, names):
        warnings.warn(
            f"left out the events of {some(absent)}: no path is that of their recording. The "
            f"{len(names)} path(s) may lack a folder, or endings like .mp3 and .WAV",
            stacklevel=2,
        )
    return [[] if name is None else list(events[name]) for name in names]


def without_path(events: Mapping[str, Sequence[Event]], matched: Iterable[str | None]) -> list[str]:
    """The recordings with events that :func:`matching_names` has found no path for."""
    used = set(matched)
    return [name for name, own in events.items() if len(own) and name not in used]


def matching_names(
    names: Iterable[str], paths: Iterable[str | os.PathLike[str]]
) -> list[str | None]:
    """Find the name in a table that means each path, or None if there is none.

    Parameters
    ----------
    names : iterable of str
        Names in the table, with or without folders of this or another machine.
    paths : iterable of paths
        Paths of the recordings; a path that is given twice gets the same name twice.

    Returns
    -------
    list of str or None

    Raises
    ------
    ValueError
        If a name may mean several recordings, or a recording has or may have several names.

    Examples
    --------
    >>> matching_names(["mon/a.wav", "tue/a.wav", "b"], ["x/tue/a.wav", "x/mon/b.mp3", "c.wav"])
    ['tue/a.wav', 'b', None]
    """
    known: dict[Parts, str] = {}
    for name in names:
        if (parts := _parts(name)) in known:
            twice = f"{known[parts]}, {name}"
            raise ValueError(f"{twice} in the table are the same recording: give it one name")
        if parts:
            known[parts] = name
    files = [_parts(printable(path)) for path in paths]
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
    of_stem = defaultdict(list)
    for parts in sorted(there - pairs.keys()):
        of_stem[_stem(parts)].append(parts)
    for stem, meant in by_stem.items():
        _check_one(left[meant], of_stem[stem])
        pairs[of_stem[stem][0]] = left[meant][0]
    return [known[pairs[parts]] if parts in pairs else None for parts in files]


def _parts(path: str) -> Parts:
    """Split a path at the separators of any system."""
    parts = tuple(part for part in re.split(r"[/\\]", str(path)) if part not in ("", "."))
    return ("", *parts) if str(path).startswith(("/", "\\")) and parts else parts


def _stem(parts: Parts) -> Parts:
    """Remove the suffix of an audio file; any other text after a dot is part of the name.

    Accented letters get one form: macOS may store them in two characters, and people type one.
    """
    *folders, name = (unicodedata.normalize("NFC", part).strip() for part in parts)
    suffix = PurePath(name).suffix
    return (*folders, name[: -len(suffix)] if suffix.lower() in MEDIA else name)


class _Traits(NamedTuple):
    """File names that occur more than once among paths, and the number of common root folders."""

    shared: set[str]
    root: int


def _traits(paths: Collection[Parts]) -> _Traits:
    counts = Counter(parts[-1] for parts in paths)
    shared = {last for last, count in counts.items() if count > 1}
    # Leading folders that the first and the last path in sorted order share, all paths share.
    ends = min(paths, default=())[:-1], max(paths, default=())[:-1]
    same = takewhile(lambda pair: pair[0] == pair[1], zip(*ends, strict=False))
    return _Traits(shared, len(list(same)))


def _pair(files: set[Parts], names: set[Parts], of_files: _Traits, of_names: _Traits) -> Pairs:
    """Pair each file with the name whose last components agree with it the furthest."""
    pairs = {parts: parts for parts in files & names}
    shared = of_files.shared | of_names.shared
    for depth in range(max(map(len, [*files, *names]), default=0), 0, -1):
        files_by_end = _by_end(files - pairs.keys(), depth)
        names_by_end = _by_end(names - set(pairs.values()), depth)
        for end in files_by_end.keys() & names_by_end.keys():
            own, meant = files_by_end[end], names_by_end[end]
            if end[-1] in shared:
                # Differing folders rule out a pair, unless they are the root of all files or of
                # the whole table, which may have been made in another place.
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
        in_table, there = (some(["/".join(parts) for parts in paths]) for paths in (meant, own))
        raise ValueError(
            f"{in_table} in the table may mean {there}: name recordings with their endings, and "
            "with as many of their folders as it takes to tell them apart"
        )
