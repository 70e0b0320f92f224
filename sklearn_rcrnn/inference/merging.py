"""Merging of the events that were found in overlapping windows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..events import Event
from .windows import Earliest

# The IoU is 0 if the union of two intervals is not longer than this, as in `nn.intervals`.
_TINY = 1e-8


def merge(events: Sequence[Event], nms_threshold: float) -> list[Event]:
    """Suppress, within each label, events that several windows found; the rest by onset.

    Time and memory grow with the number of pairs of events that overlap, and so in
    proportion to the length of the recording.

    Parameters
    ----------
    events : sequence of Event
    nms_threshold : float
        IoU above which the weaker of two events of a label is dropped. Of two equally strong
        ones it is the later in `events`.
    """
    first, second = _rivals(events, nms_threshold)
    rank = np.empty(len(events), np.int64)
    rank[np.argsort([-event.score for event in events], kind="stable")] = np.arange(len(events))
    first_wins = rank[first] < rank[second]
    stronger, weaker = np.where(first_wins, [first, second], [second, first])
    # The greedy rule is applied to all events at once until nothing changes. Each pass settles at
    # least one more event of a chain; a handful of passes is usual.
    kept = np.ones(len(events), bool)
    while True:
        updated = np.ones(len(events), bool)
        updated[weaker[kept[stronger]]] = False
        if np.array_equal(updated, kept):
            return sorted(events[i] for i in np.flatnonzero(kept).tolist())
        kept = updated


def _rivals(
    events: Sequence[Event], nms_threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the pairs of events with the same label whose IoU exceeds the threshold."""
    pairs = [np.empty((2, 0), np.int64)]
    places: dict[object, list[int]] = {}
    for place, event in enumerate(events):
        places.setdefault(event.label, []).append(place)
    for own in places.values():
        times = np.array([events[i][:2] for i in own], np.float64)
        order = np.argsort(times[:, 0], kind="stable")
        onset, offset = times[order].T
        # In the order of onsets, each event is compared with the next, the one after that, and so
        # on. If it ends before one of them begins, it cannot overlap any later one.
        active = np.arange(len(order))
        step = 0
        while len(active):
            step += 1
            active = active[active + step < len(order)]
            active = active[onset[active + step] < offset[active]]
            other = active + step
            common = np.minimum(offset[active], offset[other]) - onset[other]
            lengths = (offset[active] - onset[active]) + (offset[other] - onset[other])
            close = common / np.maximum(lengths - common, _TINY) > nms_threshold
            pairs.append(np.asarray(own)[order[[active[close], other[close]]]])
    first, second = np.concatenate(pairs, axis=1)
    return first, second


class UnsettledEvents:
    """Events of a stream that later ones may still suppress.

    Parameters
    ----------
    nms_threshold : float
        IoU above which the weaker of two events of a label is dropped.
    """

    def __init__(self, nms_threshold: float):
        self.nms_threshold = nms_threshold
        self.events: list[Event] = []
        self.given: set[Event] = set()

    def add(self, events: Sequence[Event]) -> None:
        """Add the events of a window."""
        self.events += events

    def settle(self, earliest: Earliest) -> list[Event]:
        """Give events that no later one can suppress any more, each only once, by onset."""
        certain = self._certain(earliest)
        kept = [e for e in merge(self.events, self.nms_threshold) if e in certain]
        chosen = [event for event in kept if event not in self.given]
        waiting = [event for event in self.events if event not in certain]
        # Events that were returned already still suppress waiting and later ones; those that they
        # suppressed are gone.
        first = min([earliest.onset, *(event.onset for event in waiting)])
        self.given = {event for event in kept if event.offset > first}
        self.events = [*waiting, *self.given]
        return chosen

    def next_onset(self, earliest: Earliest) -> float:
        """A time in seconds: no event that is given later begins before it."""
        given = self.given
        return min([earliest.onset, *(e.onset for e in self.events if e not in given)])

    def _certain(self, earliest: Earliest) -> set[Event]:
        """Find the events that do not depend, even indirectly, on one that is not settled yet."""
        undecided = np.array([not self._is_settled(e, earliest) for e in self.events], bool)
        first, second = _rivals(self.events, self.nms_threshold)
        scores = np.array([event.score for event in self.events])
        # Events with equal scores depend on each other.
        down, up = scores[second] <= scores[first], scores[first] <= scores[second]
        stronger = np.concatenate([first[down], second[up]])
        weaker = np.concatenate([second[down], first[up]])
        n_before = -1
        while undecided.sum() != n_before:
            n_before = undecided.sum()
            undecided[weaker[undecided[stronger]]] = True
        hanging = {self.events[i] for i in np.flatnonzero(undecided)}
        return set(self.events) - hanging

    def _is_settled(self, event: Event, earliest: Earliest) -> bool:
        """Tell whether no later event can overlap this one by more than the threshold."""
        if event.offset <= earliest.onset:
            return True
        # Of all later events, the one with the earliest possible center and the same onset has the
        # highest IoU: length / (2 (center - onset)).
        length = event.offset - event.onset
        reach = length * max(1.0, 0.5 / self.nms_threshold) if self.nms_threshold else math.inf
        return event.onset + reach <= earliest.center
