"""Folds of clips with the labels spread evenly and the clips of a recording kept together."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils.text import some
from ..events import Event, labels_of


def stratified_folds(
    clips: Sequence[Sequence[Event]], n_folds: int, groups: Sequence[Any] | None = None
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Split clips so that each label is spread evenly over all folds, in whatever order they are.

    Parameters
    ----------
    clips : list of n_clips lists of Event
    n_folds : int
    groups : sequence of n_clips values, default=None
        The group of each clip; a group is never divided. None: each clip is a group of its own.

    Returns
    -------
    list of n_folds (train, test)
        int64 arrays of places in `clips`, sorted.

    Raises
    ------
    ValueError
        If there are fewer groups than folds, or if `groups` has not one value for each clip.

    Notes
    -----
    Groups with the rarest label are distributed first, those with the most clips of it before
    the others, each to the fold that has the fewest clips of this label so far (iterative
    stratification; Sechidis et al., 2011).

    Examples
    --------
    >>> clips = [[Event(0, 1, "a")], [Event(0, 1, "a")], [Event(0, 1, "b")], [Event(0, 1, "b")]]
    >>> [test.tolist() for _, test in stratified_folds(clips, 2)]
    [[0, 2], [1, 3]]
    """
    names = np.arange(len(clips)) if groups is None else np.asarray(groups)
    if names.shape != (len(clips),):
        what = f"{len(names)} values" if names.ndim == 1 else f"the shape {names.shape}"
        raise ValueError(f"groups has {what} for {len(clips)} clips")
    own, group_of = np.unique(names, return_inverse=True)
    if len(own) < n_folds:
        what = "clips" if groups is None else "groups of clips"
        raise ValueError(f"{len(own)} {what} cannot make cv={n_folds} folds")
    labels = labels_of(clips)
    counts = np.zeros((len(own), len(labels) + 1), int)  # of clips with a label, and of clips
    for group, clip in zip(group_of, clips, strict=True):
        for label in {event.label for event in clip}:
            counts[group, labels.index(label)] += 1
        counts[group, -1] += 1
    fold_of = np.full(len(own), -1)
    filled = np.zeros((n_folds, counts.shape[1]), int)
    rarest_first = [*np.argsort(counts[:, :-1].sum(0), kind="stable").tolist(), -1]
    for column in rarest_first:
        for group in np.argsort(-counts[:, column], kind="stable"):
            if fold_of[group] < 0 and counts[group, column]:
                fold = np.lexsort((filled[:, -1], filled[:, column]))[0]
                fold_of[group] = fold
                filled[fold] += counts[group]
    tested = fold_of[group_of]
    return [(np.flatnonzero(tested != k), np.flatnonzero(tested == k)) for k in range(n_folds)]


def warn_of_missing_labels(clips: Sequence[Sequence[Event]], parts: Sequence[Any]) -> None:
    """Warn of labels that a fold has for testing but not for training, or the reverse."""
    for k, (train, test) in enumerate(parts):
        learnt, tested = (set(labels_of(clips[i] for i in own)) for own in (train, test))
        if unknown := sorted(tested - learnt):
            warnings.warn(
                f"Fold {k} has no event of {some(unknown)} to train on, only to test on: what is "
                "chosen for it says little. Give more recordings with it, or fewer folds",
                UserWarning,
                stacklevel=4,
            )
        if absent := sorted(learnt - tested):
            warnings.warn(
                f"Fold {k} has no event of {some(absent)} to test on",
                UserWarning,
                stacklevel=4,
            )
