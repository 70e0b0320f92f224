"""Read and write event lists in the file formats of the field."""

from __future__ import annotations

import io
import os
import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from .._utils.files import complete, files_in, printable
from .._utils.text import some
from ..events import Event, Label, check_event
from .columns import Given
from .decisions import Listed, listed
from .formats import format_named, guess_format, suffixes
from .rows import REJECTED, Row, alike_labels, event_in

# Names of files for people, which lie beside tables.
_PROSE = re.compile(
    r"(readme|licen[cs]e|copying|changelog|BirdNET_analysis_params)\b", re.IGNORECASE
)
# Endings that programs append to the name of a recording to name its table.
_ENDINGS = re.compile(
    r"(\.Table\.\d+)?\.selections$|\.BirdNET\.(results|selection\.table)(\.\w+)?$|\.selection\.table$"
)


def read_events(
    path: str | os.PathLike[str],
    format: str | None = None,
    *,
    errors: Literal["raise", "skip"] = "raise",
    columns: Given | None = None,
) -> dict[str, list[Event]]:
    """Read the events of one or more recordings.

    Parameters
    ----------
    path : str or PathLike
        A table, or a folder of tables, all of which are read. A table in a subfolder names
        recordings in a folder of the same name, such as ``"monday/a.wav"``. An event that
        stands in several tables of a folder, with the same label and to the millisecond the
        same times, counts once, with the score of the first table.
    format : str, default=None
        Format of the table, by default recognized by name and content. ``"csv"`` and
        ``"tsv"`` have a header with ``onset``, ``offset`` (or ``duration``) and ``label``, and
        optionally ``file`` and ``score``, or the names that Raven, BirdNET, Kaleidoscope,
        DESED, AudioSet and others use for them. ``"raven"`` and ``"audacity"`` are the tables
        that these programs write. ``"jsonl"`` has one object on each line, or one list of
        objects. ``"dcase"`` is the event list of the DCASE challenge. ``"rttm"``, ``"jams"``
        and ``"textgrid"`` are the formats of these names. :func:`register_format` adds others.
    errors : {"raise", "skip"}, default="raise"
        Whether to raise an error for a malformed row, or to skip such rows and warn of their
        number.
    columns : dict of str to str or None, default=None
        Names of columns that are not recognized, by their meaning: ``"file"``, ``"onset"``,
        ``"offset"``, ``"duration"``, ``"label"`` or ``"score"``. With None, no column has that
        meaning: ``{"score": None}`` ignores scores that are no probabilities.

    Returns
    -------
    dict of str to list of Event
        Events of each file, sorted by onset; empty for a file that is listed without events.
        A table that names no file, or has no rows, is about a file of its own name; if some
        rows name one, all have to. A table of corrections (:func:`read_corrections`) gives all
        events that were not rejected, including those that nobody has decided on. Of several
        decisions about an event, in one table or in those of a folder, the last counts. An event
        that RTTM, or a table with a column ``channel``, lists for several channels of a
        recording, with the same label and the same times, counts once.

    Raises
    ------
    FileNotFoundError
        If there is no such table, or no table in the folder.
    ImportError
        If the package that reads the format is missing: ``jams`` for JAMS, ``crowsetta`` for
        TextGrid.
    ValueError
        If a row is malformed; the message names the table and the row.

    Warns
    -----
    UserWarning
        If rows are left out because they are malformed or were rejected, if events stand in
        several tables or several times in one, if labels differ only by case or have quotes
        around them, or if the times of a table of Raven seem to run on over several recordings.

    Examples
    --------
    >>> read_events("garden.txt", "audacity")  # doctest: +SKIP
    {'garden': [Event(onset=3.2, offset=4.0, label='blackbird', score=1.0)]}
    """
    if errors not in ("raise", "skip"):
        raise ValueError(f'errors must be "raise" or "skip"; got {errors!r}')
    path = Path(path)
    read = _read_folder if path.is_dir() else _read_table
    events = {name: own.final() for name, own in read(path, format, errors, columns or {}).items()}
    labels = {event.label for own in events.values() for event in own}
    if quoted := sorted(label for label in labels if _is_quoted(label)):
        warnings.warn(
            f"{path}: quotes around labels are taken for a part of them: {some(quoted)}. Remove "
            "them if a spreadsheet has put them there",
            stacklevel=2,
        )
    if alike := alike_labels(labels):
        warnings.warn(
            f"{path}: labels differ only by case or form, and count as different: {some(alike)}",
            stacklevel=2,
        )
    return events


def _is_quoted(label: Label) -> bool:
    return isinstance(label, str) and len(label) > 1 and label[0] == label[-1] == '"'


def _read_folder(path: Path, format: str | None, errors: str, columns: Given) -> dict[str, Listed]:
    tables = files_in(path, (*suffixes(), ".json"))
    joined: dict[str, Listed] = {}
    n_read = n_repeated = 0
    for table in tables:
        # Many programs write .json files that are no tables, for example with settings.
        if _PROSE.match(table.name) or table.suffix.lower() == ".json":
            what = "in a folder, files of this name are not read as tables of events"
            warnings.warn(f"{table} is passed over: {what}", stacklevel=3)
            continue
        n_read += 1
        beside = table.parent.relative_to(path)
        for given, own in _read_table(table, format, errors, columns).items():
            name = given if beside == Path() else (beside / given).as_posix()
            before = joined.setdefault(name, Listed([], []))
            known = set(map(_milliseconds, before.events))
            new = [event for event in own.events if known.isdisjoint(_places(event))]
            n_repeated += len(own.events) - len(new)
            before.events.extend(new)
            before.corrections.extend(own.corrections)
    if not n_read:
        text = f"No tables of events in {path} (looked for {' '.join(suffixes())})"
        if next(path.rglob("*.parquet"), None) is not None:
            text += (
                ". It holds Parquet files: write_events(events_from_frame(pandas.read_parquet"
                f"({str(path)!r})), 'found.csv') makes a table of them"
            )
        raise FileNotFoundError(text)
    if n_repeated:
        warnings.warn(
            f"{path}: {n_repeated} event(s) stand in several tables, as where one table joins "
            "the others; each counts once",
            stacklevel=3,
        )
    return joined


def _milliseconds(event: Event) -> tuple[Label, int, int]:
    return event.label, round(1000 * event.onset), round(1000 * event.offset)


def _places(event: Event) -> list[tuple[Label, int, int]]:
    """Where the same event may be in a table whose times have other digits."""
    label, onset, offset = _milliseconds(event)
    return [(label, onset + i, offset + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]


def _read_table(path: Path, format: str | None, errors: str, columns: Given) -> dict[str, Listed]:
    text = text_of(path)
    # Raven writes garden.Table.1.selections.txt, BirdNET garden.BirdNET.selection.table.txt.
    own_name = _ENDINGS.sub("", path.stem)
    if not text.strip():
        return {own_name: Listed([], [])}
    skipped = rejected = 0
    rows: dict[str | None, list[tuple[Row, Event]]] = {}
    first = ""
    try:
        chosen = format_named(format) if format else guess_format(path, text, columns)
        named = [name for name in columns.values() if name]
        if named and not chosen.has_columns:
            warnings.warn(
                f"{path}: a table of the format {chosen.name} has no names of columns, so "
                f"{some(named)} has no effect",
                stacklevel=4,
            )
        for row in chosen.read(text, columns):
            where = f"{path}, row {row.number}"
            try:
                if row.problem is not None:
                    raise _BadRow(f"{where}: {row.problem}")
                if columns.get("score", "") is None and row.values is not None:
                    row = row._replace(values=row.values[:3])
                event = event_in(row, where)
            except (TypeError, ValueError) as error:
                if errors == "raise":
                    raise _BadRow(str(error)) from error
                skipped += 1
            else:
                own = rows.setdefault(row.file, [])
                own += [] if event is None else [(row, event)]
                rejected += row.decision == REJECTED
                is_event = event is not None and row.decision != REJECTED
                first = first or (where if is_event and not row.file else "")
        skipped += _check_named(rows, first, errors)
    except _BadRow:
        raise
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as a table of events: {error}") from error
    tables = {name: listed(own) for name, own in rows.items()}
    _warn_of_rows(path, skipped, rejected, sum(own.n_repeated() for own in tables.values()))
    if not tables:
        return {own_name: Listed([], [])}
    return {name or own_name: own for name, own in tables.items()}


def _warn_of_rows(path: Path, skipped: int, rejected: int, repeated: int) -> None:
    """Warn of so many rows that were left out, or that are there twice."""
    if skipped:
        warnings.warn(f"{path}: skipped {skipped} malformed row(s)", stacklevel=5)
    if rejected:
        warnings.warn(f"{path}: left out {rejected} row(s) that were rejected", stacklevel=5)
    if repeated:
        warnings.warn(
            f"{path}: {repeated} row(s) repeat an earlier row in all values; each counts",
            stacklevel=5,
        )


def _check_named(rows: dict[str | None, list[tuple[Row, Event]]], first: str, errors: str) -> int:
    """Raise for events without a recording where other rows name one, or drop and count them.

    In a spreadsheet, people write a name once over several rows.
    """
    if len(rows) < 2:
        return 0
    unnamed = [event for row, event in rows.pop(None, []) if row.decision != REJECTED]
    if unnamed and errors == "raise":
        raise _BadRow(f"{first}: the file is missing, which other rows name: repeat it in each row")
    return len(unnamed)


class _BadRow(ValueError):
    """Error for a row that cannot be read, whose message names the table and the row."""


def text_of(path: Path) -> str:
    """Return the text of a table, or raise an error that says why it cannot be read."""
    try:
        if path.exists() and not path.is_file():
            raise ValueError(f"{path} is no table of events: it is a pipe or a device, not a file")
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"No such table of events: {path}") from error
    except OSError as error:
        raise OSError(f"{path} cannot be read: {error.strerror}") from error
    # Spreadsheets write UTF-16 if the user chooses "Unicode".
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        row = 1 + content[: error.start].count(b"\n")
        raise ValueError(
            f"{path} is no table of events: it is not UTF-8 text, row {row} has the byte "
            f"0x{content[error.start]:02x}. Save it as UTF-8, as Excel does by 'CSV UTF-8'"
        ) from error
    if "\0" in text:
        raise ValueError(f"{path} is no table of events: it is not UTF-8 text, but binary")
    return text


def write_events(
    events: Mapping[str, Sequence[Event]],
    path: str | os.PathLike[str] | None,
    format: str = "csv",
) -> None:
    """Write the events of recordings to a file, which appears only when it is complete.

    Parameters
    ----------
    events : dict of str to list of Event
        Events by recording.
    path : str, PathLike or None
        File to write; None for standard output.
    format : {"csv", "safe-csv", "tsv", "audacity", "raven", "jsonl", "dcase", "jams"}, \
            default="csv"
        Format of the table. A file of Audacity's labels or of JAMS holds the events of a single
        recording. Raven's tables lose recordings without events. Those of
        several recordings have times in the sequence of all recordings, in the order of `events`,
        as Raven opens them, and the time in each as ``File Offset (s)``. As
        spreadsheets take a label that begins with ``=``, ``+``, ``-`` or ``@`` for a formula,
        ``"safe-csv"`` puts an apostrophe before it, which is still there when the table is
        read again.

    Raises
    ------
    ValueError
        If the format is unknown, if there is more than one recording and the format holds only
        one, if an event has times that cannot be, or a label a tab or line break that the
        format cannot hold.

    Warns
    -----
    UserWarning
        If a table of Raven is about several recordings, and one of them is not there to be
        measured. Times then count from the start of each.

    Examples
    --------
    >>> write_events({"garden.wav": [Event(3.2, 4.0, "blackbird", 0.9)]}, None)
    file,onset,offset,label,score
    garden.wav,3.200,4.000,blackbird,0.900
    """
    text = format_events(events, format)
    if path is None:
        sys.stdout.write(text)
        return
    write_text(text, Path(path))


def write_text(text: str, path: Path) -> None:
    """Write the text of a table to a file, which appears only when it is complete."""
    with complete(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="")


def format_events(events: Mapping[str, Sequence[Event]], format: str = "csv") -> str:
    """Return the text that :func:`write_events` writes.

    Parameters
    ----------
    events : dict of str to list of Event
    format : str, default="csv"

    Returns
    -------
    str

    Examples
    --------
    >>> print(format_events({"garden": [Event(3.2, 4.0, "blackbird")]}, "audacity"), end="")
    3.200000\t4.000000\tblackbird
    """
    chosen = format_named(format)
    if not chosen.many and len(events) > 1:
        raise ValueError(
            f"A table of the format {format} is about one recording; got {len(events)}. Write "
            "one table each"
        )
    if chosen.write is None:
        raise ValueError(f"Tables of the format {format} can be read, but not written")
    text = io.StringIO()
    checked = {
        printable(name): [check_event(event, str(name)) for event in own]
        for name, own in events.items()
    }
    chosen.write(text, checked)
    return text.getvalue()


def suffix_of(format: str) -> str:
    """Return the file name ending of a format, for example ``".txt"``."""
    return format_named(format).suffix
