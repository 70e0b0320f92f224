"""Event lists in the files that people of the field exchange."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .._utils.files import complete, files_in
from .._utils.optional import need
from ..events import Event, check_event
from .formats import HEADER, Format, Row, columns_of, format_named, guess_format
from .recording_names import matching_names

if TYPE_CHECKING:
    import pandas


_SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".jams")


def read_events(
    path: str | os.PathLike[str],
    format: str | None = None,
    *,
    errors: Literal["raise", "skip"] = "raise",
) -> dict[str, list[Event]]:
    """Read the events of one or more recordings.

    Parameters
    ----------
    path : str or PathLike
        A table, or a folder of tables, all of which are read. Those in its folders name
        recordings of folders of the same name: ``"monday/a.wav"``.
    format : {"csv", "tsv", "audacity", "raven", "jsonl", "dcase", "jams"}, default=None
        ``"csv"`` and ``"tsv"`` have a header with ``onset``, ``offset`` and ``label``, and
        perhaps ``file`` and ``score``, or as DESED, AudioSet or BirdNET call them;
        ``"dcase"`` is the challenge's event list. By default told by name and first line.
    errors : {"raise", "skip"}, default="raise"
        What to do with malformed rows; those skipped are counted in a warning.

    Returns
    -------
    dict of str to list of Event
        For each file named, its events by onset; empty for a file that is listed without
        any. A table that names no file is taken to be about one of its own name.

    Raises
    ------
    FileNotFoundError
        If there is no such table, or none in the folder.
    ImportError
        For JAMS without the package ``jams``.
    ValueError
        For a malformed row; names table and row.

    Examples
    --------
    >>> read_events("garden.txt", "audacity")  # doctest: +SKIP
    {'garden': [Event(onset=3.2, offset=4.0, label='blackbird', score=1.0)]}
    """
    if errors not in ("raise", "skip"):
        raise ValueError(f'errors must be "raise" or "skip"; got {errors!r}')
    path = Path(path)
    if not path.is_dir():
        return _read_table(path, format, errors)
    tables = files_in(path, _SUFFIXES)
    if not tables:
        raise FileNotFoundError(f"No tables of events in {path} (looked for {' '.join(_SUFFIXES)})")
    joined: dict[str, list[Event]] = {}
    for table in tables:
        beside = table.parent.relative_to(path)
        for given, own in _read_table(table, format, errors).items():
            name = given if beside == Path() else (beside / given).as_posix()
            joined[name] = sorted([*joined.get(name, []), *own])
    return joined


def _read_table(path: Path, format: str | None, errors: str) -> dict[str, list[Event]]:
    if not path.is_file():
        raise FileNotFoundError(f"No such table of events: {path}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no table of events: it is not UTF-8 text") from error
    chosen = format_named(format or guess_format(path, text))
    # Raven calls its tables garden.Table.1.selections.txt.
    own_name = re.sub(r"(\.Table\.\d+)?\.selections$", "", path.stem)
    events: dict[str, list[Event]] = {} if chosen.many else {own_name: []}
    skipped = 0
    for number, name, fields in _rows(chosen, text, path):
        own = events.setdefault(name or own_name, [])
        if fields is None:
            continue
        try:
            own.append(_event(fields, f"{path}, row {number}"))
        except (TypeError, ValueError):
            if errors == "raise":
                raise
            skipped += 1
    if skipped:
        warnings.warn(f"{path}: skipped {skipped} malformed row(s)", stacklevel=3)
    return {name: sorted(own) for name, own in events.items()}


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
    format : {"csv", "tsv", "audacity", "raven", "jsonl", "dcase", "jams"}, default="csv"
        Audacity's labels and JAMS are about one recording each, and no more can be
        written; Raven's tables do not keep recordings without events.

    Raises
    ------
    ValueError
        For an unknown format, or more than one recording where it can hold only one.

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
    text = io.StringIO()
    chosen.write(text, events)
    return text.getvalue()


def suffix_of(format: str) -> str:
    """How files of a format end, ``".txt"`` for example."""
    return format_named(format).suffix


def _rows(chosen: Format, text: str, path: Path) -> Iterator[Row]:
    try:
        yield from chosen.read(io.StringIO(text, newline=""))
    except (csv.Error, KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} cannot be read as a table of events: {error}") from error


def _event(fields: tuple[Any, ...], where: str) -> Event:
    onset, offset, label, *score = fields
    try:
        times = float(onset), float(offset)
        scores = [float(score[0])] if score and score[0] not in (None, "") else []
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{where}: onset, offset and score must be numbers; got {fields!r}"
        ) from error
    # Spaces around it would make another label of it.
    text = "" if label is None else str(label).strip()
    if not text:
        raise ValueError(f"{where}: the label is missing")
    return check_event((*times, text, *scores), where)


def match_files(
    events: Mapping[str, Sequence[Event]], paths: Iterable[str | os.PathLike[str]]
) -> list[list[Event]]:
    """Event lists in the order of recordings, matched by file name, then by its stem.

    Where several recordings have one name, as in a folder for each day, their folders tell
    them apart, as far as the table and the paths name them.

    Parameters
    ----------
    events : dict of str to list of Event
        From :func:`read_events`.
    paths : iterable of paths

    Returns
    -------
    list of list of Event
        `y` for ``fit`` and the metrics; empty for recordings that the table does not name.

    Raises
    ------
    ValueError
        If the table leaves open which of several recordings it means.

    Examples
    --------
    >>> match_files({"a.wav": [Event(1.0, 2.0, "dog")]}, ["in/a.wav", "in/b.wav"])
    [[Event(onset=1.0, offset=2.0, label='dog', score=1.0)], []]
    """
    return [[] if name is None else list(events[name]) for name in matching_names(events, paths)]


def events_to_frame(events: Mapping[str, Sequence[Event]]) -> pandas.DataFrame:
    """Events of recordings as a data frame of pandas, a row for each.

    Parameters
    ----------
    events : dict of str to list of Event

    Returns
    -------
    pandas.DataFrame
        With the columns ``file``, ``onset``, ``offset``, ``label`` and ``score``. A
        recording without events has one row, in which all but ``file`` is missing:
        ``frame.dropna()`` has only events.

    Examples
    --------
    >>> from sklearn_rcrnn.annotations import events_to_frame
    >>> frame = events_to_frame({"a.wav": [Event(1.0, 2.0, "dog", 0.5)], "b.wav": []})
    >>> frame.dropna()
        file  onset  offset label  score
    0  a.wav    1.0     2.0   dog    0.5
    >>> frame.file.tolist()
    ['a.wav', 'b.wav']
    """
    need("Data frames need", "pandas", "pandas")
    import pandas

    none = (float("nan"), float("nan"), None, float("nan"))
    rows: list[tuple[Any, ...]] = []
    for name, own in events.items():
        rows += [(name, *event) for event in own] or [(name, *none)]
    return pandas.DataFrame(rows, columns=list(HEADER))


def events_from_frame(frame: pandas.DataFrame) -> dict[str, list[Event]]:
    """Events of recordings from a data frame of pandas.

    Parameters
    ----------
    frame : pandas.DataFrame
        With the columns ``file``, ``onset``, ``offset`` and ``label``, and perhaps
        ``score``, or as others call them: see :func:`read_events`. A row without onset,
        offset and label says that the file has no events.

    Returns
    -------
    dict of str to list of Event
        Files in the order of the frame, events by onset.

    Raises
    ------
    ValueError
        For a missing column, or a malformed row; names its index.

    Examples
    --------
    >>> import pandas
    >>> from sklearn_rcrnn.annotations import events_from_frame
    >>> row = {"file": "a.wav", "onset": 1.0, "offset": 2.0, "label": "dog"}
    >>> events_from_frame(pandas.DataFrame([row]))
    {'a.wav': [Event(onset=1.0, offset=2.0, label='dog', score=1.0)]}
    """
    columns = columns_of([name for name in frame.columns if isinstance(name, str)])
    missing = [name for name in HEADER[:4] if name not in columns]
    if missing:
        raise ValueError(
            f"The frame lacks the column(s) {', '.join(missing)}; it has "
            f"{', '.join(map(str, frame.columns))}"
        )
    part = frame[[columns[name] for name in HEADER if name in columns]]
    present = part.astype(object).where(part.notna(), None)
    events: dict[str, list[Event]] = {}
    for index, (name, *fields) in zip(present.index, present.to_numpy().tolist(), strict=True):
        where = f"row {index!r} of the frame"
        if name is None:
            raise ValueError(f"{where}: the file is missing")
        own = events.setdefault(str(name), [])
        if any(field is not None for field in fields[:3]):
            own.append(_event(tuple(fields), where))
    return {name: sorted(own) for name, own in events.items()}
