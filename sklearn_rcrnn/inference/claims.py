"""Claims that tell which of several processes that share a folder works on which recording.

A claim is a file that only one process can create. It names that process, which touches the
file regularly while it lives. No process removes or renames the claim of a living one. To take
over a recording from a dead process, another creates the claim of the next generation, which
again only one process can.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
import threading
import time
from functools import cache
from pathlib import Path
from types import TracebackType

# Seconds between signs of life, and seconds without one after which a process counts as dead.
# Processes on the same machine are looked up directly.
BEAT = 10.0
DEAD = 90.0


class Claims:
    """The claims of this process in a folder, kept alive within a ``with`` block.

    Parameters
    ----------
    folder : Path
        Folder of the claims, which is created if it does not exist.
    beat, dead : float, default=10, 90
        Seconds between signs of life, and seconds without one after which another process may
        take over.
    """

    def __init__(self, folder: Path, beat: float = BEAT, dead: float = DEAD):
        self.folder = folder
        self.beat = beat
        self.dead = dead
        self.held: dict[str, Path] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Claims:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        for key in list(self.held):
            self.release(key)

    def take(self, key: str) -> bool:
        """Claim a recording; return False if a living process has it."""
        latest = self._latest(key)
        dead = None if latest is None else _told(latest)
        if latest is not None and self._alive(latest):
            return False
        generation = 0 if latest is None else int(latest.suffix[1:]) + 1
        mine = self.folder / f"{_name(key)}.{generation}"
        try:
            handle = os.open(mine, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return False
        with os.fdopen(handle, "w") as file:
            json.dump({"key": key, **_this_process()}, file)
        if latest is not None and _told(latest) != dead:
            # Between our look and our claim, a third process took over, finished and cleaned up.
            mine.unlink()
            return False
        with self._lock:
            self.held[key] = mine
        return True

    def release(self, key: str) -> None:
        """Release a recording and remove older claims of dead processes on it."""
        with self._lock:
            mine = self.held.pop(key, None)
        if mine is None:
            return
        for generation in range(int(mine.suffix[1:]) + 1):
            mine.with_suffix(f".{generation}").unlink(missing_ok=True)

    def others(self) -> list[str]:
        """List the other processes at work in the folder, as ``host:pid``."""
        mine = _owner(_this_process())
        claims = [path for path in self.folder.iterdir() if self._alive(path)]
        return sorted({_owner(told) for path in claims if (told := _told(path))} - {mine})

    def _latest(self, key: str) -> Path | None:
        generation, latest = 0, None
        while (path := self.folder / f"{_name(key)}.{generation}").exists():
            generation, latest = generation + 1, path
        return latest

    def _alive(self, claim: Path) -> bool:
        try:
            silent = time.time() - claim.stat().st_mtime
        except FileNotFoundError:  # just released
            return False
        told = _told(claim)
        if told is None:  # being written, or its process died while writing it
            return silent < self.dead
        here = _this_process()
        same = all(told[name] == here[name] for name in ("host", "space"))
        if same and not _runs(told["pid"], told["started"]):
            return False
        return silent < self.dead

    def _live(self) -> None:
        while not self._over.wait(self.beat):
            with self._lock:
                held = list(self.held.values())
            for path in held:
                try:
                    os.utime(path)
                except OSError:  # just released, or the file server is away for now
                    continue


def _name(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _owner(told: dict) -> str:
    return f"{told['host']}:{told['pid']}"


def _told(claim: Path) -> dict | None:
    try:
        told = json.loads(claim.read_text())
    except (OSError, ValueError):
        return None
    return told if set(_this_process()) <= set(told) else None


def _this_process() -> dict:
    return _described(os.getpid())


@cache
def _described(pid: int) -> dict:
    try:  # as containers may share a host name while each numbers processes anew
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return {"host": socket.gethostname(), "space": space, "pid": pid, "started": _started(pid)}


def _runs(pid: int, started: str | None) -> bool:
    """Tell whether a process still runs, and not a later one with the same number."""
    if sys.platform == "win32":  # where signal 0 would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it runs, but belongs to another user
        return True
    return started is None or _started(pid) == started


def _started(pid: int) -> str | None:
    """Return the start of a process in clock ticks of the kernel; None if it is not known."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            state, *fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state == "Z" else fields[18]
