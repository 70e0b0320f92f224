"""Matching of anchors and RoIs with true events, and sampling of them for training."""

from __future__ import annotations

import torch
from torch import Tensor

from .intervals import iou

POSITIVE, NEGATIVE, IGNORED = 1, 0, -1


def match(
    candidates: Tensor,
    events: Tensor,
    event_mask: Tensor,
    *,
    positive_iou: float,
    negative_iou: tuple[float, float],
    usable: Tensor | None = None,
    force_best: bool = False,
) -> tuple[Tensor, Tensor]:
    """Assign every candidate interval to the true event that it overlaps most.

    Parameters
    ----------
    candidates : Tensor of shape (n_clips, n, 2) or (n, 2)
        Anchors or RoIs.
    events : Tensor of shape (n_clips, m, 2)
        True intervals, padded to the largest number of events in a clip of the batch.
    event_mask : bool Tensor of shape (n_clips, m)
        False for padding.
    positive_iou : float
        Candidates with this IoU or more are positive.
    negative_iou : (float, float)
        Candidates are negative whose IoU is at least the first value and less than the
        second.
    usable : bool Tensor of shape (n_clips, n), default=None
        Candidates that are False are ignored, and are not the best of any event. By
        default all are usable.
    force_best : bool, default=False
        Make the candidates that overlap an event most positive, whatever their IoU.

    Returns
    -------
    labels : int64 Tensor of shape (n_clips, n)
        1 positive, 0 negative, -1 ignored.
    assigned : int64 Tensor of shape (n_clips, n)
        Index of the event; it has a meaning for positive candidates only.
    """
    overlaps = iou(candidates, events) * event_mask[:, None]
    if usable is not None:
        overlaps = overlaps * usable[..., None]
    best, assigned = overlaps.max(-1)
    low, high = negative_iou
    labels = torch.full_like(assigned, IGNORED)
    labels[(best >= low) & (best < high)] = NEGATIVE
    labels[best >= positive_iou] = POSITIVE
    if force_best:
        best_of_event = overlaps.amax(1, keepdim=True)
        is_best = (overlaps >= best_of_event * (1 - 1e-5)) & (best_of_event > 0)
        forced = is_best.any(-1)
        labels[forced] = POSITIVE
        # The candidate learns the event for which it is the best one.
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
    """Sample at most `count` positive and negative candidates of each clip at random.

    At most ``count * positive_fraction`` are positive; negatives fill the rest.

    Parameters
    ----------
    labels : int64 Tensor of shape (n_clips, n)
        From :func:`match`.
    count : int
        Largest number of candidates of a clip.
    positive_fraction : float
        Largest part of `count` that is positive.
    generator : torch.Generator, default=None
        Source of the randomness; PyTorch's global one by default.

    Returns
    -------
    indices : int64 Tensor of shape (n_clips, min(count, n))
    sampled : bool Tensor of the same shape
        False where a clip has fewer candidates than that.
    """
    shuffled = torch.rand(labels.shape, device=labels.device, generator=generator)
    positive, negative = labels == POSITIVE, labels == NEGATIVE
    most = int(count * positive_fraction)
    rank = (shuffled + (~positive)).argsort(dim=1).argsort(dim=1)
    positive = positive & (rank < most)
    # Sampled positives come first, then negatives in random order, then all others.
    priority = shuffled + torch.where(positive, 0.0, torch.where(negative, 1.0, 2.0))
    indices = priority.argsort(dim=1)[:, :count]
    return indices, (positive | negative).gather(1, indices)
