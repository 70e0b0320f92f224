"""How the network is trained: matching, sampling, coding and losses, and named presets."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Literal

from sklearn.base import clone
from sklearn.utils._param_validation import Interval, StrOptions

from .._utils.settings import Settings
from .coding import CODINGS


class Recipe(Settings):
    """How intervals are matched, sampled, coded and weighted in training.

    The defaults are the values of Faster R-CNN and of the code of its time, which stand
    behind the paper; :meth:`named` gives the other presets. As a parameter of a detector,
    each value can be searched for: ``detector__recipe__focal_gamma``.

    Parameters
    ----------
    anchor_positive : float, default=0.7
        Anchors are positive from this IoU with an event on [1]_.
    anchor_negative : float, default=0.3
        Anchors are negative below this IoU [1]_; those between the two are ignored.
    n_anchors : int, default=256
        Number of anchors that are sampled from each clip [1]_.
    anchor_positive_fraction : float, default=0.5
        Largest part of the sampled anchors that is positive: "a ratio of up to 1:1" [1]_.
    anchor_weights : (float, float), default=(4, 4)
        Factors of the regression targets of the RPN, for center and width [3]_.
    roi_positive : tuple of float, default=(0.5,)
        RoIs are positive from this IoU on [2]_. With more than one value, the classifier
        runs in as many stages: each stage starts from the intervals that the stage before
        has refined, so that the scores belong to the refined intervals.
    roi_background : float, default=0.1
        RoIs are background from this IoU up to `roi_positive`, and are dropped below it
        [2]_.
    n_rois : int, default=64
        Number of RoIs that are sampled from each clip [2]_.
    roi_positive_fraction : float, default=0.5
        Largest part of the sampled RoIs that is positive, as in [3]_; it is 0.25 in [2]_.
    roi_coding : {"center", "edges"}, default="center"
        What the classifier regresses: center and width [1]_, or start and end.
    roi_weights : (float, float), default=(8, 4)
        Factors of the two regression targets of the classifier [3]_.
    regression_weight : float, default=1
        λ of the paper's equation (1).
    focal_gamma : float, default=0
        0 gives the cross entropy, averaged over everything that was sampled. Any other
        value is the exponent of a focal loss [4]_, divided by the number of positives,
        with which easy background does not drown the events.
    step_weight : float, default=0
        Weight of a further loss: a linear layer tells the labels at each step of the
        feature map. It teaches the extractor from the first batch on and takes no part in
        prediction. 0 leaves it out.

    References
    ----------
    .. [1] Ren et al.: Faster R-CNN, NIPS 2015, section 3.1.
    .. [2] Girshick: Fast R-CNN, ICCV 2015, section 2.3: 64 RoIs from each image.
    .. [3] keras-frcnn, a public implementation of Faster R-CNN in Keras, the paper's library.
    .. [4] Lin et al.: Focal loss for dense object detection, ICCV 2017.

    Examples
    --------
    >>> from sklearn_rcrnn import RCRNNDetector, Recipe
    >>> detector = RCRNNDetector(recipe=Recipe.named("refined"))
    >>> detector.set_params(recipe__focal_gamma=1.0).recipe.focal_gamma
    1.0
    """

    _parameter_constraints: dict = {
        "anchor_positive": [Interval(Real, 0, 1, closed="right")],
        "anchor_negative": [Interval(Real, 0, 1, closed="both")],
        "n_anchors": [Interval(Integral, 1, None, closed="left")],
        "anchor_positive_fraction": [Interval(Real, 0, 1, closed="both")],
        "anchor_weights": ["array-like"],
        "roi_positive": ["array-like"],
        "roi_background": [Interval(Real, 0, 1, closed="left")],
        "n_rois": [Interval(Integral, 1, None, closed="left")],
        "roi_positive_fraction": [Interval(Real, 0, 1, closed="both")],
        "roi_coding": [StrOptions(set(CODINGS))],
        "roi_weights": ["array-like"],
        "regression_weight": [Interval(Real, 0, None, closed="left")],
        "focal_gamma": [Interval(Real, 0, None, closed="left")],
        "step_weight": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        anchor_positive: float = 0.7,
        anchor_negative: float = 0.3,
        n_anchors: int = 256,
        anchor_positive_fraction: float = 0.5,
        anchor_weights: Sequence[float] = (4.0, 4.0),
        roi_positive: Sequence[float] = (0.5,),
        roi_background: float = 0.1,
        n_rois: int = 64,
        roi_positive_fraction: float = 0.5,
        roi_coding: Literal["center", "edges"] = "center",
        roi_weights: Sequence[float] = (8.0, 4.0),
        regression_weight: float = 1.0,
        focal_gamma: float = 0.0,
        step_weight: float = 0.0,
    ):
        self.anchor_positive = anchor_positive
        self.anchor_negative = anchor_negative
        self.n_anchors = n_anchors
        self.anchor_positive_fraction = anchor_positive_fraction
        self.anchor_weights = anchor_weights
        self.roi_positive = roi_positive
        self.roi_background = roi_background
        self.n_rois = n_rois
        self.roi_positive_fraction = roi_positive_fraction
        self.roi_coding = roi_coding
        self.roi_weights = roi_weights
        self.regression_weight = regression_weight
        self.focal_gamma = focal_gamma
        self.step_weight = step_weight

    @staticmethod
    def named(name: str) -> Recipe:
        """A copy of a preset, to be changed as you like.

        Parameters
        ----------
        name : {"refined", "paper"}

        Returns
        -------
        Recipe

        Raises
        ------
        ValueError
            If there is no preset of this name.
        """
        if name not in RECIPES:
            raise ValueError(f"There is no recipe {name!r}; there are {sorted(RECIPES)}")
        return clone(RECIPES[name])

    def check(self) -> None:
        super().check()
        for name in ("anchor_weights", "roi_weights"):
            value = getattr(self, name)
            if len(value) != 2 or min(value) <= 0:
                raise ValueError(f"{name} must be two positive numbers; got {value!r}")
        if self.anchor_negative > self.anchor_positive:
            raise ValueError(
                f"anchor_negative={self.anchor_negative} must not be above "
                f"anchor_positive={self.anchor_positive}"
            )
        stages = list(self.roi_positive)
        if not stages or not all(self.roi_background <= iou <= 1 and iou > 0 for iou in stages):
            raise ValueError(
                "roi_positive must be one or more values of IoU, above 0, at least "
                f"roi_background={self.roi_background} and at most 1; got {self.roi_positive!r}"
            )


RECIPES = {
    "paper": Recipe(),
    # Errors at the edges of long events are small relative to their width, but half a second in a
    # cry of five seconds must still count.
    "refined": Recipe(
        roi_positive=(0.5, 0.6),
        roi_background=0.0,
        roi_coding="edges",
        focal_gamma=2.0,
        step_weight=1.0,
    ),
}
