"""The contract between the formats of tables and the code that reads and writes tables."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TextIO

from ..events import Event, Label, check_event
from .columns import Given
from .numbers import number

# Decision in a table of corrections that a found event is not an event.
REJECTED = "reject"
HEADER = ("file", "onset", "offset", "label", "score")


class Row(NamedTuple):
    """A row of a table.

    Attributes
    ----------
    number : int
        Number of the row, counted from 1 with the header.
    file : str or None
        Name of the recording; None if it is that of the table.
    values : tuple of (onset, offset, label) or (onset, offset, label, score), or None
        The event, with times in seconds as numbers or text; None for a recording without events.
    problem : str or None
        Reason why the row cannot be read; the other attributes then mean nothing.
    decision : str
        Decision of a person about the event, as in :func:`read_corrections`.
    was : tuple of (onset, offset, label), or None
        The event as it was found, before a person moved it or gave it another label.
    event_id : str
        Which event of which page of :func:`~sklearn_rcrnn.write_report` it is, as ``page-event``.
    """

    number: int
    file: str | None
    values: tuple[Any, ...] | None
    problem: str | None = None
    decision: str = ""
    was: tuple[float, float, Any] | None = None
    event_id: str = ""


class Format(NamedTuple):
    """A format of tables of events: how to recognize, read and write it.

    Attributes
    ----------
    name : str
    suffixes : tuple of str
        File name endings of the format; files are written with the first.
    read : callable
        ``read(text, columns)`` yields a :class:`Row` for each row of a table. `columns` are the
        columns that the caller named, by their meaning; most formats may ignore them. It must
        raise ValueError if the text is no table of this format at all.
    write : callable or None
        ``write(file, events)`` writes the events of recordings, a mapping of names to lists
        of :class:`Event`. With None, the format can only be read.
    sniff : callable or None
        ``sniff(name, text)`` tells whether a file of this name and text is certainly a table
        of this format. With None, the format is used only if it is asked for by name.
    many : bool
        Whether a table can hold the events of more than one recording.
    has_columns : bool
        Whether columns have names, so that a caller can say which is which. A format without them
        ignores the `columns` of `read`, and a warning says so.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[str, Given], Iterator[Row]]
    write: Callable[[TextIO, Mapping[str, Sequence[Event]]], None] | None = None
    sniff: Callable[[str, str], bool] | None = None
    many: bool = True
    has_columns: bool = True

    @property
    def suffix(self) -> str:
        """File name ending of files that are written."""
        return self.suffixes[0]


def lines_of(text: str) -> list[str]:
    """Split text at the line ends of any system, and at no other character."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def each_line(text: str) -> Iterator[str]:
    """Yield the lines of :func:`lines_of` one by one, which takes less memory."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    yield text[start:]


def in_one_line(text: Any, format: str, what: str = "label") -> str:
    """Return the text; ValueError if it has tabs or line breaks, which would split the field."""
    if any(character in str(text) for character in "\t\r\n"):
        raise ValueError(
            f"A table of the format {format} cannot hold the {what} {text!r}, for it has a tab "
            "or a line break: write csv or jsonl"
        )
    return str(text)


def event_of(fields: tuple[Any, ...], where: str) -> Event:
    """Make an event of the values of a row and check it; errors begin with `where`."""
    onset, offset, label, *score = fields
    try:
        times = number(onset), number(offset)
        scores = [number(score[0])] if score and score[0] not in (None, "") else []
    except ValueError as error:
        raise ValueError(
            f"{where}: onset, offset and score must be numbers; {error} in {fields!r}"
        ) from error
    if scores and not 0 <= scores[0] <= 1:
        raise ValueError(
            f"{where}: the score must be between 0 and 1; got {scores[0]:g}. Leave such scores "
            "out by columns={'score': None}, or --score-column \"\" on the command line"
        )
    # A label with spaces around it would count as a different label.
    text = label if isinstance(label, int) else "" if label is None else str(label).strip()
    if text == "":
        raise ValueError(f"{where}: the label is missing")
    return check_event((*times, text, *scores), where)


def event_in(row: Row, where: str) -> Event | None:
    """Check and return the event of a row.

    None if the row has no event, or one that cannot be read but was rejected anyway.
    """
    if row.values is None:
        return None
    try:
        return event_of(row.values, where)
    except (TypeError, ValueError):
        if row.decision == REJECTED:
            return None
        raise


def times_text(onset: float, offset: float, digits: int = 3) -> tuple[str, str]:
    """Return times with so many digits, or with all where an event would lose its length.

    >>> times_text(1.0, 2.5), times_text(1.0001, 1.0004)
    (('1.000', '2.500'), ('1.0001', '1.0004'))
    """
    first, second = f"{onset:.{digits}f}", f"{offset:.{digits}f}"
    return (first, second) if first != second else (repr(float(onset)), repr(float(offset)))


def alike_labels(labels: Iterable[Label]) -> list[str]:
    """Return the labels that another one is like but for case, or for the form of accents."""
    forms: dict[str, set[str]] = {}
    for label in {label for label in labels if isinstance(label, str)}:
        forms.setdefault(unicodedata.normalize("NFC", label).casefold(), set()).add(label)
    return sorted(label for own in forms.values() if len(own) > 1 for label in own)


def order(event: Event) -> tuple[float, float, str, float]:
    """Return a sort key by onset, for which labels may be both text and numbers."""
    return event.onset, event.offset, str(event.label), event.score
