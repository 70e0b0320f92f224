"""Where ``rcrnn detect`` writes its events, and in which format."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ._common import TableFormat, check_output, fail

if TYPE_CHECKING:
    from ..events import Label

# What could be the ending of a file, unlike that of a folder "site.12" or "v1.2b".
_ENDING = re.compile(r"\.[A-Za-z]{3,5}")


class Target(NamedTuple):
    """Where events go: to a ``folder``, or to a ``table``, which may be ``"-"``."""

    folder: Path | None
    table: str
    format: str


def target_of(output: str, format: str | None, safe_csv: bool) -> Target:
    """Where events go, and in which format, by the name of the output and what is there."""
    from ..annotations.formats import FORMATS

    lowered = output.lower()
    if output == "-":
        if format == "parquet":
            fail("parquet is a folder of files: say where, -o events.parquet")
        return Target(None, "-", _safe(_known_as(format), safe_csv))
    if format is None:
        by_ending = {own.suffix: name for name, own in FORMATS.items() if own.suffix != ".txt"}
        by_ending |= {".csv": "csv", ".json": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
        name = next((own for end, own in by_ending.items() if lowered.endswith(end)), "csv")
    else:
        name = _known_as(format)
    if name in FORMATS and FORMATS[name].write is None:
        fail(f"{output}: tables of the format {name} can only be read; write csv, for example")
    name = _safe(name, safe_csv)
    written = [ending for own in FORMATS.values() if own.write for ending in own.suffixes]
    if name == "parquet" or output.endswith("/") or Path(output).is_dir():
        return Target(Path(output), "", name)
    if lowered.endswith((*written, ".json")):
        return Target(None, output, name)
    _check_is_no_table(output, written)
    return Target(Path(output), "", name)


def _check_is_no_table(output: str, known: list[str]) -> None:
    """Refuse a folder whose name looks like that of a table in a format that is not written."""
    ending = Path(output).suffix
    if _ENDING.fullmatch(ending):
        fail(
            f"{output}: no tables end with {ending}; take {' '.join(sorted(set(known)))}, or "
            f"{output}/ for a folder of this name"
        )


def check_table(target: Target, paths: list[Path], labels: Iterable[Label]) -> None:
    """Find out before hours of work what would go wrong after them."""
    from ..annotations.formats import format_named
    from ..annotations.tables import format_events
    from ..events import Event

    if target.folder is not None:
        return
    if not format_named(target.format).many and len(paths) > 1:
        fail(f"{target.format} tables are about one recording each: give a folder, -o tables/")
    try:  # a label may have a tab, for example, which few formats can hold
        format_events({"": [Event(0.0, 1.0, label) for label in labels]}, target.format)
    except (ImportError, ValueError) as error:
        fail(str(error))
    if target.table != "-":
        check_output(target.table)


def _safe(name: str, safe_csv: bool) -> str:
    if safe_csv and name != "csv":
        fail(f"--safe-csv is for tables of the format csv, not {name}")
    return "safe-csv" if safe_csv else name


def _known_as(format: str | None) -> str:
    """Translate the name of a format on the command line to its name in the package."""
    if format is None:
        return "csv"
    return format if format == "parquet" else TableFormat(format).known_as
