"""Data sets of clips, as skorch takes them, and how they are split."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import skorch.dataset
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, RandomSampler, Sampler

from .._utils.interrupts import interrupts_wait
from ..clip_stream import ClipStream
from ..events import Event, EventLists
from ..nn.processes import n_processes, of_first_process, process_rank
from .inputs import check_drawn_clip


class ClipDataset(skorch.dataset.Dataset):
    """Features of clips with their targets, without a copy of either.

    skorch's callbacks find the clips in `X` and their events in `y`, so that
    ``EpochScoring`` scores the events of the validation clips.

    Parameters
    ----------
    features : sequence of float32 arrays of shape (n_frames_i, n_bands)
    events : sequence of lists of Event
        One list for each clip.
    convert : callable
        ``convert(events)`` gives the target of a clip.
    indices : int array, default=None
        Places of the clips that belong to the set; all of them by default.
    weights : array of shape (n_clips,), default=None
        Weight of each clip in the losses.
    """

    def __init__(
        self,
        features: Sequence[Any],
        events: Sequence[list[Event]],
        convert: Callable[[list[Event]], Any],
        indices: NDArray[np.int64] | None = None,
        weights: NDArray[np.float64] | None = None,
    ):
        self.features = features
        self.events = events
        self.indices = np.arange(len(features)) if indices is None else indices
        self.weights = weights
        self.targets = [convert(events[i]) for i in self.indices]

    @property
    def X(self) -> list[Any]:
        return [self.features[i] for i in self.indices]

    @property
    def y(self) -> NDArray[np.object_]:
        # As an array, because skorch would take lists apart.
        return np.asarray(EventLists(self.events[i] for i in self.indices))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple[Any, Any, float | None]:
        i = self.indices[index]
        weight = None if self.weights is None else self.weights[i]
        return self.features[i], self.targets[index], weight


class StreamDataset(Dataset):
    """The clips that a stream makes in the current epoch.

    Parameters
    ----------
    stream : ClipStream
        A stream of features.
    n_bands : int
        Bands of each clip.
    convert : callable
        ``convert(clip, events)`` checks the events of a clip and gives its target.
    """

    def __init__(self, stream: ClipStream, n_bands: int, convert: Callable[[Any, Any], Any]):
        self.stream = stream
        self.n_bands = n_bands
        self.convert = convert
        # Shared with the processes that make clips, as those of a loader may outlive an epoch.
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()

    @property
    def epoch(self) -> int:
        """The current epoch, from 1."""
        return int(self._epoch)

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.stream)

    def __getitem__(self, index: int) -> tuple[Any, Any, None]:
        drawn, events = self.stream.draw(self.epoch, index)
        where = f"{index} of epoch {self.epoch} of the stream"
        clip = check_drawn_clip(drawn, self.n_bands, where)
        return clip, self.convert(clip, events), None


class Share(Sampler):
    """The clips of an epoch that this process learns from, in random order.

    Every k-th clip of an order that is the same in all k processes: their batches together are
    those of one process with batches k times as large. All processes have equally many, so that
    up to k - 1 clips of an epoch may be left out.

    Parameters
    ----------
    n_clips : int
        Clips in an epoch.
    """

    def __init__(self, n_clips: int):
        self.n_clips = n_clips

    def __len__(self) -> int:
        return self.n_clips // n_processes()

    def __iter__(self) -> Iterator[int]:
        order = of_first_process(list(RandomSampler(range(self.n_clips))))
        yield from order[process_rank() :: n_processes()][: len(self)]


def loader_params(data: Any) -> dict[str, Any]:
    """Parameters of skorch's training loader: the order of clips, and processes of a stream."""
    params: dict[str, Any] = {"iterator_train__shuffle": True}
    if n_processes() > 1:
        params = {"iterator_train__sampler": Share(len(data))}
    if isinstance(data, StreamDataset) and data.stream.n_jobs:
        params["iterator_train"] = UninterruptedLoader
        params["iterator_train__num_workers"] = data.stream.n_jobs
    return params


class UninterruptedLoader(DataLoader):
    """A loader whose worker processes start completely before Ctrl-C is heard.

    PyTorch prints a traceback of what it leaves half made.
    """

    def __iter__(self) -> Any:
        with interrupts_wait():
            return super().__iter__()


def stratified_split(
    strata: Sequence[Any], fraction: float, rng: np.random.RandomState
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split clips into training and validation, each stratum in proportion.

    Parameters
    ----------
    strata : sequence of n_clips sortable values
        The stratum of each clip, for example the label of its first event.
    fraction : float
        Part of the clips for validation, which gets at least one.
    rng : numpy.random.RandomState

    Returns
    -------
    training, validation : int arrays
        Places of the clips, sorted.

    Raises
    ------
    ValueError
        If there is only one clip.
    """
    n = len(strata)
    if n < 2:
        raise ValueError(
            "1 sample (n_samples=1) cannot be split into training and validation clips: give "
            "more clips, a validation set (X_val, y_val), or validation_fraction=None"
        )
    shuffled = rng.permutation(n)
    ordered = sorted(shuffled, key=lambda i: strata[i])
    count = min(max(round(n * fraction), 1), n - 1)
    # Evenly spaced places in a list sorted by stratum hit each stratum in proportion.
    places = ((np.arange(count) + rng.uniform()) * n / count).astype(int)
    chosen = np.zeros(n, bool)
    chosen[np.asarray(ordered)[places]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def with_every_label(
    training: NDArray[np.int64], validation: NDArray[np.int64], clips: Sequence[Sequence[Event]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give validation clips back to the training if it would lack a label without them.

    If none is left, a clip whose labels others have too takes their place.

    Parameters
    ----------
    training, validation : int arrays
        Places of clips, from :func:`stratified_split`.
    clips : sequence of n_clips lists of Event

    Returns
    -------
    training, validation : int arrays

    Warns
    -----
    UserWarning
        If every clip is the only one with one of its labels.
    """
    labels = [{event.label for event in clip} for clip in clips]
    learnt = Counter(label for i in training for label in labels[i])
    own, kept = training.tolist(), []
    for i in validation.tolist():
        if all(learnt[label] for label in labels[i]):
            kept.append(i)
        else:
            own.append(i)
            learnt.update(labels[i])
    if not kept:
        spare = [i for i in own if all(learnt[label] > 1 for label in labels[i])]
        if not spare:
            warnings.warn(
                "Each clip is the only one with one of its labels, so that those of the validation "
                "clips are not learnt: give more clips, X_val and y_val, or "
                "validation_fraction=None",
                UserWarning,
                stacklevel=5,
            )
            return training, validation
        kept = spare[:1]
    return np.array(sorted({*own} - {*kept})), np.array(kept)
