"""What the estimators that train a network have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions
from skorch import NeuralNet

from .clip_stream import ClipStream
from .events import Event, Label, check_event_lists, labels_of
from .nn.crnn import EXTRACTORS, MIN_BANDS
from .nn.folding import folded
from .nn.normalization import Normalization
from .nn.rcrnn import count_parameters
from .training.augmentation import FeatureAugmentation
from .training.callbacks import callbacks_for
from .training.data import ClipDataset, StreamDataset, collate_features, loader_params, split_clips
from .training.device import resolve_device, use_bfloat16
from .training.targets import check_known_labels, stream_target

# An (n_clips, n_frames, n_bands) array, or a list of (n_frames_i, n_bands) arrays.
Clips = Any

# A batch at prediction holds no more frames than this for each of its clips, so that a
# few long recordings among short ones do not need memory for a batch of long ones.
_FRAMES_PER_CLIP = 1300
# Seconds around a frame that normalize it, unless training clips are shorter.
_CONTEXT = 10.0
# Clips of a stream that are drawn to measure mean and deviation of the bands.
_MEASURED = 64


class NetworkEstimator(BaseEstimator):
    """Checks of features, training and batches; parameters are those of the subclasses."""

    _training_constraints: dict = {
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "lr_schedule": [StrOptions({"constant", "one_cycle"})],
        "augmentation": [FeatureAugmentation, None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "patience": [Interval(Integral, 1, None, closed="left"), None],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither"), None],
        "gradient_clip": [Interval(Real, 0, None, closed="neither"), None],
        "callbacks": [list, tuple, None],
        "net_params": [dict, None],
        "device": [str],
        "precision": [StrOptions({"auto", "float32", "bfloat16"})],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "gru_units": [Interval(Integral, 1, None, closed="left")],
    }

    _clock_constraints: dict = {
        "normalization": [
            StrOptions({"auto", "training"}),
            Interval(Real, 0, None, closed="neither"),
        ],
        "frame_shift": [Interval(Real, 0, None, closed="neither")],
    }

    def _check_stream(self, stream: ClipStream, y: Any) -> tuple[Clips, list[Any]]:
        """Clips to measure the features by, and the labels, of a stream of features."""
        if y is not None:
            raise ValueError("A ClipStream brings the events of its clips: give no y with it")
        labels = list(stream.labels)
        if not len(stream) or not labels:
            raise ValueError(
                f"The stream has {len(stream)} clips an epoch and the labels {labels}: at "
                "least one of each is needed"
            )
        drawn = [stream.draw(0, i)[0] for i in range(min(len(stream), _MEASURED))]
        # Labels sort as those of events do, and must be all strings or all integers.
        probes = [[Event(0.0, 1.0, label)] for label in labels]
        return self._check_features(drawn, reset=True), labels_of(check_event_lists(probes))

    def _check_features(self, X: Any, *, reset: bool) -> Clips:
        """Features as an (n_clips, n_frames, n_bands) array or a list of such clips."""
        name = type(self).__name__
        clips: Clips
        if isinstance(X, np.ndarray) and X.dtype != object:
            clips = self._check_array(X)
        elif isinstance(X, (str, bytes)) or not hasattr(X, "__len__"):
            raise TypeError(
                f"{name} expects features, an (n_clips, n_frames, n_bands) array or a list of "
                f"(n_frames, n_bands) arrays; got {type(X).__name__}"
            )
        else:
            clips = [self._check_clip(clip, i) for i, clip in enumerate(X)]
        if len(clips) == 0:
            raise ValueError(
                "Found array with 0 sample(s): X is empty, while a minimum of 1 clip is required"
            )
        bands = {clip.shape[1] for clip in clips} if isinstance(clips, list) else {clips.shape[2]}
        if len(bands) > 1:
            raise ValueError(f"The clips have different numbers of bands: {sorted(bands)}")
        self._check_bands(bands.pop(), reset)
        for i, clip in enumerate(clips):
            # The sum is finite only if all are, and needs no array of flags.
            if not np.isfinite(clip.sum(dtype=np.float64)):
                raise ValueError(f"The features of clip {i} contain NaN or infinity")
        return clips

    def _check_array(self, X: NDArray) -> NDArray[np.float32]:
        if X.dtype.kind not in "fiub":
            raise ValueError(
                f"Features must be real numbers; complex or other data not supported, got {X.dtype}"
            )
        if X.ndim != 3:
            raise ValueError(
                f"{type(self).__name__} expects features of shape (n_clips, n_frames, n_bands); "
                f"got an array of {X.ndim} dimension(s), {X.shape}. Reshape your data, or put an "
                "LFBETransformer before the estimator in a Pipeline to start from audio"
            )
        if not X.shape[1]:
            raise ValueError("The clips have no frames")
        return X.astype(np.float32, copy=False)

    def _check_clip(self, clip: Any, index: int) -> NDArray[np.float32]:
        array = np.asarray(clip)
        if array.ndim != 2 or array.dtype.kind not in "fiub" or not len(array):
            what = f"shape {array.shape}" if array.dtype.kind in "fiub" else f"{clip!r:.80}"
            raise ValueError(
                f"Clip {index} must be features of shape (n_frames, n_bands), at least one "
                f"frame; got {what}. Put an LFBETransformer before {type(self).__name__} in a "
                "Pipeline to start from audio"
            )
        return array.astype(np.float32, copy=False)

    def _check_bands(self, n_bands: int, reset: bool) -> None:
        if reset:
            if getattr(self, "extractor", None) in EXTRACTORS and n_bands < MIN_BANDS:
                raise ValueError(f"At least {MIN_BANDS} bands are needed; got {n_bands}")
            self.n_features_in_ = n_bands
        elif n_bands != self.n_features_in_:
            raise ValueError(
                f"X has {n_bands} features (bands), but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input, as in fit"
            )

    def _seed(self, rng: np.random.RandomState) -> int:
        return int(rng.randint(np.iinfo(np.int32).max))

    def _make_net(
        self: Any, net_class: type[NeuralNet], train_set: Any, valid_set: Any, **params: Any
    ) -> NeuralNet:
        """A skorch net, not initialized yet, from the estimator's own parameters."""
        device = resolve_device(self.device)
        monitor = "train_loss" if valid_set is None else "valid_loss"
        n_steps = -(-len(train_set) // self.batch_size) * self.max_epochs
        schedule = None if self.lr_schedule == "constant" else (self.lr, n_steps)
        callbacks = callbacks_for(
            self.patience, monitor, self.gradient_clip, self.verbose, schedule
        )
        settings = {
            "optimizer": torch.optim.Adam,
            "lr": self.lr,
            "max_epochs": self.max_epochs,
            "batch_size": self.batch_size,
            "iterator_train__shuffle": True,
            "callbacks": [*callbacks, *(self.callbacks or [])],
            "device": device,
            "bfloat16": use_bfloat16(self.precision, device, training=True),
            "augmentation": self.augmentation,
            **loader_params(train_set),
            "verbose": int(self.verbose),
            **params,
        }
        return net_class(**{**settings, **(self.net_params or {})})

    def _training_sets(
        self: Any, X: Any, y: Any, X_val: Any, y_val: Any, rng: np.random.RandomState
    ) -> tuple[Clips, ClipDataset | StreamDataset, ClipDataset | None]:
        """Clips to measure the features by, training set, validation set; sets ``classes_``.

        Validation clips are the user's own, a part of `X`, or none.
        """
        is_stream = isinstance(X, ClipStream)
        if is_stream:
            clips, labels = self._check_stream(X, y)
        else:
            clips = self._check_features(X, reset=True)
            events = self._check_events(y, clips, "y")
            labels = labels_of(events)
        if not labels:
            raise ValueError("y has no event in any clip: there is nothing to learn")
        self.classes_ = np.asarray(labels)
        convert = self._converter(labels)
        valid_set = self._validation_set(X_val, y_val, labels, convert)
        if is_stream:
            frame = self._frame_seconds()
            target = partial(stream_target, labels=labels, frame=frame, convert=convert)
            return clips, StreamDataset(X, target), valid_set
        targets = [convert(clip) for clip in events]
        if valid_set is not None or self.validation_fraction is None:
            return clips, ClipDataset(clips, targets), valid_set
        # Clips without event sort before all labels.
        groups = [(bool(clip), str(clip[0].label) if clip else "") for clip in events]
        train, valid = split_clips(groups, self.validation_fraction, rng)
        return clips, ClipDataset(clips, targets, train), ClipDataset(clips, targets, valid)

    def _validation_set(
        self, X_val: Any, y_val: Any, labels: list[Label], convert: Any
    ) -> ClipDataset | None:
        if X_val is None:
            if y_val is not None:
                raise ValueError("y_val was given without X_val: give both or neither")
            return None
        clips = self._check_features(X_val, reset=False)
        events = self._check_events(y_val, clips, "y_val")
        check_known_labels(events, labels, "y_val")
        return ClipDataset(clips, [convert(clip) for clip in events])

    def _check_events(self, y: Any, clips: Clips, name: str) -> list[list[Event]]:
        frame = self._frame_seconds()
        durations = None if frame is None else [len(clip) * frame for clip in clips]
        return check_event_lists(y, n_clips=len(clips), durations=durations, name=name)

    def _frame_seconds(self) -> float | None:
        """Seconds in a frame of the features; None where the estimator has no clock."""
        return None

    def _context(self: Any) -> int | None:
        """Frames around each that it is normalized by; None: by the training clips only."""
        if self.normalization == "training":
            return None
        seconds = _CONTEXT if self.normalization == "auto" else self.normalization
        return max(1, round(seconds / self.frame_shift))

    def _set_normalization(
        self: Any, normalization: Normalization, clips: Clips, measure: bool = True
    ) -> None:
        """By the training clips; mean and scale only where no earlier training set them."""
        if self.normalization == "auto":
            normalization.narrow(clips)
        if measure:
            normalization.measure(clips)

    def _converter(self, labels: list[Label]) -> Any:
        """What makes the target of a clip from its events; it must be picklable."""
        raise NotImplementedError

    def _restore_net(self: Any, classes: NDArray, n_features: int, weights: Any) -> None:
        """Become what was fitted once, from its classes, bands and weights."""
        self._validate_params()
        self.classes_ = classes
        self.n_features_in_ = n_features
        self.net_ = self._build_net((), None).initialize()
        self.net_.module_.load_state_dict(weights)
        self.history_ = self.net_.history
        self.n_parameters_ = count_parameters(self.net_.module_)

    def _batches(
        self: Any, clips: Clips
    ) -> Iterator[tuple[NDArray[np.int64], dict[str, torch.Tensor]]]:
        """Batches for prediction: clips of like length together, with their places in X."""
        device = self._prediction_device()
        order = np.argsort([-len(clip) for clip in clips], kind="stable")
        start = 0
        while start < len(order):
            longest = len(clips[order[start]])
            size = max(1, min(self.batch_size, self.batch_size * _FRAMES_PER_CLIP // longest))
            places = order[start : start + size]
            batch = collate_features([clips[i] for i in places])
            yield places, {name: value.to(device) for name, value in batch.items()}
            start += size

    def _prediction_device(self: Any) -> str:
        """Where the network predicts; it goes there if `device` was changed after ``fit``."""
        device = resolve_device((self.net_params or {}).get("device", self.device))
        if device != self.net_.device:
            self.net_.module_.to(device)
            self.net_.device = device
        return device

    @contextmanager
    def _inference(self: Any) -> Iterator[Any]:
        """The network for prediction: no gradients, in the precision that was asked for."""
        device = self._prediction_device()
        bfloat16 = use_bfloat16(self.precision, device, training=False)
        kind = torch.device(device).type
        with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=bfloat16):
            yield folded(self.net_.module_.eval())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        tags.target_tags.one_d_labels = False
        return tags


class EventScoreMixin:
    """``score`` of an estimator whose ``predict`` gives events."""

    def score(self: Any, X: Any, y: Any) -> float:
        """Event-based F-score of ``predict(X)``: onset only, collar 0.5 s, micro average.

        Parameters
        ----------
        X : as for :meth:`predict`
        y : list of lists of (onset, offset, label)

        Returns
        -------
        float
            Between 0 and 1.
        """
        from .metrics import event_based_f_score

        return float(event_based_f_score(y, self.predict(X), zero_division=0.0))
