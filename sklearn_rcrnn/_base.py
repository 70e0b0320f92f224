"""Base classes of the estimators that train a network, and of those that detect events."""

from __future__ import annotations

import copy
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from numbers import Integral
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from ._utils.settings import Settings
from .annotations.named_clips import lists_of_clips
from .events import EventLists, check_event_lists
from .inference.trained_network import TrainedNetwork
from .nn.crnn import CRNN
from .nn.normalization import Normalization
from .nn.processes import n_processes, of_first_process, process_rank
from .nn.rcrnn import count_parameters
from .training.batches import collate_training
from .training.device import resolve_device, use_bfloat16
from .training.fit_arguments import CheckedArguments, TrainingData
from .training.inputs import Clips, check_weights
from .training.padding import warn_if_padding_is_heard
from .training.parameters import check_net_params
from .training.restoring import NoOptimizer, restore

# skorch is imported only where something is trained, because detecting events does not need it.
if TYPE_CHECKING:
    from skorch.callbacks import Callback
    from typing_extensions import Self

    from .training.nets import TrainingNet

# Each frame is normalized over this many seconds around it, unless training clips are shorter.
_CONTEXT = 10.0


class NetworkEstimator(CheckedArguments, TrainedNetwork, ABC):
    """Base of the estimators that train a network; a subclass says which network it is.

    Subclasses implement `_network_params`, and `_normalization` if their network has no extractor;
    they may extend `_check_together`, `_first_weights` and `_last_weights`.
    """

    # Parameters that the network is built from. If they change after ``fit``, the network stays
    # as it is until the next fit, so it is saved with the values that it was built from.
    _of_network: tuple[str, ...]
    _built_from: dict[str, Any]

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
        y : list of lists of (onset, offset, label), or DataFrame
            Events of each clip in seconds; an empty list for a clip without event. None
            with a stream, which brings its events. A frame of pandas with a row for each event,
            and the columns ``file``, ``onset``, ``offset`` and ``label``, is matched with the
            clips by the names of their recordings, if `X` are paths or the features of such.
            To split clips, as cross-validation does, give lists: see :func:`match_files`.
        X_val, y_val : as `X` and `y`, default=None
            Validation clips; by default a part of `X` is set aside, and of a stream none.
            A Pipeline does not transform `X_val`: give ``pipe[:-1].transform(X_val)``.
        sample_weight : array of shape (n_clips,), default=None
            Weight of each clip of `X` in the losses. A clip of weight 0 is as if it were not
            there. As in PyTorch, losses are weighted means over a batch: a clip counts by its
            weight relative to the others of its batch, and in batches of one clip all count
            alike. A stream takes none.
        checkpoint : str or PathLike, default=None
            Folder for the state of the training after each epoch. Where a training of the
            same parameters and data was killed, it goes on after its last complete epoch,
            and the weights are those of one that was not; where it had ended, its weights
            are taken. Trainings of other parameters or data have other files in the
            folder, so a grid search may use it: ``search.fit(X, y, checkpoint=Path(folder))``.
            Trainings without a `random_state` share a file if they differ in nothing. The folder
            may be deleted afterwards.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            For invalid parameters, features or events; the message names the clip. Also if
            the training diverges.
        ChildProcessError
            If a process that makes the clips of a stream was killed.
        KeyboardInterrupt
            If the user stops the training, which leaves the estimator unfitted.

        Warns
        -----
        UserWarning
            If clips have unequal lengths, and an extractor of your own hears the padding behind a
            clip that is in a batch with longer ones.

        Notes
        -----
        With an integer `random_state` the weights are the same in every run on the same
        machine with the same number of threads. PyTorch's generator is set meanwhile, and
        afterwards is as it was: trainings in several threads of a process therefore wait
        for each other, and other threads should not draw from it in the meantime. To train
        side by side use processes, as ``n_jobs`` of scikit-learn does.

        Where a process group of ``torch.distributed`` is open, as in a script that ``torchrun``
        started, the processes train one network together. Each calls ``fit`` with the same clips
        and parameters and learns from its share of them; `batch_size` is that of one process.
        """
        from .training.nets import seeded, train

        self._validate_params()
        self._check_together()
        check_net_params(self.net_params, self.callbacks)
        if isinstance(self.augmentation, Settings):
            self.augmentation.check()
        # If this fit fails, the results of an earlier one must not be taken for its own.
        stale = ("net_", "history_", "_loaded", "thresholds_", "provenance_", "pretrainer_")
        for name in stale:
            self.__dict__.pop(name, None)
        # One for all processes that train together, also where it is no integer.
        rng = of_first_process(check_random_state(self.random_state))
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
            if isinstance(extractor := getattr(net.module_, "extractor", None), torch.nn.Module):
                warn_if_padding_is_heard(extractor, data.clips)
            predict = self._predict_by(net)
            train(net, data.train_set, data.valid_set, predict, data.checkpoint)
        self._last_weights(net.module_, data)
        self._become(net)
        return self

    def _check_together(self) -> None:
        """Raise ValueError for parameters that contradict each other."""

    @abstractmethod
    def _network_params(self) -> dict[str, Any]:
        """``module``, the class of the network, and its parameters as ``module__...``."""

    def _optimizer_params(self) -> dict[str, Any]:
        """Parameters of the optimizer besides `lr`, as ``optimizer__...``."""
        return {}

    def _normalization(self, network: Any) -> Normalization | None:
        """The layer that normalizes features, if the network has one that is to be set."""
        extractor = network.extractor
        if not isinstance(extractor, CRNN):
            return None
        layer = extractor.normalization
        # The extractor of a trained detector, given as a module, knows its mean already.
        is_trained = not isinstance(self.extractor, str) and bool(layer.mean.any())
        return None if is_trained else layer

    def _first_weights(self, network: Any, data: TrainingData) -> None:
        """Prepare a network with random weights for the training."""
        self._set_normalization(network, data.clips)

    def _last_weights(self, network: Any, data: TrainingData) -> None:
        """Finish the weights of a network after the training."""

    def _set_normalization(self, network: Any, clips: Clips, measure: bool = True) -> None:
        """Fit the normalization to the training clips.

        Mean and scale are measured only if no earlier training has set them.
        """
        layer = self._normalization(network)
        if layer is None:
            return
        if self.normalization == "auto":
            layer.narrow(clips)
        if measure:
            layer.measure(clips)

    def _context(self) -> int | None:
        """Number of frames whose mean and deviation normalize a frame; None for all clips."""
        if self.normalization == "training":
            return None
        seconds = _CONTEXT if self.normalization == "auto" else self.normalization
        n_frames = max(1, round(seconds / self.frame_shift))
        if n_frames < 2 and self.normalization != "auto":
            raise ValueError(
                f"normalization={seconds} s is less than two frames of {self.frame_shift:.3g} s: "
                "each would be normalized by itself, to 0"
            )
        return n_frames

    def _build_net(
        self, data: TrainingData | None = None, network: torch.nn.Module | None = None
    ) -> TrainingNet:
        """A skorch net, not initialized yet, from the estimator's own parameters.

        If a network is given instead of data, the net will only predict.
        """
        from .training.data import loader_params
        from .training.nets import TrainingNet

        train_set: Any = () if data is None else data.train_set
        given = self.net_params or {}
        if network is not None:
            given = {k: v for k, v in given.items() if not k.startswith(("module", "optimizer"))}
        device = resolve_device(given.get("device", self.device))
        settings: dict[str, Any] = {
            "criterion": torch.nn.Identity,
            "optimizer": torch.optim.Adam,
            "lr": self.lr,
            "max_epochs": self.max_epochs,
            "batch_size": self.batch_size,
            "iterator_train__collate_fn": collate_training,
            "iterator_valid__collate_fn": collate_training,
            "device": device,
            "bfloat16": use_bfloat16(self.precision, device, training=True),
            "augmentation": self.augmentation,
            "frames_per_step": self._target_seconds() / self._frame_seconds(),
            "label_weights": None if data is None else data.label_weights,
            "verbose": 0 if process_rank() else int(self.verbose),
            **loader_params(train_set),
            **(self._network_params() if network is None else {"module": network}),
            **(self._optimizer_params() if network is None else {"optimizer": NoOptimizer}),
            **given,
        }
        epochs = settings["max_epochs"]
        if not isinstance(epochs, Integral) or int(epochs) < 1:
            raise ValueError(f"max_epochs must be 1 or more; got {epochs!r}")
        if "callbacks" not in given:
            has_validation = data is not None and data.valid_set is not None
            n_clips = len(train_set) // n_processes()
            settings["callbacks"] = self._callbacks(settings, n_clips, has_validation)
        if data is not None and data.checkpoint is not None:
            # This callback comes last, so that it saves the state that the others have reached.
            settings["callbacks"] = [
                *(settings["callbacks"] or []),
                ("checkpoint", data.checkpoint),
            ]
        return TrainingNet(**settings)

    def _callbacks(
        self, settings: dict[str, Any], n_clips: int, has_validation: bool
    ) -> list[Callback | tuple[str, Callback]]:
        """The callbacks of a net with these settings: the estimator's own, then the user's."""
        from .training.callbacks import callbacks_for, check_monitored, check_one_schedule

        size = settings.get("iterator_train__batch_size", settings["batch_size"])
        n_batches = -(-n_clips // size) if size > 0 else 1
        if settings.get("iterator_train__drop_last"):
            n_batches = n_clips // size
        check_monitored(list(self.callbacks or []), has_validation)
        check_one_schedule(list(self.callbacks or []), self.lr_schedule)
        own = callbacks_for(
            patience=self.patience,
            monitor="valid_loss" if has_validation else "train_loss",
            gradient_clip=self.gradient_clip,
            verbose=settings["verbose"],
            lr_schedule=self.lr_schedule,
            n_steps=n_batches * settings["max_epochs"],
            scores=self._validation_scores(),
        )
        return [*own, *(self.callbacks or [])]

    def _predict_by(self, net: TrainingNet) -> Callable[[Any], Any]:
        """Return the function that callbacks call for predictions of a net while it trains."""
        now = copy.copy(self)
        now.net_ = net
        return now._scored_predictions

    def _validation_scores(self) -> list[tuple[str, Callback]]:
        """Callbacks that score the validation clips after each epoch."""
        return []

    @abstractmethod
    def _scored_predictions(self, X: Any) -> Any:
        """Predictions that callbacks can score against the events of validation clips."""

    def _become(self, net: TrainingNet) -> None:
        """Take over a trained net."""
        self.net_ = net
        self.history_ = net.history
        self._describe_network(net.module_)

    def _restore_net(self, classes: NDArray[Any], n_features: int, weights: Any) -> None:
        """Take over the classes, bands and weights of an estimator that was fitted before."""
        self._validate_params()
        self.classes_ = classes
        self.n_features_in_ = n_features
        params = self._network_params()
        kind = params.pop("module")
        settings = {name.removeprefix("module__"): value for name, value in params.items()}
        self._loaded = restore(kind, settings, weights, resolve_device(self.device))
        self._describe_network(self._loaded.module_)

    def _describe_network(self, network: torch.nn.Module) -> None:
        self.n_parameters_ = count_parameters(network)
        given = {name: getattr(self, name) for name in self._of_network}
        # Values may be changed in place; of a module, only the class is written down.
        self._built_from = {
            name: value if isinstance(value, torch.nn.Module) else copy.deepcopy(value)
            for name, value in given.items()
        }

    def _net_around(self, network: torch.nn.Module) -> TrainingNet:
        net = self._build_net(network=network).initialize()
        net.trim_for_prediction()
        return net

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        tags.target_tags.one_d_labels = False
        return tags


class EventDetector(NetworkEstimator):
    """Base of the estimators whose ``predict`` gives events."""

    @abstractmethod
    def predict(self, X: Any) -> EventLists:
        """Detect the events of every clip."""

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Event-based F-score of ``predict(X)``: onset only, collar 0.5 s, micro average.

        Parameters
        ----------
        X : as for :meth:`predict`
        y : list of lists of (onset, offset, label), or DataFrame
            As for :meth:`fit`.
        sample_weight : array of shape (n_clips,), default=None
            Number of times that the events of each clip count.

        Returns
        -------
        float
            Between 0 and 1; 0 with a warning if no event of `y` is true, as the score is then
            undefined.
        """
        from .metrics import counts_by_clip, event_based_f_score
        from .metrics.event_based import warn_if_undefined

        found = self.predict(X)
        y = check_event_lists(lists_of_clips(y, X), n_clips=len(found))
        if sample_weight is None:
            return float(event_based_f_score(y, found, zero_division="warn"))
        weights = check_weights(sample_weight, len(found))
        warn_if_undefined([clip for clip, weight in zip(y, weights, strict=True) if weight])
        n_true, n_found, n_right, _ = weights @ counts_by_clip(y, found)
        return float(2 * n_right / max(n_true + n_found, 1e-12))

    def _validation_scores(self) -> list[tuple[str, Callback]]:
        from .training.progress import ValidationFScore

        return [("valid_f_score", ValidationFScore())]

    def _scored_predictions(self, X: Any) -> EventLists:
        return self.predict(X)
