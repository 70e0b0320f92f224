"""What keeps a training from learning its recordings by heart: mixed styles, dropped channels.

With MixStyle, the clips of a batch take over a part of each other's sound color.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sklearn_rcrnn.nn.rcrnn import RCRNN

_EPS = 1e-5


class MixedStyles:
    """Mix the mean and deviation over time of maps between the clips of a batch.

    A channel and band of the first feature maps has a mean and a deviation over time, in which
    recorder, room and source of a clip show (Zhou et al., Domain generalization with MixStyle).
    In a part of the steps, each clip gets in one of these maps a mixture of its own and those of
    another clip, so that the network relies less on them.

    Parameters
    ----------
    network : RCRNN
    share : float
        Part of the steps in which styles are mixed.
    alpha : float, default=0.3
        Of the beta distribution of the weight of a clip's own style: one of both dominates.
    """

    def __init__(self, network: RCRNN, share: float, alpha: float = 0.3):
        self.share = share
        self.beta = torch.distributions.Beta(alpha, alpha)
        extractor = network.extractor
        self.layers: list[nn.Module] = [extractor.pool, *extractor.blocks[:2]]
        self.chosen: nn.Module | None = None
        for layer in self.layers:
            layer.register_forward_hook(self._mix)

    def draw(self) -> None:
        """Choose the map whose styles are mixed in the next step, if there is one."""
        self.chosen = None
        if float(torch.rand(())) < self.share:
            self.chosen = self.layers[int(torch.randint(len(self.layers), ()))]

    def _mix(self, layer: nn.Module, _: Any, maps: Tensor) -> Tensor | None:
        if layer is not self.chosen:
            return None
        wide = maps.float()
        mean = wide.mean(2, keepdim=True).detach()
        scale = (wide.var(2, keepdim=True, unbiased=False) + _EPS).sqrt().detach()
        other = torch.randperm(len(maps), device=maps.device)
        own = self.beta.sample((len(maps), 1, 1, 1)).to(maps.device)
        mixed_mean = own * mean + (1 - own) * mean[other]
        mixed_scale = own * scale + (1 - own) * scale[other]
        return ((wide - mean) / scale * mixed_scale + mixed_mean).to(maps.dtype)


def drop_channels(network: RCRNN, share: float) -> None:
    """Silence a share of the channels of the feature map in each clip, while the network trains."""

    def drop(extractor: nn.Module, _: Any, feature_map: Tensor) -> Tensor | None:
        if not (share and extractor.training):
            return None
        kept = torch.rand_like(feature_map[:, :1]) >= share
        return feature_map * kept / (1 - share)

    network.extractor.register_forward_hook(drop)
