"""One-dimensional geometry of intervals: IoU, limits, and the steps that they cover.

Every interval is a pair ``(start, end)`` in the last dimension of a tensor. All
functions are batched; the unit is that of their input.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_TINY = 1e-8


class ClipBounds(NamedTuple):
    """Where the clips of a batch end on the feature map.

    Attributes
    ----------
    n_steps : int64 Tensor of shape (n_clips,)
        Valid steps of each clip; what lies behind them is padding.
    limits : float32 Tensor of shape (n_clips,)
        Largest time of an interval, in steps.
    """

    n_steps: Tensor
    limits: Tensor


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


def clip_to_limits(intervals: Tensor, limits: Tensor) -> Tensor:
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


def gather_intervals(values: Tensor, indices: Tensor) -> Tensor:
    """Pick rows of ``values`` (n_clips, n, 2) by ``indices`` (n_clips, k): (n_clips, k, 2)."""
    return values.gather(1, indices[..., None].expand(-1, -1, 2))


def cover(intervals: Tensor, labels: Tensor, mask: Tensor, n_steps: int, n_classes: int) -> Tensor:
    """Which steps each class covers.

    Parameters
    ----------
    intervals : Tensor of shape (n_clips, m, 2)
        In steps; step ``i`` is centered at time ``i``.
    labels : int64 Tensor of shape (n_clips, m)
    mask : bool Tensor of shape (n_clips, m)
        False for padding.
    n_steps, n_classes : int

    Returns
    -------
    bool Tensor of shape (n_clips, n_steps, n_classes)
        True where an interval reaches within half a step of the center: even the shortest
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
