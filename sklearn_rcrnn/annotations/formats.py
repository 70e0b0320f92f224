"""The formats of tables of events: each reads rows from text, and writes events to it.

Own readers, and not those of crowsetta or dcase_util: these tell neither the row that is
malformed nor a recording without events, and drop scores.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from .._utils.optional import need
from ..events import Event

# A row of a table: its number, the file that it names or None, and what it says of an
# event, or None for a file without events.
Row = tuple[int, str | None, tuple[Any, ...] | None]
HEADER = ("file", "onset", "offset", "label", "score")


class Format(NamedTuple):
    """How a format's files end, how to read and write it, and whether one holds many files."""

    suffix: str
    read: Callable[[TextIO], Iterator[Row]]
    write: Callable[[TextIO, Mapping[str, Sequence[Event]]], None]
    many: bool = True


# What the columns are called, in lower letters: here, by Raven, by DESED and dcase_util, by
# AudioSet with strong labels, by BirdNET.
COLUMNS = {
    "file": ("file", "begin file", "filename", "segment_id"),
    "onset": ("onset", "begin time (s)", "start_time_seconds", "start (s)"),
    "offset": ("offset", "end time (s)", "end_time_seconds", "end (s)"),
    "label": ("label", "annotation", "event_label", "common name"),
    "score": ("score", "confidence"),
}


def columns_of(header: Sequence[str]) -> dict[str, str]:
    """For ours, the columns of a header that there are."""
    by_name = {name.strip().lower(): name for name in reversed(header)}
    found = {
        key: [by_name[name] for name in names if name in by_name] for key, names in COLUMNS.items()
    }
    return {key: names[0] for key, names in found.items() if names}


def _read_table(delimiters: str) -> Callable[[TextIO], Iterator[Row]]:
    """Reader of a table with a header, whose delimiter is the most frequent one of these."""

    def read(file: TextIO) -> Iterator[Row]:
        first = file.readline()
        file.seek(0)
        table = csv.DictReader(file, delimiter=max(delimiters, key=first.count))
        columns = columns_of(table.fieldnames or ())
        if missing := {"onset", "offset", "label"} - columns.keys():
            known = "; ".join(", ".join(COLUMNS[key]) for key in sorted(missing))
            raise KeyError(
                f"the header lacks {', '.join(sorted(missing))} (columns may be called {known})"
            )
        for row in table:
            texts = {key: (row.get(columns[key]) or "").strip() for key in columns}
            values = tuple(texts.get(key) for key in HEADER[1:])
            yield table.line_num, texts.get("file"), values if any(values[:3]) else None

    return read


def _write_table(delimiter: str) -> Callable[[TextIO, Mapping[str, Sequence[Event]]], None]:
    def write(file: TextIO, events: Mapping[str, Sequence[Event]]) -> None:
        table = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        table.writerow(HEADER)
        for name, own in events.items():
            for event in own:
                times = (f"{event.onset:.3f}", f"{event.offset:.3f}")
                table.writerow([name, *times, event.label, f"{event.score:.3f}"])
            if not own:
                table.writerow([name, "", "", "", ""])

    return write


def _read_audacity(file: TextIO) -> Iterator[Row]:
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
            *(_RAVEN[k] for k in HEADER[1:3]),
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


def _read_jsonl(file: TextIO) -> Iterator[Row]:
    for number, line in enumerate(file, 1):
        if line.strip():
            row = json.loads(line)
            empty = row.get("onset") is None and row.get("label") is None
            values = tuple(row.get(key) for key in HEADER[1:])
            yield number, row.get("file"), None if empty else values


def _write_jsonl(file: TextIO, events: Mapping[str, Sequence[Event]]) -> None:
    for name, own in events.items():
        for event in own:
            file.write(json.dumps({"file": name, **event._asdict()}, ensure_ascii=False) + "\n")
        if not own:
            file.write(json.dumps({"file": name}, ensure_ascii=False) + "\n")


def _read_dcase(file: TextIO) -> Iterator[Row]:
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


def _read_jams(file: TextIO) -> Iterator[Row]:
    need("JAMS files need", "jams", "jams")
    import jams

    observations = [
        observation
        for annotation in jams.load(file, validate=False, fmt="jams").annotations
        if annotation.namespace in _JAMS_NAMESPACES
        for observation in annotation.data
    ]
    for number, (time, duration, value, confidence) in enumerate(observations, 1):
        if isinstance(value, Mapping):  # of Scaper, which lists backgrounds among the events
            if value.get("role") == "background":
                continue
            value = value.get("label")
        yield number, None, (time, time + duration, value, confidence)


def _write_jams(file: TextIO, events: Mapping[str, Sequence[Event]]) -> None:
    need("JAMS files need", "jams", "jams")
    import jams

    content = jams.JAMS()
    annotation = jams.Annotation("tag_open")
    # JAMS wants a length; that of the recording is not known here.
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


_JAMS_NAMESPACES = ("tag_open", "segment_open", "tag_urbansound", "scaper", "sound_event")


FORMATS = {
    "csv": Format(".csv", _read_table(",;"), _write_table(",")),
    "tsv": Format(".tsv", _read_table("\t"), _write_table("\t")),
    "audacity": Format(".txt", _read_audacity, _write_audacity, many=False),
    "raven": Format(".selections.txt", _read_table("\t"), _write_raven),
    "jsonl": Format(".jsonl", _read_jsonl, _write_jsonl),
    "dcase": Format(".txt", _read_dcase, _write_dcase),
    "jams": Format(".jams", _read_jams, _write_jams, many=False),
}


def format_named(name: str) -> Format:
    """The format, or ValueError with the names there are."""
    if name not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}; got {name!r}")
    return FORMATS[name]


def guess_format(path: Path, text: str) -> str:
    """Name of the format that a file has by its name and first line."""
    first = text.split("\n", 1)[0]
    if path.suffix.lower() == ".jams":
        return "jams"
    if path.suffix.lower() in (".jsonl", ".ndjson") or first.startswith("{"):
        return "jsonl"
    for format, delimiter in (("tsv", "\t"), ("csv", ","), ("csv", ";")):
        columns = columns_of(first.strip().split(delimiter))
        if {"onset", "offset"} <= columns.keys():
            return "raven" if columns["onset"] == _RAVEN["onset"] else format
    fields = first.split("\t")
    try:
        float(fields[0]), float(fields[1])
    except (ValueError, IndexError):
        return "dcase"
    return "audacity"
