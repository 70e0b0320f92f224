"""Callbacks of every training: learning rate schedule, early stopping, divergence, progress."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import (
    Callback,
    EarlyStopping,
    GradientNormClipping,
    LRScheduler,
    ProgressBar,
)

from .parameters import LRSchedule


class LossParts(Callback):
    """Average each part of the loss over an epoch, weighted by the clips of the batches.

    The net records the parts of each batch as a dict, under ``train_losses`` or
    ``valid_losses``. Of an epoch, the history has those of validation under their plain
    names and those of training under ``train_<name>``.
    """

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        for kind, prefix in (("train", "train_"), ("valid", "")):
            rows = [row for row in net.history[-1]["batches"] if f"{kind}_losses" in row]
            sizes = [row[f"{kind}_batch_size"] for row in rows]
            for name in rows[0][f"{kind}_losses"] if rows else ():
                values = [row[f"{kind}_losses"][name] for row in rows]
                net.history.record(prefix + name, float(np.average(values, weights=sizes)))


class StopOnDivergence(Callback):
    """Raise ValueError when a training diverges, instead of leaving a useless network.

    A training has diverged when a loss, a weight or a batch statistic is not finite after an
    epoch, or when the training loss of every epoch is far above that of the very first batch.
    """

    # Training counts as diverged if the loss is this many times that of the first batch; it
    # normally stays below twice that.
    _TOO_MUCH = 10.0

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        # A module of the user's own may have constants such as a mask of minus infinity.
        self.constants_ = {
            name for name, value in net.module_.named_buffers() if not _is_finite(value)
        }

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        first = net.history[0, "batches", 0]["train_loss"]
        best = min(net.history[:, "train_loss"])
        if best > self._TOO_MUCH * first:
            self._fail(net, f"train_loss is {best:.3g} at best and began at {first:.3g}")

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        row = net.history[-1]
        for name in ("train_loss", "valid_loss"):
            if name in row and not np.isfinite(row[name]):
                self._fail(net, f"{name} is {row[name]}")
        for name, value in net.module_.state_dict().items():
            if name not in self.constants_ and not _is_finite(value):
                self._fail(net, f"{name} holds values that are not finite")

    @staticmethod
    def _fail(net: NeuralNet, what: str) -> None:
        raise ValueError(
            f"Training diverged in epoch {len(net.history)}: {what}. Try a lower lr "
            f"(it is {net.lr:g}), or gradient_clip"
        )


def _is_finite(value: torch.Tensor) -> bool:
    """Whether the sum of squares is finite, which it is only if all values and products are."""
    return not value.is_floating_point() or bool(torch.isfinite(value.float().square().sum()))


def _one_cycle(
    optimizer: torch.optim.Optimizer, **kwargs: Any
) -> torch.optim.lr_scheduler.OneCycleLR:
    """Make a cycle in which each parameter group peaks at its own learning rate."""
    peaks = [group["lr"] for group in optimizer.param_groups]
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=peaks, **kwargs)


def one_cycle(n_steps: int) -> LRScheduler:
    """The callback that warms up over a tenth of the steps, and then falls to nearly zero."""
    # If the first part of PyTorch's cycle is one step, it divides by zero; if less, it never rises.
    n_steps = max(n_steps, 3)
    return LRScheduler(
        _one_cycle,
        total_steps=n_steps,
        pct_start=max(0.1, 2 / n_steps),
        cycle_momentum=False,
        step_every="batch",
    )


# Makes the callback of each schedule of the learning rate from the number of steps of a training;
# None stands for a constant rate.
SCHEDULES: dict[LRSchedule, Callable[[int], LRScheduler] | None] = {
    "constant": None,
    "one_cycle": one_cycle,
}


def check_monitored(callbacks: list[Any], has_validation: bool) -> None:
    """Raise ValueError if a callback monitors a validation score without validation clips."""
    for callback in _without_names(callbacks):
        monitor = getattr(callback, "monitor", None)
        if not has_validation and isinstance(monitor, str) and monitor.startswith("valid_"):
            raise ValueError(
                f"{type(callback).__name__} monitors {monitor}, but there are no validation clips: "
                "set validation_fraction, give X_val and y_val to fit, or let it have "
                'monitor="train_loss"'
            )


def _without_names(callbacks: list[Any]) -> list[Any]:
    """The callbacks, some of which may come as pairs of a name and a callback."""
    return [item[1] if isinstance(item, tuple) else item for item in callbacks]


def check_one_schedule(callbacks: list[Any], lr_schedule: LRSchedule) -> None:
    """Raise ValueError if a callback sets the learning rate, and `lr_schedule` does so, too.

    A cycle sets the rate of each step from the start, so that the callback would have no effect.
    """
    if SCHEDULES[lr_schedule] is None:
        return
    for callback in _without_names(callbacks):
        if callback is LRScheduler or isinstance(callback, LRScheduler):
            raise ValueError(
                f"callbacks has an LRScheduler, but lr_schedule={lr_schedule!r} sets the learning "
                "rate, too, so that only the latter would have an effect: give "
                'lr_schedule="constant"'
            )


def callbacks_for(
    *,
    patience: int | None,
    monitor: str,
    gradient_clip: float | None,
    verbose: int,
    lr_schedule: LRSchedule,
    n_steps: int,
    scores: list[tuple[str, Callback]],
) -> list[tuple[str, Callback]]:
    """The callbacks of a training besides those of the net itself.

    Parameters
    ----------
    patience : int or None
        Epochs without improvement after which the training stops.
    monitor : str
        Name of the entry of the history that must improve.
    gradient_clip : float or None
        Largest norm of the gradient.
    verbose : int
    lr_schedule : str
        A key of ``SCHEDULES``.
    n_steps : int
        Number of steps of the training, if it runs for all epochs.
    scores : list of (name, callback)
        Callbacks that score the validation clips after each epoch.
    """
    chosen = list(scores)
    if (schedule := SCHEDULES[lr_schedule]) is not None:
        chosen.append(("lr_schedule", schedule(n_steps)))
    if gradient_clip is not None:
        chosen.append(("gradient_clip", GradientNormClipping(gradient_clip)))
    if patience is not None:
        stop = EarlyStopping(monitor=monitor, patience=patience, load_best=True)
        chosen.append(("early_stopping", stop))
    if verbose and sys.stdout is not None and sys.stdout.isatty():
        chosen.append(("progress", ProgressBar()))
    return chosen
