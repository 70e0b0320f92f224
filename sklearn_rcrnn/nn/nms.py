"""Greedy non-maximum suppression of intervals, batched."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .intervals import iou

# Number of passes between two checks on devices where a check means waiting.
_PASSES = 6


def nms(
    intervals: Tensor,
    scores: Tensor,
    threshold: float,
    max_kept: int | None = None,
    valid: Tensor | None = None,
    chunk: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Greedy non-maximum suppression of every clip of a batch at once.

    The greedy rule goes through the intervals by falling score, and keeps one unless its
    IoU with an interval that was kept before exceeds `threshold`. This function gives the
    same result. It works through the sorted list in chunks. In a chunk it applies the rule to
    all intervals together, again and again until nothing changes: each pass settles at
    least one more interval, and a handful of passes is usual. It stops when every clip has
    `max_kept` intervals.

    Parameters
    ----------
    intervals : Tensor of shape (n_clips, n, 2)
    scores : Tensor of shape (n_clips, n)
    threshold : float
        IoU above which the interval of lower score is suppressed.
    max_kept : int, default=None
        Largest number of intervals that are kept of a clip. None keeps all.
    valid : bool Tensor of shape (n_clips, n), default=None
        Intervals that are False are never kept. By default all are valid.
    chunk : int, default=None
        Number of intervals of a clip that are worked on together. None takes 128 on a
        processor, where the work counts, and 1024 on other devices, where it counts how
        often they are waited for.

    Returns
    -------
    indices : int64 Tensor of shape (n_clips, k)
        Places of the kept intervals, by falling score; of equal scores, the earlier first.
    kept : bool Tensor of shape (n_clips, k)
        False where a clip has fewer than ``k`` kept intervals.

    References
    ----------
    Section 2.3 of the paper. Cluster-NMS iterates the rule in the same way.

    Examples
    --------
    >>> import torch
    >>> intervals = torch.tensor([[[0.0, 2.0], [0.1, 2.0], [5.0, 6.0]]])
    >>> nms(intervals, torch.tensor([[0.8, 0.9, 0.7]]), threshold=0.5)
    (tensor([[1, 2]]), tensor([[True, True]]))
    """
    n_clips, n = scores.shape
    limit = n if max_kept is None else min(max_kept, n)
    wait = waits_are_free(scores.device)
    chunk = chunk or (128 if wait else 1024)
    valid = torch.ones_like(scores, dtype=torch.bool) if valid is None else valid
    order = torch.where(valid, scores, -math.inf).argsort(dim=1, descending=True, stable=True)
    boxes = intervals.gather(1, order[..., None].expand(-1, -1, 2))
    keep = valid.gather(1, order)
    kept_boxes = boxes[:, :0]
    kept_mask = keep[:, :0]
    for start in range(0, n, chunk):
        part = boxes[:, start : start + chunk]
        free = keep[:, start : start + chunk]
        if kept_boxes.shape[1]:
            suppressed = (iou(part, kept_boxes) > threshold) & kept_mask[:, None]
            free = free & ~suppressed.any(-1)
        chosen = _suppress(part, free, threshold, 1 if wait else _PASSES)
        keep[:, start : start + chunk] = chosen
        kept_boxes = torch.cat([kept_boxes, part], 1)
        kept_mask = torch.cat([kept_mask, chosen], 1)
        if start + chunk >= n:
            break
        if bool((kept_mask.sum(1) >= limit).all()):
            keep[:, start + chunk :] = False
            break
        # Only kept intervals can suppress later ones, so the rest is dropped before the next chunk.
        width = int(kept_mask.sum(1).max()) if wait else limit
        first = (~kept_mask).byte().argsort(dim=1, stable=True)[:, :width]
        kept_boxes = kept_boxes.gather(1, first[..., None].expand(-1, -1, 2))
        kept_mask = kept_mask.gather(1, first)
    k = min(limit, int(keep.sum(1).max()) if n_clips else 0) if wait else limit
    first = (~keep).byte().argsort(dim=1, stable=True)[:, :k]
    return order.gather(1, first), keep.gather(1, first)


def waits_are_free(device: torch.device) -> bool:
    """Whether Python may look at numbers of a tensor at no cost.

    Other devices than the processor work on by themselves, as long as nobody waits to look
    at what they have come to.
    """
    return device.type == "cpu"


def _suppress(boxes: Tensor, free: Tensor, threshold: float, passes: int) -> Tensor:
    """Greedy NMS within one sorted chunk by iterating the rule to its fixed point.

    Whether that has been reached is checked after every `passes` passes.
    """
    n = boxes.shape[1]
    earlier = torch.ones(n, n, dtype=torch.bool, device=boxes.device).tril(-1)
    overlaps = (iou(boxes, boxes) > threshold) & earlier
    kept = free
    for done in range(1, n + 1):
        updated = free & ~(overlaps & kept[:, None]).any(-1)
        if done % passes == 0 and torch.equal(updated, kept):
            break
        kept = updated
    return kept
