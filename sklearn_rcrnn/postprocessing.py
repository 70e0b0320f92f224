"""Rules for events above the threshold: they are joined over gaps, and kept by their length."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import NamedTuple

from .events import Event, Label, misnamed_labels

# Seconds for all labels, or by label. None, and labels that are not named, have no rule.
Seconds = float | Mapping[Label, float] | None


class EventRules(NamedTuple):
    """How events are joined and which are kept.

    Attributes
    ----------
    merge_gap : float, mapping of label to float, or None
        Events of one label that are at most so many seconds apart are one event.
    min_duration, max_duration : float, mapping of label to float, or None
        Shorter or longer events, after they were joined, are dropped.
    """

    merge_gap: Seconds = None
    min_duration: Seconds = None
    max_duration: Seconds = None

    def of(self, label: Label) -> tuple[float, float, float]:
        """Gap, shortest and longest length for a label; a gap of -1: nothing is joined."""
        usual = (-1.0, 0.0, math.inf)
        values = (rule.get(label) if isinstance(rule, Mapping) else rule for rule in self)
        gap, shortest, longest = (
            default if value is None else float(value)
            for value, default in zip(values, usual, strict=True)
        )
        return gap, shortest, longest

    def keeps(self, event: Event) -> bool:
        """Whether an event that was joined is neither too short nor too long."""
        _, shortest, longest = self.of(event.label)
        # A microsecond of tolerance, because lengths are differences of floats.
        return shortest - 1e-6 <= event.offset - event.onset <= longest + 1e-6

    def check(self, labels: Sequence[Label]) -> None:
        """Raise ValueError unless all are seconds that agree, by labels that are known."""
        for name, rule in self._asdict().items():
            by_label = isinstance(rule, Mapping)
            if unknown := misnamed_labels(rule if by_label else (), labels):
                raise ValueError(
                    f"{name} has the label(s) {sorted(map(str, unknown))}; the model knows "
                    f"{list(labels)}"
                )
            for value in rule.values() if by_label else [rule]:
                good = isinstance(value, Real) and not isinstance(value, bool)
                if value is not None and not (good and 0 <= value < math.inf):
                    raise ValueError(f"{name} must be seconds, 0 or more and finite; got {value!r}")
        for label in labels:
            _, shortest, longest = self.of(label)
            if shortest > longest:
                raise ValueError(
                    f"min_duration of {label!r} is {shortest:g} s, and max_duration {longest:g} s: "
                    "no event could be kept"
                )


def apply_rules(clips: Iterable[Iterable[Event]], rules: EventRules) -> list[list[Event]]:
    """Join the events of each clip, and drop those that are too short or too long.

    Parameters
    ----------
    clips : iterable of iterables of Event
        In any order, above the threshold already.
    rules : EventRules

    Returns
    -------
    list of list of Event
        By onset. A joined event has the highest score of its parts.

    Examples
    --------
    >>> clip = [Event(1.0, 1.4, "dog", 0.7), Event(1.6, 2.0, "dog", 0.9), Event(5.0, 5.1, "dog")]
    >>> apply_rules([clip], EventRules(merge_gap=0.5, min_duration=0.5))
    [[Event(onset=1.0, offset=2.0, label='dog', score=0.9)]]
    """
    finished = []
    for clip in clips:
        joiner, done = EventJoiner(rules), []
        for event in sorted(clip):
            joiner.add([event])
            # What no later event can join goes: else each would be compared with all before it.
            done += joiner.take(event.onset - 1e-6)
        finished.append(sorted(done + joiner.take(math.inf)))
    return finished


class EventJoiner:
    """Joins the events of a stream, and gives each out when nothing to come can join it.

    Parameters
    ----------
    rules : EventRules
    """

    def __init__(self, rules: EventRules):
        self.rules = rules
        self.waiting: list[Event] = []

    def add(self, events: Iterable[Event]) -> None:
        """Take in events of one label or several, in any order."""
        for event in events:
            gap = self.rules.of(event.label)[0]
            if gap < 0:
                self.waiting.append(event)
                continue
            near = [other for other in self.waiting if _near(event, other, gap)]
            self.waiting = [other for other in self.waiting if other not in near]
            parts = [event, *near]
            self.waiting.append(
                Event(
                    min(part.onset for part in parts),
                    max(part.offset for part in parts),
                    event.label,
                    max(part.score for part in parts),
                )
            )

    def take(self, earliest: float) -> list[Event]:
        """Events that one which begins at `earliest` or later cannot join; in seconds."""
        gaps = [self.rules.of(event.label)[0] for event in self.waiting]
        done = [
            event
            for event, gap in zip(self.waiting, gaps, strict=True)
            if gap < 0 or event.offset + gap < earliest or earliest == math.inf
        ]
        self.waiting = [event for event in self.waiting if event not in done]
        return sorted(event for event in done if self.rules.keeps(event))


def _near(first: Event, second: Event, gap: float) -> bool:
    between = max(first.onset, second.onset) - min(first.offset, second.offset)
    return first.label == second.label and between <= gap + 1e-9
