"""Presence of each label in a clip: the network of the pre-training (section 3.2 of the paper)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .crnn import CRNN, n_steps


class PresenceHead(nn.Module):
    """Presence of each label in a clip, for pre-training (section 3.2 of the paper).

    The feature map is max-pooled along time: an event is present when some step says so.
    """

    def __init__(self, n_channels: int, n_labels: int):
        super().__init__()
        self.dense = nn.Linear(n_channels, n_labels)

    def forward(self, feature_map: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits of shape (n_clips, n_labels) from a map of shape (n_clips, n_steps, n)."""
        if lengths is not None:
            steps = torch.arange(feature_map.shape[1], device=feature_map.device)
            outside = steps >= n_steps(lengths)[:, None]  # type: ignore[index]
            feature_map = feature_map.masked_fill(outside[..., None], -torch.inf)
        return self.dense(feature_map.amax(1))


class PresenceNetwork(nn.Module):
    """The CRNN with a presence head: what :class:`~sklearn_rcrnn.CRNNPretrainer` trains."""

    def __init__(
        self,
        n_bands: int,
        n_labels: int,
        extractor: str,
        gru_units: int,
        context: int | None = None,
    ):
        super().__init__()
        self.crnn = CRNN(n_bands, extractor, gru_units, context)
        self.head = PresenceHead(self.crnn.n_channels, n_labels)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.head(self.crnn(features, lengths), lengths)
