"""Read and write events as JSON Lines, JSON lists and JAMS."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TextIO

from .._utils.optional import need
from ..events import Event
from .columns import (
    GIVEN_TIMES,
    Given,
    cell_of,
    check_columns,
    check_each_once,
    columns_of,
    tells_file_offset,
)
from .delimited import row_of
from .numbers import POINT, number
from .repeated import Views
from .rows import REJECTED, Format, Row, lines_of

_JAMS_NAMESPACES = ("tag_open", "segment_open", "tag_urbansound", "scaper", "sound_event")


def _read_jsonl(text: str, columns: Given) -> Iterator[Row]:
    contents = list(_contents(text))
    in_sequence = not columns.keys() & GIVEN_TIMES and any(
        tells_file_offset(values) for _, values in contents if isinstance(values, Mapping)
    )
    views = Views()
    for i, values in contents:
        try:
            if isinstance(values, ValueError):
                raise values
            row, meanings = _row(i, values, columns, in_sequence)
        except ValueError as error:
            yield Row(i, None, None, str(error))
            continue
        if views.is_new(row, values, meanings):
            yield row
    if "onset" not in columns:
        views.warn_of_sequence()


def _contents(text: str) -> Iterator[tuple[int, Any]]:
    """The number and the content of each row, or the error where it is no JSON."""
    if text.lstrip().startswith("["):
        yield from enumerate(_parsed(text), 1)
        return
    for i, line in enumerate(lines_of(text), 1):
        if line.strip():
            try:
                yield i, _parsed(line)
            except ValueError as error:
                yield i, error


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("its brackets are nested too deep") from error
    except ValueError as error:  # JSONDecodeError, and integers of thousands of digits
        raise ValueError(f"it is no JSON: {error}") from error


def _row(i: int, content: Any, given: Given, in_sequence: bool) -> tuple[Row, dict[str, list[str]]]:
    """The row of an object, and its names by their meaning."""
    if not isinstance(content, Mapping):
        raise ValueError(
            f"an object with onset, offset and label was expected; got {_short(content)}"
        )
    columns = columns_of(list(content), given)
    check_each_once(columns, list(content), given)
    file, label = (cell_of(content, columns, meaning) for meaning in ("file", "label"))
    if not isinstance(file, str):
        raise ValueError(f"the file must be a name; got {_short(file)}")
    row = row_of(i, content, columns, POINT, in_sequence=in_sequence)
    if row.problem is not None:
        return row, columns
    is_text = isinstance(label, (str, int)) and not isinstance(label, bool)
    if row.decision == REJECTED:
        named = row.values is not None and is_text
        return row._replace(values=_with_text(row.values) if named else None), columns
    if row.values is None and row.file is not None:
        if parts := [name for name, value in content.items() if isinstance(value, (list, Mapping))]:
            raise ValueError(
                f"an object for each event was expected, with onset, offset and label; got one "
                f"with several values in {parts[0]!r}"
            )
        return row, columns
    if content:
        check_columns(columns, list(content))
    if row.values is None:
        return row, columns
    if not is_text:
        raise ValueError(f"the label must be text; got {_short(label)}")
    return row._replace(values=_with_text(row.values)), columns


def _with_text(values: Any) -> tuple[Any, ...]:
    onset, offset, label, *score = values
    return onset, offset, str(label), *score


def _short(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (RecursionError, ValueError):
        text = type(value).__name__
    return text if len(text) < 80 else text[:77] + "..."


def _write_jsonl(file: TextIO, events: Mapping[str, Sequence[Event]]) -> None:
    for name, own in events.items():
        for event in own:
            file.write(json.dumps({"file": name, **event._asdict()}, ensure_ascii=False) + "\n")
        if not own:
            file.write(json.dumps({"file": name}, ensure_ascii=False) + "\n")


def _is_jsonl(name: str, text: str) -> bool:
    if name.lower().endswith((".jsonl", ".ndjson")):
        return True
    begin = text.lstrip()[:1]
    return begin == "{" or (begin == "[" and text.lstrip()[1:].lstrip()[:1] in ("{", "]"))


def _read_jams(text: str, columns: Given) -> Iterator[Row]:
    need("JAMS files need", "jams", "jams")
    import jams

    # jams fails in many ways if a file does not have the structure that it expects.
    if not isinstance(_parsed(text), Mapping):
        raise ValueError("it is no JAMS: an object was expected")
    try:
        content = jams.load(io.StringIO(text), validate=False, fmt="jams")
        kinds = [annotation.namespace for annotation in content.annotations]
        parts = [
            list(annotation.data)
            for annotation in content.annotations
            if annotation.namespace in _JAMS_NAMESPACES
        ]
    except RecursionError as error:
        raise ValueError("its brackets are nested too deep") from error
    except Exception as error:
        raise ValueError(f"it is no JAMS: {type(error).__name__}: {error}") from error
    if kinds and not set(kinds) & set(_JAMS_NAMESPACES):
        raise ValueError(
            f"its annotations are of the namespace {', '.join(sorted(set(kinds)))}, and events are "
            f"read of {', '.join(_JAMS_NAMESPACES)}"
        )
    if (n := sum(map(bool, parts))) > 1:
        warnings.warn(
            f"the events of all {n} annotations in a JAMS are read. If several people have "
            "annotated the same events, each event is there several times: keep one annotation",
            stacklevel=5,
        )
    for i, (time, duration, value, confidence) in enumerate(chain(*parts), 1):
        if isinstance(value, Mapping):  # from Scaper, which lists backgrounds as events
            if value.get("role") == "background":
                continue
            value = value.get("label")
        try:
            if isinstance(value, bool) or not isinstance(value, (str, int)):
                raise ValueError(f"the label must be text; got {_short(value)}")
            onset = number(time)
            score = None if confidence is None else number(confidence)
            yield Row(i, None, (onset, onset + number(duration), str(value), score))
        except ValueError as error:
            yield Row(i, None, None, str(error))


def _write_jams(file: TextIO, events: Mapping[str, Sequence[Event]]) -> None:
    need("JAMS files need", "jams", "jams")
    import jams

    content = jams.JAMS()
    annotation = jams.Annotation("tag_open")
    # JAMS requires a duration; that of the recording is unknown, so the last offset stands in.
    content.file_metadata.duration = 0.0
    for name, own in events.items():
        content.file_metadata.title = name
        for event in own:
            annotation.append(
                time=event.onset,
                duration=event.offset - event.onset,
                value=event.label,
                confidence=event.score,
            )
            content.file_metadata.duration = max(content.file_metadata.duration, event.offset)
    content.annotations.append(annotation)
    file.write(content.dumps(indent=2) + "\n")


JSONL = Format("jsonl", (".jsonl", ".ndjson"), _read_jsonl, _write_jsonl, _is_jsonl)
JAMS = Format(
    *("jams", (".jams",), _read_jams, _write_jams),
    sniff=lambda name, text: name.lower().endswith(".jams"),
    many=False,
    has_columns=False,
)
