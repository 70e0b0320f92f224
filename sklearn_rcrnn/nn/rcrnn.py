"""The whole network: extractor, region proposal network and final classifier in a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .crnn import extract, full_precision, make_extractor, n_steps
from .heads import HEADS
from .intervals import ClipBounds
from .losses import Targets, Weights
from .nms import nms
from .recipe import Recipe
from .rpn import RPN, Suppression
from .step_classifier import StepClassifier


class Detections(NamedTuple):
    """What the network says of a batch, before any threshold, in steps.

    Attributes
    ----------
    proposals : float32 Tensor of shape (n_clips, p, 2)
    objectness : float32 Tensor of shape (n_clips, p)
    valid : bool Tensor of shape (n_clips, p)
        False where a clip has fewer proposals than the others.
    intervals : float32 Tensor of shape (n_clips, p, n_classes, 2)
        What the classifier makes of each proposal for each class.
    scores : float32 Tensor of shape (n_clips, p, n_classes)
    """

    proposals: Tensor
    objectness: Tensor
    valid: Tensor
    intervals: Tensor
    scores: Tensor


class RCRNN(nn.Module):
    """R-CRNN (Figure 1 of the paper): :meth:`forward` detects, :meth:`losses` trains.

    Parameters
    ----------
    n_inputs : int
        Bands of the features, or channels of the feature map with
        ``extractor="precomputed"``.
    n_classes : int
    extractor : str or torch.nn.Module
        As for :func:`~sklearn_rcrnn.nn.crnn.make_extractor`.
    gru_units, dense_units : int, default=50, 128
        U and M of the paper.
    anchor_sizes : sequence of float, default=(1, 2, 4, 8, 16, 32)
        Widths of the anchors in steps.
    n_proposals : int, default=100
        Largest number of proposals of a clip that reach the final classifier.
    proposal_nms : float, default=0.7
        IoU above which the proposal of lower objectness is dropped.
    freeze_extractor : bool, default=False
        Keep the extractor as it is, its batch statistics included.
    head : str, default="dense"
        The final classifier, a key of ``HEADS``.
    recipe : Recipe, default=None
        None takes the paper's.
    context : int, default=None
        Length of the surroundings, in frames, by which each frame of the features is
        normalized. None: they are normalized by the training clips only.

    Attributes
    ----------
    frames_per_step : int
        Frames of the features in a step of the feature map.
    """

    # The layers whose weights belong to the labels, with any head.
    label_layers = ("head.classes", "head.regression", "head.maps", "step_classifier")

    def __init__(
        self,
        n_inputs: int,
        n_classes: int,
        extractor: str | nn.Module = "crnn_bigru",
        gru_units: int = 50,
        dense_units: int = 128,
        anchor_sizes: Sequence[float] = (1, 2, 4, 8, 16, 32),
        n_proposals: int = 100,
        proposal_nms: float = 0.7,
        freeze_extractor: bool = False,
        head: str = "dense",
        recipe: Recipe | None = None,
        context: int | None = None,
    ):
        super().__init__()
        recipe = Recipe() if recipe is None else recipe
        self.extractor = make_extractor(extractor, n_inputs, gru_units, context)
        self.frames_per_step: int = self.extractor.frames_per_step
        n_channels = self.extractor.n_channels
        self.rpn = RPN(n_channels, anchor_sizes, recipe, n_proposals, proposal_nms)
        self.head = HEADS[head](n_channels, n_classes, dense_units, recipe)
        self.step_classifier = None
        if recipe.step_weight:
            self.step_classifier = StepClassifier(
                n_channels, n_classes, recipe.step_weight, recipe.focal_gamma
            )
        self.freeze_extractor = freeze_extractor
        if freeze_extractor:
            self.extractor.requires_grad_(False)

    def train(self, mode: bool = True) -> RCRNN:
        super().train(mode)
        if self.freeze_extractor:
            self.extractor.eval()
        return self

    def forward(
        self, features: Tensor, lengths: Tensor | None = None, *, suppress: Suppression = nms
    ) -> Detections:
        """Detect events.

        Parameters
        ----------
        features : float32 Tensor of shape (n_clips, n_frames, n_inputs)
        lengths : int64 Tensor of shape (n_clips,), default=None
            Valid frames of each clip; None when all are.
        suppress : callable, default=nms
            Non-maximum suppression of the proposals, with the signature of
            :func:`~sklearn_rcrnn.nn.nms.nms`.

        Returns
        -------
        Detections
        """
        feature_map = self.feature_map(features, lengths)
        return self.detect(feature_map, _all_lengths(features, lengths), suppress=suppress)

    def detect(
        self, feature_map: Tensor, lengths: Tensor, *, suppress: Suppression = nms
    ) -> Detections:
        """Detect events in clips whose feature map is known.

        Parameters
        ----------
        feature_map : float32 Tensor of shape (n_clips, n_steps, n_channels)
        lengths : int64 Tensor of shape (n_clips,)
            Frames of each clip.
        suppress : callable, default=nms
            As for :meth:`forward`.

        Returns
        -------
        Detections
        """
        with full_precision(feature_map.device):
            bounds = self._bounds(lengths)
            logits, deltas = self.rpn(feature_map)
            proposals = self.rpn.propose(logits, deltas, bounds, suppress)
            intervals, scores = self.head.detect(feature_map, proposals, bounds)
        return Detections(*proposals, intervals, scores)

    def losses(
        self,
        features: Tensor,
        lengths: Tensor | None,
        targets: Targets,
        weights: Weights | None = None,
    ) -> dict[str, Tensor]:
        """The parts of the loss, whose sum is minimized; each has a name in the history.

        Equation (1) stands in it twice: over anchors (:meth:`RPN.losses`) and over RoIs
        (:meth:`~sklearn_rcrnn.nn.heads.RegionHead.losses`). In evaluation mode the sampling
        is the same every time, so that losses of validation can be compared.

        Parameters
        ----------
        features : float32 Tensor of shape (n_clips, n_frames, n_inputs)
        lengths : int64 Tensor of shape (n_clips,), or None
            Valid frames of each clip; None when all are.
        targets : Targets
        weights : Weights, default=None
            How much each clip and each label counts; all count alike by default.

        Returns
        -------
        dict of scalar Tensors
            "rpn_cls", "rpn_reg", "head_cls", "head_reg" and, with a
            ``recipe.step_weight``, "steps".
        """
        targets = Targets(*targets)
        feature_map = self.feature_map(features, lengths)
        device = feature_map.device
        generator = None if self.training else torch.Generator(device).manual_seed(0)
        with full_precision(device):
            bounds = self._bounds(_all_lengths(features, lengths))
            logits, deltas = self.rpn(feature_map)
            proposals = self.rpn.propose(logits, deltas, bounds)
            losses = self.rpn.losses(
                logits, deltas, bounds, targets, generator=generator, weights=weights
            )
            if self.step_classifier is not None:
                losses |= self.step_classifier.losses(feature_map, bounds, targets, weights)
            losses |= self.head.losses(
                feature_map, proposals, bounds, targets, generator=generator, weights=weights
            )
        return losses

    def feature_map(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The feature map, a float32 Tensor of shape (n_clips, n_steps, n_channels).

        Parameters are those of :meth:`forward`.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze_extractor):
            return extract(self.extractor, features, lengths)

    def _bounds(self, lengths: Tensor) -> ClipBounds:
        # Events end at the center of the last frame, which is at or before the last sample.
        return ClipBounds(
            n_steps(lengths, self.frames_per_step), (lengths - 1).float() / self.frames_per_step
        )


def _all_lengths(features: Tensor, lengths: Tensor | None) -> Tensor:
    """The number of valid frames (n_clips,) of each clip, also if all are valid."""
    if lengths is not None:
        return lengths
    return torch.full((len(features),), features.shape[1], device=features.device)


def count_parameters(network: nn.Module) -> int:
    """Number of parameters as Keras counts them and Table 2 gives them.

    Moving means and variances of the batch-norms count, and one bias vector for each gate
    of the recurrent layer (PyTorch keeps a second one that adds nothing). Layers with
    ``training_only = True`` take no part in prediction and do not count.
    """
    left_out = {
        parameter
        for module in network.modules()
        if getattr(module, "training_only", False)
        for parameter in module.parameters()
    }
    total = sum(
        parameter.numel()
        for name, parameter in network.named_parameters()
        if "bias_hh" not in name and parameter not in left_out
    )
    return total + sum(b.numel() for name, b in network.named_buffers() if "running_" in name)
