"""RoI max-pooling along time (section 2.3 of the paper)."""

from __future__ import annotations

import torch
from torch import Tensor


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
        In steps; step ``i`` is centred at time ``i``.
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
    edges = torch.linspace(0, 1, n_bins + 1, device=rois.device, dtype=rois.dtype)
    positions = rois[..., :1] + offset + (rois[..., 1:] - rois[..., :1]) * edges
    last = lengths.view(-1, 1, 1)
    # Rounding noise of 1e-4 steps (19 microseconds) must not pull in a further step.
    start = torch.minimum((positions[..., :-1] + 1e-4).floor().long().clamp_(min=0), last - 1)
    end = torch.minimum((positions[..., 1:] - 1e-4).ceil().long(), last)
    end = torch.maximum(end, start + 1)

    level = torch.log2((end - start).to(rois.dtype)).floor().long()
    table = _windowed_maxima(feature_map, int(level.max()) if level.numel() else 0)
    clip = torch.arange(n_clips, device=rois.device).view(-1, 1, 1)
    row = (level * n_clips + clip) * n_steps
    flat = table.reshape(-1, n_channels)
    left = flat.index_select(0, (row + start).flatten())
    right = flat.index_select(0, (row + end - 2**level).flatten())
    return torch.maximum(left, right).view(n_clips, -1, n_bins, n_channels)


def _windowed_maxima(feature_map: Tensor, top_level: int) -> Tensor:
    """Maxima over ``[i, i + 2**level)`` for each level; ends are not used by the caller."""
    levels = [feature_map]
    for level in range(top_level):
        previous = levels[-1]
        shift = 2**level
        joined = torch.maximum(previous[:, :-shift], previous[:, shift:])
        levels.append(torch.cat([joined, previous[:, -shift:]], 1))
    return torch.stack(levels)
