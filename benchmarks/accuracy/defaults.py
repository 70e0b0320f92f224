"""What the defaults of RCRNNDetector are worth, on recordings held out of the training.

python benchmarks/accuracy/defaults.py --root ../shared/corpus
python benchmarks/accuracy/defaults.py --epochs 30 --challenge \
    --settings "one cycle, by 10 s around"

Trains on the same few mixtures with each setting, as somebody would who has a folder of
recordings, and prints the error rate, one event a clip and any number, at the best threshold
of each class and at fixed ones; means over the classes. The second command has the
estimator's own number of epochs, on mixtures of half a minute as the challenge draws them.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from held_out import error_rates, held_out_mixtures
from paper_mixtures import fresh, mixtures

from sklearn_rcrnn import FeatureAugmentation, LFBETransformer, RCRNNDetector
from sklearn_rcrnn.datasets import split_by_recording

THRESHOLDS = (0.4, 0.5, 0.6, 0.7, 0.8)
ONE_CYCLE = {"lr": 1e-3, "lr_schedule": "one_cycle", "patience": None}
CONSTANT = {"lr": 3e-4, "lr_schedule": "constant", "patience": 10}
BY_TRAINING = {"normalization": "training"}
CHANGED = {"augmentation": FeatureAugmentation()}
SETTINGS = {
    "constant": {**CONSTANT, **BY_TRAINING},
    "constant, changed features": {**CONSTANT, **BY_TRAINING, **CHANGED},
    "one cycle": {**ONE_CYCLE, **BY_TRAINING},
    "one cycle, changed features": {**ONE_CYCLE, **BY_TRAINING, **CHANGED},
    "one cycle, batches of 8": {**ONE_CYCLE, **BY_TRAINING, "batch_size": 8},
    "one cycle, by 10 s around": {**ONE_CYCLE, "normalization": "auto"},
    "by 10 s around, changed features": {**ONE_CYCLE, "normalization": "auto", **CHANGED},
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", default=os.environ.get("RCRNN_CORPUS", "../shared/corpus"))
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--train-clips", type=int, default=500, help="of a class")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the trainings")
    parser.add_argument("--clips", type=int, default=150, help="held out, of a class and seed")
    parser.add_argument("--length", type=float, default=10.0, help="seconds of a mixture")
    parser.add_argument("--challenge", action="store_true", help="train on its own mixtures")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("work/defaults"))
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    split = split_by_recording(args.root, args.work / "split")
    if args.challenge:
        X, y, _ = mixtures(
            split, "fit", args.train_clips, 0.5, seed=10, settings={}, jobs=args.threads
        )
    else:
        X, y, _ = fresh(
            split,
            args.train_clips,
            0.5,
            seed=10,
            settings={},
            length=args.length,
            augmentation=None,
        )
    clips, y_held, made_for = held_out_mixtures(split, args.clips)
    held = LFBETransformer().transform(clips)
    print(f"{len(X)} mixtures to train on, {args.epochs} epochs; {len(held)} held out")
    columns = "".join(f"{threshold:7g}" for threshold in THRESHOLDS)
    print(f"{'setting':<33}{'seed':>5}{'events':>7}{'best':>7}{columns}")
    for name in args.settings:
        for seed in args.seeds:
            detector = RCRNNDetector(max_epochs=args.epochs, random_state=seed, **SETTINGS[name])
            candidates = detector.fit(X, y).predict_candidates(held)
            for most in (1, None):
                row = rates_at(error_rates(candidates, y_held, made_for, most).values())
                cells = "".join(f"{rate:7.3f}" for rate in row)
                print(f"{name:<33}{seed:>5}{most or 'any':>7}{cells}", flush=True)


def rates_at(curves):
    """Mean error rates over the classes at the best threshold of each, and at fixed ones."""
    best = np.mean([rate.min() for _, rate in curves])
    fixed = [
        np.mean([rate[np.argmin(np.abs(tried - wanted))] for tried, rate in curves])
        for wanted in THRESHOLDS
    ]
    return [best, *fixed]


if __name__ == "__main__":
    main()
