"""Outputs for the events of many recordings, which know which recordings are done."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ..annotations.formats import FORMATS
from ..annotations.tables import format_events, suffix_of, text_of, write_text
from ..events import Event
from .settings import differences, settings_id

# Subfolder of the output, hidden so that nobody takes its files for tables of events.
HIDDEN = ".rcrnn"
# Seconds between looks at which recordings other processes have failed on.
_FAILURES = 5.0


class Recording(NamedTuple):
    """A recording on disk, which ``key`` names in the output.

    ``size`` is in bytes, and ``changed`` is the time of its last change in nanoseconds since
    1970; both are -1 if there is no such file.
    """

    path: Path
    key: str
    size: int
    changed: int

    def is_as_in(self, line: Mapping[str, Any]) -> bool:
        """Tell whether this is the recording, perhaps moved, of a record of what is done."""
        same = (self.size, self.changed) == (line["size"], line["changed"])
        return same and not self._lies_beside(line)

    def _lies_beside(self, line: Mapping[str, Any]) -> bool:
        """Tell whether the recording of the record still lies in another place.

        Recorders that keep the same schedule write files of the same name, size and time of
        change.
        """
        there = line.get("path")
        if there is None or there == os.path.abspath(self.path):
            return False
        try:
            return not os.path.samefile(there, self.path)
        except OSError:  # it lies there no longer
            return False


class Names:
    """The names under which the recordings of earlier runs stand in an output."""

    def __init__(self) -> None:
        self._by_path: dict[str, str] = {}

    def add(self, line: Mapping[str, Any]) -> None:
        """Add the recording of a record of what is done."""
        if "path" in line:  # records of earlier versions have none
            self._by_path[line["path"]] = line["key"]

    def other(self, recording: Recording) -> str | None:
        """The name of a recording that has another one here; None for any other recording."""
        name = self._by_path.get(os.path.abspath(recording.path))
        return None if name == recording.key else name


class Found(NamedTuple):
    """The events that were found in a recording; ``duration`` is in seconds."""

    recording: Recording
    events: list[Event]
    duration: float


class Output(Protocol):
    """An output for events that knows which recordings are done.

    A recording is done if its name, size and time of change, the weights and the settings are
    the same as when its events were written, unless the recording of that time lies in another
    place.
    """

    def check(self, recordings: Sequence[Recording]) -> None:
        """Raise ValueError if the output has events that must not be mixed or overwritten."""

    def refresh(self, recording: Recording | None = None) -> None:
        """Read what other processes have done since, or at least about the given recording."""

    def is_done(self, recording: Recording) -> bool:
        """Tell whether the output has the events of the recording by this model and settings."""

    def failure(self, recording: Recording) -> str | None:
        """Return why a process failed on the recording since this one began; None if none did."""

    def put(self, found: Found) -> list[Recording]:
        """Add events, and return the recordings whose events are now safe on disk."""

    def fail(self, recording: Recording, error: str) -> None:
        """Note that a recording failed."""

    def flush(self) -> list[Recording]:
        """Write the events that are left, and return their recordings."""


class Journal:
    """A log that several processes share: each appends to its own file and reads all files."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.began = time.time()
        name = f"{socket.gethostname()}-{os.getpid()}-{time.time_ns()}.jsonl"
        self.mine = folder / name
        self._read: dict[Path, int] = {}

    def add(self, line: dict[str, Any]) -> None:
        """Append a line in a single write, so that it is whole even if the process is killed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**line, "time": time.time()}, ensure_ascii=True) + "\n"
        with open(self.mine, "ab", buffering=0) as file:
            file.write(text.encode())

    def news(self) -> Iterator[dict[str, Any]]:
        """Yield the new lines of all processes; a line without its end is left for later."""
        for path in sorted(self.folder.glob("*.jsonl")):
            seen = self._read.get(path, 0)
            if path.stat().st_size == seen:
                continue
            with open(path, "rb") as file:
                file.seek(seen)
                text = file.read()
            whole = text.rfind(b"\n") + 1
            self._read[path] = seen + whole
            for line in text[:whole].splitlines():
                try:
                    yield json.loads(line)
                except ValueError:  # written to a full disk
                    continue


class Tables:
    """Tables in a folder, one for each recording.

    Parameters
    ----------
    folder : Path
    format : str
        Format of the tables; see :func:`write_events`.
    settings : dict
        Model and settings, from :func:`settings_of`.
    overwrite : bool
        Whether to ignore what was done before this process began.
    """

    def __init__(self, folder: Path, format: str, settings: dict[str, Any], overwrite: bool):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.format = format
        self.suffix = suffix_of(format)
        endings = {own.suffix for own in FORMATS.values() if own.write is not None}
        self._other_endings = sorted(endings - {self.suffix})
        self.settings = settings
        self.overwrite = overwrite
        self.run = settings_id(settings)
        self.journal = Journal(folder / HIDDEN / "done")
        self.runs: dict[str, dict[str, Any]] = {}
        self.lines: dict[str, dict[str, Any]] = {}
        self.names = Names()
        self.failures: dict[str, str] = {}
        self._introduced = False
        self._refreshed = 0.0
        self.refresh()

    def check(self, recordings: Sequence[Recording]) -> None:
        for recording in recordings:
            other = self.names.other(recording)
            endings = () if other is None else (self.suffix, *self._other_endings)
            if any(os.path.exists(self.folder / f"{other}{ending}") for ending in endings):
                raise ValueError(f"{self.folder} {stands_as(recording, str(other))}")
        for recording in recordings:
            if self._conflict(recording) is None:
                continue
            # Another process may have written the table, and before it the line that says how,
            # after the lines were read.
            self.refresh()
            if why := self._conflict(recording):
                raise ValueError(why)

    def refresh(self, recording: Recording | None = None) -> None:
        # While the recording has no table, a recent look at failures of others is enough.
        lately = time.monotonic() - self._refreshed < _FAILURES
        if recording is not None and lately and not os.path.exists(self._table(recording)):
            return
        self._refreshed = time.monotonic()
        for line in self.journal.news():
            if "settings" in line:
                self.runs[line["run"]] = line["settings"]
            elif "error" in line:
                if line["run"] == self.run and line["time"] >= self.journal.began:
                    self.failures[line["key"]] = line["error"]
            else:
                self.failures.pop(line["key"], None)
                # Lines of earlier versions have neither ending nor format.
                table = line["key"] + line.get("ending", self.suffix)
                if line["time"] >= self.lines.get(table, {}).get("time", 0):
                    self.lines[table] = line
                    self.names.add(line)

    def is_done(self, recording: Recording) -> bool:
        line = self._line(recording)
        if line is None or not self._is_ours(recording, line):
            return False
        if line.get("format", self.format) != self.format:
            return False
        if self.overwrite and line["time"] < self.journal.began:
            return False
        return os.path.exists(self._table(recording))

    def failure(self, recording: Recording) -> str | None:
        return self.failures.get(recording.key)

    def put(self, found: Found) -> list[Recording]:
        recording = found.recording
        table = self._table(recording)
        table.parent.mkdir(parents=True, exist_ok=True)
        text = format_events({recording.path.name: found.events}, self.format)
        # The old table is removed first, and the line is added before the new table is written.
        # Whenever the process is killed, the latest line thus describes the table that is there.
        table.unlink(missing_ok=True)
        self._add(
            recording,
            path=os.path.abspath(recording.path),
            size=recording.size,
            changed=recording.changed,
            duration=found.duration,
            format=self.format,
            ending=self.suffix,
            table=_digest(text),
        )
        write_text(text, table)
        return [recording]

    def fail(self, recording: Recording, error: str) -> None:
        self._add(recording, error=error)

    def flush(self) -> list[Recording]:
        return []

    def _add(self, recording: Recording, **facts: Any) -> None:
        if not self._introduced:
            self.journal.add({"run": self.run, "settings": self.settings})
            self._introduced = True
        self.journal.add({"run": self.run, "key": recording.key, **facts})

    def _table(self, recording: Recording) -> Path:
        return self.folder / (recording.key + self.suffix)

    def _line(self, recording: Recording) -> dict[str, Any] | None:
        return self.lines.get(recording.key + self.suffix)

    def _is_ours(self, recording: Recording, line: Mapping[str, Any]) -> bool:
        """Tell whether a table has the events of the recording by this model and settings."""
        return line["run"] == self.run and recording.is_as_in(line)

    def _conflict(self, recording: Recording) -> str | None:
        """Say why an existing table may be neither kept nor overwritten; None if it may be."""
        for ending in self._other_endings:
            line = self.lines.get(recording.key + ending)
            if line is None or self._is_ours(recording, line):
                continue
            if os.path.exists(other := self.folder / (recording.key + ending)):
                return (
                    f"{other} is there, {self._whose(recording, line)}. As a folder is read as "
                    "one table, the events of both would count: give another folder, or delete it"
                )
        if self.overwrite or not os.path.exists(self._table(recording)):
            return None
        why = self._why_not_overwritten(recording)
        return why and (
            f"{self._table(recording)} is there, {why}. Give another folder, or "
            "overwrite (--overwrite) to detect anew what is in this one"
        )

    def _is_elsewhere(self, recording: Recording, line: Mapping[str, Any]) -> bool:
        here = os.path.abspath(recording.path)
        return line.get("path", here) != here

    def _whose(self, recording: Recording, line: Mapping[str, Any]) -> str:
        if line["run"] != self.run:
            told = differences(self.settings, self.runs.get(line["run"], {}))
            return f"by another model or other settings ({told})"
        if self._is_elsewhere(recording, line):
            return f"and is about another recording of this name, {line['path']}"
        return "and is of the recording as it was before it changed"

    def _why_not_overwritten(self, recording: Recording) -> str | None:
        line = self._line(recording)
        if line is None:
            return "and nothing says by which model and settings"
        if line["run"] != self.run:
            return self._whose(recording, line)
        if line.get("format", self.format) != self.format:
            return f"in the format {line['format']} and not {self.format}"
        if recording.is_as_in(line):
            return None
        if self._is_elsewhere(recording, line):
            return self._whose(recording, line)
        # Lines of earlier versions have no digest.
        if "table" in line and _digest(text_of(self._table(recording))) != line["table"]:
            return "and was changed after it was written, as the recording was"
        return None


def stands_as(recording: Recording, name: str) -> str:
    """The end of an error for a recording that an output already has under another name."""
    return (
        f"has the events of {recording.path} already, under the name {name!r}: an earlier run was "
        "given another folder, and now they would be there twice. Give the same folder as then, or "
        "another output"
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def table_keys(files: Sequence[Path], root: str | os.PathLike[str] | None, what: str) -> list[str]:
    """Name each recording in a folder of tables: by its path within `root`, or its file name.

    Raises
    ------
    ValueError
        If two recordings would have the same name, or one does not lie in `root`.
    """
    seen: dict[str, Path] = {}
    for file in files:
        key = file.name if root is None else file.relative_to(root).as_posix()
        if key in seen:
            raise ValueError(
                f"{seen[key]} and {file} would both be written to {what.format(key)}: give the "
                "folder that both are in as root (rcrnn detect FOLDER), or detect events of one "
                "folder at a time"
            )
        seen[key] = file
    return list(seen)
