"""The known formats of tables of events, and how to register others.

The readers are our own, as those of crowsetta and dcase_util do not say which row is
malformed, lose recordings without events, and drop scores.
"""

from __future__ import annotations

from pathlib import Path

from . import bridges, delimited, json_tables, lines
from .columns import Given, columns_of, has_times, known
from .delimited import header_of
from .rows import Format

# The formats in the order in which they are tried on a file of unknown format.
FORMATS: dict[str, Format] = {
    format.name: format
    for format in (
        json_tables.JAMS,
        bridges.TEXTGRID,
        json_tables.JSONL,
        lines.RTTM,
        delimited.RAVEN,
        delimited.CSV,
        delimited.TSV,
        delimited.SAFE_CSV,
        lines.AUDACITY,
        lines.DCASE,
    )
}


def register_format(format: Format) -> None:
    """Add a format of tables, or replace one of the same name.

    :func:`read_events` and :func:`write_events` then know it by its name. If it has a `sniff`
    function, it is tried before the other formats on files whose format is not given.

    Parameters
    ----------
    format : Format

    Examples
    --------
    >>> from sklearn_rcrnn.annotations import Format, Row, read_events, register_format
    >>> def read(text, columns):
    ...     for number, line in enumerate(text.splitlines(), 1):
    ...         label, onset, offset = line.split("|")
    ...         yield Row(number, None, (onset, offset, label))
    >>> register_format(Format("bars", (".bars",), read, many=False))
    >>> read_events("garden.bars", "bars")  # doctest: +SKIP
    {'garden': [Event(onset=3.2, offset=4.0, label='blackbird', score=1.0)]}
    """
    others = {name: known for name, known in FORMATS.items() if name != format.name}
    FORMATS.clear()
    FORMATS.update({format.name: format}, **others)


def format_named(name: str) -> Format:
    """Return the format of a name; ValueError lists the known names if there is none."""
    if name not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}; got {name!r}")
    return FORMATS[name]


def suffixes() -> tuple[str, ...]:
    """Return the file name endings of all formats."""
    return tuple(sorted({suffix for format in FORMATS.values() for suffix in format.suffixes}))


def guess_format(path: Path, text: str, columns: Given) -> Format:
    """Guess the format of a file from its name and text.

    Raises
    ------
    ValueError
        If no known format fits; the message lists the columns that the file seems to have.
    """
    for format in FORMATS.values():
        if format.sniff is not None and format.sniff(path.name, text):
            return format
    header = header_of(text)
    if columns:
        for name, delimiter in (("tsv", "\t"), ("csv", ",;")):
            if any(d in text[:100_000].lstrip().split("\n")[0] for d in delimiter) and has_times(
                columns_of(header, columns)
            ):
                return FORMATS[name]
    raise ValueError(
        f"its format is none of {', '.join(FORMATS)}. Its first line has the columns "
        f"{', '.join(header)}. {known()}"
    )
