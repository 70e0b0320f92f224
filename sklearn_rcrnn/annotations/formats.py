"""The formats of tables of events that are known, and the door for others.

Own readers, and not those of crowsetta or dcase_util: these tell neither the row that is
malformed nor a recording without events, and drop scores.
"""

from __future__ import annotations

from pathlib import Path

from . import bridges, delimited, json_tables, lines
from .columns import Given, columns_of, has_times, known
from .delimited import header_of
from .rows import Format

# In the order in which they are tried on a file that nobody named the format of.
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

    It is then known to :func:`read_events` and :func:`write_events` by its name, and tried
    before the others on files that nobody named the format of, if it can tell its own.

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
    """The format, or ValueError with the names there are."""
    if name not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}; got {name!r}")
    return FORMATS[name]


def suffixes() -> tuple[str, ...]:
    """How files of any of the formats end."""
    return tuple(sorted({suffix for format in FORMATS.values() for suffix in format.suffixes}))


def guess_format(path: Path, text: str, columns: Given) -> Format:
    """The format that a file has by its name and text.

    Raises
    ------
    ValueError
        If it has none that is known; says what seem to be its columns.
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
        f"it has none of the formats {', '.join(FORMATS)}. Its first line has the columns "
        f"{', '.join(header)}. {known()}"
    )
