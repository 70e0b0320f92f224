"""Read and write tables with a header: CSV, TSV and Raven's selection tables."""

from __future__ import annotations

import csv
import os
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, islice
from pathlib import PureWindowsPath
from typing import Any, NamedTuple, TextIO

from .._utils.files import MEDIA
from ..events import Event
from .columns import (
    MEANINGS,
    Given,
    as_found,
    cell_of,
    check_columns,
    check_each_once,
    columns_of,
    has_times,
    tells_file_offset,
)
from .numbers import POINT, Signs, is_missing, number, seconds, signs_of
from .repeated import Views
from .rows import HEADER, REJECTED, Format, Row, each_line, in_one_line, lines_of, times_text

# Meanings of columns that hold numbers.
_NUMBERS = ("onset", "offset", "duration", "score", "file_offset", "was_onset", "was_offset")
# A spreadsheet takes text that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def delimiter_of(text: str) -> str | None:
    """Find the delimiter of a table whose header has onsets and offsets; None if there is none."""
    header = _first_line(text)
    for delimiter in ("\t", ",", ";"):
        try:
            fields = next(csv.reader([header], delimiter=delimiter, strict=True), [])
        except csv.Error:
            continue
        if has_times(columns_of(fields)):
            return delimiter
    return None


def header_of(text: str) -> list[str]:
    """Guess the columns of a table, for error messages."""
    header = _first_line(text)
    delimiter = max("\t,;", key=header.count)
    quoted = delimiter != "\t" and next(csv.reader([header], delimiter=delimiter), None)
    return [name.strip()[:60] for name in quoted or header.split(delimiter)][:30]


def _first_line(text: str) -> str:
    return next((line for line in lines_of(text[:100_000]) if _says(line)), "")


def _says(line: str) -> bool:
    # Spreadsheets may write a first line that only names the separator.
    return bool(line.strip()) and not re.fullmatch(r'"?sep=.?"?', line.strip(), re.IGNORECASE)


def _read_csv(text: str, columns: Given) -> Iterator[Row]:
    header = _first_line(text)
    delimiter = delimiter_of(text) or max(",;", key=header.count)
    return _rows(lambda: _csv_fields(text, delimiter), columns, comma=delimiter != ",")


def _read_tabs(text: str, columns: Given) -> Iterator[Row]:
    # Quotes are part of labels: no program that writes these tables quotes.
    def fields() -> Iterator[Fields]:
        return ((i, line.split("\t"), None) for i, line in enumerate(each_line(text), 1))

    return _rows(fields, columns, comma=True)


Fields = tuple[int, list[str], str | None]


def _csv_fields(text: str, delimiter: str) -> Iterator[Fields]:
    """Yield the rows of a CSV; after a broken row, reading continues on the next line."""
    lines = (text if "\n" in text else text.replace("\r", "\n")).split("\n")
    start = 0
    while start < len(lines):
        rest = (lines[i] + "\n" for i in range(start, len(lines)))
        table = csv.reader(rest, delimiter=delimiter, strict=True)
        n_read = 0
        try:
            for fields in table:
                yield start + n_read + 1, fields, None
                n_read = table.line_num
            return
        except csv.Error as error:
            unclosed = "end of data" in str(error) or "field limit" in str(error)
            told = "a quote is not closed" if unclosed else str(error)
            yield start + n_read + 1, [], told
            start += n_read + 1


class Record(NamedTuple):
    """A row of a CSV with a header: its line, its values by column, and what is wrong with it."""

    line: int
    values: dict[str, str]
    problem: str | None


def records_of(text: str) -> tuple[list[str], str, Iterator[Record]]:
    """Return the columns of a CSV, its delimiter and its rows.

    Spreadsheets use semicolons as delimiters where numbers have a decimal comma.
    """
    delimiter = delimiter_of(text) or max(",;", key=_first_line(text).count)
    table = (row for row in _csv_fields(text, delimiter) if row[2] or any(map(_says, row[1])))
    _, fields, _ = next(table, (0, [], None))
    header = [name.strip() for name in fields]
    rows = (
        Record(
            line,
            _by_column(fields, header),
            problem or _surplus(fields, header),
        )
        for line, fields, problem in table
    )
    return header, delimiter, rows


def _rows(read: Callable[[], Iterator[Fields]], given: Given, comma: bool) -> Iterator[Row]:
    def table() -> Iterator[Fields]:
        return (row for row in read() if row[2] or any(map(_says, row[1])))

    rows = table()
    _, fields, problem = next(rows, (0, [], None))
    if problem is not None:
        raise ValueError(f"the header is broken: {problem}")
    if not fields:
        return
    header = [name.strip() for name in fields]
    columns = columns_of(header, given)
    check_columns(columns, header)
    check_each_once(columns, header, given)
    # Signs and file offsets of all rows tell what each of them means. To read a table again takes
    # less time than to make events of it, and far less memory than to keep its rows.
    signs = _signs_in(islice(table(), 1, None), header, columns) if comma else POINT
    in_sequence = "file_offset" in columns and any(
        tells_file_offset(_by_column(fields, header)) for _, fields, _ in islice(table(), 1, None)
    )
    empty = set(header)  # columns without a value so far
    views = Views()
    for line, fields, problem in rows:
        problem = problem or _surplus(fields, header)
        if problem is not None:
            yield Row(line, None, None, problem)
            continue
        values = _by_column(fields, header)
        if empty and "file" not in columns and "file" not in given:
            filled = {name: values[name] for name in header if name in empty and values.get(name)}
            if named := _names_of_recordings(filled, columns):
                columns["file"] = named
            empty -= filled.keys()
        row = row_of(line, values, columns, signs, in_sequence=in_sequence)
        if views.is_new(row, values, columns):
            yield row
    if "onset" not in given:
        views.warn_of_sequence()


def _by_column(fields: Sequence[str], header: Sequence[str]) -> dict[str, str]:
    return dict(zip(header, map(str.strip, fields), strict=False))


def _signs_in(
    rows: Iterable[Fields], header: Sequence[str], columns: Mapping[str, Sequence[str]]
) -> Signs:
    """Find the signs in the numbers of all rows."""
    names = {name for meaning in _NUMBERS for name in columns.get(meaning, ())}
    places = [i for i, name in enumerate(header) if name in names]
    return signs_of(fields[i] for _, fields, _ in rows for i in places if i < len(fields))


def _surplus(fields: Sequence[str], header: Sequence[str]) -> str | None:
    """The problem of a row with values for which there are no columns; None if there is none."""
    if not any(field.strip() for field in fields[len(header) :]):
        return None
    return (
        f"it has {len(fields)} fields and the header {len(header)}: a field that contains the "
        f"separator must be in quotes; got {list(fields)}"
    )


def _names_of_recordings(
    values: Mapping[str, str], columns: Mapping[str, Sequence[str]]
) -> list[str]:
    """Find the column of a row whose value is the name of a recording, whatever its header."""
    used = {name for own in columns.values() for name in own}
    found = [
        name for name, value in values.items() if name not in used and value.lower().endswith(MEDIA)
    ]
    if len(found) > 1:
        raise ValueError(
            f"the columns {', '.join(found)} name recordings: say which one to use by "
            "columns={'file': ...}, or --file-column on the command line"
        )
    return found


def _full_name(name: str, cells: Sequence[Any]) -> str | None:
    """The name of a recording, with its folders if another column has it with them."""
    if name and not re.search(r"[/\\]", name):
        ends = f"/{name}", f"\\{name}"
        return next((str(cell) for cell in cells if str(cell).endswith(ends)), name)
    return name or None


def row_of(
    line: Any,
    values: Mapping[str, Any],
    columns: Mapping[str, Sequence[str]],
    signs: Signs,
    *,
    in_sequence: bool,
) -> Row:
    """Make a row of its values and the meanings of its columns.

    Parameters
    ----------
    line : int or other index
        Number of the row.
    values : dict of str to text, number or None
        Values by column.
    columns : dict of str to sequence of str
        Columns by meaning, from :func:`columns_of`.
    signs : Signs
        Signs in the numbers of the table.
    in_sequence : bool
        Whether some row of the table has a file offset. Then each event needs one: its onset may
        count from the start of another recording.
    """
    cells = {meaning: cell_of(values, columns, meaning) for meaning in (*MEANINGS, "folder")}
    file = _full_name(str(cells["file"]), [values.get(name) for name in columns.get("file", ())])
    if file and not is_missing(cells["folder"]) and not re.search(r"[/\\]", file):
        file = f"{cells['folder']}/{file}".replace("//", "/")
    decision = str(cell_of(values, columns, "decision")).strip().lower()
    label = cells["label"]
    said = [cells[name] for name in ("onset", "offset", "duration", "label")]
    if all(map(is_missing, said)) or (label == _NO_EVENT and "selection" in columns):
        # BirdNET writes such rows for recordings without events.
        return Row(line, file, None, decision=decision)
    file_offset = cell_of(values, columns, "file_offset")
    if in_sequence and is_missing(file_offset):
        problem = None if decision == REJECTED else _no_file_offset(columns)
        return Row(line, file, None, problem, decision)
    try:
        times = _times(cells, file_offset, signs)
        told = cells["score"]
        score = None if is_missing(told) else number(told, signs._replace(unclear=""))
    except ValueError as error:
        if decision == REJECTED:
            return Row(line, file, None, decision=decision)
        problem = (
            f"onset, offset and score must be numbers, or times h:mm:ss; {error} in "
            f"{list(values.values())}"
        )
        return Row(line, file, None, problem)
    row = Row(line, file, (*times, label, score), decision=decision)
    event_id = str(cell_of(values, columns, "event_id"))
    return row._replace(was=as_found(values, columns, signs), event_id=event_id)


def _no_file_offset(columns: Mapping[str, Sequence[str]]) -> str:
    """The problem of a row without a file offset, in a table in which other rows have one."""
    onset, *_ = columns.get("onset", ("onset",))
    return (
        "it has no file offset, but other rows have one: its onset may count from the start "
        "of another recording. Write there at which time of its own recording the event begins. If "
        "all onsets of the table count from the start of their own recording, remove the column of "
        f"file offsets, or say so by columns={{'onset': {onset!r}}}, or --onset-column "
        f'"{onset}" on the command line'
    )


def _times(cells: Mapping[str, Any], file_offset: Any, signs: Signs) -> tuple[float, float]:
    """Compute onset and offset within the recording from the times that the table has."""
    begin = seconds(cells["onset"], signs)
    if not is_missing(cells["offset"]) or is_missing(cells["duration"]):
        end = seconds(cells["offset"], signs)
    else:
        end = begin + seconds(cells["duration"], signs)
    # In a table of consecutive recordings, onsets count from the start of the first one.
    if not is_missing(file_offset):
        start = seconds(file_offset, signs)
        begin, end = start, start + end - begin
    return begin, end


def _write_csv(file: TextIO, events: Mapping[str, Sequence[Event]], safe: bool = False) -> None:
    def text(value: Any) -> str:
        value = str(value)
        if safe and value.startswith(_FORMULA):
            value = "'" + value
        if any(character in value for character in ',"\r\n') or value != value.strip():
            value = '"' + value.replace('"', '""') + '"'
        return value

    file.write(",".join(HEADER) + "\n")
    for name, own in events.items():
        for event in own:
            times = times_text(event.onset, event.offset)
            file.write(f"{text(name)},{','.join(times)},{text(event.label)},{event.score:.3f}\n")
        if not own:
            file.write(f"{text(name)},,,,\n")


def _write_safe_csv(file: TextIO, events: Mapping[str, Sequence[Event]]) -> None:
    _write_csv(file, events, safe=True)


def _write_tsv(file: TextIO, events: Mapping[str, Sequence[Event]]) -> None:
    file.write("\t".join(HEADER) + "\n")
    for name, own in events.items():
        in_one_line(name, "tsv", "name")
        for event in own:
            label = in_one_line(event.label, "tsv")
            times = "\t".join(times_text(event.onset, event.offset))
            file.write(f"{name}\t{times}\t{label}\t{event.score:.3f}\n")
        if not own:
            file.write(f"{name}\t\t\t\t\n")


_RAVEN_BEGIN = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)"
# The label of BirdNET's selection tables for a recording in which it found nothing.
_NO_EVENT = "nocall"
_RAVEN_END = "Annotation\tScore\n"


def _write_raven(file: TextIO, events: Mapping[str, Sequence[Event]]) -> None:
    starts = _starts_in_sequence(events)
    many = "Begin Path\tFile Offset (s)\t" if len(events) > 1 else ""
    file.write(f"{_RAVEN_BEGIN}\tHigh Freq (Hz)\tBegin File\t{many}{_RAVEN_END}")
    rows = ((name, event) for name, own in events.items() for event in own)
    for i, (name, event) in enumerate(rows, 1):
        in_one_line(name, "raven", "name")
        label = in_one_line(event.label, "raven")
        if label == _NO_EVENT:
            raise ValueError(
                f"{name}: the label {label!r} means in selection tables that there is no event; "
                "rename the label, or write csv"
            )
        start = starts[name]
        times = "\t".join(times_text(start + event.onset, start + event.offset, digits=6))
        # Raven needs a box; as events have no frequencies, it spans the audible range.
        box = f"{i}\tSpectrogram 1\t1\t{times}\t0\t20000"
        place = name
        if many:
            path = os.path.abspath(name) if os.path.isfile(name) else name
            place = f"{PureWindowsPath(name).name}\t{path}\t{event.onset:.6f}"
        file.write(f"{box}\t{place}\t{label}\t{event.score:.3f}\n")


def _starts_in_sequence(names: Collection[str]) -> dict[str, float]:
    """Second at which each recording begins if Raven shows them one after the other.

    Raven places the events of a table by their times in the sequence of the recordings that are
    open, but by Begin Path and File Offset if it opens it as a table of selections and sounds.
    """
    if len(names) < 2:
        return dict.fromkeys(names, 0.0)
    from ..audio import audio_duration

    try:
        durations = [audio_duration(name) for name in names]
    except (OSError, ValueError) as error:
        warnings.warn(
            f"times in the table count from the start of each recording, for {error}. Open it in "
            "Raven as a sound selection table, or write a table for each recording",
            stacklevel=5,
        )
        return dict.fromkeys(names, 0.0)
    return dict(zip(names, accumulate([0.0, *durations]), strict=False))


def _is_raven(name: str, text: str) -> bool:
    columns = columns_of(_first_line(text).split("\t"))
    return has_times(columns) and "selection" in columns


CSV = Format(
    "csv", (".csv",), _read_csv, _write_csv, lambda _, text: (delimiter_of(text) or "\t") in ",;"
)
SAFE_CSV = Format("safe-csv", (".csv",), _read_csv, _write_safe_csv)
TSV = Format(
    "tsv", (".tsv", ".txt"), _read_tabs, _write_tsv, lambda _, text: delimiter_of(text) == "\t"
)
RAVEN = Format("raven", (".selections.txt", ".txt"), _read_tabs, _write_raven, _is_raven)
