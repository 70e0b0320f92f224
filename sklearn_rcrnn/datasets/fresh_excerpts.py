"""New clips in every epoch from a few annotated recordings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils.shared_parameters import stores_parameters_of
from ..audio import audio_duration, check_clips, load_clip, read_audio
from ..events import Event, Label, check_event_lists, labels_of
from ._material import SAMPLE_RATE
from .augmentation import EventAugmentation
from .denoising import without_surroundings
from .excerpts import events_between
from .fresh import EVENT_AUGMENTATION, MixtureStream
from .surroundings import made_surroundings

# Recordings of up to this many seconds in total, half a gigabyte, are kept in memory.
_KEPT_SECONDS = 3000.0
# Seconds next to an event that may still contain some of its sound.
_GUARD = 0.3
# Stretches between events are not used if they are shorter than this, in seconds.
_SHORTEST_STRETCH = 1.0
_FADE = 0.005
# The background noise of an event is measured up to so many seconds before and after it, without
# the first hundredths, which may still contain some of its sound.
_NEAR = 0.6
_EDGE = 0.05
# Where recordings hold hardly anything but events: the part of backgrounds that is made up, and the
# share of a start in the final weights.
_MOSTLY_MADE = 0.8
_START_SHARE = 0.5


class FreshExcerpts(MixtureStream):
    """Draw new clips from recordings and their events in every epoch of a training.

    A network soon learns a dozen examples of a sound by heart. Here no clip comes twice. Some
    clips are excerpts of the recordings as they are, each from another place. For the others,
    events are cut out, changed, and added to other stretches of the recordings, as
    :class:`FreshMixtures` does with isolated events. Events during which one of another label
    is heard are not cut out, and occur in excerpts only.

    If the recordings hold hardly anything but events, their background is made up: noise of many
    colors or silence, with passing sounds. As it is no recording of a real place, a training from
    a start then ends in the mean of its weights and those of the start, which has heard some.

    Parameters
    ----------
    X : sequence of paths or 1-D arrays
        Recordings of any length; arrays at 44.1 kHz.
    y : list of n_recordings lists of (onset, offset, label)
    unknown : list of n_recordings lists of (start, stop), default=None
        Parts of each recording, in seconds, whose content is not known or that are held out.
        Neither these parts nor events that reach into them are used, unless such an event is
        heard during another one: it is then labelled in excerpts, up to the part.
    n_mixtures : int, default=256
        Number of clips in an epoch.
    mixture_length : float, default=10.0
        Length of a clip in seconds.
    as_recorded : float, default=0.4
        Part of the clips that are excerpts as they are.
    synthetic : float, default=0.15
        Part of the other clips whose background is synthesized instead of recorded.
    cleaned : float, default=0.5
        Part of the added events from which the background noise of their own recording is
        removed. Otherwise the network could recognize a soft event by the noise that starts
        and ends with it.
    event_counts : sequence of float, default=(0.2, 0.3, 0.3, 0.2)
        Probabilities of 0, 1, 2, ... events in a clip that is mixed.
    ebr : (float, float), default=(-6.0, 12.0)
        Range of the event-to-background ratio in dB, for events that are added to a stretch.
    second_background, distractors, blend, augmentation
        Further changes of the clips, as for :class:`FreshMixtures`.
    n_jobs : int, default=None
        Number of worker processes that make clips beside the training.
    random_state : int, default=0
        Seed of all that is drawn.

    Attributes
    ----------
    labels : list of str or int
    start_share : float
        0.5 if all stretches between events together are shorter than a clip, else 0; see
        :class:`ClipStream`.

    Raises
    ------
    ValueError
        If no recording has an event, or if an event ends after its recording.

    See Also
    --------
    FreshMixtures : From isolated events and backgrounds.
    cut_recordings : Recordings cut once, for estimators that take clips.

    Notes
    -----
    Up to 50 minutes of recordings are kept in memory; of longer material, each excerpt is read
    when it is needed.

    Examples
    --------
    >>> stream = FreshExcerpts(paths, y)  # doctest: +SKIP
    >>> make_rcrnn_pipeline(start="general").fit(stream)  # doctest: +SKIP
    """

    @stores_parameters_of(MixtureStream)
    def __init__(
        self,
        X: Any,
        y: Any,
        *,
        unknown: Sequence[Sequence[tuple[float, float]]] | None = None,
        n_mixtures: int = 256,
        mixture_length: float = 10.0,
        as_recorded: float = 0.4,
        synthetic: float = 0.15,
        cleaned: float = 0.5,
        event_counts: Sequence[float] = (0.2, 0.3, 0.3, 0.2),
        ebr: tuple[float, float] = (-6.0, 12.0),
        second_background: float = 0.2,
        distractors: float = 0.3,
        blend: float = 0.1,
        augmentation: EventAugmentation | None = EVENT_AUGMENTATION,
        n_jobs: int | None = None,
        random_state: int = 0,
    ):
        self.as_recorded = as_recorded
        self.synthetic = synthetic
        self.cleaned = cleaned
        clips = check_clips(X)
        self._durations = [_duration(clip) for clip in clips]
        events = check_event_lists(y, n_clips=len(clips), durations=self._durations)
        self._unknown = [[] for _ in clips] if unknown is None else [list(u) for u in unknown]
        self._heard, self._events = events, learnable(events, self._unknown)
        for heard, own, parts in zip(events, self._events, self._unknown, strict=True):
            usable = set(own)
            # What other events have outside of these parts is no background either.
            parts += [(event.onset, event.offset) for event in heard if event not in usable]
        self.labels = labels_of(self._events)
        if not self.labels:
            raise ValueError("y has no event in any recording: there is nothing to learn")
        kept = sum(self._durations) <= _KEPT_SECONDS
        self._sources: list[Any] = [
            load_clip(clip, SAMPLE_RATE, f"X[{i}]")
            if kept or isinstance(clip, np.ndarray)
            else clip
            for i, clip in enumerate(clips)
        ]
        self._places: dict[Label, list[tuple[int, Event]]] = {label: [] for label in self.labels}
        # The events that can be cut out: what else is heard during the others would have no label.
        self._alone: dict[Label, list[tuple[int, Event]]] = {}
        for i, own in enumerate(self._events):
            are_alone = _are_alone(own, self._heard[i], mixture_length / 2)
            for event, alone in zip(own, are_alone, strict=True):
                self._places[event.label].append((i, event))
                if alone:
                    self._alone.setdefault(event.label, []).append((i, event))
        self._stretches = [
            (i, start, stop)
            for i, own in enumerate(self._events)
            for start, stop in _between([*own, *self._unknown[i]], self._durations[i])
        ]
        seconds = sum(stop - start for _, start, stop in self._stretches)
        self.start_share = _START_SHARE if seconds < mixture_length else 0.0

    def draw(
        self, epoch: int, index: int
    ) -> tuple[NDArray[np.float32], list[tuple[float, float, Label]]]:
        """Make a clip.

        Parameters
        ----------
        epoch, index : int
            Numbers that determine the clip, together with `random_state`.

        Returns
        -------
        samples : float32 array of shape (n_samples,)
            At 44.1 kHz, of `mixture_length`; an excerpt is shorter where its recording, or what
            is known of it around the event, is.
        events : list of (onset, offset, label)
            In seconds, by onset.
        """
        rng = np.random.default_rng([self.random_state, epoch, index])
        if rng.random() < self.as_recorded or not self._alone:
            return self._excerpt(rng)
        return self._mixture(rng)

    def _excerpt(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], list[tuple[float, float, Label]]]:
        """Draw an excerpt of a recording around one of its events, each label equally often."""
        label = self.labels[int(rng.integers(len(self.labels)))]
        places = self._places[label]
        i, event = places[int(rng.integers(len(places)))]
        length = self.mixture_length
        first, last = self._known_around(i, event)
        # The excerpt contains the onset, and the whole event if it is long enough.
        room = max(length - (event.offset - event.onset), 0.2 * length)
        start = event.onset - rng.uniform(0, room)
        start = min(max(start, first), max(last - length, first))
        stop = min(start + length, last)
        # An event that reaches into an unknown part is labelled up to there.
        inside = sorted(other[:3] for other in events_between(self._heard[i], start, stop))
        return self._samples(i, start, stop).copy(), inside

    def _known_around(self, i: int, event: Event) -> tuple[float, float]:
        """The part of a recording around an event that contains no undecided event."""
        before = [stop for _, stop in self._unknown[i] if stop <= event.onset]
        behind = [start for start, _ in self._unknown[i] if start >= event.offset]
        return max(before, default=0.0), min(behind, default=self._durations[i])

    def _near(self, i: int, event: Event) -> list[NDArray[np.float32]]:
        """The sound right before and right after an event, as far as there is no other event."""
        first, last = self._known_around(i, event)
        others = [other for other in self._heard[i] if other != event]
        first = max(
            [first, event.onset - _NEAR, *(o.offset for o in others if o.onset < event.onset)]
        )
        last = min(
            [last, event.offset + _NEAR, *(o.onset for o in others if o.onset >= event.onset)]
        )
        parts = [(first, event.onset - _EDGE), (event.offset + _EDGE, last)]
        # What is shorter tells nothing, and may be less than a sample of the recording.
        return [self._samples(i, start, stop) for start, stop in parts if stop - start > _EDGE]

    def _samples(self, i: int, start: float, stop: float) -> NDArray[np.float32]:
        source = self._sources[i]
        if isinstance(source, (str, os.PathLike)):
            return read_audio(source, SAMPLE_RATE, start=start, stop=stop).astype(np.float32)
        samples = load_clip(source, SAMPLE_RATE, f"X[{i}]")
        return samples[round(start * SAMPLE_RATE) : round(stop * SAMPLE_RATE)]

    def _stretch(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw a background: a stretch of a recording between its events, or a synthesized one."""
        size = round(self.mixture_length * SAMPLE_RATE)
        scarce = self.start_share > 0
        made = max(self.synthetic, _MOSTLY_MADE) if scarce else self.synthetic
        if not self._stretches or rng.random() < made:
            return made_surroundings(size, rng, lively=scarce)
        lengths = np.array([stop - start for _, start, stop in self._stretches])
        # Long stretches are drawn more often, but not so often that a whole night displaces all
        # others.
        weights = np.minimum(lengths, 10 * self.mixture_length)
        i, start, stop = self._stretches[int(rng.choice(len(weights), p=weights / weights.sum()))]
        begin = rng.uniform(start, max(start, stop - self.mixture_length))
        samples = self._samples(i, begin, min(begin + self.mixture_length, stop))
        return _filled(samples, size)

    def _identity(self) -> str:
        # The first clips have only some of the events, but a corrected one is another training.
        return repr((self._heard, self._unknown, self._durations))

    def _labels_to_add(self) -> list[Any]:
        return [label for label in self.labels if label in self._alone]

    def _segment(self, label: Label, rng: np.random.Generator) -> NDArray[np.float32]:
        """Cut an event out of its recording, and change it by the augmentation."""
        places = self._alone[label]
        i, event = places[int(rng.integers(len(places)))]
        offset = min(event.offset, event.onset + self.mixture_length / 2)
        piece = self._samples(i, event.onset, offset)
        if rng.random() < self.cleaned:
            piece = without_surroundings(piece, self._near(i, event))
        n_fade = min(round(_FADE * SAMPLE_RATE), len(piece) // 2)
        ramp = np.linspace(0, 1, n_fade, dtype=np.float32)
        piece = piece.copy()
        piece[:n_fade] *= ramp
        piece[len(piece) - n_fade :] *= ramp[::-1]
        return self._changed(piece, rng)


def _filled(samples: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return `size` samples; a shorter stretch is repeated, alternately backward and forward."""
    if len(samples) >= size:
        return samples[:size]
    return np.resize(np.concatenate([samples, samples[::-1]]), size)


def _duration(clip: Any) -> float:
    if isinstance(clip, (str, os.PathLike)):
        return audio_duration(clip)
    return len(np.asarray(clip)) / getattr(clip, "sample_rate", SAMPLE_RATE)


def learnable(
    events: Sequence[Sequence[Event]], unknown: Sequence[Sequence[tuple[float, float]]]
) -> list[list[Event]]:
    """The events of each recording that a training can learn from.

    Such an event reaches into no unknown part, and every event that overlaps it has a label that
    can be learnt, too. Otherwise a part of its sound would have no label.
    """
    kept = [_outside(own, parts) for own, parts in zip(events, unknown, strict=True)]
    while True:
        labels = set(labels_of(kept))
        nameless = [[event[:2] for event in own if event.label not in labels] for own in events]
        fewer = [_outside(own, parts) for own, parts in zip(kept, nameless, strict=True)]
        if fewer == kept:
            return kept
        kept = fewer


def _are_alone(events: Sequence[Event], heard: Sequence[Event], longest: float) -> list[bool]:
    """Tell for each event, or its beginning, if no event of another label is heard meanwhile."""
    onsets, offsets = np.array([event[:2] for event in heard]).reshape(-1, 2).T
    alone = []
    for event in events:
        stop = min(event.offset, event.onset + longest)
        near = np.flatnonzero((onsets < stop) & (offsets > event.onset)).tolist()
        meanwhile = events_between([heard[i] for i in near], event.onset, stop)
        alone.append(all(other.label == event.label for other in meanwhile))
    return alone


def _outside(events: Sequence[Event], parts: Sequence[tuple[float, float]]) -> list[Event]:
    """The events that reach into none of the parts."""
    return [
        event
        for event in events
        if not any(start < event.offset and stop > event.onset for start, stop in parts)
    ]


def _between(parts: Sequence[Sequence[Any]], duration: float) -> list[tuple[float, float]]:
    """The stretches between events and undecided parts, at a little distance from both."""
    stretches, start = [], 0.0
    for onset, offset in [*sorted((p[0], p[1]) for p in parts), (duration + _GUARD, duration + 1)]:
        if onset - _GUARD - start >= _SHORTEST_STRETCH:
            stretches.append((start, onset - _GUARD))
        start = max(start, offset + _GUARD)
    return stretches
