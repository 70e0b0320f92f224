"""Targets of a batch, means that losses are made of, and layers that depend on the labels."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .processes import total


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


class Weights(NamedTuple):
    """How much each clip and the events of each label count in the losses.

    They come from ``sample_weight`` and ``class_weight``. What belongs to an event counts with
    the weight of its clip times that of its label, and everything else, the background, with the
    weight of its clip alone.

    Attributes
    ----------
    clips : float Tensor of shape (n_clips,)
    labels : float Tensor of shape (n_classes,)
    """

    clips: Tensor
    labels: Tensor

    def of_intervals(self, labels: Tensor, positive: Tensor) -> Tensor:
        """Weigh anchors or RoIs, each of which belongs to at most one event.

        Parameters
        ----------
        labels : int64 Tensor of shape (n_clips, n)
            Label of the event that each interval was matched with.
        positive : bool Tensor of shape (n_clips, n)
            Whether an interval belongs to an event at all. If not, its label is not looked at.

        Returns
        -------
        float Tensor of shape (n_clips, n)
        """
        return self.clips[:, None] * torch.where(positive, self.labels[labels], 1.0)

    def of_classes(self, present: Tensor) -> Tensor:
        """Weigh outputs that tell for each class whether it is present, in a clip or a step.

        Parameters
        ----------
        present : bool Tensor of shape (n_clips, ..., n_classes)
            Whether there is an event of each class.

        Returns
        -------
        float Tensor of the same shape
        """
        clips = self.clips.view(-1, *[1] * (present.dim() - 1))
        return clips * torch.where(present, self.labels, 1.0)


class LabelLinear(nn.Linear):
    """A linear layer whose outputs belong to the labels.

    Its weights mean nothing to a network of other labels, so a warm start from a detector
    of other labels leaves them out.
    """


def masked_mean(
    values: Tensor,
    mask: Tensor,
    dim: tuple[int, ...] | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Mean over the True places of a mask, those of all processes that train together.

    Parameters
    ----------
    values : float Tensor
    mask : bool Tensor of the same shape
    dim : tuple of int, default=None
        Dimensions that are averaged over; all of them by default.
    weight : float Tensor of the same shape, default=None
        How much each place counts in the mean; all alike by default.

    Returns
    -------
    Tensor
        0, with a gradient of 0, where no place is True.
    """
    if weight is not None:
        weights = total(torch.where(mask, weight, 0.0).sum(dim))
        return total(torch.where(mask, weight * values, 0.0).sum(dim)) / _not_zero(weights)
    return total(torch.where(mask, values, 0.0).sum(dim)) / total(mask.sum(dim)).clamp(min=1)


def classification_mean(
    entropy: Tensor,
    used: Tensor,
    positive: Tensor,
    gamma: float,
    dim: tuple[int, ...] | None = None,
    weight: Tensor | None = None,
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
    weight : float Tensor of the same shape, default=None
        How much each place counts, in the sum and in what it is divided by.

    Returns
    -------
    Tensor
    """
    if not gamma:
        return masked_mean(entropy, used, dim, weight)
    focal = (1 - torch.exp(-entropy)) ** gamma * entropy
    if weight is None:
        n_positive = total(positive.sum(dim)).clamp(min=1)
        return total(torch.where(used, focal, 0.0).sum(dim)) / n_positive
    weights = total(torch.where(positive, weight, 0.0).sum(dim))
    # If nothing is positive, the divisor is that of one place of mean weight.
    weights = torch.where(weights > 0, weights, masked_mean(weight, used, dim))
    return total(torch.where(used, weight * focal, 0.0).sum(dim)) / _not_zero(weights)


def _not_zero(weights: Tensor) -> Tensor:
    """Make sums of weights safe to divide by: if all weights are 0, so is the dividend."""
    return torch.where(weights > 0, weights, 1.0)
