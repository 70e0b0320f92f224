"""Mixtures of events and backgrounds that are made anew in every epoch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from .._utils.shared_parameters import stores_parameters_of
from ..audio import read_audio
from ..clip_stream import ClipStream
from ..events import Label
from ._material import SAMPLE_RATE
from .augmentation import EventAugmentation
from .layout import check_classes, data_folder, read_cv_setup, recording_of
from .mixer import HEADROOM

# Root mean square, about that of 16-bit noise, below which a background counts as silent. The level
# of events is then set relative to this value, as there is no ratio to silence.
_SILENCE = 1e-4
EVENT_AUGMENTATION = EventAugmentation()


class MixtureStream(ClipStream):
    """A stream of mixtures of backgrounds and events, wherever these come from.

    Subclasses provide backgrounds by ``_stretch(rng)`` and events by ``_segment(label, rng)``.
    The parameters are those of :class:`FreshMixtures`.
    """

    labels: list[Any]
    sample_rate = SAMPLE_RATE

    def __init__(
        self,
        *,
        n_mixtures: int,
        mixture_length: float,
        event_counts: Sequence[float],
        ebr: tuple[float, float],
        second_background: float,
        distractors: float,
        blend: float,
        augmentation: EventAugmentation | None,
        n_jobs: int | None,
        random_state: int,
    ):
        counts = np.asarray(event_counts, float)
        if counts.ndim != 1 or not len(counts) or counts.min() < 0 or not counts.sum() > 0:
            raise ValueError(f"event_counts must be probabilities; got {event_counts!r}")
        if n_mixtures < 1 or not mixture_length > 0 or not ebr[0] <= ebr[1]:
            raise ValueError(
                "n_mixtures and mixture_length must be positive and ebr a range; got "
                f"{n_mixtures}, {mixture_length} and {ebr}"
            )
        self.n_mixtures = n_mixtures
        self.mixture_length = mixture_length
        self.event_counts = counts / counts.sum()
        self.ebr = ebr
        self.second_background = second_background
        self.distractors = distractors
        self.blend = blend
        self.augmentation = augmentation
        self.n_jobs = n_jobs
        self.random_state = random_state

    @abstractmethod
    def _stretch(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return a background of the length of a mixture."""

    @abstractmethod
    def _segment(self, label: Any, rng: np.random.Generator) -> NDArray[np.float32]:
        """An event of the label, changed by the augmentation."""

    def _labels_to_add(self) -> list[Any]:
        """The labels that have events to add."""
        return self.labels

    def __len__(self) -> int:
        return self.n_mixtures

    def draw(
        self, epoch: int, index: int
    ) -> tuple[NDArray[np.float32], list[tuple[float, float, Label]]]:
        """Make a mixture.

        Parameters
        ----------
        epoch, index : int
            Numbers that determine the mixture, together with `random_state`.

        Returns
        -------
        samples : float32 array of shape (mixture_length * 44100,)
        events : list of (onset, offset, label)
            In seconds, by onset.
        """
        return self._mixture(np.random.default_rng([self.random_state, epoch, index]))

    def _mixture(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], list[tuple[float, float, Label]]]:
        mixture = self._background(rng)
        if rng.random() < self.distractors:
            piece = self._distractor(rng)
            _add(mixture, piece, int(rng.integers(len(mixture) - len(piece))), self._ratio(rng))
        events: list[tuple[float, float, Label]] = []
        labels = self._labels_to_add()
        for _ in range(rng.choice(len(self.event_counts), p=self.event_counts)):
            label = labels[int(rng.integers(len(labels)))]
            event = self._event(label, rng)
            start = _free_start(events, len(event), len(mixture), rng)
            if start is None:
                continue
            _add(mixture, event, start, self._ratio(rng))
            events.append((start / SAMPLE_RATE, (start + len(event)) / SAMPLE_RATE, label))
        mixture *= np.float32(HEADROOM)
        peak = np.abs(mixture).max()
        return mixture / peak if peak >= 1 else mixture, sorted(events)

    def _background(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return a random stretch of a background, possibly with a weaker one added."""
        mixture = self._stretch(rng).copy()
        if rng.random() < self.second_background:
            other = self._stretch(rng)
            level = 10 ** (rng.uniform(-12, 0) / 20) * _rms(mixture) / max(_rms(other), _SILENCE)
            mixture += np.float32(level) * other
        return mixture

    def _event(self, label: str, rng: np.random.Generator) -> NDArray[np.float32]:
        event = self._segment(label, rng)
        if rng.random() < self.blend:
            other = self._segment(label, rng)[: len(event)]
            event = event.copy()
            start = int(rng.integers(len(event) - len(other) + 1))
            _add(event, other, start, rng.uniform(-12, 0))
        return event[: round(self.mixture_length * SAMPLE_RATE) - 1]

    def _distractor(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return a piece of a background of 0.1 to 3 s, faded in and out."""
        duration = min(0.1 * 30 ** rng.random(), self.mixture_length / 2)
        size = round(duration * SAMPLE_RATE)
        piece = self._changed(self._stretch(rng)[:size], rng)[:size]
        fade = np.minimum(np.arange(1, len(piece) + 1, dtype=np.float32) / (0.01 * SAMPLE_RATE), 1)
        return piece * fade * fade[::-1]

    def _changed(
        self, samples: NDArray[np.float32], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        if self.augmentation is None:
            return samples
        return self.augmentation(samples, SAMPLE_RATE, rng)

    def _ratio(self, rng: np.random.Generator) -> float:
        return float(rng.uniform(*self.ebr))


class FreshMixtures(MixtureStream):
    """Draw new mixtures of the source material in every epoch of a training.

    The challenge's training sets repeat a few thousand mixtures, in which each event has only
    one onset. Here every mixture is new: events have other onsets, backgrounds and ratios, there
    may be several in a clip, and both events and backgrounds are changed.

    Parameters
    ----------
    root : str or PathLike
        Folder with ``source_data``, or of the challenge's development set.
    subset : str, default="devtrain"
        Subset of the source material, as for :func:`generate_mixture_recipes`.
    n_mixtures : int, default=1000
        Number of mixtures in an epoch.
    mixture_length : float, default=30.0
        Length of the mixtures in seconds. Shorter ones train faster and do as well: the network
        takes clips of any length at ``predict``.
    event_counts : sequence of float, default=(0.25, 0.5, 0.25)
        Probabilities of 0, 1, 2, ... events in a mixture. All classes are equally likely, and
        so are all recordings of a class, however many segments they have. Events for which
        there is no room are left out.
    ebr : (float, float), default=(-9.0, 9.0)
        Event-to-background ratio in dB, drawn evenly from this range.
    second_background : float, default=0.3
        Probability that a second background, 0 to 12 dB weaker, is added.
    distractors : float, default=0.3
        Probability that a short piece of another background, changed as events are, is added
        at the level of an event, so that the network learns that not every sound that starts
        and stops is an event.
    blend : float, default=0.2
        Probability that an event is mixed with another one of its class, 0 to 12 dB weaker. A
        few recordings make many different pairs.
    augmentation : EventAugmentation or None, default=EVENT_AUGMENTATION
        Called to change each event; by default an :class:`EventAugmentation` with its default
        parameters. None leaves events as they are.
    classes : sequence of str, default=None
        Classes of the mixtures; by default all of the folder.
    n_jobs : int, default=None
        Number of worker processes that make mixtures beside the training. One keeps up with a
        network on one or two cores.
    random_state : int, default=0
        Seed of all that is drawn.

    Attributes
    ----------
    labels : list of str
        The classes.

    Raises
    ------
    FileNotFoundError
        If the folder has no such subset.
    ValueError
        For invalid parameters, or if an event is longer than a mixture.

    See Also
    --------
    generate_mixture_recipes : Mixtures drawn as the challenge drew them.

    Notes
    -----
    All source material is kept in memory in float32: 5 MiB for 30 s.

    Examples
    --------
    >>> stream = FreshMixtures("../shared/corpus", n_jobs=1)  # doctest: +SKIP
    >>> make_rcrnn_pipeline(max_epochs=100).fit(stream)  # doctest: +SKIP
    """

    labels: list[str]

    @stores_parameters_of(MixtureStream)
    def __init__(
        self,
        root: str | PathLike[str],
        subset: str = "devtrain",
        *,
        n_mixtures: int = 1000,
        mixture_length: float = 30.0,
        event_counts: Sequence[float] = (0.25, 0.5, 0.25),
        ebr: tuple[float, float] = (-9.0, 9.0),
        second_background: float = 0.3,
        distractors: float = 0.3,
        blend: float = 0.2,
        augmentation: EventAugmentation | None = EVENT_AUGMENTATION,
        classes: Sequence[str] | None = None,
        n_jobs: int | None = None,
        random_state: int = 0,
    ):
        self._read(data_folder(root), subset, classes)

    def _read(self, folder: Any, subset: str, classes: Sequence[str] | None) -> None:
        events, backgrounds = read_cv_setup(folder, subset)
        self.labels = sorted(events) if classes is None else list(classes)
        check_classes(self.labels, list(events), folder)
        source = folder / "source_data"
        parallel = Parallel(n_jobs=-1, prefer="threads")
        self._backgrounds = parallel(
            delayed(read_audio)(source / "bgs" / entry["filepath"], SAMPLE_RATE)
            for entry in backgrounds
        )
        self._recordings: dict[Label, list[list[NDArray[np.float32]]]] = {}
        for label in self.labels:
            segments = parallel(
                delayed(_segment)(source / "events" / label / entry["audio_filename"], entry)
                for entry in events[label]
            )
            groups: dict[str, list[NDArray[np.float32]]] = {}
            for entry, segment in zip(events[label], segments, strict=True):
                groups.setdefault(recording_of(entry), []).append(segment)
            self._recordings[label] = list(groups.values())
        recordings = (own for groups in self._recordings.values() for own in groups)
        longest = max(len(segment) for own in recordings for segment in own) / SAMPLE_RATE
        if longest >= self.mixture_length:
            raise ValueError(
                f"The longest event lasts {longest:.2f} s and does not fit into mixtures of "
                f"{self.mixture_length:g} s"
            )

    def _stretch(self, rng: np.random.Generator) -> NDArray[np.float32]:
        samples = self._backgrounds[int(rng.integers(len(self._backgrounds)))]
        size = round(self.mixture_length * SAMPLE_RATE)
        if len(samples) <= size:
            return np.resize(np.roll(samples, rng.integers(len(samples))), size)
        start = rng.integers(len(samples) - size + 1)
        return samples[start : start + size]

    def _segment(self, label: str, rng: np.random.Generator) -> NDArray[np.float32]:
        """A segment of a recording of the class, changed by the augmentation."""
        recordings = self._recordings[label]
        own = recordings[int(rng.integers(len(recordings)))]
        return self._changed(own[int(rng.integers(len(own)))], rng)


def _segment(path: Any, entry: dict[str, Any]) -> NDArray[np.float32]:
    start, end = (int(time * SAMPLE_RATE) for time in entry["segment"])
    event = read_audio(path, SAMPLE_RATE)[start:end].astype(np.float32)
    if not _rms(event) > 0:
        raise ValueError(
            f"{path} is silent from {entry['segment'][0]} s to {entry['segment'][1]} s"
        )
    return event


def _add(
    mixture: NDArray[np.float32],
    sound: NDArray[np.float32],
    start: int,
    ratio: float,
) -> None:
    """Add a sound to the mixture in place, `ratio` dB above the level of what is there."""
    place = slice(start, start + len(sound))
    under = _rms(mixture[place])
    gain = 10 ** (ratio / 20) * max(under, _SILENCE) / max(_rms(sound), _SILENCE)
    mixture[place] += np.float32(gain) * sound


def _free_start(
    events: Sequence[tuple[float, float, Label]],
    length: int,
    available: int,
    rng: np.random.Generator,
) -> int | None:
    """Draw a place where an event overlaps no other; None if ten draws find none."""
    for _ in range(10):
        start = int(rng.integers(available - length + 1))
        onset, offset = start / SAMPLE_RATE, (start + length) / SAMPLE_RATE
        if all(offset < other[0] or onset > other[1] for other in events):
            return start
    return None


def _rms(samples: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.dot(samples, samples) / max(len(samples), 1)))
