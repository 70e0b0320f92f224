"""The region proposal network (section 2.2 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def anchors(n_steps: int, sizes: Sequence[float], device: torch.device | None = None) -> Tensor:
    """Anchor intervals of every size centered on every step.

    Parameters
    ----------
    n_steps : int
    sizes : sequence of float
        Widths in steps.
    device : torch.device, default=None

    Returns
    -------
    Tensor of shape (n_steps * len(sizes), 2)
        Step by step, in the order of `sizes`.

    Examples
    --------
    >>> anchors(2, [1, 4])
    tensor([[-0.5000,  0.5000],
            [-2.0000,  2.0000],
            [ 0.5000,  1.5000],
            [-1.0000,  3.0000]])
    """
    centers = torch.arange(n_steps, device=device, dtype=torch.float32)[:, None, None]
    half = torch.tensor(sizes, device=device, dtype=torch.float32)[:, None] / 2
    return (centers + torch.cat([-half, half], 1)).view(-1, 2)


class RPN(nn.Module):
    """A window of three steps gives, for each anchor, an objectness and a refinement.

    Parameters
    ----------
    n_channels : int
        Channels of the feature map.
    n_anchors : int
        k, the number of anchor sizes.
    """

    def __init__(self, n_channels: int, n_anchors: int):
        super().__init__()
        self.window = nn.Conv1d(n_channels, 128, 3, padding=1)
        self.objectness = nn.Linear(128, n_anchors)
        self.regression = nn.Linear(128, 2 * n_anchors)
        for layer in (self.objectness, self.regression):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, feature_map: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n_clips, n_anchors) and codes (n_clips, n_anchors, 2), as `anchors` orders.

        Parameters
        ----------
        feature_map : Tensor of shape (n_clips, n_steps, n_channels)
        """
        hidden = F.relu(self.window(feature_map.transpose(1, 2))).transpose(1, 2)
        codes = self.regression(hidden)
        return self.objectness(hidden).flatten(1), codes.view(len(codes), -1, 2)
