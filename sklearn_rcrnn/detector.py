"""RCRNNDetector: the estimator; parameters, fit, predict, score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ._base import TrainingData
from ._event_detector import EventDetector
from ._parameters import stores_training_parameters
from ._utils.clock import with_clock
from ._utils.threads import in_order
from .events import (
    THRESHOLD_NAMES,
    Event,
    EventLists,
    Label,
    check_event_lists,
    resolve_threshold,
    select_events,
)
from .inference.merging import merge
from .inference.networks import SharedConvolutions, WindowedNetwork
from .inference.recordings import detect_recording
from .inference.windows import MARGIN, WINDOW, Windows, frames_in_windows
from .nn.crnn import (
    CRNN,
    EXTRACTORS,
    FRAMES_PER_STEP,
    MIN_BANDS,
    PRECOMPUTED,
    frames_per_step,
    n_steps,
)
from .nn.heads import HEADS
from .nn.normalization import Normalization
from .nn.rcrnn import RCRNN
from .nn.recipe import RECIPES, Recipe
from .pretraining import CRNNPretrainer
from .training.augmentation import Augmentation
from .training.device import prediction_threads
from .training.initial_weights import copy_weights, fit_pretrainer
from .training.inputs import Clips


class RCRNNDetector(EventDetector):
    """Detect sound events in features of recordings with R-CRNN.

    A convolutional recurrent network turns the features of a clip, which it normalizes,
    into a feature map; a region proposal network finds intervals that may hold an event; a
    classifier names each and refines its onset and offset. The threshold on the scores of
    events never moves their boundaries.

    Parameters
    ----------
    gru_units : int, default=50
        U, units of the recurrent layer in each direction.
    dense_units : int, default=128
        M, units of the two dense layers of the classifier.
    head : {"dense", "position_sensitive"}, default="dense"
        The final classifier of the paper, or that of R-FCN, without dense layers: with
        ``extractor="cnn"`` the network is the R-FCN of the paper's Table 4.
    extractor : {"crnn_bigru", "crnn_gru", "cnn", "precomputed"} or torch.nn.Module, \
default="crnn_bigru"
        The network that turns features into the feature map: one of Table 1,
        ``"precomputed"`` when `X` holds the feature maps of a :class:`CRNNPretrainer`, or a
        module of your own. A module has the integers ``n_channels`` and
        ``frames_per_step``. It is called with features of shape (n_clips, n_frames,
        n_bands) and the lengths of the clips in frames, an int64 Tensor or None, and
        returns a feature map of shape (n_clips, ceil(n_frames / frames_per_step),
        n_channels), whose step ``i`` is centered at frame ``i * frames_per_step``. It
        receives the features as they are, and ``fit`` trains a copy of it.
    pretrainer : CRNNPretrainer or FrozenEstimator, default=None
        Gives the extractor its first weights. A :class:`CRNNPretrainer` is cloned and
        fitted on the same clips, with the `extractor` and `gru_units` of the detector,
        and its `random_state` if it has none of its own. Fitted ones come in a
        FrozenEstimator, as may a fitted RCRNNDetector, of these or other labels, which
        gives all weights that fit. None: start from random weights.
    freeze_extractor : bool, default=False
        Keep the extractor as it is, instead of tuning it: as pre-trained, or as the module
        that was given.
    extractor_lr : float, default=None
        Learning rate of the extractor; None takes `lr`. An extractor that knows much
        already is often tuned at a lower rate than the new layers behind it.
    memory : str, PathLike or joblib.Memory, default=None
        Where to keep fitted pre-trainers, so that a grid search over `dense_units` fits
        each one once.
    normalization : "auto", float or "training", default="auto"
        How each band of the features is brought to a mean of 0 and a deviation of 1. A
        number is a length in seconds: the mean and deviation of each frame are measured
        over that much of the recording around it. ``"auto"`` is 10 seconds, or less where
        most training clips are shorter. ``"training"`` measures both over all training
        clips. A module as `extractor` receives the features as they are.
    anchor_sizes : sequence of float, default=(1, 2, 4, 8, 16, 32)
        Widths of the anchors in steps of the feature map (by default 8 frames, 186 ms).
    n_proposals : int, default=100
        Proposals of a clip that reach the classifier.
    proposal_nms_threshold : float, default=0.7
        IoU above which a weaker proposal is dropped.
    score_threshold : float, dict of label to float, or name, default=0.5
        Events under it are not returned; the paper has 0.8, which the scores of the refined
        recipe seldom reach. ``"sensitive"``, ``"balanced"`` and ``"few false alarms"`` are
        what the model has in ``thresholds_``. May be changed after ``fit``, by hand or by
        :class:`TunedThresholdDetectorCV`.
    nms_threshold : float, default=0.3
        IoU above which a weaker event of the same label is dropped. May be changed after
        ``fit``.
    max_events_per_clip : int, default=None
        Return only so many of the best events; 1 is the rule of DCASE 2017. May be
        changed after ``fit``.
    recipe : {"refined", "paper"} or Recipe, default="refined"
        How intervals are matched, coded and refined. ``"paper"`` has the values of Faster
        R-CNN's time. In ``"refined"`` the classifier regresses onset and offset instead of
        center and width, is applied once more to the intervals that it has refined, and
        learns from proposals that overlap no event, too: the paper's time dropped those,
        which leaves it without any example from clips without event.
    frame_shift : float, default=1024 / 44100
        Seconds between frames of the features: hop over sample rate.
    max_epochs : int, default=30
        Epochs, at most with `patience`.
    lr : float, default=1e-3
        Learning rate of Adam, the highest of a cycle (the paper, after pre-training: 1e-5).
    lr_schedule : {"constant", "one_cycle"}, default="one_cycle"
        ``"one_cycle"`` warms up over a tenth of the steps and then falls to nearly zero by
        `max_epochs`, where the best weights are.
    augmentation : callable, default=None
        How each batch of the training is changed, by chance, before the network learns from
        it: a :class:`FeatureAugmentation`, or a function of your own of (features, lengths,
        targets), whose contract is :data:`~sklearn_rcrnn.training.augmentation.Augmentation`.
    class_weight : dict of label to float, "balanced" or None, default=None
        How much the events of each label count in the losses; labels that a dict leaves out
        count 1. ``"balanced"`` weights them by ``n_events / (n_labels * n_events_of_label)``,
        so that rare labels count as much as frequent ones.
    batch_size : int, default=16
        Clips in a batch, at ``predict`` too.
    patience : int, default=None
        Stop when the validation loss has not improved for so many epochs; the weights of
        the best epoch are restored. None: never; of use with a constant rate only.
    validation_fraction : float, default=0.1
        Part of the clips set aside for validation, each label in proportion. None: train
        on all and watch the training loss.
    gradient_clip : float, default=5.0
        Largest norm of the gradient. None: any.
    callbacks : list of skorch callbacks, default=None
        Added to the estimator's own.
    net_params : dict, default=None
        Any parameter of :class:`skorch.NeuralNet`, over those set here.
    device : str, default="auto"
        ``"auto"`` is CUDA where there is one; else a name of PyTorch's. May be changed after
        ``fit``: the network goes there when it next predicts.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Of the convolutions. ``"auto"`` trains in bfloat16 where the processor has it and
        predicts in float32; ``"bfloat16"`` does both in it.
    random_state : int, RandomState instance or None, default=None
        Weights, split, order, sampling and dropout.
    verbose : int, default=0
        1 shows a progress bar and the losses of each epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is the network.
    pretrainer_ : CRNNPretrainer, RCRNNDetector or None
        What was fitted before.
    thresholds_ : dict of str to dict of label to float
        By name, of models of the package and of those that ``rcrnn train`` made; absent
        where nothing chose them.
    n_parameters_ : int
        As the paper counts them in Table 2.
    history_ : skorch.history.History
        Losses by epoch: ``valid_loss`` and its parts ``rpn_cls``, ``rpn_reg``,
        ``head_cls`` and ``head_reg``, and the same of the training clips.

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
        **EventDetector._training_constraints,
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
        "max_events_per_clip": [Interval(Integral, 1, None, closed="left"), None],
        "recipe": [StrOptions(set(RECIPES)), Recipe],
    }

    @stores_training_parameters
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
        normalization: float | Literal["auto", "training"] = "auto",
        anchor_sizes: Sequence[float] = (1, 2, 4, 8, 16, 32),
        n_proposals: int = 100,
        proposal_nms_threshold: float = 0.7,
        score_threshold: float | str | dict[Label, float] = 0.5,
        nms_threshold: float = 0.3,
        max_events_per_clip: int | None = None,
        recipe: str | Recipe = "refined",
        frame_shift: float = 1024 / 44100,
        max_epochs: int = 30,
        lr: float = 1e-3,
        lr_schedule: Literal["constant", "one_cycle"] = "one_cycle",
        augmentation: Augmentation | None = None,
        class_weight: dict[Label, float] | Literal["balanced"] | None = None,
        batch_size: int = 16,
        patience: int | None = None,
        validation_fraction: float | None = 0.1,
        gradient_clip: float | None = 5.0,
        callbacks: Sequence[Any] | None = None,
        net_params: dict[str, Any] | None = None,
        device: str = "auto",
        precision: Literal["auto", "float32", "bfloat16"] = "auto",
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
        self.max_events_per_clip = max_events_per_clip
        self.recipe = recipe

    def predict(self, X: Any) -> EventLists:
        """Detect the events of every clip; those over a minute go through in windows.

        Parameters
        ----------
        X : array of shape (n_clips, n_frames, n_bands) or list of (n_frames_i, n_bands)

        Returns
        -------
        list of n_clips lists of Event
            ``(onset, offset, label, score)``, by onset, in seconds, inside the clip.
        """
        candidates = self._candidates(X)
        chosen = select_events(candidates, self._thresholds(), self.max_events_per_clip)
        return EventLists(chosen)

    def predict_candidates(self, X: Any) -> list[list[Event]]:
        """All scored events of every clip: non-maximum suppression, but no threshold.

        Parameters
        ----------
        X : as for :meth:`predict`

        Returns
        -------
        list of n_clips lists of Event, by onset
        """
        return [sorted(clip) for clip in self._candidates(X)]

    def predict_proposals(self, X: Any) -> list[NDArray[np.float32]]:
        """What the region proposal network hands to the classifier.

        Parameters
        ----------
        X : as for :meth:`predict`

        Returns
        -------
        list of n_clips float32 arrays of shape (n_proposals_i, 3)
            Onset and offset in seconds, and objectness; by falling objectness.
        """
        proposals: dict[int, NDArray[np.float32]] = {}
        for places, found in self._detect(self._check_clips(X)):
            times = found.proposals * self._step_seconds()
            rows = torch.cat([times, found.objectness[..., None]], -1).cpu()
            for place, row, valid in zip(places, rows, found.valid.cpu(), strict=True):
                proposals[place] = row[valid].numpy()
        return [proposals[i] for i in range(len(proposals))]

    def transform(self, X: Any) -> NDArray[np.float32] | list[NDArray[np.float32]]:
        """Compute the feature map of every clip; those over a minute go through in windows.

        Parameters
        ----------
        X : as for :meth:`predict`

        Returns
        -------
        float32 array of shape (n_clips, n_steps, n_channels), or list of (n_steps_i, n_channels)
            A list where the clips have different numbers of steps. A step is 8 frames of
            the features, or the ``frames_per_step`` of an extractor of your own.
        """
        maps = self._feature_maps(self._check_clips(X))
        stacked = np.stack(maps) if len({len(rows) for rows in maps}) == 1 else maps
        return with_clock(stacked, self._step_seconds())

    def event_embeddings(self, X: Any, events: Any) -> list[NDArray[np.float32]]:
        """Compute a vector for each event: what the class layer sees of it.

        Events that sound alike to the network have vectors that are close to each other,
        whatever their labels: use them to cluster, to search or to review events.

        Parameters
        ----------
        X : as for :meth:`predict`
        events : list of n_clips lists of (onset, offset, label)
            In seconds, for example what :meth:`predict` returns. Labels do not matter and
            need not be known to the detector.

        Returns
        -------
        list of n_clips float32 arrays of shape (n_events_i, n_units)
            In the order of `events`. ``n_units`` is `dense_units`, or 7 times the channels
            of the feature map with ``head="position_sensitive"``.

        See Also
        --------
        sklearn_rcrnn.event_embeddings : The same from recordings.
        """
        clips = self._check_clips(X)
        frame = self._frame_seconds()
        durations = [len(clip) * frame for clip in clips]
        checked = check_event_lists(events, n_clips=len(clips), durations=durations, name="events")
        vectors = []
        maps = self._feature_maps(clips)
        with self._inference() as network:
            device = self.net_.device
            for rows, own in zip(maps, checked, strict=True):
                times = np.array([event[:2] for event in own], np.float64).reshape(-1, 2)
                rois = torch.tensor(times / self._step_seconds(), dtype=torch.float32)
                steps = torch.tensor([len(rows)])
                feature_map = torch.tensor(rows)[None]
                inputs = (part.to(device) for part in (feature_map, rois[None], steps))
                vectors.append(network.head.embed(*inputs)[0].float().cpu().numpy())
        return vectors

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

    def _feature_maps(self, clips: Clips) -> list[NDArray[np.float32]]:
        if self.extractor == PRECOMPUTED:
            return list(clips)
        per_step = frames_per_step(self.extractor)
        return frames_in_windows(
            self._feature_maps_of, clips, self.frame_shift, frames_per_row=per_step
        )

    def _feature_maps_of(self, clips: Clips) -> list[NDArray[np.float32]]:
        maps: list[Any] = [None] * len(clips)
        per_step = frames_per_step(self.extractor)
        with self._inference() as network:
            for places, batch in self._batches(clips):
                found = network.feature_map(**batch).cpu().numpy()
                for place, rows in zip(places, found, strict=True):
                    maps[place] = rows[: n_steps(len(clips[place]), per_step)]
        return maps

    def _thresholds(self) -> float | Mapping[Label, float]:
        """The numbers that `score_threshold` stands for."""
        named = getattr(self, "thresholds_", None)
        return resolve_threshold(self.score_threshold, named, self.classes_.tolist())

    def _check_together(self) -> None:
        """Parameters that contradict each other."""
        sizes = np.asarray(self.anchor_sizes)
        if sizes.ndim != 1 or not len(sizes) or sizes.dtype.kind not in "fiu" or min(sizes) <= 0:
            raise ValueError(f"anchor_sizes must be positive numbers; got {self.anchor_sizes!r}")
        if isinstance(self.recipe, Recipe):
            self.recipe.check()
        own = not isinstance(self.extractor, str)
        frames_per_step(self.extractor)  # raises where a module lacks what it must have
        if own and self.normalization != "auto":
            raise ValueError(
                f"normalization={self.normalization!r} is for the extractors of this package; "
                "a module receives the features as they are, and normalizes them itself if it "
                'needs to: leave normalization="auto"'
            )
        if self.extractor == PRECOMPUTED and self.pretrainer is not None:
            raise ValueError('extractor="precomputed" has nothing to pre-train: pretrainer=None')
        if self.freeze_extractor and self.pretrainer is None and not own:
            raise ValueError(
                "freeze_extractor=True would keep random weights: give a pretrainer, or a "
                "module as extractor"
            )

    def _frame_seconds(self) -> float:
        """Seconds from one row of a clip of `X` to the next."""
        # Feature maps have the steps of the extractor that made them as their frames.
        frames = FRAMES_PER_STEP if self.extractor == PRECOMPUTED else 1
        return frames * self.frame_shift

    def _min_bands(self) -> int:
        return MIN_BANDS if isinstance(self.extractor, str) and self.extractor in EXTRACTORS else 1

    def _target_seconds(self) -> float:
        return self._step_seconds()

    def _network_params(self) -> dict[str, Any]:
        named = isinstance(self.recipe, str)
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
            "module__recipe": Recipe.named(self.recipe) if named else self.recipe,
        }

    def _normalization(self, network: RCRNN) -> Normalization | None:
        extractor = network.extractor
        return extractor.normalization if isinstance(extractor, CRNN) else None

    def _first_weights(self, network: RCRNN, data: TrainingData) -> None:
        self.pretrainer_ = fit_pretrainer(self, data.arguments, data.seed, data.checkpoint)
        if self.pretrainer_ is not None:
            copy_weights(network, self.pretrainer_, self.classes_.tolist())
        self._set_normalization(network, data.clips, measure=self.pretrainer_ is None)

    def _optimizer_params(self) -> dict[str, Any]:
        """A learning rate of its own for the extractor."""
        if self.extractor_lr is None:
            return {}
        return {"optimizer__param_groups": [("extractor.*", {"lr": self.extractor_lr})]}

    def _step_seconds(self) -> float:
        """Seconds in a step of the feature map."""
        return self._frame_seconds() * frames_per_step(self.extractor)

    def _detect(self, clips: Clips) -> Any:
        """Places in `clips` and network output of each batch."""
        with self._inference() as network:
            for places, batch in self._batches(clips):
                yield places, network(**batch)

    def _check_clips(self, X: Any) -> Clips:
        check_is_fitted(self)
        self._validate_params()
        return self._check_features(X, reset=False)

    def _candidates(self, X: Any) -> list[list[Event]]:
        """Scored events of each clip; long ones are heard in overlapping windows."""
        clips = self._check_clips(X)
        if self.extractor == PRECOMPUTED:
            return self._candidates_of(clips, self._network())
        windows = self._windows()
        network = self._network(windows.length)
        short = [i for i, clip in enumerate(clips) if len(clip) <= windows.length]
        found: list[list[Event]] = [[]] * len(clips)
        if short:
            scored = self._candidates_of([clips[i] for i in short], network)
            for i, events in zip(short, scored, strict=True):
                found[i] = events
        for i in set(range(len(clips))) - set(short):
            parts = detect_recording([clips[i]], windows, network)
            found[i] = merge([e for _, events in parts for e in events], self.nms_threshold)
        return found

    def _candidates_of(self, clips: Clips, network: WindowedNetwork) -> list[list[Event]]:
        found: dict[int, list[Event]] = {}
        batches = list(self._places_of_batches(clips))
        # One batch alone is computed by all cores together, several by one core each.
        n_threads = network.n_threads if len(batches) >= network.n_threads else 1

        def work(places: NDArray[np.int64]) -> list[list[Event]]:
            return network.events_of_batch(self._batch(clips, places))

        for places, events in zip(batches, in_order(work, batches, n_threads), strict=True):
            found.update(zip(places, events, strict=True))
        return [found[i] for i in range(len(found))]

    def _windows(self, window: float = WINDOW, margin: float = MARGIN) -> Windows:
        return Windows(self.frame_shift, window, margin, frames_per_step(self.extractor))

    def _network(self, longest: int = 0, n_threads: int | None = None) -> WindowedNetwork:
        """The network, ready to predict; `longest` frames go through it in one piece."""
        with self._inference() as network:
            params: dict[str, Any] = {
                "inference": self._precision,
                "device": self._prediction_device(),
                "labels": self.classes_.tolist(),
                "step": self._step_seconds(),
                "nms_threshold": self.nms_threshold,
                "n_threads": n_threads or prediction_threads(self._prediction_device()),
            }
            if type(network.extractor).forward is CRNN.forward:
                return SharedConvolutions(network, longest, **params)
            return WindowedNetwork(network, **params)
