"""What the estimators that train a network have in common: parameters, ``fit``, batches."""

from __future__ import annotations

import copy
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from ._prediction import TrainedNetwork
from ._utils.clock import clocks_of
from ._utils.settings import Settings
from .clip_stream import ClipStream
from .events import Event, Label, check_event_lists, labels_of
from .nn.normalization import Normalization
from .nn.rcrnn import count_parameters
from .training.callbacks import callbacks_for, check_monitored
from .training.checkpoints import TrainingCheckpoint, training_key
from .training.data import (
    ClipDataset,
    StreamDataset,
    collate_training,
    loader_params,
    stratified_split,
)
from .training.device import resolve_device, use_bfloat16
from .training.inputs import Clips, check_features, check_weights, label_weights, n_bands
from .training.nets import TrainingNet, seeded, train
from .training.restoring import restore
from .training.targets import check_known_labels, stream_target, to_target

if TYPE_CHECKING:
    from typing_extensions import Self

# Seconds around a frame that normalize it, unless training clips are shorter.
_CONTEXT = 10.0
# Clips of a stream that are drawn to measure mean and deviation of the bands.
_MEASURED = 64


class TrainingData(NamedTuple):
    """The checked arguments of ``fit``, and what becomes of them.

    Attributes
    ----------
    arguments : dict
        Arguments of ``fit`` after the checks: `X`, `y`, `X_val`, `y_val`, `sample_weight`.
    clips : Clips
        `X`, or some clips of the stream: what normalization is measured by.
    train_set, valid_set : data sets of clips with their targets; there may be no second one
    label_weights : list of float, or None
        How much events of each label count in the losses; None where nothing is weighted.
    seed : int
        Of the first weights, the order of clips, and all else that is random.
    checkpoint : TrainingCheckpoint or None
    """

    arguments: dict[str, Any]
    clips: Clips
    train_set: ClipDataset | StreamDataset
    valid_set: ClipDataset | None
    label_weights: list[float] | None
    seed: int
    checkpoint: TrainingCheckpoint | None


class NetworkEstimator(TrainedNetwork, ABC):
    """Base of the estimators that train a network; a subclass says which network it is.

    Subclasses implement `_network_params` and `_normalization`, and may extend
    `_check_together` and `_first_weights`.
    """

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight: Any = None,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array of shape (n_clips, n_frames, n_bands) or list of (n_frames_i, n_bands)
            Features, or feature maps where the estimator takes those; or a
            :class:`ClipStream` of either.
        y : list of lists of (onset, offset, label)
            Events of each clip in seconds; an empty list for a clip without event. None
            with a stream, which brings its events.
        X_val, y_val : as `X` and `y`, default=None
            Validation clips; by default a part of `X` is set aside, and of a stream none.
            A Pipeline does not transform `X_val`: give ``pipe[:-1].transform(X_val)``.
        sample_weight : array of shape (n_clips,), default=None
            How much each clip of `X` counts in the losses. Not for a stream.
        checkpoint : str or PathLike, default=None
            Folder for the state of the training after each epoch. Where a training of the
            same parameters and data was killed, it goes on after its last complete epoch,
            and the weights are those of one that was not; where it had ended, its weights
            are taken. Trainings of other parameters or data have other files in the
            folder, so a grid search may use it: ``search.fit(X, y, checkpoint=folder)``.
            It may be deleted afterwards.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            For parameters, features or events that cannot be; names the clip. Also where
            the training diverges.
        KeyboardInterrupt
            When the user stops the training, which leaves the estimator unfitted.

        Notes
        -----
        With an integer `random_state` the weights are the same in every run on the same
        machine with the same number of threads. PyTorch's generator is set meanwhile, and
        afterwards is as it was: trainings in several threads of a process therefore wait
        for each other, and other threads should not draw from it in the meantime. To train
        side by side use processes, as ``n_jobs`` of scikit-learn does.
        """
        self._validate_params()
        self._check_together()
        if isinstance(self.augmentation, Settings):
            self.augmentation.check()
        # What an earlier fit left must not be taken for the result of one that fails.
        if hasattr(self, "net_"):
            del self.net_
        rng = check_random_state(self.random_state)
        given = {
            "X": X,
            "y": y,
            "X_val": X_val,
            "y_val": y_val,
            "sample_weight": sample_weight,
        }
        data = self._training_data(given, rng, checkpoint)
        net = self._build_net(data)
        with seeded(data.seed):
            net.initialize()
            self._first_weights(net.module_, data)
            predict = self._predict_by(net)
            train(net, data.train_set, data.valid_set, predict, data.checkpoint)
        self._become(net)
        return self

    def _training_data(
        self,
        given: dict[str, Any],
        rng: np.random.RandomState,
        folder: str | os.PathLike[str] | None,
    ) -> TrainingData:
        """Check the arguments of ``fit``, set ``classes_``, and split off validation clips."""
        X, events, weights = given["X"], None, given["sample_weight"]
        if isinstance(X, ClipStream):
            clips, labels = self._check_stream(X, given["y"])
            if weights is not None:
                raise ValueError("sample_weight weights the clips of X, and a stream has none")
        else:
            X = clips = self._check_features(X, reset=True)
            events = self._check_events(given["y"], clips, "y")
            labels = labels_of(events)
            weights = None if weights is None else check_weights(weights, len(clips))
        if not labels:
            raise ValueError("y has no event in any clip: there is nothing to learn")
        self.classes_ = np.asarray(labels)
        by_label = label_weights(self.class_weight, labels, events)
        if by_label is None and weights is not None:
            by_label = [1.0] * len(labels)
        clips_val, events_val = self._validation_clips(given["X_val"], given["y_val"], labels)
        checked = {
            "X": X,
            "y": events,
            "X_val": clips_val,
            "y_val": events_val,
            "sample_weight": weights,
        }
        checkpoint = None
        if folder is not None:
            # A stream is known by its first clips.
            data = {**checked, "X": clips, "labels": labels, "n_clips": len(X)}
            checkpoint = TrainingCheckpoint(folder, training_key(self, data))
            if not isinstance(self.random_state, Integral):
                rng = checkpoint.random_state(rng)
        sets = self._data_sets(checked, labels, rng)
        seed = int(rng.randint(np.iinfo(np.int32).max))
        return TrainingData(checked, clips, *sets, by_label, seed, checkpoint)

    def _validation_clips(
        self, X_val: Any, y_val: Any, labels: list[Label]
    ) -> tuple[Clips | None, list[list[Event]] | None]:
        if X_val is None:
            if y_val is not None:
                raise ValueError("y_val was given without X_val: give both or neither")
            return None, None
        clips = self._check_features(X_val, reset=False, name="X_val")
        events = self._check_events(y_val, clips, "y_val")
        check_known_labels(events, labels, "y_val")
        return clips, events

    def _data_sets(
        self, checked: dict[str, Any], labels: list[Label], rng: np.random.RandomState
    ) -> tuple[ClipDataset | StreamDataset, ClipDataset | None]:
        """Training set and validation set of the checked arguments of ``fit``."""
        convert = partial(to_target, labels=labels, step=self._target_seconds())
        X, events, weights = checked["X"], checked["y"], checked["sample_weight"]
        valid_set = None
        if checked["X_val"] is not None:
            valid_set = ClipDataset(checked["X_val"], checked["y_val"], convert)
        if events is None:
            target = partial(
                stream_target, labels=labels, frame=self._frame_seconds(), convert=convert
            )
            return StreamDataset(X, target), valid_set
        if valid_set is not None or self.validation_fraction is None:
            return ClipDataset(X, events, convert, weights=weights), valid_set
        # Clips without event sort before all labels.
        strata = [(bool(clip), str(clip[0].label) if clip else "") for clip in events]
        parts = stratified_split(strata, self.validation_fraction, rng)
        train_set, valid_set = (
            ClipDataset(X, events, convert, part, weights=weights) for part in parts
        )
        return train_set, valid_set

    def _check_stream(self, stream: ClipStream, y: Any) -> tuple[Clips, list[Label]]:
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

    def _check_features(self, X: Any, *, reset: bool, name: str = "X") -> Clips:
        """Features as an (n_clips, n_frames, n_bands) array or a list of such clips."""
        estimator = type(self).__name__
        self._check_clock(X, name)
        clips = check_features(X, estimator, name)
        n = n_bands(clips)
        if reset:
            if n < self._min_bands():
                raise ValueError(f"At least {self._min_bands()} bands are needed; got {n}")
            self.n_features_in_ = n
        elif n != self.n_features_in_:
            raise ValueError(
                f"{name} has {n} features (bands), but {estimator} is expecting "
                f"{self.n_features_in_} features as input, as in fit"
            )
        return clips

    def _check_clock(self, X: Any, name: str) -> None:
        """Raise ValueError for features that know that their frames are of another length."""
        ours = self._frame_seconds()
        for theirs in clocks_of(X):
            if not math.isclose(theirs, ours, rel_tol=1e-6):
                raise ValueError(
                    f"The frames of {name} are {theirs:.6g} s apart, but with frame_shift="
                    f"{self.frame_shift:.6g} s {type(self).__name__} takes them to be "
                    f"{ours:.6g} s apart: times would be wrong. Build pipelines with "
                    "make_rcrnn_pipeline, or give the estimator the frame_shift of the features"
                )

    def _check_events(self, y: Any, clips: Clips, name: str) -> list[list[Event]]:
        durations = [len(clip) * self._frame_seconds() for clip in clips]
        return check_event_lists(y, n_clips=len(clips), durations=durations, name=name)

    def _check_together(self) -> None:
        """Raise ValueError for parameters that contradict each other."""

    def _min_bands(self) -> int:
        """The fewest bands that the network can work on."""
        return 1

    def _frame_seconds(self) -> float:
        """Seconds in a frame of `X`."""
        return self.frame_shift

    def _target_seconds(self) -> float:
        """Seconds in the unit that the network counts the times of events in."""
        return self.frame_shift

    @abstractmethod
    def _network_params(self) -> dict[str, Any]:
        """``module``, the class of the network, and its parameters as ``module__...``."""

    def _optimizer_params(self) -> dict[str, Any]:
        """Parameters of the optimizer besides `lr`, as ``optimizer__...``."""
        return {}

    @abstractmethod
    def _normalization(self, network: Any) -> Normalization | None:
        """The layer that normalizes features, if the network has one."""

    def _first_weights(self, network: Any, data: TrainingData) -> None:
        """Prepare a network with random weights for the training."""
        self._set_normalization(network, data.clips)

    def _set_normalization(self, network: Any, clips: Clips, measure: bool = True) -> None:
        """By the training clips; mean and scale only where no earlier training set them."""
        layer = self._normalization(network)
        if layer is None:
            return
        if self.normalization == "auto":
            layer.narrow(clips)
        if measure:
            layer.measure(clips)

    def _context(self) -> int | None:
        """Frames around each that normalize it; None: the training clips do that."""
        if self.normalization == "training":
            return None
        seconds = _CONTEXT if self.normalization == "auto" else self.normalization
        return max(1, round(seconds / self.frame_shift))

    def _build_net(self, data: TrainingData | None = None) -> TrainingNet:
        """A skorch net, not initialized yet, from the estimator's own parameters.

        Without data it is one that will only predict.
        """
        train_set: Any = () if data is None else data.train_set
        has_validation = data is not None and data.valid_set is not None
        given = self.net_params or {}
        device = resolve_device(self.device)
        settings = {
            "criterion": torch.nn.Identity,
            "optimizer": torch.optim.Adam,
            "lr": self.lr,
            "max_epochs": self.max_epochs,
            "batch_size": self.batch_size,
            "iterator_train__shuffle": True,
            "iterator_train__collate_fn": collate_training,
            "iterator_valid__collate_fn": collate_training,
            "device": device,
            "bfloat16": use_bfloat16(self.precision, device, training=True),
            "augmentation": self.augmentation,
            "frames_per_step": self._target_seconds() / self._frame_seconds(),
            "label_weights": None if data is None else data.label_weights,
            "verbose": int(self.verbose),
            **loader_params(train_set),
            **self._network_params(),
            # A network that is restored from a file has no optimizer.
            **(self._optimizer_params() if len(train_set) else {}),
            **given,
        }
        cycle_steps = None
        if self.lr_schedule == "one_cycle":
            size = settings.get("iterator_train__batch_size", settings["batch_size"])
            n_batches = -(-len(train_set) // size) if size > 0 else 1
            if settings.get("iterator_train__drop_last"):
                n_batches = len(train_set) // size
            cycle_steps = n_batches * settings["max_epochs"]
        own = callbacks_for(
            patience=self.patience,
            monitor="valid_loss" if has_validation else "train_loss",
            gradient_clip=self.gradient_clip,
            verbose=self.verbose,
            cycle_steps=cycle_steps,
        )
        if "callbacks" not in given:
            check_monitored(list(self.callbacks or []), has_validation)
            settings["callbacks"] = [*own, *(self.callbacks or [])]
        if data is not None and data.checkpoint is not None:
            # The last: it saves what the others have come to.
            settings["callbacks"] = [*settings["callbacks"], ("checkpoint", data.checkpoint)]
        return TrainingNet(**settings)

    def _predict_by(self, net: TrainingNet) -> Callable[[Any], Any]:
        """What callbacks score: the estimator's predictions with a net in training."""
        now = copy.copy(self)
        now.net_ = net
        return now._scored_predictions

    @abstractmethod
    def _scored_predictions(self, X: Any) -> Any:
        """Predictions that callbacks can score against the events of validation clips."""

    def _become(self, net: TrainingNet) -> None:
        """Take over a trained net."""
        self.net_ = net
        self.history_ = net.history
        self.n_parameters_ = count_parameters(net.module_)

    def _restore_net(self, classes: NDArray, n_features: int, weights: Any) -> None:
        """Take over the classes, bands and weights of an estimator that was fitted before."""
        self._validate_params()
        self.classes_ = classes
        self.n_features_in_ = n_features
        self._become(restore(self._build_net(), weights))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        tags.target_tags.one_d_labels = False
        return tags
