"""The skorch net that trains the networks, and the random numbers of a training."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping
from skorch.dataset import unpack_data
from skorch.helper import predefined_split
from skorch.utils import to_tensor
from torch import Tensor
from torch.utils.data import Dataset

from ..nn.losses import Weights
from ..nn.processes import add_up_gradients, trained_together
from .augmentation import Augmentation, augment
from .callbacks import LossParts, StopOnDivergence
from .checkpoints import TrainingCheckpoint
from .data import ClipDataset, StreamDataset
from .progress import Progress


class TrainingNet(NeuralNet):
    """A skorch net whose network computes its losses itself.

    The network has a method ``losses(features, lengths, targets, weights)`` that returns the
    parts of the loss by name. Their sum is trained on, and each part is recorded in the history
    under its name.

    Parameters
    ----------
    *args, **kwargs
        Parameters of :class:`skorch.NeuralNet`.
    bfloat16 : bool, default=False
        Compute in bfloat16 where PyTorch's autocast allows it.
    augmentation : callable, default=None
        Called to change each batch before the network learns from it.
    frames_per_step : float, default=1
        Number of frames of the features in the unit of the targets' intervals.
    label_weights : sequence of float, default=None
        Weight of the events of each label in the losses. None: all clips and all labels count
        alike.
    use_caching : bool, default=False
        Whether callbacks reuse the output of the validation step for their scores. That output
        is the losses here, so by default callbacks let the net predict instead.
    """

    # Function that predicts the events of clips during the training; set by train().
    predict_events: Callable[[Any], Any] | None = None
    # State in which an earlier process left the training; set by train().
    checkpoint: TrainingCheckpoint | None = None

    def __init__(
        self,
        *args: Any,
        bfloat16: bool = False,
        augmentation: Augmentation | None = None,
        frames_per_step: float = 1.0,
        label_weights: Sequence[float] | None = None,
        use_caching: bool = False,
        **kwargs: Any,
    ):
        super().__init__(*args, use_caching=use_caching, **kwargs)
        self.bfloat16 = bfloat16
        self.augmentation = augmentation
        self.frames_per_step = frames_per_step
        self.label_weights = label_weights

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        return [
            *(item for item in super()._default_callbacks if item[0] != "print_log"),
            ("loss_parts", LossParts()),
            ("divergence", StopOnDivergence()),
            ("print_log", Progress()),
        ]

    def partial_fit(
        self, X: Any, y: Any = None, classes: Any = None, **fit_params: Any
    ) -> TrainingNet:
        """Train as skorch does, but let a KeyboardInterrupt through.

        skorch takes it for the end of the training, because its EarlyStopping raises one. A
        user who presses Ctrl-C wants to end the program or the grid search instead.
        """
        if not self.initialized_:
            self.initialize()
        self.notify("on_train_begin", X=X, y=y)
        if self.checkpoint is not None:
            finished = self.checkpoint.is_finished
            self.checkpoint.restore(self)
            if finished:
                return self
            fit_params["epochs"] = self.max_epochs - len(self.history)
        try:
            self.fit_loop(X, y, **fit_params)
        except KeyboardInterrupt:
            if not self._stopped_early():
                raise
        self.notify("on_train_end", X=X, y=y)
        return self

    def predict(self, X: Any) -> Any:
        """Predict the events of clips, for callbacks that score them."""
        if self.predict_events is None:
            raise AttributeError("The net predicts only during its training: use the estimator")
        return self.predict_events(X)

    def on_epoch_begin(self, net: Any, dataset_train: Any = None, **kwargs: Any) -> None:
        """Begin an epoch, and tell a stream which one, before its clips are drawn.

        No callback does so, because those of `net_params` take the place of the estimator's own.
        """
        super().on_epoch_begin(net, dataset_train=dataset_train, **kwargs)
        if isinstance(dataset_train, StreamDataset):
            dataset_train.epoch = len(self.history)

    def train_step_single(self, batch: Any, **fit_params: Any) -> Any:
        if self.augmentation is not None:
            X, y = unpack_data(batch)
            batch = augment(self.augmentation, X, self.frames_per_step), y
        return super().train_step_single(batch, **fit_params)

    def on_grad_computed(self, net: Any, named_parameters: Any, **kwargs: Any) -> None:
        """Add up the gradients of all processes, before callbacks look at them."""
        add_up_gradients(parameter for _, parameter in named_parameters)
        super().on_grad_computed(net, named_parameters, **kwargs)

    def infer(self, x: Any, **fit_params: Any) -> Any:
        batch = to_tensor(x, device=self.device)
        kind = torch.device(self.device).type
        with torch.autocast(kind, torch.bfloat16, enabled=self.bfloat16):
            return self.module_.losses(
                batch["features"], batch.get("lengths"), batch["targets"], self._weights(batch)
            )

    def _weights(self, batch: dict[str, Any]) -> Weights | None:
        if self.label_weights is None:
            return None
        features, clips = batch["features"], batch.get("weights")
        if clips is None:
            clips = features.new_ones(len(features))
        return Weights(clips, features.new_tensor(self.label_weights))

    def get_loss(
        self, y_pred: dict[str, Tensor], y_true: Any, X: Any = None, training: bool = False
    ) -> Tensor:
        losses = torch.stack(list(y_pred.values()))
        if len(y_pred) > 1:
            # All numbers are fetched at once, because each access waits for the graphics card.
            parts = dict(zip(y_pred, losses.tolist(), strict=True))
            self.history.record_batch("train_losses" if training else "valid_losses", parts)
        return losses.sum()

    def _stopped_early(self) -> bool:
        return any(
            isinstance(callback, EarlyStopping) and callback.misses_ == callback.patience
            for _, callback in self.callbacks_
        )


def train(
    net: TrainingNet,
    train_set: Dataset,
    valid_set: ClipDataset | None,
    predict_events: Callable[[Any], Any],
    checkpoint: TrainingCheckpoint | None = None,
) -> None:
    """Train an initialized net, and drop its references to the data afterwards."""
    net.checkpoint = checkpoint
    net.train_split = None if valid_set is None else predefined_split(valid_set)
    net.predict_events = predict_events
    try:
        with trained_together(net.module_):
            net.partial_fit(train_set, y=None)
    except KeyError as error:
        # Callbacks of skorch raise it too, if they monitor a value that no epoch recorded.
        if "was not found in history" not in str(error) or not net.history:
            raise
        known = sorted(name for name, value in net.history[-1].items() if isinstance(value, float))
        raise ValueError(
            f"A callback monitors what the training does not record: {error.args[0]} There are "
            f"{', '.join(known)}; those that begin with valid_ need validation clips"
        ) from error
    except (OSError, TypeError, ValueError) as error:
        told = _ERROR_OF_WORKER.match(str(error))
        if told is None:
            raise
        raise type(error)(told["message"].strip()) from error
    except RuntimeError as error:
        # PyTorch may say so anywhere in this process, as it hears of it by a signal.
        if not _DEAD_WORKER.match(str(error)):
            raise
        kept = "fit(..., checkpoint=folder) would have kept the epochs that are done"
        if checkpoint is not None:
            kept = "the same call goes on after the last complete epoch"
        raise ChildProcessError(
            f"A process that made clips for the training has ended ({error}). Most likely the "
            "memory was full, and the system killed it: give fewer of them (n_jobs of the stream, "
            f"jobs on the command line), or None, or close other programs; {kept}"
        ) from error
    finally:
        net.train_split = net.predict_events = net.checkpoint = None


# How PyTorch's error begins if a process of a loader was killed.
_DEAD_WORKER = re.compile(r"DataLoader worker \(pid")
# What PyTorch makes of an error in such a process: a message with a traceback.
_ERROR_OF_WORKER = re.compile(
    r"Caught (?P<type>\w+) in DataLoader worker process \d+\.\nOriginal Traceback"
    r".*\n([\w.]+\.)?(?P=type): (?P<message>.*)",
    re.DOTALL,
)

# Initialization and dropout use PyTorch's generator, of which a process has only one.
_generator = threading.RLock()
# A process forked while another thread trains must not wait for that thread, which it lacks.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: globals().update(_generator=threading.RLock()))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed PyTorch's generator inside the context, and restore its state afterwards.

    Only one thread of a process is inside at a time: trainings in several threads wait for
    each other, so that each draws the same random numbers as it would alone. To train at the
    same time, use several processes.
    """
    with _generator, torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
