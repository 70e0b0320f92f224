"""Read and write tables without a header: Audacity's labels, DCASE event lists and RTTM."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TextIO

from ..events import Event
from .columns import Given
from .numbers import COMMA, Signs, number, signs_of
from .repeated import Channels
from .rows import Format, Row, in_one_line, lines_of, times_text

# How lines of RTTM begin that tell of no event: comments, and what is known of a speaker or not.
_NO_EVENTS = (";;", "SPKR-INFO", "NOSCORE", "NO_RT_METADATA")
# Number of rows that are looked at to recognize a format.
_SEEN = 50


def _fields(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the tab-separated fields of each line that is not blank."""
    for i, line in enumerate(lines_of(text), 1):
        if line.strip():
            yield i, line.split("\t")


def _are_times(fields: Sequence[str]) -> bool:
    try:
        return len([number(field, COMMA) for field in fields]) == 2
    except ValueError:
        return False


def _timed(line: int, file: str | None, fields: Sequence[str], signs: Signs) -> Row:
    """Make a row of onset, offset, label and an optional score."""
    onset, offset, label, *rest = [*fields, "", "", ""][: max(3, len(fields))]
    score = rest[0].strip() if rest else ""
    try:
        values = number(onset, signs), number(offset, signs), label
        return Row(line, file, (*values, number(score, COMMA) if score else None))
    except ValueError as error:
        problem = f"onset, offset and score must be numbers; {error} in {list(fields)}"
        return Row(line, file, None, problem)


def _read_audacity(text: str, columns: Given) -> Iterator[Row]:
    signs = signs_of(field for _, fields in _fields(text) for field in fields[:2])
    for i, fields in _fields(text):
        # Lines with the frequencies of a spectral selection begin with a backslash.
        if not fields[0].startswith("\\"):
            yield _timed(i, None, fields, signs)


def _write_audacity(file: TextIO, events: Mapping[str, Sequence[Event]]) -> None:
    for own in events.values():
        for event in own:
            label = in_one_line(event.label, "audacity")
            times = "\t".join(times_text(event.onset, event.offset, digits=6))
            file.write(f"{times}\t{label}\n")


def _is_audacity(name: str, text: str) -> bool:
    first = next(_fields(text), None)
    return first is not None and _are_times(first[1][:2])


def _read_dcase(text: str, columns: Given) -> Iterator[Row]:
    signs = signs_of(
        time
        for _, fields in _fields(text)
        for time in (fields[2:4] if _has_scene(fields) else fields[1:3])
    )
    scenes = any(_has_scene(fields) for _, fields in _fields(text))
    number_left_out = ""
    for i, (name, *fields) in _fields(text):
        if _has_scene([name, *fields]) or (scenes and _is_alone(fields)):
            fields = fields[1:]
        elif _is_alone(fields) and not _are_times([fields[0]] * 2):
            problem = (
                f"there are no times after the name {name.strip()!r}, but {fields[0]!r}. A "
                "recording without events has a row with its name alone, or with its name and "
                "scene if the rows of events have a scene, too"
            )
            yield Row(i, name.strip(), None, problem)
            continue
        if any(field.strip() for field in fields):
            number_left_out = next(filter(_is_decimal, fields[3:]), "") or number_left_out
            yield _timed(i, name.strip(), fields[:3], signs)
        elif name.strip():
            yield Row(i, name.strip(), None)
    if number_left_out:
        warnings.warn(
            f"what stands after the labels, such as {number_left_out.strip()}, is left out, for a "
            "list of the DCASE challenge has no scores: write scores in a table with a header",
            stacklevel=5,
        )


def _has_scene(fields: Sequence[str]) -> bool:
    """Tell whether a scene stands between the name and the times of an event.

    The scene may be a number if a time with decimals and a text follow: these are offset and label.
    """
    if len(fields) < 5 or not _are_times(fields[2:4]):
        return False
    is_number = _are_times(fields[1:3])
    return not is_number or (_is_decimal(fields[3]) and not _are_times([fields[4]] * 2))


def _is_alone(fields: Sequence[str]) -> bool:
    """Tell whether nothing follows a name but one field, which may be the scene of a recording."""
    filled = [field for field in fields if field.strip()]
    return len(filled) == 1 and filled[0] == fields[0]


def _is_decimal(field: str) -> bool:
    return not field.strip().isdecimal() and _are_times([field, field])


def _write_dcase(file: TextIO, events: Mapping[str, Sequence[Event]]) -> None:
    for name, own in events.items():
        in_one_line(name, "dcase", "name")
        for event in own:
            label = in_one_line(event.label, "dcase")
            times = "\t".join(times_text(event.onset, event.offset))
            file.write(f"{name}\t{times}\t{label}\n")
        if not own:
            file.write(f"{name}\n")


def _is_dcase(name: str, text: str) -> bool:
    """Tell whether each row is the name of a file, either alone or with two times.

    Without any times, all names must have a suffix of audio, as prose has none. ELAN writes
    tiers, times and lengths before labels: they are not files, times and labels.
    """
    rows = [[field.strip() for field in fields] for _, fields in islice(_fields(text), _SEEN)]
    timed = [_are_times(row[1:3]) or _has_scene(row) for row in rows]
    # A name and a text are a recording and its scene only if events have scenes, too.
    scenes = any(map(_has_scene, rows))
    alone = [not any(row[1:]) or (scenes and _is_alone(row[1:])) for row in rows]
    if not all(has or lone for has, lone in zip(timed, alone, strict=True)):
        return False
    if any(timed) and all(_has_length(row) for row, has in zip(rows, timed, strict=True) if has):
        return False
    return any(timed) or all(is_media_name(row[0]) for row in rows)


def _has_length(fields: Sequence[str]) -> bool:
    """Tell whether the length of the event, with decimals, stands where its label should."""
    onset, offset, told = [*fields, ""][1:4] if _are_times(fields[1:3]) else fields[2:5]
    if not _are_times([onset, told]) or told.isdecimal():
        return False
    length = number(offset, COMMA) - number(onset, COMMA)
    return abs(length - number(told, COMMA)) < 0.0015


def is_media_name(name: str) -> bool:
    from .._utils.files import MEDIA

    return name.lower().endswith(MEDIA)


def _read_rttm(text: str, columns: Given) -> Iterator[Row]:
    channels = Channels()
    split = ((i, line.split()) for i, line in enumerate(lines_of(text), 1))
    rows = [(i, own) for i, own in split if own and not own[0].startswith(_NO_EVENTS)]
    kinds = {fields[0] for _, fields in rows}
    if "SPEAKER" in kinds and len(kinds) > 1:
        # Lines of words, for example, tell once more who speaks.
        left_out = ", ".join(sorted(kinds - {"SPEAKER"}))
        warnings.warn(f"lines of RTTM other than SPEAKER are left out: {left_out}", stacklevel=5)
        rows = [(i, fields) for i, fields in rows if fields[0] == "SPEAKER"]
    for i, fields in rows:
        if len(fields) < 8:
            yield Row(i, None, None, f"a line of RTTM has at least 8 fields; got {fields}")
            continue
        try:
            onset, duration = number(fields[3]), number(fields[4])
            told = fields[8] if len(fields) > 8 else "<NA>"
            score = None if told in ("<NA>", "NA") else number(told)
        except ValueError as error:
            yield Row(i, None, None, f"onset, duration and score must be numbers; {error}")
            continue
        row = Row(i, fields[1], (onset, onset + duration, fields[7], score))
        if channels.is_new(row, fields[2]):
            yield row


def _is_rttm(name: str, text: str) -> bool:
    first = next((line for line in lines_of(text) if line.strip()), "")
    return name.lower().endswith(".rttm") or (
        first.startswith("SPEAKER ") and len(first.split()) in (9, 10)
    )


AUDACITY = Format(
    "audacity",
    (".txt",),
    _read_audacity,
    _write_audacity,
    _is_audacity,
    many=False,
    has_columns=False,
)
DCASE = Format("dcase", (".txt", ".csv"), _read_dcase, _write_dcase, _is_dcase, has_columns=False)
RTTM = Format("rttm", (".rttm",), _read_rttm, None, _is_rttm, has_columns=False)
