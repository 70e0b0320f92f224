"""RCRNNDetector: the estimator, its parameters, and the network that they make."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from ._base import EventDetector
from ._utils.shared_parameters import stores_parameters_of
from .events import THRESHOLD_NAMES, Label
from .inference.region_predictions import RegionPredictions
from .nn.crnn import EXTRACTORS, MIN_BANDS, PRECOMPUTED, n_steps
from .nn.heads import HEADS
from .nn.rcrnn import RCRNN
from .nn.recipe import RECIPES, Recipe
from .nn.rpn import check_some_anchor_fits
from .postprocessing import Seconds
from .pretraining import CRNNPretrainer
from .training.augmentation import Augmentation
from .training.fit_arguments import TrainingData
from .training.initial_weights import copy_weights, draw_back, fit_pretrainer, has_other_labels
from .training.parameters import (
    ClassWeight,
    LRSchedule,
    NormalizedBy,
    Precision,
    TrainingParameters,
    check_own_extractor,
)
from .training.targets import warn_of_shared_times

# Times `lr`: the rate of layers that start anew behind those that know other labels already.
_NEW_LABELS_LR = 5.0


class RCRNNDetector(RegionPredictions, EventDetector):
    """Detect sound events in features of recordings with R-CRNN.

    A convolutional recurrent network turns the features of a clip, which it normalizes,
    into a feature map; a region proposal network finds intervals that may hold an event; a
    classifier names each and refines its onset and offset. The threshold on the scores of
    events never moves their boundaries.

    A parameter that is changed after ``fit`` has no effect before the next ``fit``, unless its
    description says so; `batch_size` and `precision` act at once, too. Times are counted in
    `frame_shift`, which must stay that of the features.

    Parameters
    ----------
    gru_units : int, default=50
        The paper's U: units of the recurrent layer in each direction.
    dense_units : int, default=128
        The paper's M: units of each of the two dense layers of the classifier.
    head : {"dense", "position_sensitive"}, default="dense"
        The final classifier: the paper's, or that of R-FCN, which has no dense layers. With
        ``extractor="cnn"`` the latter makes the R-FCN of the paper's Table 4.
    extractor : {"crnn_bigru", "crnn_gru", "cnn", "precomputed"} or torch.nn.Module, \
default="crnn_bigru"
        The network that turns features into the feature map. The names stand for the network
        of the paper's Table 1 with a bidirectional, a forward, or no recurrent layer, and
        ``"precomputed"`` for none, when `X` holds the feature maps of a
        :class:`CRNNPretrainer`. A module of your own has the integers ``n_channels`` and
        ``frames_per_step``. It is called with features of shape (n_clips, n_frames,
        n_bands) and the lengths of the clips in frames, an int64 Tensor or None, and
        returns a feature map of shape (n_clips, ceil(n_frames / frames_per_step),
        n_channels), whose step ``i`` is centered at frame ``i * frames_per_step``. It
        receives the features as they are, and ``fit`` trains a copy of it.
    pretrainer : CRNNPretrainer or FrozenEstimator, default=None
        Where the first weights come from. None starts from random weights. A
        :class:`CRNNPretrainer` is cloned and fitted on the same clips first, with the
        `extractor`, `gru_units`, `normalization` and `frame_shift` of the detector. Where its
        `device` or `precision` is ``"auto"``, or its `random_state` None, it follows the
        detector in these, too. It has the validation clips of the detector, from which it does not
        learn, and gives the extractor its weights. A fitted pre-trainer comes in a FrozenEstimator.
        So does a fitted RCRNNDetector, of these or other labels, for a warm start: it gives all
        weights that fit, and layers that tell labels apart start anew where the labels are others.
    freeze_extractor : bool, default=False
        Keep the extractor as it is: as pre-trained, or as the module that was given.
    extractor_lr : float, default=None
        Learning rate of the extractor, often lower than that of new layers; None takes `lr`.
    memory : str, PathLike or joblib.Memory, default=None
        Cache of fitted pre-trainers, so that a grid over `dense_units` fits only one.
    normalization : "auto", float or "training", default="auto"
        How each band of the features is brought to a mean of 0 and a deviation of 1. A
        number is a length in seconds: the mean and deviation of each frame are measured
        over that much of the recording around it. ``"auto"`` is 10 seconds, or less where
        most training clips are shorter. ``"training"`` measures both over all of them.
    anchor_sizes : sequence of float, default=(1, 2, 4, 8, 16, 32)
        Widths of the anchors in steps of the feature map (by default 8 frames, 186 ms).
    n_proposals : int, default=100
        Largest number of proposals of a clip that reach the classifier.
    proposal_nms_threshold : float, default=0.7
        IoU of two proposals above which the one of lower objectness is dropped.
    score_threshold : float, dict of label to float, or name, default=0.5
        Events with a lower score are not returned. The paper has 0.8, which scores seldom
        reach with the refined recipe. ``"sensitive"``, ``"balanced"`` and ``"few false
        alarms"`` take the thresholds of that name in ``thresholds_``. May be changed after
        ``fit``, by hand or by :class:`TunedThresholdDetectorCV`.
    nms_threshold : float, default=0.3
        IoU of two events of one label above which the one of lower score is dropped. May
        be changed after ``fit``.
    merge_gap : float or dict of label to float, default=None
        Events of one label that are at most so many seconds apart are joined to one, with
        the higher score. May be changed after ``fit``, as may the next two. Labels that a
        dict leaves out are left as they are.
    min_duration, max_duration : float or dict of label to float, default=None
        Events that are shorter or longer, in seconds, after they were joined, are dropped.
    max_events_per_clip : int, default=None
        Largest number of events that are returned for a clip: those with the highest
        scores. 1 is the rule of DCASE 2017. May be changed after ``fit``.
    recipe : {"refined", "paper"} or Recipe, default="refined"
        How intervals are matched, sampled, coded and refined in training. ``"paper"`` has
        the values of Faster R-CNN and of the code of its time. ``"refined"`` differs in
        three ways: the classifier regresses onset and offset instead of center and width;
        it is applied a second time, to the intervals that it has refined; and it also
        learns from proposals that overlap no event, without which it would see no example
        from clips without events. Values of a :class:`Recipe` can be set one by one:
        ``set_params(recipe__focal_gamma=0)``.
    frame_shift : float, default=1024 / 44100
        Seconds between frames of the features: the hop divided by the sample rate. With
        ``extractor="precomputed"`` it is an eighth of a step of the feature maps, however many
        frames their extractor made a step of.
    max_epochs : int, default=30
        Number of epochs; with `patience`, the largest number.
    lr : float, default=1e-3
        Learning rate of Adam; of a cycle, the highest one. The paper has 1e-5 after
        pre-training. After a warm start from a detector of other labels, the layers that
        tell labels apart, which start anew, have five times this rate.
    lr_schedule : {"constant", "one_cycle"}, default="one_cycle"
        ``"one_cycle"`` warms up over a tenth of the steps and then falls to nearly zero by
        `max_epochs`, where the best weights are.
    augmentation : callable, default=None
        Random change of each training batch before the network learns from it. This is a
        :class:`FeatureAugmentation` or a function of your own, called with (features, lengths,
        targets) as :data:`~sklearn_rcrnn.training.augmentation.Augmentation` describes.
    class_weight : dict of label to float, "balanced" or None, default=None
        Weight of the events of each label in the losses. Labels that a dict leaves out have
        weight 1, as all labels do with None. ``"balanced"`` sets the weight of each label to
        ``n_events / (n_labels * n_events_of_label)``, so that rare labels count as much as
        frequent ones.
    batch_size : int, default=16
        Number of clips in a batch, in training and at ``predict``.
    patience : int, default=None
        Stop when the validation loss has not improved for this number of epochs, and
        restore the weights of the best one. None trains for all epochs, as a cycle of the
        learning rate needs it.
    validation_fraction : float, default=0.1
        Part of the clips that is set aside for validation, each label in proportion. None
        trains on all clips and watches the training loss.
    gradient_clip : float, default=5.0
        Norm of the gradient above which it is scaled down; None leaves it as it is.
    callbacks : list of skorch callbacks, default=None
        Added to the estimator's own.
    net_params : dict, default=None
        Parameters of :class:`skorch.NeuralNet`, but not of its module, criterion and data;
        they take precedence over those that the estimator sets.
    device : str, default="auto"
        Name of a PyTorch device; ``"auto"`` is CUDA where there is one, else the CPU. May be
        changed after ``fit``: the network goes there when it next predicts.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Number format of the convolutions. ``"auto"`` trains in bfloat16 where the processor has
        instructions for it, and predicts in float32; ``"bfloat16"`` does both in bfloat16.
    random_state : int, RandomState instance or None, default=None
        Seed of the first weights, the split, the order of clips, the sampling and the
        dropout. An integer makes trainings repeatable.
    verbose : int, default=0
        1 says losses and F-score of each epoch and the time left, 2 also the parts of the loss.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is the network.
    pretrainer_ : CRNNPretrainer, RCRNNDetector or None
        The fitted estimator that the first weights came from. Absent after :func:`load`.
    thresholds_ : dict of str to dict of label to float
        Named score thresholds of each label. Models of the package have them, and those
        that ``rcrnn train`` made; absent otherwise.
    n_parameters_ : int
        Number of parameters, counted as in the paper's Table 2.
    history_ : skorch.history.History
        Losses of each epoch: ``valid_loss`` and the parts that it is the sum of, which are
        ``rpn_cls``, ``rpn_reg``, ``head_cls``, ``head_reg`` and, with a ``step_weight`` in
        the recipe, ``steps``; ``train_loss`` and, under ``train_rpn_cls`` and so on, its
        parts; ``valid_f_score``, the event-based F-score of the validation clips.

    See Also
    --------
    make_rcrnn_pipeline : From recordings to events in one estimator.

    References
    ----------
    Kao, Wang, Sun, Wang: R-CRNN: Region-based Convolutional Recurrent Neural Network for
    Audio Event Detection, Interspeech 2018.

    Examples
    --------
    >>> from sklearn_rcrnn import LFBETransformer, RCRNNDetector
    >>> from sklearn_rcrnn.datasets import make_rare_events
    >>> X, y = make_rare_events(6, duration=4.0, random_state=0)
    >>> features = LFBETransformer().transform(X)
    >>> detector = RCRNNDetector(gru_units=8, dense_units=16, max_epochs=1, random_state=0)
    >>> events = detector.fit(features, y).predict(features)
    >>> len(events)
    6
    """

    _parameter_constraints: dict = {
        **RegionPredictions._training_constraints,
        "gru_units": [Interval(Integral, 1, None, closed="left")],
        "dense_units": [Interval(Integral, 1, None, closed="left")],
        "head": [StrOptions(set(HEADS))],
        "extractor": [StrOptions({*EXTRACTORS, PRECOMPUTED}), torch.nn.Module],
        "pretrainer": [CRNNPretrainer, FrozenEstimator, None],
        "freeze_extractor": ["boolean"],
        "extractor_lr": [Interval(Real, 0, None, closed="neither"), None],
        "memory": [str, HasMethods(["__fspath__"]), HasMethods(["cache"]), None],
        "anchor_sizes": ["array-like"],
        "n_proposals": [Interval(Integral, 1, None, closed="left")],
        "proposal_nms_threshold": [Interval(Real, 0, 1, closed="both")],
        "score_threshold": [
            Interval(Real, 0, 1, closed="both"),
            dict,
            StrOptions(set(THRESHOLD_NAMES)),
        ],
        "nms_threshold": [Interval(Real, 0, 1, closed="both")],
        "merge_gap": [Interval(Real, 0, None, closed="left"), dict, None],
        "min_duration": [Interval(Real, 0, None, closed="left"), dict, None],
        "max_duration": [Interval(Real, 0, None, closed="left"), dict, None],
        "max_events_per_clip": [Interval(Integral, 1, None, closed="left"), None],
        "recipe": [StrOptions(set(RECIPES)), Recipe],
    }

    _of_network = (
        "gru_units",
        "dense_units",
        "head",
        "extractor",
        "normalization",
        "anchor_sizes",
        "n_proposals",
        "proposal_nms_threshold",
        "recipe",
    )

    @stores_parameters_of(TrainingParameters)
    def __init__(
        self,
        gru_units: int = 50,
        dense_units: int = 128,
        *,
        head: str = "dense",
        extractor: str | torch.nn.Module = "crnn_bigru",
        pretrainer: CRNNPretrainer | FrozenEstimator | None = None,
        freeze_extractor: bool = False,
        extractor_lr: float | None = None,
        memory: Any = None,
        normalization: NormalizedBy = "auto",
        anchor_sizes: Sequence[float] = (1, 2, 4, 8, 16, 32),
        n_proposals: int = 100,
        proposal_nms_threshold: float = 0.7,
        score_threshold: float | str | dict[Label, float] = 0.5,
        nms_threshold: float = 0.3,
        merge_gap: Seconds = None,
        min_duration: Seconds = None,
        max_duration: Seconds = None,
        max_events_per_clip: int | None = None,
        recipe: str | Recipe = "refined",
        frame_shift: float = 1024 / 44100,
        max_epochs: int = 30,
        lr: float = 1e-3,
        lr_schedule: LRSchedule = "one_cycle",
        augmentation: Augmentation | None = None,
        class_weight: ClassWeight = None,
        batch_size: int = 16,
        patience: int | None = None,
        validation_fraction: float | None = 0.1,
        gradient_clip: float | None = 5.0,
        callbacks: Sequence[Any] | None = None,
        net_params: dict[str, Any] | None = None,
        device: str = "auto",
        precision: Precision = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ):
        self.gru_units = gru_units
        self.dense_units = dense_units
        self.head = head
        self.extractor = extractor
        self.pretrainer = pretrainer
        self.freeze_extractor = freeze_extractor
        self.extractor_lr = extractor_lr
        self.memory = memory
        self.anchor_sizes = anchor_sizes
        self.n_proposals = n_proposals
        self.proposal_nms_threshold = proposal_nms_threshold
        self.score_threshold = score_threshold
        self.nms_threshold = nms_threshold
        self.merge_gap = merge_gap
        self.min_duration = min_duration
        self.max_duration = max_duration
        self.max_events_per_clip = max_events_per_clip
        self.recipe = recipe

    def set_params(self, **params: Any) -> RCRNNDetector:
        """Set parameters, those of a nested recipe or augmentation included.

        Parameters
        ----------
        **params
            ``recipe__focal_gamma=1.0`` changes one value of the recipe; where `recipe` is
            the name of a preset, a copy of it takes its place.

        Returns
        -------
        self
        """
        recipe = params.get("recipe", self.recipe)
        if isinstance(recipe, str) and any(name.startswith("recipe__") for name in params):
            params["recipe"] = Recipe.named(recipe)
        return super().set_params(**params)

    def _check_together(self) -> None:
        """Raise ValueError for parameters that contradict each other."""
        sizes = np.asarray(self.anchor_sizes)
        numbers = sizes.ndim == 1 and len(sizes) > 0 and sizes.dtype.kind in "fiu"
        if not numbers or not (np.isfinite(sizes) & (sizes > 0)).all():
            raise ValueError(f"anchor_sizes must be positive numbers; got {self.anchor_sizes!r}")
        if isinstance(self.recipe, Recipe):
            self.recipe.check()
        own = not isinstance(self.extractor, str)
        check_own_extractor(self.extractor, self.normalization)
        if self.extractor == PRECOMPUTED and (self.pretrainer is not None or self.freeze_extractor):
            raise ValueError(
                'extractor="precomputed" has nothing to pre-train or to freeze: leave '
                "pretrainer=None and freeze_extractor=False"
            )
        if self.freeze_extractor and self.pretrainer is None and not own:
            raise ValueError(
                "freeze_extractor=True would keep random weights: give a pretrainer, or a "
                "module as extractor"
            )

    def _min_bands(self) -> int:
        return MIN_BANDS if isinstance(self.extractor, str) and self.extractor in EXTRACTORS else 1

    def _target_seconds(self) -> float:
        return self._step_seconds()

    def _network_params(self) -> dict[str, Any]:
        # A copy, because several detectors may share a recipe whose values change later.
        recipe = Recipe.named(self.recipe) if isinstance(self.recipe, str) else clone(self.recipe)
        return {
            "module": RCRNN,
            "module__n_inputs": self.n_features_in_,
            "module__n_classes": len(self.classes_),
            "module__extractor": self.extractor,
            "module__gru_units": self.gru_units,
            "module__dense_units": self.dense_units,
            "module__anchor_sizes": tuple(self.anchor_sizes),
            "module__n_proposals": self.n_proposals,
            "module__proposal_nms": self.proposal_nms_threshold,
            "module__freeze_extractor": self.freeze_extractor,
            "module__head": self.head,
            "module__context": self._context(),
            "module__recipe": recipe,
        }

    def _first_weights(self, network: RCRNN, data: TrainingData) -> None:
        warn_of_shared_times(data.arguments["y"] or ())
        longest = max(map(len, data.clips))
        check_some_anchor_fits(self.anchor_sizes, n_steps(longest, network.frames_per_step))
        self.pretrainer_ = fit_pretrainer(self, data)
        if self.pretrainer_ is not None:
            copy_weights(network, self.pretrainer_, self.classes_.tolist())
            if self.freeze_extractor:
                return  # its normalization stays as it is, too
        self._set_normalization(network, data.clips, measure=self.pretrainer_ is None)

    def _last_weights(self, network: RCRNN, data: TrainingData) -> None:
        if data.start_share and isinstance(self.pretrainer, FrozenEstimator) and self.pretrainer_:
            draw_back(network, self.pretrainer_, self.classes_.tolist(), data.start_share)

    def _optimizer_params(self) -> dict[str, Any]:
        """Give the extractor, and layers that start anew, learning rates of their own."""
        rates: dict[str, float] = {}
        if self.extractor_lr is not None:
            rates["extractor"] = self.extractor_lr
        if has_other_labels(self.pretrainer, self.classes_.tolist()):
            rates |= dict.fromkeys(RCRNN.label_layers, _NEW_LABELS_LR * self.lr)
        groups = [(f"{name}.*", {"lr": rate}) for name, rate in rates.items()]
        return {"optimizer__param_groups": groups} if groups else {}
