"""Callbacks of every training: schedule, early stopping, divergence, progress."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import (
    Callback,
    EarlyStopping,
    GradientNormClipping,
    LRScheduler,
    PrintLog,
    ProgressBar,
)

from .data import StreamDataset


class NextEpoch(Callback):
    """Tell a stream the epoch before its clips are drawn."""

    def on_epoch_begin(self, net: NeuralNet, dataset_train: Any = None, **kwargs: Any) -> None:
        if isinstance(dataset_train, StreamDataset):
            dataset_train.epoch = len(net.history)


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


class LossTable(PrintLog):
    """skorch's log of an epoch in columns that fit a terminal of 80.

    Parts of the training loss are in the history, too; beside the others they clutter.
    """

    def _sorted_keys(self, keys: Any) -> list[str]:
        shown = [key for key in keys if key == "train_loss" or not key.startswith("train_")]
        return super()._sorted_keys(shown)

    def table(self, row: Any) -> str:
        cells = {
            key: f"{row[key]:.4f}" if isinstance(row[key], float) else str(row[key])
            for key in self._sorted_keys(row.keys())
        }
        widths = {key: max(len(key), 7) for key in cells}
        lines = (cells.keys(), ("-" * width for width in widths.values()), cells.values())
        return "\n".join(
            " ".join(f"{text:>{width}}" for text, width in zip(line, widths.values(), strict=True))
            for line in lines
        )


class StopOnDivergence(Callback):
    """Raise as soon as a loss is not finite: nothing good comes of training on."""

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        loss = net.history[-1, "train_loss"]
        if not np.isfinite(loss):
            raise ValueError(
                f"Training diverged: the loss of epoch {len(net.history)} is {loss}. Try a lower lr"
            )


def one_cycle(
    optimizer: torch.optim.Optimizer, **kwargs: Any
) -> torch.optim.lr_scheduler.OneCycleLR:
    """A cycle in which each group of parameters peaks at its own learning rate."""
    peaks = [group["lr"] for group in optimizer.param_groups]
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=peaks, **kwargs)


def callbacks_for(
    patience: int | None,
    monitor: str,
    gradient_clip: float | None,
    verbose: int,
    schedule: tuple[float, int] | None,
) -> list[tuple[str, Callback]]:
    """The callbacks of a training besides those of the net itself.

    `schedule` is the highest learning rate and the number of steps of a cycle, or None.
    """
    chosen: list[tuple[str, Callback]] = [
        ("next_epoch", NextEpoch()),
        ("divergence", StopOnDivergence()),
    ]
    if schedule is not None:
        # PyTorch's cycle divides by zero where its first part is one step, and never rises
        # where it is less.
        n_steps = max(schedule[1], 3)
        cycle = LRScheduler(
            one_cycle,
            total_steps=n_steps,
            pct_start=max(0.1, 2 / n_steps),
            cycle_momentum=False,
            step_every="batch",
        )
        chosen.append(("lr_schedule", cycle))
    if gradient_clip is not None:
        chosen.append(("gradient_clip", GradientNormClipping(gradient_clip)))
    if patience is not None:
        stop = EarlyStopping(monitor=monitor, patience=patience, load_best=True)
        chosen.append(("early_stopping", stop))
    if verbose:
        chosen.append(("progress", ProgressBar()))
    return chosen
