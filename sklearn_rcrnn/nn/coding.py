"""Coding of intervals relative to anchors: what the regression layers learn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .intervals import _TINY

# A decoded interval is at most this many times as wide as its anchor, so that an untrained network
# does not overflow the exponential.
_MAX_LOG_RATIO = math.log(1000.0)


def encode(intervals: Tensor, anchors: Tensor, weights: Sequence[float] = (1.0, 1.0)) -> Tensor:
    """Code intervals as deltas from anchors, as Faster R-CNN does in two dimensions.

    The first delta is the shift of the center over the anchor's width, the second the
    logarithm of the ratio of widths (section 2.2 of the paper). Each is multiplied by its
    weight, which scales its part in the regression loss.

    Parameters
    ----------
    intervals, anchors : Tensor of shape (..., 2)
        Intervals of positive width; they broadcast against each other.
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


def decode(deltas: Tensor, anchors: Tensor, weights: Sequence[float] = (1.0, 1.0)) -> Tensor:
    """Undo :func:`encode`.

    Parameters
    ----------
    deltas, anchors : Tensor of shape (..., 2)
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
    center = anchors.sum(-1) / 2 + deltas[..., 0] / weights[0] * anchor_width
    half = anchor_width * torch.exp((deltas[..., 1] / weights[1]).clamp(max=_MAX_LOG_RATIO)) / 2
    return torch.stack([center - half, center + half], -1)


def encode_edges(
    intervals: Tensor, anchors: Tensor, weights: Sequence[float] = (1.0, 1.0)
) -> Tensor:
    """Code intervals by the shifts of their two edges over the anchor's width.

    Unlike in :func:`encode`, each delta belongs to one edge: an offset that is hard to tell
    does not blur the onset.

    Parameters
    ----------
    intervals, anchors : Tensor of shape (..., 2)
        Anchors of positive width; they broadcast against each other.
    weights : (float, float), default=(1, 1)
        Factors of the shift of the start and of the end.

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
    return _scaled((intervals - anchors) / anchor_width, weights)


def decode_edges(deltas: Tensor, anchors: Tensor, weights: Sequence[float] = (1.0, 1.0)) -> Tensor:
    """Undo :func:`encode_edges`; wild deltas may put the end before the start.

    Parameters
    ----------
    deltas, anchors : Tensor of shape (..., 2)
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
    return anchors + _scaled(deltas, weights, invert=True) * anchor_width


def _scaled(deltas: Tensor, weights: Sequence[float], invert: bool = False) -> Tensor:
    """Multiply or divide deltas by their weights, which are numbers because a tensor would have
    to be copied to the device and waited for."""
    pair = (
        deltas[..., i] / weight if invert else deltas[..., i] * weight
        for i, weight in enumerate(weights)
    )
    return torch.stack(tuple(pair), -1)


class Coding(NamedTuple):
    """A pair of functions that undo each other."""

    encode: Callable[[Tensor, Tensor, Sequence[float]], Tensor]
    decode: Callable[[Tensor, Tensor, Sequence[float]], Tensor]


CODINGS = {
    "center": Coding(encode, decode),
    "edges": Coding(encode_edges, decode_edges),
}
