"""The line that a training prints for each epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback, PrintLog


class ValidationFScore(Callback):
    """Record the event-based F-score of the validation clips as ``valid_f_score``.

    Onsets must be within 0.5 s, the average is over all events. Early stopping can watch it:
    ``EarlyStopping(monitor="valid_f_score", lower_is_better=False)``.
    """

    def on_epoch_end(self, net: NeuralNet, dataset_valid: Any = None, **kwargs: Any) -> None:
        if dataset_valid is None:
            return
        from ..metrics import event_based_f_score

        found = net.predict(dataset_valid.X)
        # Without a true event there is no score, which NaN says.
        undefined = 0.0 if any(dataset_valid.y) else math.nan
        score = event_based_f_score(dataset_valid.y, found, zero_division=undefined)
        net.history.record("valid_f_score", float(score))


class Progress(PrintLog):
    """Say what the columns are, and then a line after each epoch.

    It speaks when the net's `verbose` is 1 or more, from 2 on with the parts of the loss. It
    is a PrintLog because skorch calls those last, when all scores are there.

    Parameters
    ----------
    sink : callable, default=print
        Takes each line.
    n_later : int, default=0
        Epochs of a training that follows this one; the time left includes them.
    """

    def __init__(self, sink: Callable[[str], Any] = print, n_later: int = 0):
        super().__init__(sink=sink)
        self.n_later = n_later

    def _get_param_names(self) -> list[str]:
        """Names of its own parameters only; skorch would add those of its base, a PrintLog."""
        return ["sink", "n_later"]

    def initialize(self) -> Progress:
        self.began_: float | None = None
        return self

    def state_dict(self) -> dict[str, Any]:
        """Empty: when it began and what it printed concern this process only."""
        return {}

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        if self.began_ is None:
            self.began_ = time.monotonic()
            self.first_ = len(net.history)

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        if not net.verbose:
            return
        row = net.history[-1]
        cells = {"epoch": f"{row['epoch']}/{net.max_epochs}", **numbers_of(row)}
        if net.verbose > 1:
            parts = {name for batch in row["batches"] for name in batch.get("train_losses", ())}
            cells |= {name: f"{row['train_' + name]:.3f}" for name in sorted(parts)}
        cells |= {"seconds": f"{row['dur']:.1f}", "left": clock_text(self.seconds_left(net))}
        widths = {name: max(len(name), 7) for name in cells}
        if len(net.history) == self.first_:
            self.sink(explanation_of(row))
            self.sink("  ".join(f"{name:>{width}}" for name, width in widths.items()))
        self.sink("  ".join(f"{cells[name]:>{width}}" for name, width in widths.items()))

    def seconds_left(self, net: NeuralNet) -> float:
        """Estimate the time for all epochs that are left from those that this process trained."""
        assert self.began_ is not None
        n_done = len(net.history) - self.first_ + 1
        n_left = net.max_epochs - len(net.history) + self.n_later
        return (time.monotonic() - self.began_) / n_done * n_left


def numbers_of(row: Any) -> dict[str, str]:
    """The figures of an epoch that are printed, by the name of their column."""
    names = {
        "train_loss": "training loss",
        "valid_loss": "validation loss",
        "valid_f_score": "F-score",
    }
    return {
        name: f"{row[key]:.2f}" if key == "valid_f_score" else f"{row[key]:.3f}"
        for key, name in names.items()
        if key in row and math.isfinite(row[key])
    }


def explanation_of(row: Any) -> str:
    """The sentences that explain the columns."""
    text = "Losses are what the training lowers: the first on the clips that it learns from"
    if "valid_loss" in row:
        text += ",\nthe second on clips that it does not learn from"
    if "F-score" in numbers_of(row):
        text += (
            ". The F-score is that of the\nevents found in the latter, with onsets within 0.5 s; "
            "1 is best"
        )
    return text + "."


def clock_text(seconds: float) -> str:
    """A duration for people.

    >>> clock_text(75), clock_text(3675)
    ('1:15', '1:01:15')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
