"""One list of events out of those that overlapping windows found."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ..events import Event
from ..nn.nms import nms
from .windows import Earliest


def merge(events: Sequence[Event], nms_threshold: float) -> list[Event]:
    """Non-maximum suppression within each label of what several windows found; by onset.

    Parameters
    ----------
    events : sequence of Event
    nms_threshold : float
        IoU above which the weaker of two events of a label is dropped.
    """
    kept: list[Event] = []
    for label in {event.label for event in events}:
        own = sorted((event for event in events if event.label == label), key=lambda e: -e.score)
        times = torch.tensor([[[e.onset, e.offset] for e in own]], dtype=torch.float64)
        scores = torch.tensor([[e.score for e in own]], dtype=torch.float64)
        indices, valid = nms(times, scores, nms_threshold)
        kept += [own[i] for i in indices[valid].tolist()]
    return sorted(kept)


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
        """Take in what a window has found."""
        self.events += events

    def settle(self, earliest: Earliest) -> list[Event]:
        """Events that nothing to come can suppress any more, each once; by onset."""
        certain = self._certain(earliest)
        kept = [e for e in merge(self.events, self.nms_threshold) if e in certain]
        chosen = [event for event in kept if event not in self.given]
        waiting = [event for event in self.events if event not in certain]
        # Events that were given out still suppress those that wait or come; what they
        # suppressed itself is gone.
        first = min([earliest.onset, *(event.onset for event in waiting)])
        self.given = {event for event in kept if event.offset > first}
        self.events = [*waiting, *self.given]
        return chosen

    def next_onset(self, earliest: Earliest) -> float:
        """Seconds before which no event begins that is given out later."""
        given = self.given
        return min([earliest.onset, *(e.onset for e in self.events if e not in given)])

    def _certain(self, earliest: Earliest) -> set[Event]:
        """Events whose fate does not hang on one that is not settled, however indirectly."""
        open_ = [event for event in self.events if not self._is_settled(event, earliest)]
        undecided = set(open_)
        while open_:
            stronger = open_.pop()
            for event in self.events:
                if (
                    event not in undecided
                    and event.label == stronger.label
                    and event.score <= stronger.score
                    and _iou(event, stronger) > self.nms_threshold
                ):
                    undecided.add(event)
                    open_.append(event)
        return set(self.events) - undecided

    def _is_settled(self, event: Event, earliest: Earliest) -> bool:
        """Whether no event to come can overlap this one by more than the threshold."""
        if event.offset <= earliest.onset:
            return True
        # With an event of the earliest center or a later one, the IoU is highest where both
        # begin together: length / (2 (center - onset)).
        length = event.offset - event.onset
        reach = length * max(1.0, 0.5 / self.nms_threshold) if self.nms_threshold else math.inf
        return event.onset + reach <= earliest.center


def _iou(first: Event, second: Event) -> float:
    common = min(first.offset, second.offset) - max(first.onset, second.onset)
    return max(0.0, common) / (max(first.offset, second.offset) - min(first.onset, second.onset))
