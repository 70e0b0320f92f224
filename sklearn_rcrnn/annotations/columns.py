"""Recognize the columns of tables by their names, and find their cells."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from .numbers import Signs, is_missing, seconds

# The column that the caller names for each meaning; None says that no column has it.
Given = Mapping[str, str | None]

# Known names of columns by their meaning, the preferred ones first, in the form that
# `normalized` returns. They are those of this package, Raven, Audacity and similar programs,
# DESED and dcase_util, AudioSet with strong labels, BirdNET, Kaleidoscope, the challenges on
# animal sounds, and those that people write by hand.
NAMES: dict[str, tuple[str, ...]] = {
    "file": (
        *("file", "filename", "file name", "begin path", "begin file", "audio file"),
        *("audiofilename", "audio filename", "audiofile", "filepath", "file path", "path"),
        *("segment id", "in file", "recording", "sound file", "soundfile", "sound files"),
        *("wav file", "wavfile", "wav", "notated path", "source file", "audio path", "audio"),
    ),
    "onset": (
        *("onset", "begin time", "start time", "start", "begin", "starttime", "begintime"),
        *("tmin", "onset time", "event onset"),
    ),
    "offset": (
        *("offset", "end time", "end", "stop", "stop time", "endtime", "stoptime", "tmax"),
        *("offset time", "event offset"),
    ),
    "duration": ("duration", "delta time", "event duration", "dur"),
    "label": (
        *("label", "annotation", "event label", "manual id", "common name", "species"),
        *("species name", "scientific name", "class", "class name", "class label", "event"),
        *("event class", "event type", "sound class", "call type", "category", "auto id"),
        *("top1match", "tag", "tags", "q"),
    ),
    "score": ("score", "confidence", "probability"),
    # Onset within its own recording, in tables whose times run over a sequence of recordings.
    "file_offset": ("file offset",),
    "folder": ("folder",),
    "selection": ("selection",),
    # Tables may list an event once for each channel on which it is heard.
    "channel": ("channel",),
    # The decision of a person about a found event, and the event as it was found.
    "decision": ("decision",),
    "was_onset": ("was onset",),
    "was_offset": ("was offset",),
    "was_label": ("was label",),
    "event_id": ("event id",),
}
# Meanings for which a caller may name a column.
MEANINGS = ("file", "onset", "offset", "duration", "label", "score")
# If the caller names a column for one of these, it counts, and no file offset.
GIVEN_TIMES = {"onset", "offset", "duration"}
# Columns of Kaleidoscope, which calls the time at which an event begins its "offset".
_KALEIDOSCOPE = {"in file", "offset", "duration"}

_UNIT = re.compile(r"\s*[(\[]\s*(s|sec|secs|seconds)\s*[)\]]$|\s+(s|sec|secs|seconds)$")


@lru_cache(maxsize=1000)
def normalized(name: str) -> str:
    """Return a column's name in lower case, without its unit if that is seconds.

    Some versions of Kaleidoscope write an asterisk after names.

    >>> normalized("Begin Time (s)"), normalized("Begin.Time..s."), normalized("Onset [ms]")
    ('begin time', 'begin time', 'onset [ms]')
    >>> normalized("MANUAL ID*")
    'manual id'
    """
    return _UNIT.sub(
        "", re.sub(r"[\s_.]+", " ", name.strip().lstrip("#").rstrip("*").lower()).strip()
    )


def columns_of(header: Sequence[str], given: Given | None = None) -> dict[str, list[str]]:
    """Find the columns of a header that have each meaning, the preferred ones first.

    Parameters
    ----------
    header : sequence of str
    given : dict of str to str or None, default=None
        Column that the caller names for each meaning; None says that no column has it.

    Raises
    ------
    ValueError
        If the caller names an unknown meaning, or a column that the header lacks.
    """
    by_name = {normalized(name): name for name in reversed(header)}
    found = {
        meaning: [by_name[name] for name in names if name in by_name]
        for meaning, names in NAMES.items()
    }
    if by_name.keys() >= _KALEIDOSCOPE and not found["onset"]:
        found["onset"], found["offset"] = found["offset"], []
    if "audiofilename" not in by_name:
        found["label"] = [name for name in found["label"] if normalized(name) != "q"]
    for meaning, name in (given or {}).items():
        if meaning not in MEANINGS:
            raise ValueError(f"columns may be named for {', '.join(MEANINGS)}; got {meaning!r}")
        if name and name not in header and normalized(name) not in by_name:
            raise ValueError(
                f"there is no column {name!r} for the {meaning}; the columns are "
                f"{', '.join(header)}"
            )
        found[meaning] = [name if name in header else by_name[normalized(name)]] if name else []
    if (given or {}).get("duration") and not (given or {}).get("offset"):
        found["offset"] = []  # the named duration counts
    if (given or {}).keys() & GIVEN_TIMES:
        found["file_offset"] = []
    return {meaning: names for meaning, names in found.items() if names}


def check_each_once(
    columns: Mapping[str, Sequence[str]], header: Sequence[str], given: Given | None = None
) -> None:
    """Raise ValueError if it is not clear which of several columns has a meaning.

    Names that differ only by case, by spaces or by the unit of seconds are the same.
    """
    for meaning, own in columns.items():
        for name in own:
            exactly = meaning in (given or {})
            same = [
                other
                for other in header
                if other == name or (not exactly and normalized(other) == normalized(name))
            ]
            if len(same) > 1:
                first, *others = dict.fromkeys(same)
                told = (
                    f"the columns {first!r} and {others[0]!r} have one name"
                    if others
                    else (f"the column {name!r} is there {len(same)} times")
                )
                raise ValueError(f"{told}: rename the others, so that it is clear which is meant")


def has_times(columns: Mapping[str, Any]) -> bool:
    """Tell whether the columns give onsets and offsets, as those of a table of events do."""
    return "onset" in columns and ("offset" in columns or "duration" in columns)


def check_columns(columns: Mapping[str, Any], header: Sequence[str]) -> None:
    """Raise ValueError if a column is missing; it lists the present and the known columns."""
    missing = [name for name in ("onset", "offset", "label") if name not in columns]
    if "duration" in columns and "offset" in missing:
        missing.remove("offset")
    if missing:
        raise ValueError(
            f"the header lacks {', '.join(missing)}. Its columns are {', '.join(header)}. "
            f"{known(missing)}"
        )


def known(meanings: Sequence[str] = ("onset", "offset", "label")) -> str:
    """Tell which names of columns are known, and how to name other columns."""
    names = "; ".join(f"{meaning} may be {', '.join(NAMES[meaning])}" for meaning in meanings)
    return (
        f"Known names: {names}. Name other columns by columns={{{meanings[0]!r}: ...}}, "
        f"or --{meanings[0]}-column on the command line"
    )


def cell_of(values: Mapping[str, Any], columns: Mapping[str, Sequence[str]], meaning: str) -> Any:
    """Return the value of a meaning in a row, from the preferred column that has one."""
    cells = [cell for name in columns.get(meaning, ()) if (cell := values.get(name)) is not None]
    # A text such as NA may be a name, but not where another column has a value.
    there = (cell for cell in cells if not is_missing(cell))
    return next(there, next((cell for cell in cells if cell != ""), ""))


def tells_file_offset(values: Mapping[str, Any]) -> bool:
    """Tell whether a row says at which time of its own recording its event begins."""
    return any(
        not is_missing(value) and normalized(name) in NAMES["file_offset"]
        for name, value in values.items()
    )


def as_found(
    values: Mapping[str, Any], columns: Mapping[str, Sequence[str]], signs: Signs
) -> tuple[float, float, Any] | None:
    """The event of a correction before it; None if the row does not say it, as for added ones."""
    if "was_onset" not in columns:
        return None
    onset, offset, label = (
        cell_of(values, columns, f"was_{name}") for name in ("onset", "offset", "label")
    )
    if any(map(is_missing, (onset, offset, label))):
        return None
    try:
        return seconds(onset, signs), seconds(offset, signs), label
    except ValueError:
        return None
