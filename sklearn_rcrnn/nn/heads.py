"""The final classifier (section 2.3), and that of R-FCN beside it."""

from __future__ import annotations

from torch import Tensor, nn

from .roi import position_sensitive_pool, roi_max_pool

ROI_BINS = 7


class DenseHead(nn.Module):
    """The final classifier: class probabilities and a refined interval, by dense layers."""

    def __init__(self, n_channels: int, n_classes: int, dense_units: int):
        super().__init__()
        self.n_classes = n_classes
        self.dense = nn.Sequential(
            nn.Linear(ROI_BINS * n_channels, dense_units),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(dense_units, dense_units),
            nn.ReLU(),
            nn.Dropout(0.5),
        )
        self.classes = nn.Linear(dense_units, n_classes + 1)
        self.regression = nn.Linear(dense_units, 2 * n_classes)
        nn.init.normal_(self.regression.weight, std=0.001)
        nn.init.zeros_(self.regression.bias)

    def forward(self, feature_map: Tensor, rois: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (..., n_classes + 1), background first, and codes (..., n_classes, 2).

        Parameters
        ----------
        feature_map : Tensor of shape (n_clips, n_steps, n_channels)
        rois : Tensor of shape (n_clips, n_rois, 2)
        lengths : int64 Tensor of shape (n_clips,)
        """
        pooled = roi_max_pool(feature_map, rois, lengths, ROI_BINS)
        hidden = self.dense(pooled.flatten(-2))
        return self.classes(hidden), self.regression(hidden).unflatten(-1, (self.n_classes, 2))


class PositionSensitiveHead(nn.Module):
    """The classifier of R-FCN: no layer after the pooling, but a score map for each bin.

    Each map learns what an event is like in one of its sevenths.
    """

    def __init__(self, n_channels: int, n_classes: int):
        super().__init__()
        self.n_classes = n_classes
        self.n_scores = n_classes + 1 + 2 * n_classes
        self.maps = nn.Linear(n_channels, ROI_BINS * self.n_scores)
        nn.init.normal_(self.maps.weight, std=0.01)
        nn.init.zeros_(self.maps.bias)

    def forward(self, feature_map: Tensor, rois: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and codes, as :meth:`DenseHead.forward` gives them."""
        maps = self.maps(feature_map).unflatten(-1, (ROI_BINS, self.n_scores))
        scores = position_sensitive_pool(maps, rois, lengths)
        logits, codes = scores.split([self.n_classes + 1, 2 * self.n_classes], -1)
        return logits, codes.unflatten(-1, (self.n_classes, 2))


HEADS = ("dense", "position_sensitive")
