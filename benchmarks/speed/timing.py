"""How the measurements of this folder are taken: in turn, medians, processor time beside the clock.

Each figure is a ratio against a named reference that was measured in the same run, in turn
with it, so that a slow spell of the machine hits both. Ratios are of processor time (user and
system, of all threads) where the machine is busy with other things, and of the clock with
``--clock``.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import resource
import statistics
import time
from typing import NamedTuple

import numpy as np

FRAMES, BANDS, CLIP, RATE = 1292, 64, 30.0, 44100


class Cost(NamedTuple):
    """Median seconds by the clock, and of processor time."""

    clock: float
    processor: float


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    done = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime + done.ru_utime + done.ru_stime


def interleaved(functions, repeats, seconds=math.inf):
    """The cost of each function; they are called in turn, after one call that is not counted.

    After so many seconds no further round begins. If the first round alone takes so long, it is
    what counts.
    """
    rounds = []
    began = time.perf_counter()
    while len(rounds) <= repeats:
        rounds.append([_cost(function) for function in functions])
        if time.perf_counter() - began >= seconds:
            break
    counted = rounds[1:] or rounds
    return [
        Cost(*(statistics.median(values) for values in zip(*own, strict=True)))
        for own in zip(*counted, strict=True)
    ]


def _cost(function):
    clock, processor = time.perf_counter(), processor_seconds()
    function()
    return Cost(time.perf_counter() - clock, processor_seconds() - processor)


def peak_memory():
    """Peak memory of this process in MB (Linux); getrusage would include that of its parent."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


class Report:
    """Prints the rows of a table, by the one of the two times that counts."""

    def __init__(self, args):
        self.args = args
        self.kind = "clock" if args.clock else "processor"
        import torch

        print(
            f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads of "
            f"PyTorch, load {os.getloadavg()[0]:.1f}; {self.kind} time, seed 0, "
            f"median of at most {args.repeats}\n\n"
            "| what | s | of | s | ratio | aim |\n|---|---|---|---|---|---|"
        )

    def row(self, what, cost, reference, of, aim=""):
        mine, theirs = getattr(cost, self.kind), getattr(reference, self.kind)
        print(
            f"| {what} | {mine:.3g} | {of} | {theirs:.3g} | {mine / theirs:.2f} | {aim} |",
            flush=True,
        )

    def fact(self, text):
        print(f"| {text} | | | | | |", flush=True)


def parse(doc, **extra):
    parser = argparse.ArgumentParser(description=doc.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        help="A measurement is repeated no more once it has taken so long; %(default)s",
    )
    parser.add_argument("--clock", action="store_true", help="Ratios of time by the clock.")
    for name, default in extra.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=type(default), default=default, help="%(default)s"
        )
    return parser.parse_args()


def clips(n, frames=FRAMES, n_labels=3):
    """Make features of `n` clips of noise, and an event in each."""
    features = np.random.default_rng(0).normal(size=(n, frames, BANDS)).astype(np.float32)
    seconds = frames * 1024 / RATE
    labels = [f"label {i}" for i in range(n_labels)]
    onset = [(0.1 + 0.6 * (i % 10) / 10) * seconds for i in range(n)]
    return features, [[(t, t + 0.1 * seconds, labels[i % n_labels])] for i, t in enumerate(onset)]


def fitted(features, y, **params):
    """Fit a detector to these clips for one epoch."""
    from sklearn_rcrnn import RCRNNDetector

    settings = {"max_epochs": 1, "random_state": 0, "validation_fraction": None, **params}
    return RCRNNDetector(**settings).fit(features, y)


def training_step(estimator, features, y):
    """Make a function that does one training step of an estimator on these clips."""
    from sklearn_rcrnn.events import check_event_lists
    from sklearn_rcrnn.training.batches import collate_training
    from sklearn_rcrnn.training.targets import to_target

    # Targets of detectors of regions are in steps, those of detectors of frames in frames.
    step = estimator._step_seconds() if hasattr(estimator, "_step_seconds") else 1024 / RATE
    labels = estimator.classes_.tolist()
    targets = [to_target(clip, labels, step) for clip in check_event_lists(y)]
    batch = collate_training([(*pair, None) for pair in zip(features, targets, strict=True)])
    net = estimator.net_

    def step():
        net.history.new_epoch()
        net.history.new_batch()
        net.train_step(batch)

    return step


def precisions():
    """Precisions to measure, without emulated bfloat16, which takes minutes and tells nothing."""
    from sklearn_rcrnn.training.device import bfloat16_supported

    return ("float32", "bfloat16") if bfloat16_supported("cpu") else ("float32",)


def autocast(precision):
    import torch

    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")


def bare_forward(extractor, features, batch=16):
    """Make a function that only sends clips through the extractor as in training."""
    import torch

    def forward():
        with torch.inference_mode():
            extractor.eval()
            for start in range(0, len(features), batch):
                part = extractor.normalization(torch.from_numpy(features[start : start + batch]))
                extractor.recur(extractor._convolve(part, None))

    return forward
