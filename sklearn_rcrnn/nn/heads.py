"""The final classifier (section 2.3 of the paper), and that of R-FCN beside it.

A head turns each region of interest (RoI) into class probabilities and a refined interval.
What both heads share, the stages, the targets and the loss, stands in
:class:`RegionHead`; they differ in how they read the feature map under a RoI.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .coding import CODINGS
from .intervals import ClipBounds, clip_to_limits, gather_intervals
from .losses import LabelLinear, Targets, Weights, classification_mean, masked_mean
from .matching import IGNORED, POSITIVE, match, sample
from .recipe import Recipe
from .roi import position_sensitive_pool, roi_max_pool, roi_mean_pool
from .rpn import Proposals

# Number of parts to which the feature map under a RoI is pooled, 7 in the paper.
ROI_BINS = 7


class RegionHead(nn.Module):
    """What the heads have in common: stages, targets and loss.

    Subclasses say in :meth:`forward` how RoIs are classified, and in :meth:`embed` which
    vector of a RoI the class layer sees; ``n_units`` is the length of that vector.

    Parameters
    ----------
    n_classes : int
    recipe : Recipe
        How RoIs are matched, sampled and coded, and in how many stages they are refined.
    """

    n_units: int

    def __init__(self, n_classes: int, recipe: Recipe):
        super().__init__()
        self.n_classes = n_classes
        self.recipe = recipe

    def forward(self, feature_map: Tensor, rois: Tensor, n_steps: Tensor) -> tuple[Tensor, Tensor]:
        """Classify RoIs and refine them for each class.

        Parameters
        ----------
        feature_map : Tensor of shape (n_clips, max_steps, n_channels)
        rois : Tensor of shape (n_clips, n_rois, 2)
            In steps.
        n_steps : int64 Tensor of shape (n_clips,)
            Valid steps of each clip.

        Returns
        -------
        logits : Tensor of shape (n_clips, n_rois, n_classes + 1)
            The first one is that of the background.
        deltas : Tensor of shape (n_clips, n_rois, n_classes, 2)
        """
        raise NotImplementedError

    def embed(self, feature_map: Tensor, rois: Tensor, n_steps: Tensor) -> Tensor:
        """The vector (n_clips, n_rois, n_units) of each RoI that the class layer sees.

        Parameters are those of :meth:`forward`.
        """
        raise NotImplementedError

    def detect(
        self, feature_map: Tensor, proposals: Proposals, bounds: ClipBounds
    ) -> tuple[Tensor, Tensor]:
        """Scored intervals for each proposal and class.

        Parameters
        ----------
        feature_map : Tensor of shape (n_clips, n_steps, n_channels)
        proposals : Proposals
        bounds : ClipBounds

        Returns
        -------
        intervals : Tensor of shape (n_clips, p, n_classes, 2)
        scores : Tensor of shape (n_clips, p, n_classes)
        """
        rois = proposals.intervals
        if not rois.shape[1]:
            shape = (len(rois), 0, self.n_classes)
            return feature_map.new_zeros(*shape, 2), feature_map.new_zeros(shape)
        for _ in self.recipe.roi_positive:
            logits, deltas = self(feature_map, rois, bounds.n_steps)
            intervals = self.refine(deltas, rois, bounds)
            rois = of_class(intervals, logits[..., 1:].argmax(-1))
        return intervals, logits.softmax(-1)[..., 1:]

    def refine(self, deltas: Tensor, rois: Tensor, bounds: ClipBounds) -> Tensor:
        """The interval (n_clips, n_rois, n_classes, 2) of each class that the deltas give."""
        decode = CODINGS[self.recipe.roi_coding].decode
        intervals = decode(deltas, rois[:, :, None], self.recipe.roi_weights)
        return clip_to_limits(intervals, bounds.limits)

    def sample(
        self, proposals: Proposals, targets: Targets, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """RoIs to train on (n_clips, r, 2), and which of them count (n_clips, r).

        The true events join the proposals, so that the classifier learns from the first
        batch on, when no proposal is good yet.
        """
        rois = torch.cat([proposals.intervals, targets.intervals], 1)
        usable = torch.cat([proposals.valid, targets.mask], 1)
        labels, _ = self.targets(rois, usable, targets, stage=0)
        indices, sampled = sample(
            labels, self.recipe.n_rois, self.recipe.roi_positive_fraction, generator
        )
        return gather_intervals(rois, indices), sampled

    def targets(
        self, rois: Tensor, usable: Tensor, targets: Targets, stage: int
    ) -> tuple[Tensor, Tensor]:
        """Label of every RoI (1 event, 0 background, -1 ignored), and the event it learns.

        Parameters
        ----------
        rois : Tensor of shape (n_clips, r, 2)
        usable : bool Tensor of shape (n_clips, r)
            RoIs that are False are ignored.
        targets : Targets
        stage : int
            The IoU that a positive RoI needs may rise from stage to stage.

        Returns
        -------
        labels, assigned : int64 Tensors of shape (n_clips, r)
        """
        positive = self.recipe.roi_positive[stage]
        return match(
            rois,
            targets.intervals,
            targets.mask,
            positive_iou=positive,
            negative_iou=(self.recipe.roi_background, positive),
            usable=usable,
        )

    def losses(
        self,
        feature_map: Tensor,
        proposals: Proposals,
        bounds: ClipBounds,
        targets: Targets,
        generator: torch.Generator | None = None,
        weights: Weights | None = None,
    ) -> dict[str, Tensor]:
        """The loss of equation (1) over the RoIs, as its two parts.

        In each stage, ``head_cls`` is the cross entropy over background and classes of the
        sampled RoIs of all clips, divided by their number (or a focal loss divided by the
        number of positives: see :func:`~sklearn_rcrnn.nn.losses.classification_mean`), and
        ``head_reg`` is λ times the smooth L1 distance of the deltas of the true class,
        summed over the two coordinates and over the positive RoIs, and divided by the
        number of these. Both are averaged over the stages. Equation (1) has plain sums.

        Parameters
        ----------
        feature_map : Tensor of shape (n_clips, n_steps, n_channels)
        proposals : Proposals
        bounds : ClipBounds
        targets : Targets
        generator : torch.Generator, default=None
            Source of the sampling; PyTorch's global one by default.
        weights : Weights, default=None
            How much each clip and each label counts; all count alike by default.

        Returns
        -------
        dict of scalar Tensors "head_cls" and "head_reg"
        """
        rois, sampled = self.sample(proposals, targets, generator)
        n_stages = len(self.recipe.roi_positive)
        classification = regression = feature_map.new_zeros(())
        for stage in range(n_stages):
            labels, assigned = self.targets(rois, sampled, targets, stage)
            logits, deltas = self(feature_map, rois, bounds.n_steps)
            positive = labels == POSITIVE
            classes = targets.labels.gather(1, assigned)
            entropy = F.cross_entropy(
                logits.transpose(1, 2), torch.where(positive, classes + 1, 0), reduction="none"
            )
            weight = None if weights is None else weights.of_intervals(classes, positive)
            distance = self._distances(deltas, rois, classes, targets, assigned)
            classification = classification + classification_mean(
                entropy, labels != IGNORED, positive, self.recipe.focal_gamma, weight=weight
            )
            regression = regression + masked_mean(distance, positive, weight=weight)
            # The next stage learns from the intervals to which this one refines its RoIs: for a
            # positive RoI that of its true class, for others that of the most likely class.
            with torch.no_grad():
                likeliest = torch.where(positive, classes, logits[..., 1:].argmax(-1))
                rois = of_class(self.refine(deltas, rois, bounds), likeliest)
                sampled = sampled & (rois[..., 1] > rois[..., 0])
        return {
            "head_cls": classification / n_stages,
            "head_reg": self.recipe.regression_weight * regression / n_stages,
        }

    def _distances(
        self, deltas: Tensor, rois: Tensor, classes: Tensor, targets: Targets, assigned: Tensor
    ) -> Tensor:
        """Smooth L1 distance (n_clips, r) of the deltas of the true class from their target."""
        encode = CODINGS[self.recipe.roi_coding].encode
        events = gather_intervals(targets.intervals, assigned)
        wanted = encode(events, rois, self.recipe.roi_weights)
        return F.smooth_l1_loss(of_class(deltas, classes), wanted, reduction="none").sum(-1)


class DenseHead(RegionHead):
    """The final classifier of the paper: RoI max-pooling and two dense layers.

    Parameters
    ----------
    n_channels : int
        Channels of the feature map.
    n_classes : int
    dense_units : int
        M, the units of each of the two dense layers.
    recipe : Recipe
    """

    def __init__(self, n_channels: int, n_classes: int, dense_units: int, recipe: Recipe):
        super().__init__(n_classes, recipe)
        self.n_units = dense_units
        self.dense = nn.Sequential(
            nn.Linear(ROI_BINS * n_channels, dense_units),
            nn.ReLU(),
            nn.Dropout(0.5),  # section 2.3 of the paper
            nn.Linear(dense_units, dense_units),
            nn.ReLU(),
            nn.Dropout(0.5),
        )
        self.classes = LabelLinear(dense_units, n_classes + 1)
        self.regression = LabelLinear(dense_units, 2 * n_classes)
        nn.init.normal_(self.regression.weight, std=0.001)  # as in Fast R-CNN
        nn.init.zeros_(self.regression.bias)

    def forward(self, feature_map: Tensor, rois: Tensor, n_steps: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.embed(feature_map, rois, n_steps)
        return self.classes(hidden), self.regression(hidden).unflatten(-1, (self.n_classes, 2))

    def embed(self, feature_map: Tensor, rois: Tensor, n_steps: Tensor) -> Tensor:
        """The output of the second dense layer, (n_clips, n_rois, dense_units)."""
        return self.dense(roi_max_pool(feature_map, rois, n_steps, ROI_BINS).flatten(-2))


class PositionSensitiveHead(RegionHead):
    """The classifier of R-FCN: no layer after the pooling, but a score map for each bin.

    Each map learns what an event is like in one of its sevenths.

    Parameters
    ----------
    n_channels : int
        Channels of the feature map.
    n_classes : int
    dense_units : int
        Not used; there is no dense layer.
    recipe : Recipe
    """

    def __init__(self, n_channels: int, n_classes: int, dense_units: int, recipe: Recipe):
        super().__init__(n_classes, recipe)
        self.n_units = ROI_BINS * n_channels
        self.n_scores = n_classes + 1 + 2 * n_classes
        self.maps = LabelLinear(n_channels, ROI_BINS * self.n_scores)
        nn.init.normal_(self.maps.weight, std=0.01)
        nn.init.zeros_(self.maps.bias)

    def forward(self, feature_map: Tensor, rois: Tensor, n_steps: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.maps(feature_map).unflatten(-1, (ROI_BINS, self.n_scores))
        scores = position_sensitive_pool(maps, rois, n_steps)
        logits, deltas = scores.split([self.n_classes + 1, 2 * self.n_classes], -1)
        return logits, deltas.unflatten(-1, (self.n_classes, 2))

    def embed(self, feature_map: Tensor, rois: Tensor, n_steps: Tensor) -> Tensor:
        """Means of the feature map in the bins, (n_clips, n_rois, 7 n_channels).

        The scores are a linear function of them.
        """
        return roi_mean_pool(feature_map, rois, n_steps, ROI_BINS).flatten(-2)


HEADS = {"dense": DenseHead, "position_sensitive": PositionSensitiveHead}


def of_class(values: Tensor, classes: Tensor) -> Tensor:
    """Pick one class for each RoI: from (n_clips, n, n_classes, 2) to (n_clips, n, 2)."""
    return values.gather(2, classes[..., None, None].expand(-1, -1, 1, 2)).squeeze(2)
