"""How long the cells of the paper's tables take on the machine at hand, before they begin."""

from __future__ import annotations

import time

import numpy as np
from paper_results import CLASSES
from sklearn.base import clone
from skorch.callbacks import EarlyStopping

_CLIPS_TIMED = 16
_STARTED = time.monotonic()


class StopAfter(EarlyStopping):
    """Ends a training as early stopping does, when the program has run for so many minutes.

    For machines that are lent for a while. The weights of the best epoch are kept by the early
    stopping that waits for an improvement, which is another callback.
    """

    def __init__(self, minutes, **settings):
        super().__init__(**settings)
        self.minutes = minutes

    def on_epoch_end(self, net, **kwargs):
        if time.monotonic() - _STARTED > 60 * self.minutes:
            self.misses_ = self.patience
            raise KeyboardInterrupt


def hours(args, target, estimator):
    """Estimate how long training a cell takes here, from an epoch on a few clips of noise."""
    if args.minutes:
        return args.minutes / 60
    rng = np.random.default_rng(0)
    frames = round(30 / getattr(estimator, "frame_shift", 1024 / 44100))
    bands = 40 if estimator.get_params().get("network") == "mlp" else 64
    label = CLASSES[0] if target != "all" else None
    X = [rng.normal(size=(frames, bands)).astype(np.float32) for _ in range(_CLIPS_TIMED)]
    y = [[(10.0, 11.0, label or CLASSES[i % 3])] for i in range(len(X))]
    changes = {"max_epochs": 1, "patience": None, "validation_fraction": None, "callbacks": None}
    trial = clone(estimator).set_params(**changes)
    stages = 1
    if getattr(trial, "pretrainer", None) is not None:
        trial.set_params(pretrainer=None, memory=None)
        stages = 2
    seconds = []
    for _ in range(2):  # the first time includes loading
        started = time.time()
        clone(trial).fit(X, y)
        seconds.append(time.time() - started)
    n_clips = args.train_clips * (len(CLASSES) if target == "all" else 1)
    return stages * args.epochs * min(seconds) / len(X) * n_clips / 3600


def say_cost(args, todo):
    """Print the cells that are left to train, and how many hours each may take at most."""
    known = {}
    for name, target, estimator in todo:
        kind = (name, target == "all")
        if kind not in known:
            known[kind] = hours(args, target, estimator)
            print(f"  {name}, {'all classes' if kind[1] else 'one class'}: {known[kind]:.2f} h")
    total = sum(known[name, target == "all"] for name, target, _ in todo)
    at_most = "" if args.minutes else ", if no training ends early"
    print(
        f"{len(todo)} cells are left to train, which takes about {total:.1f} h here, "
        f"as busy as it is now{at_most}."
    )
