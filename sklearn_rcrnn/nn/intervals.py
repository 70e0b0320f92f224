"""One-dimensional geometry of intervals: IoU, coding, NMS, matching and sampling.

Every interval is a pair ``(start, end)`` in the last dimension of a tensor. All
functions are batched; the unit is that of their input.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

POSITIVE, NEGATIVE, IGNORED = 1, 0, -1

# A decoded interval is at most this many times as wide as its anchor: an untrained
# network must not overflow the exponential.
_MAX_LOG_RATIO = math.log(1000.0)
_TINY = 1e-8


def iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of every pair of intervals.

    Parameters
    ----------
    first : Tensor of shape (..., n, 2)
    second : Tensor of shape (..., m, 2)

    Returns
    -------
    Tensor of shape (..., n, m)
        Between 0 and 1; 0 where both intervals are empty.

    Examples
    --------
    >>> import torch
    >>> iou(torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 3.0], [0.0, 2.0]]))
    tensor([[0.3333, 1.0000]])
    """
    start = torch.maximum(first[..., :, None, 0], second[..., None, :, 0])
    end = torch.minimum(first[..., :, None, 1], second[..., None, :, 1])
    intersection = (end - start).clamp_(min=0)
    widths = (first[..., 1] - first[..., 0])[..., :, None] + (second[..., 1] - second[..., 0])[
        ..., None, :
    ]
    return intersection / (widths - intersection).clamp_(min=_TINY)


def encode(intervals: Tensor, anchors: Tensor, weights: tuple[float, float] = (1.0, 1.0)) -> Tensor:
    """Code intervals relative to anchors, as Faster R-CNN does in two dimensions.

    The first number is the shift of the centre over the anchor's width, the second the
    logarithm of the ratio of widths (section 2.2 of the paper); each is multiplied by
    its weight, which scales its part in the regression loss.

    Parameters
    ----------
    intervals, anchors : Tensor of shape (..., 2)
        Of positive width; they broadcast against each other.
    weights : (float, float), default=(1, 1)

    Returns
    -------
    Tensor of shape (..., 2)

    Examples
    --------
    >>> import torch
    >>> encode(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 2.0]))
    tensor([0.5000, 0.0000])
    """
    anchor_width = (anchors[..., 1] - anchors[..., 0]).clamp(min=_TINY)
    width = (intervals[..., 1] - intervals[..., 0]).clamp(min=_TINY)
    shift = (intervals.sum(-1) - anchors.sum(-1)) / (2 * anchor_width)
    return torch.stack([shift * weights[0], torch.log(width / anchor_width) * weights[1]], -1)


def decode(codes: Tensor, anchors: Tensor, weights: tuple[float, float] = (1.0, 1.0)) -> Tensor:
    """Undo :func:`encode`.

    Parameters
    ----------
    codes, anchors : Tensor of shape (..., 2)
    weights : (float, float), default=(1, 1)
        The weights given to :func:`encode`.

    Returns
    -------
    Tensor of shape (..., 2)

    Examples
    --------
    >>> import torch
    >>> decode(torch.tensor([0.5, 0.0]), torch.tensor([0.0, 2.0]))
    tensor([1., 3.])
    """
    anchor_width = anchors[..., 1] - anchors[..., 0]
    centre = anchors.sum(-1) / 2 + codes[..., 0] / weights[0] * anchor_width
    half = anchor_width * torch.exp((codes[..., 1] / weights[1]).clamp(max=_MAX_LOG_RATIO)) / 2
    return torch.stack([centre - half, centre + half], -1)


def encode_edges(
    intervals: Tensor, anchors: Tensor, weights: tuple[float, float] = (1.0, 1.0)
) -> Tensor:
    """Code intervals by the shifts of their two edges over the anchor's width.

    Unlike :func:`encode`, each number belongs to one edge: an offset that is hard to tell
    does not blur the onset.

    Parameters
    ----------
    intervals, anchors : Tensor of shape (..., 2)
        Anchors of positive width; they broadcast against each other.
    weights : (float, float), default=(1, 1)
        Of the shift of the start and of the end.

    Returns
    -------
    Tensor of shape (..., 2)

    Examples
    --------
    >>> import torch
    >>> encode_edges(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 2.0]))
    tensor([0.5000, 0.5000])
    """
    anchor_width = (anchors[..., 1:] - anchors[..., :1]).clamp(min=_TINY)
    return (intervals - anchors) / anchor_width * intervals.new_tensor(weights)


def decode_edges(
    codes: Tensor, anchors: Tensor, weights: tuple[float, float] = (1.0, 1.0)
) -> Tensor:
    """Undo :func:`encode_edges`; wild codes may put the end before the start.

    Parameters
    ----------
    codes, anchors : Tensor of shape (..., 2)
    weights : (float, float), default=(1, 1)
        The weights given to :func:`encode_edges`.

    Returns
    -------
    Tensor of shape (..., 2)

    Examples
    --------
    >>> import torch
    >>> decode_edges(torch.tensor([0.5, 0.5]), torch.tensor([0.0, 2.0]))
    tensor([1., 3.])
    """
    anchor_width = anchors[..., 1:] - anchors[..., :1]
    return anchors + codes / codes.new_tensor(weights) * anchor_width


CODINGS = {"centre": (encode, decode), "edges": (encode_edges, decode_edges)}


def clip(intervals: Tensor, limits: Tensor) -> Tensor:
    """Clip the intervals of each clip to ``[0, limit]``.

    Parameters
    ----------
    intervals : Tensor of shape (n_clips, ..., 2)
    limits : Tensor of shape (n_clips,)

    Returns
    -------
    Tensor of shape (n_clips, ..., 2)
    """
    limits = limits.to(intervals.dtype).view(-1, *[1] * (intervals.dim() - 1))
    return torch.minimum(intervals.clamp(min=0), limits)


def cover(intervals: Tensor, labels: Tensor, mask: Tensor, n_steps: int, n_classes: int) -> Tensor:
    """Which steps each class covers.

    Parameters
    ----------
    intervals : Tensor of shape (n_clips, m, 2)
        In steps; step ``i`` is centred at time ``i``.
    labels : int64 Tensor of shape (n_clips, m)
    mask : bool Tensor of shape (n_clips, m)
        False for padding.
    n_steps, n_classes : int

    Returns
    -------
    bool Tensor of shape (n_clips, n_steps, n_classes)
        True where an interval reaches within half a step of the centre: even the shortest
        one covers a step.

    Examples
    --------
    >>> import torch
    >>> one = torch.tensor([[0]]), torch.tensor([[True]])
    >>> cover(torch.tensor([[[1.0, 2.2]]]), *one, n_steps=4, n_classes=1).flatten()
    tensor([False,  True,  True, False])
    """
    time = torch.arange(n_steps, device=intervals.device)
    start, end = (intervals[..., i, None] for i in (0, 1))
    inside = (time >= start - 0.5) & (time <= end + 0.5) & mask[..., None]
    own = torch.nn.functional.one_hot(labels, n_classes).bool()
    return (inside[..., None] & own[:, :, None]).any(1)


def nms(
    intervals: Tensor,
    scores: Tensor,
    threshold: float,
    max_kept: int | None = None,
    valid: Tensor | None = None,
    chunk: int = 128,
) -> tuple[Tensor, Tensor]:
    """Greedy non-maximum suppression of every clip of a batch at once.

    Exactly the greedy rule: by falling score, an interval is kept unless its IoU with one
    kept before it exceeds `threshold`. The work is done in chunks of the sorted list. In
    a chunk the rule is iterated on all intervals together until nothing changes, which
    gives the greedy answer because each pass settles at least one more of the first ones;
    a handful of passes is usual. Chunks stop when every clip has `max_kept` intervals.

    Parameters
    ----------
    intervals : Tensor of shape (n_clips, n, 2)
    scores : Tensor of shape (n_clips, n)
    threshold : float
        IoU above which the lower score is suppressed.
    max_kept : int, default=None
        Keep at most so many a clip; all of them by default.
    valid : bool Tensor of shape (n_clips, n), default=None
        Intervals that are False are never kept.
    chunk : int, default=128

    Returns
    -------
    indices : int64 Tensor of shape (n_clips, k)
        Of the kept intervals, by falling score (ties: the earlier one first).
    kept : bool Tensor of shape (n_clips, k)
        False where a clip has fewer than ``k`` kept intervals.

    References
    ----------
    Section 2.3 of the paper; the fixed point is that of Cluster-NMS.

    Examples
    --------
    >>> import torch
    >>> intervals = torch.tensor([[[0.0, 2.0], [0.1, 2.0], [5.0, 6.0]]])
    >>> nms(intervals, torch.tensor([[0.8, 0.9, 0.7]]), threshold=0.5)
    (tensor([[1, 2]]), tensor([[True, True]]))
    """
    n_clips, n = scores.shape
    limit = n if max_kept is None else min(max_kept, n)
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
        chosen = _suppress(part, free, threshold)
        keep[:, start : start + chunk] = chosen
        kept_boxes = torch.cat([kept_boxes, part], 1)
        kept_mask = torch.cat([kept_mask, chosen], 1)
        if bool((kept_mask.sum(1) >= limit).all()):
            keep[:, start + chunk :] = False
            break
        # Only what was kept can suppress later: drop the rest before the next chunk.
        width = int(kept_mask.sum(1).max())
        first = (~kept_mask).byte().argsort(dim=1, stable=True)[:, :width]
        kept_boxes = kept_boxes.gather(1, first[..., None].expand(-1, -1, 2))
        kept_mask = kept_mask.gather(1, first)
    k = min(limit, int(keep.sum(1).max()) if n_clips else 0)
    first = (~keep).byte().argsort(dim=1, stable=True)[:, :k]
    return order.gather(1, first), keep.gather(1, first)


def _suppress(boxes: Tensor, free: Tensor, threshold: float) -> Tensor:
    """Greedy NMS within one sorted chunk by iterating the rule to its fixed point."""
    n = boxes.shape[1]
    earlier = torch.ones(n, n, dtype=torch.bool, device=boxes.device).tril(-1)
    overlaps = (iou(boxes, boxes) > threshold) & earlier
    kept = free
    for _ in range(n):
        updated = free & ~(overlaps & kept[:, None]).any(-1)
        if torch.equal(updated, kept):
            break
        kept = updated
    return kept


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
