"""The contract between formats of tables and what reads and writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TextIO

from ..events import Event, check_event
from .columns import Given, number

# What a table of corrections says of an event that is none.
REJECTED = "reject"
HEADER = ("file", "onset", "offset", "label", "score")


class Row(NamedTuple):
    """A row of a table.

    Attributes
    ----------
    number : int
        Counted from 1, the header included.
    file : str or None
        The recording that it names; None: that which has the table's name.
    values : tuple of (onset, offset, label) or (onset, offset, label, score), or None
        Times in seconds, as numbers or text; None for a recording without events.
    problem : str or None
        Why it cannot be read; the other attributes then mean nothing.
    decision : str
        What a person decided about the event, as :func:`read_corrections` has it. One that
        was rejected is none: its row has no values.
    """

    number: int
    file: str | None
    values: tuple[Any, ...] | None
    problem: str | None = None
    decision: str = ""


class Format(NamedTuple):
    """A format of tables of events: how to know, read and write it.

    Attributes
    ----------
    name : str
    suffixes : tuple of str
        How its files end; the first is that of files that are written.
    read : callable
        ``read(text, columns)`` gives the :class:`Row` of each row of a table; `columns` are
        those that the caller named, by their meaning, which most formats need not look at.
        Raises ValueError for what is no such table at all.
    write : callable or None
        ``write(file, events)`` writes the events of recordings, a mapping of names to lists
        of :class:`Event`; None: the format can only be read.
    sniff : callable or None
        ``sniff(name, text)`` says whether a file of this name with this text is certainly
        such a table; None: only ever read if asked for by name.
    many : bool
        Whether a table can be about more than one recording.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[str, Given], Iterator[Row]]
    write: Callable[[TextIO, Mapping[str, Sequence[Event]]], None] | None = None
    sniff: Callable[[str, str], bool] | None = None
    many: bool = True

    @property
    def suffix(self) -> str:
        """How files end that are written."""
        return self.suffixes[0]


def lines_of(text: str) -> list[str]:
    """Lines without their ends, of any system; only those ends count."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def in_one_line(text: Any, format: str, what: str = "label") -> str:
    """The text, or ValueError where tabs or line breaks would make other fields of it."""
    if any(character in str(text) for character in "\t\r\n"):
        raise ValueError(
            f"A table of the format {format} cannot hold the {what} {text!r}, for it has a tab "
            "or a line break: write csv or jsonl"
        )
    return str(text)


def event_of(fields: tuple[Any, ...], where: str) -> Event:
    """The event that the values of a row say, checked; errors begin with `where`."""
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
    # Spaces around it would make another label of it.
    text = label if isinstance(label, int) else "" if label is None else str(label).strip()
    if text == "":
        raise ValueError(f"{where}: the label is missing")
    return check_event((*times, text, *scores), where)


def order(event: Event) -> tuple[float, float, str, float]:
    """By onset; labels may be texts and numbers."""
    return event.onset, event.offset, str(event.label), event.score
