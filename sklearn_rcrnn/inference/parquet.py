"""Write events of very many recordings as a Parquet data set, for pandas, DuckDB or Spark.

One folder for each model and its settings holds files with up to a minute's work each. The
metadata of each file lists its recordings, so that events and the record that they are done
appear together or not at all.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .._utils.files import complete
from .._utils.optional import need
from .._utils.text import some
from .output import HIDDEN, Found, Journal, Names, Recording, stands_as
from .settings import settings_id

# A file is written after this many seconds, recordings or events.
_SECONDS = 60.0
_RECORDINGS = 2000
_EVENTS = 200_000
_METADATA = b"sklearn_rcrnn"


class ParquetDataset:
    """Files of events in ``folder/model=NAME-ID``, where ID identifies the model and settings.

    Parameters
    ----------
    folder : Path
    settings : dict
        Model and settings, from :func:`settings_of`.
    name : str
        Name of the model, for readers of the folder.
    overwrite : bool
        Whether :meth:`check` first removes the events by this model and settings.
    seconds : float, default=60
        Largest number of seconds between writes, and so about the most work that can be lost.
    """

    def __init__(
        self,
        folder: Path,
        settings: dict[str, Any],
        name: str,
        overwrite: bool,
        seconds: float = _SECONDS,
    ):
        need("Parquet data sets need", "parquet", "pyarrow")
        self.settings = settings
        self.model = f"{re.sub(r'[^A-Za-z0-9._-]+', '_', name)}-{settings_id(settings)}"
        self.folder = folder / f"model={self.model}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.overwrite = overwrite
        self.seconds = seconds
        self.journal = Journal(folder / HIDDEN / "failed")
        self.done: dict[str, dict[str, Any]] = {}
        self.names = Names()
        self.failures: dict[str, str] = {}
        self.waiting: list[Found] = []
        self._since = time.monotonic()
        self._n_events = 0
        self._seen: set[Path] = set()
        self.refresh()
        others = {path.parent.name for path in folder.glob("model=*/*.parquet")}
        if others := others - {self.folder.name}:
            warnings.warn(
                f"{folder} also has events by {some(sorted(others))}: who reads all of it gets the "
                "events of each. The column model tells them apart",
                stacklevel=4,
            )

    def check(self, recordings: Sequence[Recording]) -> None:
        if self.overwrite:
            self._check_all_are_named(recordings)
            for path in self._seen:
                path.unlink(missing_ok=True)
            self._seen.clear()
            self.done.clear()
            self.names = Names()
            self.overwrite = False
        for recording in recordings:
            if (other := self.names.other(recording)) is not None:
                raise ValueError(f"{self.folder} {stands_as(recording, other)}")
            line = self.done.get(recording.key)
            if line is not None and not recording.is_as_in(line):
                raise ValueError(
                    f"{recording.path} has changed since its events were written to "
                    f"{self.folder}, or is another recording of the name {recording.key!r} "
                    "there, and each name has one set of events. Overwrite (--overwrite) to "
                    "detect the recordings of this data set anew, or give another folder"
                )

    def _check_all_are_named(self, recordings: Sequence[Recording]) -> None:
        """Raise ValueError if overwriting would delete the events of recordings not to be done."""
        keys = {recording.key for recording in recordings}
        paths = {os.path.abspath(recording.path) for recording in recordings}
        others = [
            key for key, line in self.done.items() if key not in keys and line["path"] not in paths
        ]
        if others:
            raise ValueError(
                f"{self.folder} also has events of {some(others)}, which overwriting would delete, "
                "as it does the data set of a model anew: name these recordings, too, or give "
                "another folder"
            )

    def refresh(self, recording: Recording | None = None) -> None:
        from pyarrow import parquet

        for path in sorted(self.folder.glob("*.parquet")):
            if path not in self._seen:
                self._seen.add(path)
                told = parquet.read_schema(path).metadata or {}
                lines = json.loads(told.get(_METADATA, b"{}")).get("recordings", [])
                self._add(lines)
        for line in self.journal.news():
            if line["model"] == self.model and line["time"] >= self.journal.began:
                self.failures[line["key"]] = line["error"]

    def _add(self, lines: Iterable[dict[str, Any]]) -> None:
        for line in lines:
            self.done[line["key"]] = line
            self.names.add(line)

    def is_done(self, recording: Recording) -> bool:
        line = self.done.get(recording.key)
        return line is not None and recording.is_as_in(line)

    def failure(self, recording: Recording) -> str | None:
        return self.failures.get(recording.key)

    def put(self, found: Found) -> list[Recording]:
        if not self.waiting:
            self._since, self._n_events = time.monotonic(), 0
        self.waiting.append(found)
        self._n_events += len(found.events)
        full = (
            time.monotonic() - self._since >= self.seconds
            or len(self.waiting) >= _RECORDINGS
            or self._n_events >= _EVENTS
        )
        return self.flush() if full else []

    def fail(self, recording: Recording, error: str) -> None:
        self.journal.add({"model": self.model, "key": recording.key, "error": error})

    def flush(self) -> list[Recording]:
        if not self.waiting:
            return []
        from pyarrow import parquet

        name = f"{socket.gethostname()}-{os.getpid()}-{time.time_ns()}.parquet"
        path = self.folder / name
        with complete(path) as partial:
            parquet.write_table(self._table(), partial)
        self._seen.add(path)
        written, self.waiting = self.waiting, []
        self._add(map(_line, written))
        return [found.recording for found in written]

    def _table(self) -> Any:
        import pyarrow

        rows = [
            (found.recording.key, event.onset, event.offset, str(event.label), event.score)
            for found in self.waiting
            for event in found.events
        ]
        file, onset, offset, label, score = zip(*rows, strict=True) if rows else ((),) * 5
        told = {"settings": self.settings, "recordings": [_line(found) for found in self.waiting]}
        return pyarrow.table(
            {
                "file": pyarrow.array(file, pyarrow.string()),
                "onset": pyarrow.array(onset, pyarrow.float64()),
                "offset": pyarrow.array(offset, pyarrow.float64()),
                "label": pyarrow.array(label, pyarrow.string()),
                "score": pyarrow.array(score, pyarrow.float32()),
            },
            metadata={_METADATA: json.dumps(told).encode()},
        )


def _line(found: Found) -> dict[str, Any]:
    recording = found.recording
    return {
        "key": recording.key,
        "path": os.path.abspath(recording.path),
        "size": recording.size,
        "changed": recording.changed,
        "duration": found.duration,
        "n_events": len(found.events),
    }
