"""RoI pooling along time: by maxima (section 2.3 of the paper), and position-sensitive."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .nms import waits_are_free

MOST_LEVELS = 12


def roi_max_pool(
    feature_map: Tensor, rois: Tensor, lengths: Tensor, n_bins: int = 7, offset: float = 0.5
) -> Tensor:
    """Max-pool the feature map under each RoI to a fixed number of bins.

    Bin ``k`` of a RoI covers the steps from ``floor(start + k w / n_bins)`` to
    ``ceil(start + (k + 1) w / n_bins)``, at least one step, inside the clip. The maximum
    over any range comes from a table of maxima over windows of 1, 2, 4, ... steps, two
    look-ups a bin, so that the cost does not grow with the width of the RoIs.

    Parameters
    ----------
    feature_map : Tensor of shape (n_clips, n_steps, n_channels)
    rois : Tensor of shape (n_clips, n_rois, 2)
        In steps; step ``i`` is centered at time ``i``.
    lengths : int64 Tensor of shape (n_clips,)
        Valid steps of each clip, at least 1.
    n_bins : int, default=7
    offset : float, default=0.5
        Added to turn times, in which step ``i`` lies at ``i``, into edges, in which it
        stretches from ``i`` to ``i + 1``.

    Returns
    -------
    Tensor of shape (n_clips, n_rois, n_bins, n_channels)

    Examples
    --------
    >>> import torch
    >>> ramp = torch.arange(8.0).view(1, 8, 1)
    >>> roi_max_pool(ramp, torch.tensor([[[-0.5, 6.5]]]), torch.tensor([8])).flatten()
    tensor([0., 1., 2., 3., 4., 5., 6.])
    """
    n_clips, n_steps, n_channels = feature_map.shape
    start, end = _bins(rois, lengths, n_bins, offset)
    level = torch.log2((end - start).to(rois.dtype)).floor().long()
    # An exported graph has all levels that RoIs of up to two hours need.
    known = level.numel() and not torch.compiler.is_compiling()
    if known and not waits_are_free(level.device):
        top = n_steps.bit_length() - 1
    else:
        top = int(level.max()) if known else MOST_LEVELS
    table = _windowed_maxima(feature_map, top)
    clip = torch.arange(n_clips, device=rois.device).view(-1, 1, 1)
    row = (level * n_clips + clip) * n_steps
    flat = table.reshape(-1, n_channels)
    left = flat.index_select(0, (row + start).flatten())
    right = flat.index_select(0, (row + end - 2**level).flatten())
    return _larger(left, right).view(n_clips, -1, n_bins, n_channels)


def position_sensitive_pool(
    score_maps: Tensor, rois: Tensor, lengths: Tensor, offset: float = 0.5
) -> Tensor:
    """Mean of each bin of a RoI over the score map of that bin, averaged over the bins.

    The pooling of R-FCN in one dimension; bins are those of :func:`roi_max_pool`.

    Parameters
    ----------
    score_maps : Tensor of shape (n_clips, n_steps, n_bins, n_scores)
    rois : Tensor of shape (n_clips, n_rois, 2)
        In steps; step ``i`` is centered at time ``i``.
    lengths : int64 Tensor of shape (n_clips,)
        Valid steps of each clip, at least 1.
    offset : float, default=0.5
        As for :func:`roi_max_pool`.

    Returns
    -------
    Tensor of shape (n_clips, n_rois, n_scores)

    Examples
    --------
    >>> import torch
    >>> maps = torch.arange(8.0).view(1, 8, 1, 1).expand(-1, -1, 2, -1)
    >>> position_sensitive_pool(maps, torch.tensor([[[-0.5, 7.5]]]), torch.tensor([8]))
    tensor([[[3.5000]]])
    """
    n_bins = score_maps.shape[2]
    bins = torch.arange(n_bins, device=rois.device)
    return _bin_means(score_maps, rois, lengths, bins, offset).mean(2).to(score_maps.dtype)


def roi_mean_pool(
    feature_map: Tensor, rois: Tensor, lengths: Tensor, n_bins: int = 7, offset: float = 0.5
) -> Tensor:
    """Average the feature map under each RoI in a fixed number of bins.

    Parameters
    ----------
    feature_map, rois, lengths, n_bins, offset : as for :func:`roi_max_pool`

    Returns
    -------
    Tensor of shape (n_clips, n_rois, n_bins, n_channels)

    Examples
    --------
    >>> import torch
    >>> ramp = torch.arange(8.0).view(1, 8, 1)
    >>> roi_mean_pool(ramp, torch.tensor([[[-0.5, 7.5]]]), torch.tensor([8]), 2).flatten()
    tensor([1.5000, 5.5000])
    """
    one_map = torch.zeros(n_bins, dtype=torch.long, device=rois.device)
    means = _bin_means(feature_map[:, :, None], rois, lengths, one_map, offset)
    return means.to(feature_map.dtype)


def _bin_means(maps: Tensor, rois: Tensor, lengths: Tensor, which: Tensor, offset: float) -> Tensor:
    """Mean in float64 (n_clips, n_rois, n_bins, n) of each bin ``k`` over map ``which[k]``."""
    start, end = _bins(rois, lengths, len(which), offset)
    # Sums over any range are differences of running sums, in float64 to keep them exact.
    sums = F.pad(maps.double().cumsum(1), (0, 0, 0, 0, 1, 0))
    clip = torch.arange(len(rois), device=rois.device).view(-1, 1, 1)
    total = sums[clip, end, which] - sums[clip, start, which]
    return total / (end - start)[..., None]


def _bins(rois: Tensor, lengths: Tensor, n_bins: int, offset: float) -> tuple[Tensor, Tensor]:
    """Compute the first step of every bin and the one after its last, (n_clips, n_rois, n_bins)."""
    edges = torch.linspace(0, 1, n_bins + 1, device=rois.device, dtype=rois.dtype)
    positions = rois[..., :1] + offset + (rois[..., 1:] - rois[..., :1]) * edges
    last = lengths.view(-1, 1, 1)
    # Rounding errors of 1e-4 steps (19 microseconds) must not add another step.
    start = torch.minimum((positions[..., :-1] + 1e-4).floor().long().clamp_(min=0), last - 1)
    end = torch.minimum((positions[..., 1:] - 1e-4).ceil().long(), last)
    return start, torch.maximum(end, start + 1)


def _windowed_maxima(feature_map: Tensor, top_level: int) -> Tensor:
    """Maxima over ``[i, i + 2**level)``, cut at the end of the map, for each level."""
    levels = [feature_map]
    for level in range(top_level):
        previous = levels[-1]
        later = F.pad(previous, (0, 0, 0, 2**level), value=-torch.inf)[:, 2**level :]
        levels.append(_larger(previous, later))
    return torch.stack(levels)


def _larger(first: Tensor, second: Tensor) -> Tensor:
    """The larger values; equal ones pass the gradient on to the first.

    ``torch.maximum`` divides it between the two, for which it needs twice the time.
    """
    if not first.requires_grad:
        return torch.maximum(first, second)
    return torch.where(first < second, second, first)
