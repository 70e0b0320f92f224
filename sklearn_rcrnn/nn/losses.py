"""Targets of a batch, means that losses are made of, and layers that depend on the labels."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Targets(NamedTuple):
    """True events of a batch, padded to the largest number of events in a clip.

    Attributes
    ----------
    intervals : float32 Tensor of shape (n_clips, m, 2)
        Onset and offset in steps of the feature map (in frames for a frame-level network).
    labels : int64 Tensor of shape (n_clips, m)
        From 0.
    mask : bool Tensor of shape (n_clips, m)
        False for padding.
    """

    intervals: Tensor
    labels: Tensor
    mask: Tensor


class LabelLinear(nn.Linear):
    """A linear layer whose outputs belong to the labels.

    Its weights mean nothing to a network of other labels, so a warm start from a detector
    of other labels leaves them out.
    """


def masked_mean(values: Tensor, mask: Tensor, dim: tuple[int, ...] | None = None) -> Tensor:
    """Mean over the True places of a mask.

    Parameters
    ----------
    values : float Tensor
    mask : bool Tensor of the same shape
    dim : tuple of int, default=None
        Dimensions that are averaged over; all of them by default.

    Returns
    -------
    Tensor
        0, with a gradient of 0, where no place is True.
    """
    return torch.where(mask, values, 0.0).sum(dim) / mask.sum(dim).clamp(min=1)


def classification_mean(
    entropy: Tensor,
    used: Tensor,
    positive: Tensor,
    gamma: float,
    dim: tuple[int, ...] | None = None,
) -> Tensor:
    """The classification part of the paper's equation (1) from cross entropies.

    Equation (1) is a plain sum. Here it is divided, so that its size does not depend on how
    many clips are in a batch: the cross entropy by the number of places that are used, the
    focal loss, as its authors do, by the number of positives (at least 1).

    Parameters
    ----------
    entropy : float Tensor
        Cross entropy of each place.
    used : bool Tensor of the same shape
        Places that count.
    positive : bool Tensor of the same shape
        Those of them that belong to an event.
    gamma : float
        Exponent of the focal loss; 0 for the cross entropy.
    dim : tuple of int, default=None
        Dimensions that are summed over; all of them by default.

    Returns
    -------
    Tensor
    """
    if not gamma:
        return masked_mean(entropy, used, dim)
    weighted = (1 - torch.exp(-entropy)) ** gamma * entropy
    return torch.where(used, weighted, 0.0).sum(dim) / positive.sum(dim).clamp(min=1)
