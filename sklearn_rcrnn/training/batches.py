"""Make batches of clips of unequal length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..nn.losses import Targets


def collate_features(clips: Sequence[NDArray[np.float32]]) -> dict[str, Tensor]:
    """Stack clips, padded with zeros at the end; with ``lengths`` if these differ."""
    lengths = [len(clip) for clip in clips]
    if len(set(lengths)) == 1:
        return {"features": torch.from_numpy(np.stack(clips))}
    padded = np.zeros((len(clips), max(lengths), clips[0].shape[1]), np.float32)
    for row, clip in zip(padded, clips, strict=True):
        row[: len(clip)] = clip
    return {"features": torch.from_numpy(padded), "lengths": torch.tensor(lengths)}


def collate_training(
    batch: Sequence[tuple[Any, Any, float | None]],
) -> tuple[dict[str, Any], Tensor]:
    """Make a training batch of features and :class:`Targets`, padded to equal numbers of events.

    The network computes its losses itself, so the targets travel with the features. skorch
    expects a second part: it is the number of events of each clip.
    """
    clips, events, weights = zip(*batch, strict=True)
    counts = torch.tensor([len(labels) for _, labels in events])
    most = max(int(counts.max()), 1)
    intervals = np.zeros((len(batch), most, 2), np.float32)
    classes = np.zeros((len(batch), most), np.int64)
    for row, (clip_intervals, labels) in enumerate(events):
        intervals[row, : len(labels)] = clip_intervals
        classes[row, : len(labels)] = labels
    mask = torch.arange(most) < counts[:, None]
    targets = Targets(torch.from_numpy(intervals), torch.from_numpy(classes), mask)
    collated: dict[str, Any] = {**collate_features(clips), "targets": targets}
    if weights[0] is not None:
        collated["weights"] = torch.tensor(weights, dtype=torch.float32)
    return collated, counts
