"""Data sets of clips, and how clips of unequal length become a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ..clip_stream import ClipStream
from ..nn.losses import Targets


class ClipDataset(Dataset):
    """Features of clips with what belongs to each, without a copy of either.

    Parameters
    ----------
    features : sequence of float32 arrays of shape (n_frames_i, n_bands)
    targets : sequence
        Of the same length.
    indices : int array, default=None
        The clips that belong to the set; all of them by default.
    """

    def __init__(self, features: Sequence[Any], targets: Sequence[Any], indices: Any = None):
        self.features = features
        self.targets = targets
        self.indices = np.arange(len(features)) if indices is None else indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        i = self.indices[index]
        return self.features[i], self.targets[i]


class StreamDataset(Dataset):
    """The clips that a stream makes in the epoch at hand.

    Parameters
    ----------
    stream : ClipStream
        Of features.
    convert : callable
        ``convert(clip, events)`` checks the events of a clip and gives its target.
    """

    def __init__(self, stream: ClipStream, convert: Callable[[Any, Any], Any]):
        self.stream = stream
        self.convert = convert
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.stream)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        clip, events = self.stream.draw(self.epoch, index)
        return clip, self.convert(clip, events)


def loader_params(data: Any) -> dict[str, Any]:
    """skorch parameters of the training's loader: the worker processes of a stream."""
    n_jobs = data.stream.n_jobs if isinstance(data, StreamDataset) else None
    return {"iterator_train__num_workers": n_jobs} if n_jobs else {}


def collate_features(clips: Sequence[NDArray[np.float32]]) -> dict[str, Tensor]:
    """Stack clips, padded with zeros at the end; ``lengths`` only where they differ."""
    lengths = [len(clip) for clip in clips]
    if len(set(lengths)) == 1:
        return {"features": torch.from_numpy(np.stack(clips))}
    padded = np.zeros((len(clips), max(lengths), clips[0].shape[1]), np.float32)
    for row, clip in zip(padded, clips, strict=True):
        row[: len(clip)] = clip
    return {"features": torch.from_numpy(padded), "lengths": torch.tensor(lengths)}


def collate_presence(batch: Sequence[tuple[Any, Any]]) -> tuple[dict[str, Tensor], Tensor]:
    """Batch for the pre-trainer: features and a row of 0 and 1 for each clip."""
    clips, presence = zip(*batch, strict=True)
    return collate_features(clips), torch.from_numpy(np.stack(presence))


def collate_detection(batch: Sequence[tuple[Any, Any]]) -> tuple[dict[str, Any], Tensor]:
    """Batch for a detector: features and :class:`Targets`, padded to the most of a clip.

    The network needs the targets to sample anchors and RoIs, so they travel with the
    features. The second part is what skorch expects as target, the number of events.
    """
    clips, events = zip(*batch, strict=True)
    counts = torch.tensor([len(labels) for _, labels in events])
    most = max(int(counts.max()), 1)
    intervals = np.zeros((len(batch), most, 2), np.float32)
    classes = np.zeros((len(batch), most), np.int64)
    for row, (clip_intervals, labels) in enumerate(events):
        intervals[row, : len(labels)] = clip_intervals
        classes[row, : len(labels)] = labels
    mask = torch.arange(most) < counts[:, None]
    targets = Targets(torch.from_numpy(intervals), torch.from_numpy(classes), mask)
    return {**collate_features(clips), "targets": targets}, counts


def split_clips(
    groups: Sequence[Any], fraction: float, rng: np.random.RandomState
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices for training and validation, with each group in both in proportion.

    Parameters
    ----------
    groups : sequence of n_clips sortable values
        For example the first label of each clip.
    fraction : float
        Part for validation; at least one clip.
    rng : numpy.random.RandomState
    """
    n = len(groups)
    if n < 2:
        raise ValueError(
            "1 sample (n_samples=1) cannot be split into training and validation clips: give "
            "more clips, a validation set (X_val, y_val), or validation_fraction=None"
        )
    shuffled = rng.permutation(n)
    by_group = sorted(shuffled, key=lambda i: groups[i])
    count = min(max(round(n * fraction), 1), n - 1)
    # Evenly spaced places in a list sorted by group meet each group in proportion.
    places = ((np.arange(count) + rng.uniform()) * n / count).astype(int)
    chosen = np.zeros(n, bool)
    chosen[np.asarray(by_group)[places]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)
