"""Presence of each label in a clip: the network of the pre-training (section 3.2 of the paper)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .crnn import extract, make_extractor, n_steps
from .losses import LabelLinear, Targets, Weights, masked_mean


class PresenceHead(nn.Module):
    """Presence of each label in a clip, for pre-training (section 3.2 of the paper).

    The feature map is max-pooled along time, so that one step that shows an event is enough.

    Parameters
    ----------
    n_channels : int
        Channels of the feature map.
    n_labels : int
    """

    def __init__(self, n_channels: int, n_labels: int):
        super().__init__()
        self.dense = LabelLinear(n_channels, n_labels)

    def forward(self, feature_map: Tensor, steps: Tensor | None = None) -> Tensor:
        """Logits of shape (n_clips, n_labels) from a map of shape (n_clips, max_steps, n).

        `steps` (n_clips,) are the valid steps of each clip; None when all are.
        """
        if steps is not None:
            places = torch.arange(feature_map.shape[1], device=feature_map.device)
            outside = places >= steps[:, None]
            feature_map = feature_map.masked_fill(outside[..., None], -torch.inf)
        return self.dense(feature_map.amax(1))


class PresenceNetwork(nn.Module):
    """An extractor with a presence head: what :class:`~sklearn_rcrnn.CRNNPretrainer` trains.

    Parameters
    ----------
    n_bands, n_labels : int
    extractor : str or torch.nn.Module
    gru_units : int
    context : int, default=None
        As for :func:`~sklearn_rcrnn.nn.crnn.make_extractor`.
    """

    def __init__(
        self,
        n_bands: int,
        n_labels: int,
        extractor: str | nn.Module,
        gru_units: int,
        context: int | None = None,
    ):
        super().__init__()
        self.extractor = make_extractor(extractor, n_bands, gru_units, context)
        self.head = PresenceHead(self.extractor.n_channels, n_labels)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits (n_clips, n_labels) of the presence of each label."""
        steps = None
        if lengths is not None:
            steps = n_steps(lengths, self.extractor.frames_per_step)
        return self.head(extract(self.extractor, features, lengths), steps)

    def losses(
        self,
        features: Tensor,
        lengths: Tensor | None,
        targets: Targets,
        weights: Weights | None = None,
    ) -> dict[str, Tensor]:
        """The loss ``presence``: binary cross entropy, averaged over clips and labels."""
        logits = self(features, lengths)
        target = presence(Targets(*targets), logits)
        weight = None if weights is None else weights.of_classes(target > 0)
        entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        return {"presence": masked_mean(entropy, torch.ones_like(target).bool(), weight=weight)}


def presence(targets: Targets, like: Tensor) -> Tensor:
    """1 where a clip has an event of a label, else 0, as (n_clips, n_labels) like `like`."""
    present = torch.zeros_like(like)
    return present.scatter_reduce(1, targets.labels, targets.mask.to(like.dtype), "amax")
