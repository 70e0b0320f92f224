"""The region proposal network (section 2.2 of the paper): anchors, proposals, targets, loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .coding import decode, encode
from .intervals import ClipBounds, clip_to_limits, gather_intervals
from .losses import Targets, Weights, classification_mean, masked_mean
from .matching import match, sample
from .nms import nms
from .recipe import Recipe

# Non-maximum suppression with the signature of :func:`~sklearn_rcrnn.nn.nms.nms`.
Suppression = Callable[..., tuple[Tensor, Tensor]]


def anchors(
    n_steps: int, sizes: Sequence[float] | Tensor, device: torch.device | None = None
) -> Tensor:
    """Anchor intervals of every size, centered on every step.

    Parameters
    ----------
    n_steps : int
    sizes : sequence of float, or Tensor
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
    half = torch.as_tensor(sizes, device=device, dtype=torch.float32)[:, None] / 2
    return (centers + torch.cat([-half, half], 1)).view(-1, 2)


def check_some_anchor_fits(sizes: Sequence[float], longest: int) -> None:
    """Raise ValueError if all anchors are wider than the longest clip, of `longest` steps.

    Training ignores anchors that reach over an end of their clip: nothing would be learnt.
    """
    if min(sizes) > longest:
        raise ValueError(
            f"The narrowest of anchor_sizes has {min(sizes)} steps, the longest clip {longest}: "
            "proposals are learnt from anchors inside the clips alone, and there would be none"
        )


class Proposals(NamedTuple):
    """Intervals that may hold an event, whatever its label, by falling objectness.

    Attributes
    ----------
    intervals : float32 Tensor of shape (n_clips, p, 2)
        In steps.
    objectness : float32 Tensor of shape (n_clips, p)
        Probability that there is an event.
    valid : bool Tensor of shape (n_clips, p)
        False where a clip has fewer proposals than the others.
    """

    intervals: Tensor
    objectness: Tensor
    valid: Tensor


class RPN(nn.Module):
    """The region proposal network.

    A window of three steps gives, for each anchor that is centered on its middle, an
    objectness and the deltas that turn the anchor into a proposal.

    Parameters
    ----------
    n_channels : int
        Channels of the feature map.
    anchor_sizes : sequence of float
        Widths of the k anchors of each step, in steps.
    recipe : Recipe
        How anchors are matched, sampled and coded.
    n_proposals : int, default=100
        Largest number of proposals of a clip.
    nms_threshold : float, default=0.7
        IoU above which the proposal of lower objectness is dropped.
    """

    _sizes: Tensor

    def __init__(
        self,
        n_channels: int,
        anchor_sizes: Sequence[float],
        recipe: Recipe,
        n_proposals: int = 100,
        nms_threshold: float = 0.7,
    ):
        super().__init__()
        self.anchor_sizes = tuple(anchor_sizes)
        self.recipe = recipe
        self.n_proposals = n_proposals
        self.nms_threshold = nms_threshold
        n_anchors = len(self.anchor_sizes)
        # These are kept on the device, so that no batch has to copy them.
        sizes = torch.tensor(self.anchor_sizes, dtype=torch.float32)
        self.register_buffer("_sizes", sizes, persistent=False)
        # 128 units over a window of three steps: section 2.2 of the paper.
        self.window = nn.Conv1d(n_channels, 128, 3, padding=1)
        self.objectness = nn.Linear(128, n_anchors)
        self.regression = nn.Linear(128, 2 * n_anchors)
        for layer in (self.objectness, self.regression):
            nn.init.normal_(layer.weight, std=0.01)  # as in Faster R-CNN
            nn.init.zeros_(layer.bias)

    def forward(self, feature_map: Tensor) -> tuple[Tensor, Tensor]:
        """Objectness and deltas of every anchor, in the order of :func:`anchors`.

        Parameters
        ----------
        feature_map : Tensor of shape (n_clips, n_steps, n_channels)

        Returns
        -------
        logits : Tensor of shape (n_clips, n_anchors)
        deltas : Tensor of shape (n_clips, n_anchors, 2)
        """
        hidden = F.relu(self.window(feature_map.transpose(1, 2))).transpose(1, 2)
        deltas = self.regression(hidden)
        return self.objectness(hidden).flatten(1), deltas.view(len(deltas), -1, 2)

    @torch.no_grad()
    def propose(
        self, logits: Tensor, deltas: Tensor, bounds: ClipBounds, suppress: Suppression = nms
    ) -> Proposals:
        """The best proposals after non-maximum suppression (section 2.3 of the paper).

        Parameters
        ----------
        logits, deltas : Tensors that :meth:`forward` returns
        bounds : ClipBounds
        suppress : callable, default=nms
            Non-maximum suppression, with the signature of
            :func:`~sklearn_rcrnn.nn.nms.nms`.
        """
        all_anchors = self._anchors(logits)
        refined = clip_to_limits(
            decode(deltas, all_anchors, self.recipe.anchor_weights), bounds.limits
        )
        valid = (all_anchors.mean(-1) < bounds.n_steps[:, None]) & (
            refined[..., 1] > refined[..., 0]
        )
        best, kept = suppress(refined, logits, self.nms_threshold, self.n_proposals, valid)
        return Proposals(gather_intervals(refined, best), logits.gather(1, best).sigmoid(), kept)

    def targets(
        self, all_anchors: Tensor, bounds: ClipBounds, targets: Targets
    ) -> tuple[Tensor, Tensor]:
        """Label of every anchor (1 event, 0 background, -1 ignored), and the event it learns.

        Anchors that reach over an end of their clip are ignored.

        Parameters
        ----------
        all_anchors : Tensor of shape (1, n_anchors, 2)
        bounds : ClipBounds
        targets : Targets

        Returns
        -------
        labels, assigned : int64 Tensors of shape (n_clips, n_anchors)
        """
        # A step extends half a step to either side of its center, so anchors of one step lie inside
        # the clip even at its ends.
        inside = (all_anchors[..., 0] >= -0.5) & (
            all_anchors[..., 1] <= bounds.n_steps[:, None] - 0.5
        )
        return match(
            all_anchors,
            targets.intervals,
            targets.mask,
            positive_iou=self.recipe.anchor_positive,
            negative_iou=(0.0, self.recipe.anchor_negative),
            usable=inside,
            force_best=True,
        )

    def losses(
        self,
        logits: Tensor,
        deltas: Tensor,
        bounds: ClipBounds,
        targets: Targets,
        generator: torch.Generator | None = None,
        weights: Weights | None = None,
    ) -> dict[str, Tensor]:
        """The loss of equation (1) over the anchors, as its two parts.

        ``rpn_cls`` is the binary cross entropy of the sampled anchors of all clips, divided
        by their number (or a focal loss divided by the number of positives: see
        :func:`~sklearn_rcrnn.nn.losses.classification_mean`). ``rpn_reg`` is λ times the
        smooth L1 distance of the deltas, summed over the two coordinates and over the
        sampled positive anchors of all clips, and divided by the number of these. Equation
        (1) has plain sums there, and Faster R-CNN divides its second sum by a constant,
        the number of anchor positions.

        Parameters
        ----------
        logits, deltas : Tensors that :meth:`forward` returns
        bounds : ClipBounds
        targets : Targets
        generator : torch.Generator, default=None
            Source of the sampling; PyTorch's global one by default.
        weights : Weights, default=None
            How much each clip and each label counts; all count alike by default.

        Returns
        -------
        dict of scalar Tensors "rpn_cls" and "rpn_reg"
        """
        recipe = self.recipe
        all_anchors = self._anchors(logits)
        labels, assigned = self.targets(all_anchors, bounds, targets)
        indices, sampled = sample(
            labels, recipe.n_anchors, recipe.anchor_positive_fraction, generator
        )
        labels = labels.gather(1, indices).clamp(min=0)
        entropy = F.binary_cross_entropy_with_logits(
            logits.gather(1, indices), labels.to(logits.dtype), reduction="none"
        )
        assigned = assigned.gather(1, indices)
        events = gather_intervals(targets.intervals, assigned)
        distance = F.smooth_l1_loss(
            gather_intervals(deltas, indices),
            encode(events, all_anchors[0][indices], recipe.anchor_weights),
            reduction="none",
        ).sum(-1)
        positive = sampled & (labels > 0)
        weight = None
        if weights is not None:
            weight = weights.of_intervals(targets.labels.gather(1, assigned), positive)
        classification = classification_mean(
            entropy, sampled, positive, recipe.focal_gamma, weight=weight
        )
        regression = masked_mean(distance, positive, weight=weight)
        return {"rpn_cls": classification, "rpn_reg": recipe.regression_weight * regression}

    def _anchors(self, logits: Tensor) -> Tensor:
        """All anchors (1, n_anchors, 2) that the logits (n_clips, n_anchors) belong to."""
        n_steps = logits.shape[1] // len(self.anchor_sizes)
        return anchors(n_steps, self._sizes, logits.device)[None]
