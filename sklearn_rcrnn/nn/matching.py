"""Matching of candidate intervals with true events, and sampling of them for training."""

from __future__ import annotations

import torch
from torch import Tensor

from .intervals import iou

POSITIVE, NEGATIVE, IGNORED = 1, 0, -1


def match(
    candidates: Tensor,
    truths: Tensor,
    truth_mask: Tensor,
    *,
    positive_iou: float,
    negative_iou: tuple[float, float],
    usable: Tensor | None = None,
    force_best: bool = False,
) -> tuple[Tensor, Tensor]:
    """Assign every candidate interval to the true interval that it overlaps most.

    Parameters
    ----------
    candidates : Tensor of shape (n_clips, n, 2) or (n, 2)
    truths : Tensor of shape (n_clips, m, 2)
        Padded to the largest number of events in the batch.
    truth_mask : bool Tensor of shape (n_clips, m)
        False for padding.
    positive_iou : float
        At or above it a candidate is positive.
    negative_iou : (float, float)
        From the first (included) to the second (excluded) a candidate is negative.
    usable : bool Tensor of shape (n_clips, n), default=None
        Candidates that are False are ignored and are nobody's best.
    force_best : bool, default=False
        Make the best candidates of each true interval positive whatever their IoU.

    Returns
    -------
    labels : int64 Tensor of shape (n_clips, n)
        1 positive, 0 negative, -1 ignored.
    assigned : int64 Tensor of shape (n_clips, n)
        Index of the true interval; meaningful where positive.
    """
    overlaps = iou(candidates, truths) * truth_mask[:, None]
    if usable is not None:
        overlaps = overlaps * usable[..., None]
    best, assigned = overlaps.max(-1)
    low, high = negative_iou
    labels = torch.full_like(assigned, IGNORED)
    labels[(best >= low) & (best < high)] = NEGATIVE
    labels[best >= positive_iou] = POSITIVE
    if force_best:
        of_truth = overlaps.amax(1, keepdim=True)
        is_best = (overlaps >= of_truth - 1e-6) & (of_truth > 0)
        forced = is_best.any(-1)
        labels[forced] = POSITIVE
        # A forced candidate learns the event that it is the best one for.
        assigned = torch.where(forced, (overlaps * is_best).argmax(-1), assigned)
    if usable is not None:
        labels[~usable.expand_as(labels)] = IGNORED
    return labels, assigned


def sample(
    labels: Tensor,
    count: int,
    positive_fraction: float,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Draw at most `count` positive and negative candidates of each clip at random.

    Positives are at most ``count * positive_fraction``; negatives fill the rest.

    Parameters
    ----------
    labels : int64 Tensor of shape (n_clips, n)
        From :func:`match`.
    count : int
    positive_fraction : float
    generator : torch.Generator, default=None
        Source of the randomness; PyTorch's global one by default.

    Returns
    -------
    indices : int64 Tensor of shape (n_clips, min(count, n))
    drawn : bool Tensor of the same shape
        False where fewer candidates were there to be drawn.
    """
    shuffled = torch.rand(labels.shape, device=labels.device, generator=generator)
    positive, negative = labels == POSITIVE, labels == NEGATIVE
    most = int(count * positive_fraction)
    rank = (shuffled + (~positive)).argsort(dim=1).argsort(dim=1)
    positive = positive & (rank < most)
    # Chosen positives first, then negatives in random order, then all the rest.
    priority = shuffled + torch.where(positive, 0.0, torch.where(negative, 1.0, 2.0))
    indices = priority.argsort(dim=1)[:, :count]
    return indices, (positive | negative).gather(1, indices)
