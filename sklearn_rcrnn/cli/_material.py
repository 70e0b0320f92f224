"""The clips that ``rcrnn train`` learns from, made anew in each epoch without held-out parts."""

from __future__ import annotations

import math
from typing import Any

from .._utils.files import same_files
from ._clips import Clips

# Smallest number of clips in an epoch, however few recordings there are.
_FEWEST = 256
# Number of mixtures with held-out events of each label, on which thresholds are chosen.
_MIXTURES_A_LABEL = 12


def fresh_clips(clips: Clips, held: Any, *, length: float, seed: int, jobs: int) -> Any:
    """A stream of clips of the recordings; what is held out is never heard in it.

    Parameters
    ----------
    clips : Clips
    held : int array
        Places of the clips that are held out.
    length : float
        Seconds of a clip.
    seed, jobs : int
        With more than one job a process makes clips beside the training.
    """
    from ..datasets import FreshExcerpts

    return FreshExcerpts(
        clips.recordings,
        clips.events,
        unknown=unheard(clips, held),
        n_mixtures=max(len(clips.X) - len(held), _FEWEST),
        mixture_length=length,
        n_jobs=1 if jobs > 1 else None,
        random_state=seed,
    )


def unheard(clips: Clips, held: Any) -> list[list[tuple[float, float]]]:
    """Parts of each recording that nothing is learnt from: held out, or with undecided events.

    Paths that are the same file, as links are, have the same parts.
    """
    places = set(map(int, held))
    parts: dict[int, list[Any]] = {}
    for i in places:
        parts.setdefault(int(clips.groups[i]), []).append((clips.X[i].start, clips.X[i].stop))
    # A recording that is held out as a whole is not used at all, not even clips that were dropped.
    heard = {int(group) for i, group in enumerate(clips.groups) if i not in places}
    parts |= {group: [(0.0, math.inf)] for group in parts if group not in heard}
    return [
        [*parts.get(group, []), *((e.onset, e.offset) for e in own)]
        for group, own in zip(same_files(clips.recordings), clips.undecided, strict=True)
    ]


def held_out_mixtures(
    pipe: Any, clips: Clips, held: Any, length: float, seed: int
) -> tuple[list[Any], list[Any]]:
    """Candidates and events of mixtures that only what is held out is in.

    Two events of a label say little about its threshold; over a dozen surroundings they
    say more.
    """
    from ..datasets import FreshExcerpts
    from ..events import check_event_lists

    X, y = clips.take(held)
    labels = {event.label for own in y for event in own}
    mixtures = FreshExcerpts(
        X,
        y,
        n_mixtures=_MIXTURES_A_LABEL * len(labels),
        mixture_length=length,
        as_recorded=0.0,
        event_counts=(0.4, 0.6),
        augmentation=None,
        random_state=seed,
    )
    drawn = [mixtures.draw(0, i) for i in range(len(mixtures))]
    features = pipe[:-1].transform([samples for samples, _ in drawn])
    return pipe[-1].predict_candidates(features), check_event_lists([e for _, e in drawn])


def go_on(pipe: Any, stream: Any, epochs: int, log: Any, checkpoint: Any) -> Any:
    """The pipeline trained for some epochs more, with its thresholds and what it started from."""
    from sklearn.base import clone
    from sklearn.frozen import FrozenEstimator

    first = pipe[-1]
    again = clone(pipe).set_params(
        detector__pretrainer=FrozenEstimator(first),
        detector__max_epochs=epochs,
        detector__callbacks=[log],
    )
    again.fit(stream, detector__checkpoint=checkpoint)
    if hasattr(first, "thresholds_"):
        again[-1].thresholds_ = first.thresholds_
    # The curves of the model shall show the whole training, not only the final epochs, which have
    # no validation.
    history = again[-1].history_
    for row in history:
        row["epoch"] += len(first.history_)
    history[:0] = first.history_
    return again
