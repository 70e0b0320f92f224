"""Event lists in the files that people of the field exchange."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TextIO

from .events import Event, check_event

# A row of a table: its number, the file that it names or None, and what it says of an
# event, or None for a file without events.
_Row = tuple[int, str | None, tuple[Any, ...] | None]
_HEADER = ("file", "onset", "offset", "label", "score")


class _Format(NamedTuple):
    suffix: str
    read: Callable[[TextIO], Iterator[_Row]]
    write: Callable[[TextIO, Mapping[str, Sequence[Event]]], None]


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
    format : {"csv", "tsv", "audacity", "raven", "jsonl", "dcase"}, default=None
        ``"csv"`` and ``"tsv"`` have a header with ``onset``, ``offset`` and ``label``, and
        perhaps ``file`` and ``score``; ``"dcase"`` is the challenge's event list.
        By default told by name and first line.
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
        If there is no such table.
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
    if not path.is_file():
        raise FileNotFoundError(f"No such table of events: {path}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no table of events: it is not UTF-8 text") from error
    chosen = _format(format or _guess(path, text))
    events: dict[str, list[Event]] = {}
    skipped = 0
    for number, name, fields in _rows(chosen, text, path):
        own = events.setdefault(name or path.stem, [])
        if fields is None:
            continue
        try:
            own.append(_event(fields, f"{path}, row {number}"))
        except (TypeError, ValueError):
            if errors == "raise":
                raise
            skipped += 1
    if skipped:
        warnings.warn(f"{path}: skipped {skipped} malformed row(s)", stacklevel=2)
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
    format : {"csv", "tsv", "audacity", "raven", "jsonl", "dcase"}, default="csv"
        Audacity's labels know no files, and only one recording can be written; only
        ``"csv"``, ``"tsv"``, ``"jsonl"`` and ``"dcase"`` keep recordings without events.

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
    chosen = _format(format)
    if format == "audacity" and len(events) > 1:
        raise ValueError(
            f"Audacity's labels belong to one recording; got {len(events)}. Write one file each"
        )
    text = io.StringIO()
    chosen.write(text, events)
    if path is None:
        sys.stdout.write(text.getvalue())
        return
    target = Path(path)
    partial = target.with_name(target.name + ".part")
    partial.write_text(text.getvalue(), encoding="utf-8", newline="")
    partial.replace(target)


def suffix_of(format: str) -> str:
    """How files of a format end, ``".txt"`` for example."""
    return _format(format).suffix


def _format(name: str) -> _Format:
    if name not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}; got {name!r}")
    return FORMATS[name]


def _guess(path: Path, text: str) -> str:
    first = text.split("\n", 1)[0]
    if path.suffix.lower() in (".jsonl", ".ndjson") or first.startswith("{"):
        return "jsonl"
    if "Begin Time (s)" in first:
        return "raven"
    if "onset" in first and "offset" in first:
        return "tsv" if "\t" in first else "csv"
    fields = first.split("\t")
    try:
        float(fields[0]), float(fields[1])
    except (ValueError, IndexError):
        return "dcase"
    return "audacity"


def _rows(chosen: _Format, text: str, path: Path) -> Iterator[_Row]:
    try:
        yield from chosen.read(io.StringIO(text, newline=""))
    except (csv.Error, KeyError, json.JSONDecodeError) as error:
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
    if label in (None, ""):
        raise ValueError(f"{where}: the label is missing")
    return check_event((*times, str(label), *scores), where)


def _read_table(delimiter: str, names: Mapping[str, str]) -> Callable[[TextIO], Iterator[_Row]]:
    """Reader of a table with a header; `names` gives its column for each of ours."""

    def read(file: TextIO) -> Iterator[_Row]:
        table = csv.DictReader(file, delimiter=delimiter)
        missing = {names[k] for k in ("onset", "offset", "label")} - set(table.fieldnames or ())
        if missing:
            raise KeyError(f"the header lacks {', '.join(sorted(missing))}")
        for row in table:
            values = [row.get(names[key]) for key in _HEADER[1:]]
            empty = not any(values[:3])
            yield table.line_num, row.get(names["file"]), None if empty else tuple(values)

    return read


def _write_table(delimiter: str) -> Callable[[TextIO, Mapping[str, Sequence[Event]]], None]:
    def write(file: TextIO, events: Mapping[str, Sequence[Event]]) -> None:
        table = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        table.writerow(_HEADER)
        for name, own in events.items():
            for event in own:
                times = (f"{event.onset:.3f}", f"{event.offset:.3f}")
                table.writerow([name, *times, event.label, f"{event.score:.3f}"])
            if not own:
                table.writerow([name, "", "", "", ""])

    return write


def _read_audacity(file: TextIO) -> Iterator[_Row]:
    for number, line in enumerate(file, 1):
        # Lines of a spectral selection begin with a backslash.
        if line.strip() and not line.startswith("\\"):
            fields = line.rstrip("\r\n").split("\t")
            yield number, None, tuple((fields + [""] * 3)[:3])


def _write_audacity(file: TextIO, events: Mapping[str, Sequence[Event]]) -> None:
    for own in events.values():
        for event in own:
            file.write(f"{event.onset:.6f}\t{event.offset:.6f}\t{event.label}\n")


_RAVEN = {
    "file": "Begin File",
    "onset": "Begin Time (s)",
    "offset": "End Time (s)",
    "label": "Annotation",
    "score": "Score",
}


def _write_raven(file: TextIO, events: Mapping[str, Sequence[Event]]) -> None:
    table = csv.writer(file, delimiter="\t", lineterminator="\n")
    table.writerow(
        [
            "Selection",
            "View",
            "Channel",
            *(_RAVEN[k] for k in _HEADER[1:3]),
            "Low Freq (Hz)",
            "High Freq (Hz)",
            *(_RAVEN[k] for k in ("file", "label", "score")),
        ]
    )
    rows = ((name, event) for name, own in events.items() for event in own)
    for number, (name, event) in enumerate(rows, 1):
        times = (f"{event.onset:.6f}", f"{event.offset:.6f}")
        # Raven wants a box; events have no frequencies, so it spans all that is audible.
        table.writerow(
            [number, "Spectrogram 1", 1, *times, 0, 20000, name, event.label, f"{event.score:.3f}"]
        )


def _read_jsonl(file: TextIO) -> Iterator[_Row]:
    for number, line in enumerate(file, 1):
        if line.strip():
            row = json.loads(line)
            empty = row.get("onset") is None and row.get("label") is None
            values = tuple(row.get(key) for key in _HEADER[1:])
            yield number, row.get("file"), None if empty else values


def _write_jsonl(file: TextIO, events: Mapping[str, Sequence[Event]]) -> None:
    for name, own in events.items():
        for event in own:
            file.write(json.dumps({"file": name, **event._asdict()}, ensure_ascii=False) + "\n")
        if not own:
            file.write(json.dumps({"file": name}, ensure_ascii=False) + "\n")


def _read_dcase(file: TextIO) -> Iterator[_Row]:
    for number, line in enumerate(file, 1):
        name, *rest = line.rstrip("\r\n").split("\t")
        if any(field.strip() for field in rest):
            yield number, name, tuple((rest + [""] * 3)[:3])
        elif name.strip():
            yield number, name, None


def _write_dcase(file: TextIO, events: Mapping[str, Sequence[Event]]) -> None:
    for name, own in events.items():
        for event in own:
            file.write(f"{name}\t{event.onset:.3f}\t{event.offset:.3f}\t{event.label}\n")
        if not own:
            file.write(f"{name}\n")


_PLAIN = dict(zip(_HEADER, _HEADER, strict=True))
FORMATS = {
    "csv": _Format(".csv", _read_table(",", _PLAIN), _write_table(",")),
    "tsv": _Format(".tsv", _read_table("\t", _PLAIN), _write_table("\t")),
    "audacity": _Format(".txt", _read_audacity, _write_audacity),
    "raven": _Format(".selections.txt", _read_table("\t", _RAVEN), _write_raven),
    "jsonl": _Format(".jsonl", _read_jsonl, _write_jsonl),
    "dcase": _Format(".txt", _read_dcase, _write_dcase),
}


def match_files(
    events: Mapping[str, Sequence[Event]], paths: Iterable[str | os.PathLike[str]]
) -> list[list[Event]]:
    """Event lists in the order of recordings, matched by file name, then by its stem.

    Parameters
    ----------
    events : dict of str to list of Event
        From :func:`read_events`.
    paths : iterable of paths

    Returns
    -------
    list of list of Event
        `y` for ``fit`` and the metrics; empty for recordings that the table does not name.

    Examples
    --------
    >>> match_files({"a.wav": [Event(1.0, 2.0, "dog")]}, ["in/a.wav", "in/b.wav"])
    [[Event(onset=1.0, offset=2.0, label='dog', score=1.0)], []]
    """
    by_name = {Path(name).name: own for name, own in events.items()}
    by_stem = {Path(name).stem: own for name, own in events.items()}
    names = [Path(path) for path in paths]
    return [list(by_name.get(p.name, by_stem.get(p.stem, []))) for p in names]
