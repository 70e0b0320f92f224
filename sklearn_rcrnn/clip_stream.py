"""Clips that are made when the training asks for them, and anew in every epoch."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ._utils.threads import one_blas_thread
from .events import Label


class ClipStream(ABC):
    """An endless supply of training clips with their events.

    Give it to ``fit`` instead of `X`, without `y`. Each epoch has ``len(stream)`` clips.
    Subclasses say in :meth:`draw` how a clip is made; whatever is random in it must follow
    from the epoch and the index alone, so that a training can be repeated, in any number
    of worker processes. Streams cross to those processes by pickle.

    Attributes
    ----------
    labels : sequence of str or int
        All labels that may occur.
    n_jobs : int or None
        Processes that make clips beside the training; None makes them in between.
    sample_rate : int or None
        Sample rate of the clips in Hz, if they are samples and it is known: features of another
        rate are then refused.
    start_share : float
        A training that starts from another model ends in the mean of its weights and those of
        the start, which count by this share, from 0 to 1. By default it is 0: the weights stay as
        they were trained. More helps where the start has heard sounds that the clips lack. The
        mean is taken after the last epoch: ``history_`` has the losses of the weights before it.

    See Also
    --------
    sklearn_rcrnn.datasets.FreshMixtures : Mixtures of events and backgrounds.

    Examples
    --------
    Noise with a beep somewhere, of one second in four:

    >>> import numpy as np
    >>> from sklearn_rcrnn import ClipStream
    >>> class Beeps(ClipStream):
    ...     labels = ["beep"]
    ...     def __len__(self):
    ...         return 100
    ...     def draw(self, epoch, index):
    ...         rng = np.random.default_rng([epoch, index])
    ...         samples = 0.01 * rng.normal(size=4 * 44100)
    ...         onset = rng.uniform(0, 3)
    ...         start = int(onset * 44100)
    ...         samples[start : start + 44100] += np.sin(np.arange(44100) / 10)
    ...         return samples, [(onset, onset + 1, "beep")]
    >>> samples, events = Beeps().draw(epoch=0, index=0)
    """

    labels: Sequence[Label]
    n_jobs: int | None = None
    sample_rate: int | None = None
    start_share: float = 0.0
    # Of this stream and those that it is made from.
    _n_augmentations = 0

    @abstractmethod
    def __len__(self) -> int:
        """Clips in an epoch."""

    @abstractmethod
    def draw(self, epoch: int, index: int) -> tuple[Any, list[tuple[float, float, Label]]]:
        """Make a clip.

        Parameters
        ----------
        epoch : int
            From 1; 0 is drawn to measure the features.
        index : int
            From 0 to ``len(self) - 1``.

        Returns
        -------
        clip : what the next step expects
            For example samples, a 1-D array.
        events : list of (onset, offset, label)
            In seconds.
        """

    def _identity(self) -> str:
        """What tells this stream, for checkpoints, from others with the same first clips."""
        return ""

    def map(self, function: Callable[[Any], Any]) -> ClipStream:
        """A stream of ``function(clip)`` with the same events.

        Parameters
        ----------
        function : callable
            Must be picklable.

        Returns
        -------
        ClipStream
        """
        return _Mapped(self, function)

    def augment(self, function: Callable[[Any], Any]) -> ClipStream:
        """A stream of clips that a function changes by chance, with the same events.

        While the function runs, the generators of :mod:`random` and :mod:`numpy.random` are
        seeded by the epoch and the index of the clip, so that a training can be repeated
        in any number of worker processes. Afterwards they are as they were. Several
        augmentations of a stream draw different numbers.

        Parameters
        ----------
        function : callable
            Maps a clip to a clip; events must stay where they are. Must be picklable. A
            transform of audiomentations fits after its sample rate is fixed:
            ``partial(transform, sample_rate=44100)``.

        Returns
        -------
        ClipStream

        Examples
        --------
        >>> import numpy as np
        >>> def louder_or_softer(samples):
        ...     return samples * 10 ** (np.random.uniform(-6, 6) / 20)
        >>> stream = Beeps().augment(louder_or_softer)  # doctest: +SKIP
        """
        return _Augmented(self, function)


class _Mapped(ClipStream):
    def __init__(self, stream: ClipStream, function: Callable[[Any], Any]):
        self.stream = stream
        self.function = function
        self.labels = stream.labels
        self.n_jobs = stream.n_jobs
        self.start_share = stream.start_share
        self._n_augmentations = stream._n_augmentations

    def __len__(self) -> int:
        return len(self.stream)

    def _identity(self) -> str:
        return self.stream._identity()

    def draw(self, epoch: int, index: int) -> tuple[Any, list[tuple[float, float, Label]]]:
        # One thread only, as the other cores are needed for the training.
        with one_blas_thread():
            clip, events = self.stream.draw(epoch, index)
            return self.function(clip), events


class _Augmented(_Mapped):
    def __init__(self, stream: ClipStream, function: Callable[[Any], Any]):
        super().__init__(stream, function)
        self.sample_rate = stream.sample_rate
        self._n_augmentations += 1

    def draw(self, epoch: int, index: int) -> tuple[Any, list[tuple[float, float, Label]]]:
        clip, events = self.stream.draw(epoch, index)
        with _seeded(epoch, index, self.stream._n_augmentations):
            return self.function(clip), events


@contextmanager
def _seeded(*place: int) -> Iterator[None]:
    """Seed the generators of Python and NumPy inside the block, and restore them after it.

    Libraries of augmentations draw from them.
    """
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    seed = np.random.SeedSequence(place).generate_state(1)[0]
    random.seed(int(seed))
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
