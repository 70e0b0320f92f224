"""Write files that appear only when they are complete, and list the files of a folder."""

from __future__ import annotations

import errno
import hashlib
import os
import uuid
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # On Windows, where an open file cannot be deleted anyway
    fcntl = None  # type: ignore[assignment]

# Largest number of processes that may write one file at a time; leftovers of others are deleted.
_MOST_WRITERS = 16
# Error numbers of file systems that have no locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
# Error numbers for a full disk, an exhausted quota, and a file that is too large.
_NO_ROOM = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)
# Suffixes of the audio files that libsndfile reads, and of those, and videos, that PyAV reads.
AUDIO = (
    *(".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff", ".aifc", ".opus", ".oga", ".w64"),
    *(".rf64", ".caf", ".au", ".snd", ".mp2", ".mp1", ".mpga", ".voc", ".wve", ".sph", ".nist"),
)
VIDEO = (
    *(".m4a", ".m4b", ".aac", ".wma", ".amr", ".3gp", ".3g2", ".mka", ".wv", ".ape", ".ac3"),
    *(".eac3", ".dts", ".tta", ".spx", ".ra", ".rm", ".mp4", ".m4v", ".mov", ".mkv", ".webm"),
    *(".weba", ".avi", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv", ".mts", ".m2ts", ".vob", ".ogm"),
    *(".dsf", ".dff", ".tak", ".mpc", ".qt", ".asf", ".f4v"),
)
MEDIA = (*AUDIO, *VIDEO)


@contextmanager
def complete(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes `path` if all went well, and goes away if not.

    Several processes may write to the same `path` at the same time: each has a path of its
    own, and the last to finish wins. What a process left that was killed is written over by the
    next one. Devices and pipes, which cannot be replaced, are given as they are.
    """
    with _errors_that_name(path):
        if path.exists() and not path.is_file():
            yield path
            return
        partial, lock = _claimed(path)
        try:
            yield partial
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
            if lock is not None:
                os.close(lock)


@contextmanager
def _errors_that_name(path: Path) -> Iterator[None]:
    """Give errors the file name that people know; the system names none when a disk is full."""
    try:
        yield
    except OSError as error:
        nameless = error.filename is None and error.errno in _NO_ROOM
        if nameless or (error.filename and is_partial(Path(error.filename))):
            error.filename = str(path)
            del error.filename2  # None would be told, too
        raise


def is_partial(path: Path) -> bool:
    """Whether a file is one that :func:`complete` gave to be written to."""
    return path.name.startswith(".rcrnn-") and path.name.endswith(".part")


def clear(path: Path) -> None:
    """Delete what processes that were killed left of `path`."""
    for i in range(_MOST_WRITERS if fcntl is not None else 0):
        partial = _slot(path, i)
        if partial.exists():
            with suppress(OSError):  # another process is at it
                lock = _lock(partial)
                partial.unlink(missing_ok=True)
                os.close(lock)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder against others that do the same, where the file system knows locks."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _claimed(path: Path) -> tuple[Path, int | None]:
    """Open a file beside `path` that no other process writes to; return it and its lock."""
    if fcntl is not None:
        for i in range(_MOST_WRITERS):
            partial = _slot(path, i)
            try:
                lock = _lock(partial)
            except BlockingIOError:  # another process is at it
                continue
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                break
            return partial, lock
    return _slot(path, uuid.uuid4().hex), None


def _slot(path: Path, which: int | str) -> Path:
    # The name is cut, because with a suffix it may be longer than a file system allows.
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]
    return path.with_name(f".rcrnn-{digest}-{which}.part")


def _lock(partial: Path) -> int:
    """Open and lock an empty file."""
    while True:
        descriptor = os.open(partial, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between opening and locking, another process may have moved the file into its place.
            if partial.exists() and os.path.samestat(os.fstat(descriptor), partial.stat()):
                os.ftruncate(descriptor, 0)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


# Where file servers and Windows keep what was deleted, earlier versions and thumbnails.
_SERVERS_OWN = {
    "#recycle",
    "#snapshot",
    "@eaDir",
    "@Recycle",
    "@Recently-Snapshot",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
}


def files_in(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Find the files with these endings in a folder and its subfolders, sorted.

    Hidden files and folders are left out, and so are folders of file servers and Windows.
    Folders behind symbolic links count, each once: links that lead in a circle do no harm.

    Warns
    -----
    UserWarning
        Of folders that cannot be read.
    """
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=_warn_of_folder):
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name not in _SERVERS_OWN
        )
        found += [
            Path(place, name)
            for name in names
            if name.lower().endswith(suffixes) and not name.startswith(".")
        ]
    return sorted(found)


def same_files(paths: Iterable[str | os.PathLike[str]]) -> list[int]:
    """For each path, the place of the first one that is the same file, as links are."""
    first: dict[object, int] = {}
    return [first.setdefault(_identity(path), i) for i, path in enumerate(paths)]


def _identity(path: str | os.PathLike[str]) -> object:
    with suppress(OSError):
        status = os.stat(path)
        if status.st_ino:  # some file systems number no files
            return status.st_dev, status.st_ino
    return os.path.realpath(path)


def _warn_of_folder(error: OSError) -> None:
    warnings.warn(f"{error.filename!r} is left out: {error.strerror}", stacklevel=2)


def printable(name: str | os.PathLike[str]) -> str:
    """A file's name as text that can be written anywhere.

    Names of files need not be UTF-8: bytes that are not become ``%E9``.

    >>> printable(os.fsdecode(bytes([233]) + b".wav"))
    '%E9.wav'
    """
    return "".join(
        f"%{ord(c) - 0xDC00:02X}" if 0xDC80 <= ord(c) <= 0xDCFF else c for c in os.fspath(name)
    )
