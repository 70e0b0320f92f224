"""The truth of a batch, and means over parts of it that losses are made of."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Truth(NamedTuple):
    """True events of a batch, padded to the largest number in a clip.

    ``intervals`` (n_clips, m, 2) float in steps, ``labels`` (n_clips, m) int64 from 0,
    ``mask`` (n_clips, m) bool.
    """

    intervals: Tensor
    labels: Tensor
    mask: Tensor


def masked_mean(values: Tensor, mask: Tensor, dim: tuple[int, ...] | None = None) -> Tensor:
    """Mean over the True places of the mask; 0, with a gradient of 0, when there are none."""
    return torch.where(mask, values, 0.0).sum(dim) / mask.sum(dim).clamp(min=1)


def focal_mean(
    entropy: Tensor,
    used: Tensor,
    positive: Tensor,
    gamma: float,
    dim: tuple[int, ...] | None = None,
) -> Tensor:
    """Mean cross entropy, or focal loss over the number of positives, from cross entropies."""
    if not gamma:
        return masked_mean(entropy, used, dim)
    weighted = (1 - torch.exp(-entropy)) ** gamma * entropy
    return torch.where(used, weighted, 0.0).sum(dim) / positive.sum(dim).clamp(min=1)
