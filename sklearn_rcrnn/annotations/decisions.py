"""Decisions of a person about found events, and what they make of a list of events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..events import Event
from .rows import REJECTED, Row, order

DECISIONS = ("keep", "add", REJECTED, "")
# A correction refers to an event of the table if their intervals have at least this IoU.
_SAME_IOU = 0.5


class Correction(NamedTuple):
    """An event after its correction, and the decision about it.

    ``decision`` is ``"keep"``, ``"add"`` or ``"reject"``, or ``""`` if nothing was decided;
    ``was`` is the event as the detector found it, or None for an event that a person added.
    """

    event: Event
    decision: str
    was: Event | None


class Corrected(NamedTuple):
    """Events of a recording after corrections, and found events that nobody has decided on."""

    events: list[Event]
    undecided: list[Event]


def applied(events: Iterable[Event], corrections: Iterable[Correction]) -> Corrected:
    """Apply corrections to events; see :func:`~sklearn_rcrnn.annotations.apply_corrections`."""
    known = list(events)
    latest: dict[Any, Correction] = {}
    for correction in corrections:
        found = (correction.was or correction.event)[:3]
        if correction.decision or found not in latest:
            latest.pop(found, None)  # the latest decision also comes last
            latest[found] = correction
    for event, decision, was in latest.values():
        if decision:
            # A kept event replaces what was found, and what an earlier decision made of it.
            replaced = [was or event] if decision == REJECTED else [was or event, event]
            known = [other for other in known if not _is_in(replaced, other)]
        if decision not in ("", REJECTED):
            known.append(event)
    rejected = [was or event for event, decision, was in latest.values() if decision == REJECTED]
    undecided = [
        event
        for event, decision, _ in latest.values()
        if decision == "" and not _is_in([*known, *rejected], event)
    ]
    return Corrected(sorted(known), undecided)


def _is_in(events: Sequence[Event], event: Event) -> bool:
    return any(_same(other, event) for other in events)


def _same(first: Event, second: Event) -> bool:
    overlap = min(first.offset, second.offset) - max(first.onset, second.onset)
    union = max(first.offset, second.offset) - min(first.onset, second.onset)
    return first.label == second.label and overlap >= _SAME_IOU * union


class Listed(NamedTuple):
    """What tables list for a recording: ``events``, and ``corrections`` where they have decisions.

    Both are in the order of the rows.
    """

    events: list[Event]
    corrections: list[Correction]

    def n_repeated(self) -> int:
        """How many events are those of earlier rows, in all values."""
        return len(self.events) - len(set(self.events))

    def final(self) -> list[Event]:
        """The events that are not rejected, by onset; the last decision about each counts."""
        if not self.corrections:
            return sorted(self.events, key=order)
        events, undecided = applied(self.events, self.corrections)
        return sorted([*events, *undecided], key=order)


def listed(rows: Sequence[tuple[Row, Event]]) -> Listed:
    """The events of a recording in one table, or its corrections if the table has decisions.

    Parameters
    ----------
    rows : sequence of (Row, Event)
        Rows of the recording, also those that were rejected, with the event of each.
    """
    if not any(row.decision in DECISIONS[:3] for row, _ in rows):
        return Listed([event for _, event in rows], [])
    return Listed(
        [], [Correction(event, row.decision, _as_found(row, event)) for row, event in rows]
    )


def _as_found(row: Row, event: Event) -> Event | None:
    if row.was is None:
        return None
    onset, offset, label = row.was
    return Event(onset, offset, str(label).strip() if isinstance(event.label, str) else label)
