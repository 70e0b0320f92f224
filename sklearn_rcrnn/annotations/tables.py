"""Event lists in the files that people of the field exchange."""

from __future__ import annotations

import io
import os
import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .._utils.files import complete, files_in, printable
from ..events import Event
from .columns import Given
from .formats import format_named, guess_format, suffixes
from .rows import REJECTED, event_of, order

if TYPE_CHECKING:
    pass


# What lies beside tables to be read by people.
_PROSE = re.compile(
    r"(readme|licen[cs]e|copying|changelog|BirdNET_analysis_params)\b", re.IGNORECASE
)
# What programs add to the name of a recording for that of its table.
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
        A table, or a folder of tables, all of which are read. Those in its folders name
        recordings of folders of the same name: ``"monday/a.wav"``. An event that stands in
        several tables of a folder, equal in everything, counts once.
    format : str, default=None
        By default told by name and content: ``"csv"`` and ``"tsv"`` have a header with
        ``onset``, ``offset`` (or ``duration``) and ``label``, and perhaps ``file`` and
        ``score``, or as Raven, BirdNET, Kaleidoscope, DESED, AudioSet and others call them;
        ``"raven"``, ``"audacity"`` and ``"rttm"`` are what these programs write;
        ``"jsonl"`` has an object a line, or a list of them; ``"dcase"`` is the challenge's
        event list; ``"jams"``; and formats that :func:`register_format` has added.
    errors : {"raise", "skip"}, default="raise"
        What to do with malformed rows; those skipped are counted in a warning.
    columns : dict of str to str or None, default=None
        What columns are called that have other names, by their meaning: ``"file"``,
        ``"onset"``, ``"offset"``, ``"duration"``, ``"label"``, ``"score"``. None takes a
        meaning away: ``{"score": None}`` leaves out scores that are no probabilities.

    Returns
    -------
    dict of str to list of Event
        For each file named, its events by onset; empty for a file that is listed without
        any. A table that names no file, also one without rows, is about one of its own name.
        Of a table of corrections (:func:`read_corrections`), all events that were not
        rejected, those that nobody has decided on too.

    Raises
    ------
    FileNotFoundError
        If there is no such table, or none in the folder.
    ImportError
        For JAMS without the package ``jams``.
    ValueError
        For a malformed row; names table and row.

    Warns
    -----
    UserWarning
        Of rows that are left out, because they are malformed or were rejected, and of events
        that stand in several tables.

    Examples
    --------
    >>> read_events("garden.txt", "audacity")  # doctest: +SKIP
    {'garden': [Event(onset=3.2, offset=4.0, label='blackbird', score=1.0)]}
    """
    if errors not in ("raise", "skip"):
        raise ValueError(f'errors must be "raise" or "skip"; got {errors!r}')
    path = Path(path)
    read = _read_folder if path.is_dir() else _read_table
    return read(path, format, errors, columns or {})


def _read_folder(
    path: Path, format: str | None, errors: str, columns: Given
) -> dict[str, list[Event]]:
    tables = files_in(path, (*suffixes(), ".json"))
    joined: dict[str, list[Event]] = {}
    n_read = n_repeated = 0
    for table in tables:
        # Of many programs, a file of settings for example.
        if _PROSE.match(table.name) or table.suffix.lower() == ".json":
            what = "in a folder, it is taken for no table of events"
            warnings.warn(f"{table} is passed over: {what}", stacklevel=3)
            continue
        n_read += 1
        beside = table.parent.relative_to(path)
        for given, own in _read_table(table, format, errors, columns).items():
            name = given if beside == Path() else (beside / given).as_posix()
            known = set(joined.get(name, []))
            new = [event for event in own if event not in known]
            n_repeated += len(own) - len(new)
            joined[name] = sorted([*joined.get(name, []), *new], key=order)
    if not n_read:
        raise FileNotFoundError(
            f"No tables of events in {path} (looked for {' '.join(suffixes())})"
        )
    if n_repeated:
        warnings.warn(
            f"{path}: {n_repeated} event(s) stand in several tables, as where one table joins "
            "the others; each counts once",
            stacklevel=3,
        )
    return joined


def _read_table(
    path: Path, format: str | None, errors: str, columns: Given
) -> dict[str, list[Event]]:
    text = text_of(path)
    # garden.Table.1.selections.txt of Raven, garden.BirdNET.selection.table.txt of BirdNET.
    own_name = _ENDINGS.sub("", path.stem)
    if not text.strip():
        return {own_name: []}
    skipped = rejected = 0
    events: dict[str, list[Event]] = {}
    try:
        chosen = format_named(format) if format else guess_format(path, text, columns)
        for row in chosen.read(text, columns):
            where = f"{path}, row {row.number}"
            try:
                if row.problem is not None:
                    raise _BadRow(f"{where}: {row.problem}")
                event = None if row.values is None else event_of(row.values, where)
            except (TypeError, ValueError) as error:
                if errors == "raise":
                    raise _BadRow(str(error)) from error
                skipped += 1
            else:
                own = events.setdefault(row.file or own_name, [])
                own += [] if event is None else [event]
                rejected += row.decision == REJECTED
    except _BadRow:
        raise
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as a table of events: {error}") from error
    if skipped:
        warnings.warn(f"{path}: skipped {skipped} malformed row(s)", stacklevel=4)
    if rejected:
        warnings.warn(f"{path}: left out {rejected} row(s) that were rejected", stacklevel=4)
    if not events:
        return {own_name: []}
    return {name: sorted(own, key=order) for name, own in events.items()}


class _BadRow(ValueError):
    """A row that cannot be read, with the table and the row in its text."""


def text_of(path: Path) -> str:
    """The text of a table, or an error that says why there is none."""
    try:
        if path.exists() and not path.is_file():
            raise ValueError(f"{path} is no table of events: it is no file, but a pipe or a device")
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"No such table of events: {path}") from error
    except OSError as error:
        raise OSError(f"{path} cannot be read: {error.strerror}") from error
    try:
        # Spreadsheets write UTF-16 where they are asked for Unicode.
        wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is no table of events: it is not UTF-8 text. Save it as UTF-8"
        ) from error
    if "\0" in text:
        raise ValueError(f"{path} is no table of events: it is not UTF-8 text, but binary")
    return text


def write_events(
    events: Mapping[str, Sequence[Event]],
    path: str | os.PathLike[str] | None,
    format: str = "csv",
) -> None:
    """Write the events of recordings; the file appears when it is complete.

    Parameters
    ----------
    events : dict of str to list of Event
        For each recording, its events.
    path : str, PathLike or None
        None: standard output.
    format : {"csv", "safe-csv", "tsv", "audacity", "raven", "jsonl", "dcase", "jams"}
        ``"csv"`` by default. Audacity's labels and JAMS are about one recording each, and no
        more can be written; Raven's tables do not keep recordings without events.
        A spreadsheet takes a label that begins with ``=``, ``+``, ``-`` or ``@`` for a
        formula: ``"safe-csv"`` puts an apostrophe before it, which stays where the table is
        read again.

    Raises
    ------
    ValueError
        For an unknown format, more than one recording where it can hold only one, or a tab
        or line break in a label where it cannot hold that.

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
    with complete(Path(path)) as partial:
        partial.write_text(text, encoding="utf-8", newline="")


def format_events(events: Mapping[str, Sequence[Event]], format: str = "csv") -> str:
    """The text that :func:`write_events` writes.

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
    chosen.write(text, {printable(name): own for name, own in events.items()})
    return text.getvalue()


def suffix_of(format: str) -> str:
    """How files of a format end, ``".txt"`` for example."""
    return format_named(format).suffix
