"""The labels at each step of the feature map: a loss that helps the extractor to learn."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .intervals import ClipBounds, cover
from .losses import LabelLinear, Targets, Weights, classification_mean


class StepClassifier(LabelLinear):
    """A linear layer that tells the labels at each step, in training only.

    It does not count among the parameters of the network, because it takes no part in
    prediction.

    Parameters
    ----------
    n_channels : int
        Channels of the feature map.
    n_classes : int
    loss_weight : float
        Factor of the loss.
    focal_gamma : float
        Exponent of the focal loss; 0 for the cross entropy.
    """

    training_only = True

    def __init__(self, n_channels: int, n_classes: int, loss_weight: float, focal_gamma: float):
        super().__init__(n_channels, n_classes)
        self.loss_weight = loss_weight
        self.focal_gamma = focal_gamma

    def losses(
        self,
        feature_map: Tensor,
        bounds: ClipBounds,
        targets: Targets,
        weights: Weights | None = None,
    ) -> dict[str, Tensor]:
        """The loss ``steps``: binary cross entropies of the steps of all clips.

        For each label apart they are summed and divided (see
        :func:`~sklearn_rcrnn.nn.losses.classification_mean`), and the labels are averaged:
        else labels of long events would outweigh those of short ones by their number of
        steps.

        Parameters
        ----------
        feature_map : Tensor of shape (n_clips, n_steps, n_channels)
        bounds : ClipBounds
        targets : Targets
        weights : Weights, default=None
            How much each clip and each label counts; all count alike by default.
        """
        n_steps = feature_map.shape[1]
        covered = cover(*targets, n_steps, self.out_features)
        entropy = F.binary_cross_entropy_with_logits(
            self(feature_map), covered.to(feature_map.dtype), reduction="none"
        )
        time = torch.arange(n_steps, device=feature_map.device)
        valid = (time < bounds.n_steps[:, None])[..., None].expand_as(covered)
        by_label = classification_mean(
            entropy,
            valid,
            covered & valid,
            self.focal_gamma,
            dim=(0, 1),
            weight=None if weights is None else weights.of_classes(covered),
        )
        return {"steps": self.loss_weight * by_label.mean()}
