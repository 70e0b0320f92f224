"""Decisions of a person about found events, and what they make of a list of events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
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
    ``event_id`` says which event of which page it is, as ``"page-event"``; it is empty where that
    is not known, as in tables that were written by hand.
    """

    event: Event
    decision: str
    was: Event | None
    event_id: str = ""


class Corrected(NamedTuple):
    """Events of a recording after corrections, and found events that nobody has decided on."""

    events: list[Event]
    undecided: list[Event]


def applied(events: Iterable[Event], corrections: Iterable[Correction]) -> Corrected:
    """Apply corrections to events; see :func:`~sklearn_rcrnn.annotations.apply_corrections`."""
    latest: dict[Any, Correction] = {}
    for correction in corrections:
        key = correction.event_id if _page(correction) else _found(correction)[:3]
        if correction.decision or key not in latest:
            latest.pop(key, None)  # the latest decision also comes last
            latest[key] = correction
    on_page: defaultdict[str, set[Any]] = defaultdict(set)
    for own in latest.values():
        on_page[_page(own)].add(_place(_found(own)))
    known = [_Known(event, "") for event in events]
    for own in latest.values():
        if own.decision:
            for i in sorted(_replaced(own, _others(own, known, on_page)), reverse=True):
                del known[i]
        if own.decision not in ("", REJECTED):
            known.append(_Known(own.event, _page(own)))
    # What was found where a person has moved an event away, or rejected it, is decided on, too.
    decided = [_Known(_found(own), _page(own)) for own in latest.values() if own.decision]
    settled, places = known + decided, {_place(event) for event, _ in decided}
    undecided = [
        own.event
        for own in latest.values()
        if own.decision == ""
        and _place(_found(own)) not in places
        and not any(_same(other, own.event) for other in _others(own, settled, on_page).values())
    ]
    return Corrected(sorted(event for event, _ in known), undecided)


class _Known(NamedTuple):
    """An event, and the page on which a person kept or added it; empty if there is none."""

    event: Event
    page: str


def _page(correction: Correction) -> str:
    return correction.event_id.rpartition("-")[0]


def _found(correction: Correction) -> Event:
    return correction.was or correction.event


def _place(event: Event) -> tuple[Any, int, int]:
    return event.label, round(1000 * event.onset), round(1000 * event.offset)


def _others(
    own: Correction, known: Sequence[_Known], on_page: Mapping[str, set[Any]]
) -> dict[int, Event]:
    """The events around a correction that it may be about, by their place in the list.

    Two events of one page are different ones, however much they overlap: a correction is neither
    about what a person made of another event of its page, nor about an event that is there exactly.
    """
    page, found = _page(own), _found(own)
    # Of ten thousand events of a night, most lie elsewhere.
    first, last = min(found.onset, own.event.onset), max(found.offset, own.event.offset)
    near = [
        (i, event, origin)
        for i, (event, origin) in enumerate(known)
        if event.onset <= last and event.offset >= first
    ]
    theirs = on_page[page] - {_place(found)} if page and near else set()
    return {
        i: event
        for i, event, origin in near
        if not page or (origin != page and _place(event) not in theirs)
    }


def _replaced(own: Correction, others: Mapping[int, Event]) -> set[int]:
    """Which events are dropped for a correction.

    A rejected event takes all with it that are the same. One that was kept replaces the closest
    one to what was found, and to what a person made of it: there may be others that overlap it.
    """
    dropped: set[int] = set()
    for event in {_found(own), own.event} if own.decision != REJECTED else {_found(own)}:
        same = {i: other for i, other in others.items() if _same(event, other)}
        if same and own.decision != REJECTED:
            closest = max(same.values(), key=partial(_iou, event))
            same = {i: other for i, other in same.items() if _place(other) == _place(closest)}
        dropped |= same.keys()
    return dropped


def _same(first: Event, second: Event) -> bool:
    return first.label == second.label and _iou(first, second) >= _SAME_IOU


def _iou(first: Event, second: Event) -> float:
    overlap = min(first.offset, second.offset) - max(first.onset, second.onset)
    union = max(first.offset, second.offset) - min(first.onset, second.onset)
    # What was found is read from a table as it is, and may have no length.
    return overlap / union if union > 0 else float(overlap == union)


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
    corrections = [
        Correction(event, row.decision, _as_found(row, event), row.event_id) for row, event in rows
    ]
    return Listed([], corrections)


def _as_found(row: Row, event: Event) -> Event | None:
    if row.was is None:
        return None
    onset, offset, label = row.was
    return Event(onset, offset, str(label).strip() if isinstance(event.label, str) else label)
