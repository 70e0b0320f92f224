"""Pairs of true and found events that belong together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..events import Event, check_true_and_found

# Clips, or parts of clips, with no more events than this are paired as a whole.
_FEW = 256
# Seconds by which events that belong together may be apart because of rounding.
_ROUNDING = 1e-6


class Criteria(NamedTuple):
    """The criteria for a found event to be right, as in :func:`event_based_error_rate`."""

    t_collar: float = 0.5
    evaluate_onset: bool = True
    evaluate_offset: bool = False
    percentage_of_length: float = 0.5

    def check(self) -> None:
        """Raise ValueError for a tolerance that cannot be, or if nothing has to match."""
        if not self.t_collar >= 0:
            raise ValueError(f"t_collar must be 0 or more seconds; got {self.t_collar!r}")
        if not 0 <= self.percentage_of_length <= 1:
            raise ValueError(
                f"percentage_of_length must be between 0 and 1; got {self.percentage_of_length!r}"
            )
        if not (self.evaluate_onset or self.evaluate_offset):
            raise ValueError("evaluate_onset and evaluate_offset cannot both be False")


class Pairs(NamedTuple):
    """Places of the true and found events of a clip that belong together, one to one.

    Attributes
    ----------
    right : list of (int, int)
        Pairs of one label that meet the criteria: the true positives of sed_eval.
    misplaced : list of (int, int)
        Pairs of one label that overlap, but do not meet the criteria.
    confused : list of (int, int)
        Pairs of two labels that overlap or meet the criteria: one sound was taken for another.
    """

    right: list[tuple[int, int]]
    misplaced: list[tuple[int, int]]
    confused: list[tuple[int, int]]


def pair_events(true: Sequence[Event], found: Sequence[Event], criteria: Criteria) -> Pairs:
    """Pair the true and the found events of one clip.

    As many events as possible are right. Of the rest, those that overlap most are paired first,
    with an event of their own label if there is one, and then with one of another label.

    Parameters
    ----------
    true, found : sequence of Event
    criteria : Criteria

    Examples
    --------
    >>> true = [Event(1.0, 3.0, "dog"), Event(5.0, 6.0, "cat")]
    >>> found = [Event(2.0, 3.0, "dog"), Event(5.1, 6.0, "dog")]
    >>> pair_events(true, found, Criteria())
    Pairs(right=[], misplaced=[(0, 0)], confused=[(1, 1)])
    """
    criteria.check()
    pairs = Pairs([], [], [])
    for ours, theirs in parts_apart(true, found, criteria):
        own = _pair([true[i] for i in ours], [found[j] for j in theirs], criteria)
        for all_pairs, some_pairs in zip(pairs, own, strict=True):
            all_pairs += [(ours[i], theirs[j]) for i, j in some_pairs]
    return pairs


def parts_apart(
    true: Sequence[Event], found: Sequence[Event], criteria: Criteria
) -> list[tuple[list[int], list[int]]]:
    """Cut a clip at times over which no true and found event can belong together.

    The time and memory for pairing grow with the square of the number of events; a night may
    have ten thousands of them.

    Returns
    -------
    list of (list of int, list of int)
        Places of the true and the found events of each part, in their order.
    """
    whole = list(range(len(true))), list(range(len(found)))
    if len(true) + len(found) <= _FEW:
        return [whole]
    ours, theirs = (_times(own).reshape(-1, 2) for own in (true, found))
    slack = np.full(len(ours), float(criteria.t_collar))
    if criteria.evaluate_offset:
        slack = np.maximum(slack, criteria.percentage_of_length * (ours[:, 1] - ours[:, 0]))
    first = np.minimum(ours[:, 0] - criteria.t_collar, ours[:, 1] - slack)
    starts = np.concatenate([first, theirs[:, 0]])
    order = np.argsort(starts, kind="stable")
    stops = np.maximum.accumulate(np.concatenate([ours[:, 1] + slack, theirs[:, 1]])[order])
    gaps = 1 + np.flatnonzero(starts[order][1:] > stops[:-1] + _ROUNDING)
    parts, begin = [], 0
    for end in [*gaps.tolist(), len(order)]:
        if end - begin > _FEW or end == len(order):
            own = np.sort(order[begin:end])
            inside = own < len(ours)
            parts.append((own[inside].tolist(), (own[~inside] - len(ours)).tolist()))
            begin = end
    return parts


def _pair(true: Sequence[Event], found: Sequence[Event], criteria: Criteria) -> Pairs:
    if not true or not found:
        return Pairs([], [], [])
    hits, overlaps = _hits(true, found, criteria), _overlaps(true, found)
    names = {label: i for i, label in enumerate({event.label for event in (*true, *found)})}
    first, second = (np.array([names[event.label] for event in own]) for own in (true, found))
    same = first[:, None] == second
    right = _most_pairs(hits & same)
    rest = (hits | (overlaps > 0)) & _unpaired(overlaps.shape, right)
    misplaced = _largest_first(rest & same, overlaps)
    rest &= _unpaired(overlaps.shape, misplaced)
    return Pairs(right, misplaced, _largest_first(rest & ~same, overlaps))


def match_events(y_true: Any, y_pred: Any, *, t_collar: float = 0.5) -> list[list[tuple[int, int]]]:
    """Pair true events with found ones, as the event-based scores do by default.

    The events of a pair have one label, and onsets that differ by no more than the collar. No
    event is in two pairs, and there are as many pairs as possible.

    Parameters
    ----------
    y_true, y_pred : list of n_clips lists of (onset, offset, label)
        In seconds.
    t_collar : float, default=0.5
        Largest difference between the two onsets in seconds.

    Returns
    -------
    list of n_clips lists of (int, int)
        The places of each pair in ``y_true[i]`` and in ``y_pred[i]``.

    Examples
    --------
    >>> from sklearn_rcrnn.metrics import match_events
    >>> match_events([[(1.0, 2.0, "dog"), (5.0, 6.0, "dog")]], [[(5.2, 6.0, "dog")]])
    [[(1, 0)]]
    """
    true, found = check_true_and_found(y_true, y_pred)
    criteria = Criteria(t_collar)
    both = zip(true, found, strict=True)
    return [pair_events(events, predicted, criteria).right for events, predicted in both]


def _hits(true: Sequence[Event], found: Sequence[Event], criteria: Criteria) -> NDArray[np.bool_]:
    """Tell for each true and each found event if they match by sed_eval's rules but for labels."""
    ours, theirs = _times(true), _times(found)
    distances = np.abs(ours[:, None] - theirs)
    hits = np.ones(distances.shape[:2], bool)
    if criteria.evaluate_onset:
        hits &= distances[..., 0] <= criteria.t_collar
    if criteria.evaluate_offset:
        part = criteria.percentage_of_length * (ours[:, 1] - ours[:, 0])
        hits &= distances[..., 1] <= np.maximum(criteria.t_collar, part)[:, None]
    return hits


def _overlaps(true: Sequence[Event], found: Sequence[Event]) -> NDArray[np.float64]:
    """Seconds by which each true and each found event overlap; negative if they are apart."""
    ours, theirs = _times(true), _times(found)
    ends = np.minimum(ours[:, None, 1], theirs[:, 1])
    return ends - np.maximum(ours[:, None, 0], theirs[:, 0])


def _times(events: Sequence[Event]) -> NDArray[np.float64]:
    return np.array([event[:2] for event in events], float)


def _most_pairs(allowed: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Choose as many of the allowed pairs as possible so that no event occurs twice."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    partners = maximum_bipartite_matching(csr_array(allowed), perm_type="column").tolist()
    return [(i, partner) for i, partner in enumerate(partners) if partner >= 0]


def _largest_first(
    allowed: NDArray[np.bool_], overlaps: NDArray[np.float64]
) -> list[tuple[int, int]]:
    candidates = np.argwhere(allowed)
    order = np.argsort(-overlaps[allowed], kind="stable")
    pairs: list[tuple[int, int]] = []
    taken: tuple[set[int], set[int]] = set(), set()
    for i, j in candidates[order].tolist():
        if i not in taken[0] and j not in taken[1]:
            pairs.append((i, j))
            taken[0].add(i)
            taken[1].add(j)
    return pairs


def _unpaired(shape: tuple[int, ...], pairs: list[tuple[int, int]]) -> NDArray[np.bool_]:
    free = np.ones(shape, bool)
    for i, j in pairs:
        free[i] = False
        free[:, j] = False
    return free
