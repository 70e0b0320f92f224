"""How the network is trained: matching, sampling, coding and losses, and named presets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How intervals are matched, sampled, coded and scaled.

    The defaults are the values of Faster R-CNN's time; :data:`RECIPES` has them under the
    name ``"paper"``.

    Parameters
    ----------
    anchor_positive, anchor_negative : float
        Anchors are positive from the first IoU on, negative under the second.
    n_anchors : int
        Anchors sampled a clip, at most half of them positive.
    anchor_weights : (float, float)
        Scale of the regression targets (center, width) of the RPN.
    roi_positive : tuple of float
        RoIs are positive from this IoU on. With more than one value the final classifier
        is applied as often: each time to the intervals that it refined before, so that
        the scores are those of the refined intervals.
    roi_background : float
        RoIs are background from this IoU up to `roi_positive`, and dropped under it.
    n_rois : int
        RoIs sampled a clip, at most half of them positive.
    roi_coding : {"center", "edges"}
        What the final classifier regresses: center and width, or start and end.
    roi_weights : (float, float)
        Scale of the two regression targets of the final classifier.
    regression_weight : float
        λ of equation (1).
    focal_gamma : float
        0: cross entropy, averaged over all that was sampled. Else the focal loss with this
        exponent, over the number of positives: easy background does not drown events.
    frame_weight : float
        Weight of a loss that tells the labels at each step from the feature map. It
        teaches the extractor from the first batch on, and takes no part in prediction.
    """

    anchor_positive: float = 0.7
    anchor_negative: float = 0.3
    n_anchors: int = 256
    anchor_weights: tuple[float, float] = (4.0, 4.0)
    roi_positive: tuple[float, ...] = (0.5,)
    roi_background: float = 0.1
    n_rois: int = 64
    roi_coding: str = "center"
    roi_weights: tuple[float, float] = (8.0, 4.0)
    regression_weight: float = 1.0
    focal_gamma: float = 0.0
    frame_weight: float = 0.0


RECIPES = {
    "paper": Recipe(),
    # The edges of a long event are a small part of its width: half a second of a cry of
    # five seconds must still count.
    "refined": Recipe(
        roi_positive=(0.5, 0.6),
        roi_background=0.0,
        roi_coding="edges",
        focal_gamma=2.0,
        frame_weight=1.0,
    ),
}
