"""The whole network: extractor, proposals, final classifier, and its two losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .coding import CODINGS, decode, encode
from .crnn import CRNN, FRAMES_PER_STEP, full_precision, n_steps
from .heads import DenseHead, PositionSensitiveHead
from .intervals import clip_to_limits, cover
from .losses import Truth, focal_mean, masked_mean
from .matching import IGNORED, POSITIVE, match, sample
from .nms import nms
from .recipe import Recipe
from .rpn import RPN, anchors


class Detections(NamedTuple):
    """What the network says of a batch, before any threshold, in steps.

    ``proposals`` (n_clips, p, 2), ``objectness`` (n_clips, p), ``valid`` (n_clips, p) bool;
    ``intervals`` (n_clips, p, n_classes, 2), ``scores`` (n_clips, p, n_classes).
    """

    proposals: Tensor
    objectness: Tensor
    valid: Tensor
    intervals: Tensor
    scores: Tensor


class RCRNN(nn.Module):
    """R-CRNN: equation (1) twice in training, scored intervals at inference.

    Parameters
    ----------
    n_inputs : int
        Mel bands, or channels of the feature map with ``extractor="precomputed"``.
    n_classes : int
    extractor : {"cnn", "crnn_gru", "crnn_bigru", "precomputed"}
    gru_units, dense_units : int
        U and M of the paper.
    anchor_sizes : sequence of float
        In steps.
    n_proposals : int
        Proposals that reach the final classifier.
    proposal_nms : float
        IoU above which a weaker proposal is dropped.
    freeze_extractor : bool
        Keep the extractor as it is, its batch statistics included.
    head : {"dense", "position_sensitive"}
        The final classifier, or that of R-FCN.
    recipe : Recipe
    context : int, default=None
        Frames of features around each that it is normalized by; None: by the training
        clips only.
    """

    def __init__(
        self,
        n_inputs: int,
        n_classes: int,
        extractor: str = "crnn_bigru",
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
        self.crnn = None
        if extractor != "precomputed":
            self.crnn = CRNN(n_inputs, extractor, gru_units, context)
        n_channels = n_inputs if self.crnn is None else self.crnn.n_channels
        self.rpn = RPN(n_channels, len(anchor_sizes))
        self.head: DenseHead | PositionSensitiveHead
        if head == "dense":
            self.head = DenseHead(n_channels, n_classes, dense_units)
        else:
            self.head = PositionSensitiveHead(n_channels, n_classes)
        self.recipe = recipe or Recipe()
        self.frames = nn.Linear(n_channels, n_classes) if self.recipe.frame_weight else None
        self.anchor_sizes = tuple(anchor_sizes)
        self.n_proposals = n_proposals
        self.proposal_nms = proposal_nms
        self.suppress: Callable[..., tuple[Tensor, Tensor]] = (
            nms  # an exported graph has an operator of its own
        )
        self.frozen = freeze_extractor and self.crnn is not None
        if self.frozen:
            self.crnn.requires_grad_(False)  # type: ignore[union-attr]

    def train(self, mode: bool = True) -> RCRNN:
        super().train(mode)
        if self.frozen:
            self.crnn.eval()  # type: ignore[union-attr]
        return self

    def forward(
        self,
        features: Tensor,
        lengths: Tensor | None = None,
        truth: Sequence[Tensor] | None = None,
    ) -> Detections | dict[str, Tensor]:
        """Losses by name where the truth is given, detections otherwise.

        Parameters
        ----------
        features : float32 Tensor of shape (n_clips, n_frames, n_inputs)
        lengths : int64 Tensor of shape (n_clips,), default=None
            Valid frames of each clip; None when all are.
        truth : Truth, or its parts in order, default=None

        Returns
        -------
        dict of scalar Tensors "rpn_cls", "rpn_reg", "head_cls", "head_reg", or Detections
        """
        if self.crnn is None:
            feature_map = features
        else:
            with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
                feature_map = self.crnn(features, lengths)
        with full_precision(features.device):
            if lengths is None:
                lengths = torch.full((len(features),), features.shape[1], device=features.device)
            return self._detect(feature_map, lengths, None if truth is None else Truth(*truth))

    def detect(self, feature_map: Tensor, lengths: Tensor) -> Detections:
        """Detections in clips whose feature map is known.

        Parameters
        ----------
        feature_map : float32 Tensor of shape (n_clips, n_steps, n_channels)
        lengths : int64 Tensor of shape (n_clips,)
            Frames of each clip.
        """
        with full_precision(feature_map.device):
            found = self._detect(feature_map, lengths, None)
        assert isinstance(found, Detections)
        return found

    def _detect(
        self, feature_map: Tensor, lengths: Tensor, truth: Truth | None
    ) -> Detections | dict[str, Tensor]:
        # The last frame is centered at or before the last sample: events end by then.
        scale = 1 if self.crnn is None else FRAMES_PER_STEP
        limits = (lengths - 1).float() / scale
        steps = lengths if self.crnn is None else n_steps(lengths)
        assert isinstance(steps, Tensor)
        grid = anchors(feature_map.shape[1], self.anchor_sizes, feature_map.device)[None]
        logits, codes = self.rpn(feature_map)
        with torch.no_grad():
            found, objectness, valid = self._propose(grid, logits, codes, steps, limits)
        if truth is not None:
            generator = None if self.training else _fixed_generator(feature_map.device)
            losses = self._rpn_losses(grid, logits, codes, steps, truth, generator)
            losses |= self._frame_losses(feature_map, steps, truth)
            rois, drawn = self._draw_rois(found, valid, truth, generator)
            return losses | self._head_losses(feature_map, steps, limits, rois, drawn, truth)
        if not found.shape[1]:
            empty = feature_map.new_zeros(len(feature_map), 0, self.head.n_classes)
            return Detections(
                found, objectness, valid, empty[..., None].expand(*empty.shape, 2), empty
            )
        rois = found
        for _ in self.recipe.roi_positive:
            logits, codes = self.head(feature_map, rois, steps)
            refined = self._refine(codes, rois, limits)
            rois = _of_class(refined, logits[..., 1:].argmax(-1))
        return Detections(found, objectness, valid, refined, logits.softmax(-1)[..., 1:])

    def _refine(self, codes: Tensor, rois: Tensor, limits: Tensor) -> Tensor:
        """Intervals (n_clips, n_rois, n_classes, 2) that the classifier makes of RoIs."""
        decode_roi = CODINGS[self.recipe.roi_coding][1]
        return clip_to_limits(decode_roi(codes, rois[:, :, None], self.recipe.roi_weights), limits)

    def _propose(
        self, grid: Tensor, logits: Tensor, codes: Tensor, steps: Tensor, limits: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Best proposals (n_clips, p, 2), their objectness and validity (n_clips, p)."""
        proposals = clip_to_limits(decode(codes, grid, self.recipe.anchor_weights), limits)
        valid = (grid.mean(-1) < steps[:, None]) & (proposals[..., 1] > proposals[..., 0])
        best, kept = self.suppress(proposals, logits, self.proposal_nms, self.n_proposals, valid)
        found = proposals.gather(1, best[..., None].expand(-1, -1, 2))
        return found, logits.gather(1, best).sigmoid(), kept

    def _rpn_losses(
        self,
        grid: Tensor,
        logits: Tensor,
        codes: Tensor,
        steps: Tensor,
        truth: Truth,
        generator: torch.Generator | None,
    ) -> dict[str, Tensor]:
        recipe = self.recipe
        # A step reaches half a step to either side, so the first and the last anchors of
        # one step lie inside.
        usable = (grid[..., 0] >= -0.5) & (grid[..., 1] <= steps[:, None] - 0.5)
        labels, assigned = match(
            grid,
            truth.intervals,
            truth.mask,
            positive_iou=recipe.anchor_positive,
            negative_iou=(0.0, recipe.anchor_negative),
            usable=usable,
            force_best=True,
        )
        indices, drawn = sample(labels, recipe.n_anchors, 0.5, generator)
        labels = labels.gather(1, indices).clamp(min=0)
        classification = F.binary_cross_entropy_with_logits(
            logits.gather(1, indices), labels.to(logits.dtype), reduction="none"
        )
        target = _gather_intervals(truth.intervals, assigned.gather(1, indices))
        regression = F.smooth_l1_loss(
            _gather_intervals(codes, indices),
            encode(target, grid[0][indices], recipe.anchor_weights),
            reduction="none",
        ).sum(-1)
        positive = drawn & (labels > 0)
        return {
            "rpn_cls": focal_mean(classification, drawn, positive, recipe.focal_gamma),
            "rpn_reg": recipe.regression_weight * masked_mean(regression, positive),
        }

    def _frame_losses(self, feature_map: Tensor, steps: Tensor, truth: Truth) -> dict[str, Tensor]:
        if self.frames is None:
            return {}
        n = feature_map.shape[1]
        target = cover(*truth, n, self.head.n_classes)
        entropy = F.binary_cross_entropy_with_logits(
            self.frames(feature_map), target.to(feature_map.dtype), reduction="none"
        )
        time = torch.arange(n, device=feature_map.device)
        valid = (time < steps[:, None])[..., None].expand_as(target)
        # By label: long events would else outweigh short ones by their number of steps.
        by_label = focal_mean(entropy, valid, target & valid, self.recipe.focal_gamma, dim=(0, 1))
        return {"frames": self.recipe.frame_weight * by_label.mean()}

    def _draw_rois(
        self, proposals: Tensor, valid: Tensor, truth: Truth, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """RoIs to train the classifier on (n_clips, r, 2), and which of them count."""
        # The true events join the proposals, so that the classifier learns from the first
        # step on, when no proposal is good yet.
        rois = torch.cat([proposals, truth.intervals], 1)
        labels, _ = self._match_rois(rois, torch.cat([valid, truth.mask], 1), truth, 0)
        indices, drawn = sample(labels, self.recipe.n_rois, 0.5, generator)
        return _gather_intervals(rois, indices), drawn

    def _match_rois(
        self, rois: Tensor, usable: Tensor, truth: Truth, turn: int
    ) -> tuple[Tensor, Tensor]:
        positive = self.recipe.roi_positive[turn]
        return match(
            rois,
            truth.intervals,
            truth.mask,
            positive_iou=positive,
            negative_iou=(self.recipe.roi_background, positive),
            usable=usable,
        )

    def _head_losses(
        self,
        feature_map: Tensor,
        steps: Tensor,
        limits: Tensor,
        rois: Tensor,
        drawn: Tensor,
        truth: Truth,
    ) -> dict[str, Tensor]:
        recipe = self.recipe
        encode_roi = CODINGS[recipe.roi_coding][0]
        classification = regression = feature_map.new_zeros(())
        for turn in range(len(recipe.roi_positive)):
            labels, assigned = self._match_rois(rois, drawn, truth, turn)
            logits, codes = self.head(feature_map, rois, steps)
            positive = labels == POSITIVE
            classes = truth.labels.gather(1, assigned)
            entropy = F.cross_entropy(
                logits.transpose(1, 2), torch.where(positive, classes + 1, 0), reduction="none"
            )
            target = _gather_intervals(truth.intervals, assigned)
            distance = F.smooth_l1_loss(
                _of_class(codes, classes),
                encode_roi(target, rois, recipe.roi_weights),
                reduction="none",
            ).sum(-1)
            used = labels != IGNORED
            classification = classification + focal_mean(
                entropy, used, positive, recipe.focal_gamma
            )
            regression = regression + masked_mean(distance, positive)
            with torch.no_grad():
                best = torch.where(positive, classes, logits[..., 1:].argmax(-1))
                rois = _of_class(self._refine(codes, rois, limits), best)
                drawn = drawn & (rois[..., 1] > rois[..., 0])
        turns = len(recipe.roi_positive)
        return {
            "head_cls": classification / turns,
            "head_reg": recipe.regression_weight * regression / turns,
        }


def count_parameters(network: nn.Module) -> int:
    """Number of parameters as Keras counts them and Table 2 gives them.

    Moving means and variances of the batch-norms count, and one bias vector for each gate
    of the recurrent layer (PyTorch keeps a second one that adds nothing). The layer of the
    frame loss, which only a training uses, does not count.
    """
    total = sum(
        p.numel()
        for name, p in network.named_parameters()
        if "bias_hh" not in name and not name.startswith("frames.")
    )
    return total + sum(b.numel() for name, b in network.named_buffers() if "running_" in name)


def _gather_intervals(values: Tensor, indices: Tensor) -> Tensor:
    """Rows of (n_clips, n, 2) by an index of shape (n_clips, k)."""
    return values.gather(1, indices[..., None].expand(-1, -1, 2))


def _of_class(values: Tensor, classes: Tensor) -> Tensor:
    """Of (n_clips, n, n_classes, 2) the pairs (n_clips, n, 2) of a class for each."""
    return values.gather(2, classes[..., None, None].expand(-1, -1, 1, 2)).squeeze(2)


def _fixed_generator(device: torch.device) -> torch.Generator:
    """The same draws in every evaluation, so that validation losses can be compared."""
    return torch.Generator(device).manual_seed(0)
