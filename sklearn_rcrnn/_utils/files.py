"""Files that appear when they are complete, and never half; and what is in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def complete(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes `path` if all went well, and goes away if not."""
    partial = path.with_name(path.name + ".part")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def files_in(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files that end so, however deep, sorted; hidden ones are none of the user's."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.name.lower().endswith(suffixes)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
