"""Error rates of models on mixtures of recordings that were held out of their training.

python benchmarks/accuracy/held_out.py --split work/split work/detector work/round1 work/round2

The folder is that of split_by_recording, subset "hold". One event a clip, each class on its
own mixtures at its best threshold: for comparing steps of a training, not for reporting.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from sklearn_rcrnn import load
from sklearn_rcrnn.datasets import generate_mixture_recipes, synthesize_mixtures
from sklearn_rcrnn.evaluation import by_own_mixtures, threshold_curves


def held_out_mixtures(split, clips=150, seeds=(3, 4)):
    """Mixtures of held-out recordings, their events, and the class each was made for."""
    mixtures, y, made_for = [], [], []
    for seed in seeds:
        recipes = generate_mixture_recipes(
            split, "hold", mixtures_per_class=clips, random_state=seed, n_jobs=2
        )
        own, events = synthesize_mixtures(split, recipes, lazy=True)
        mixtures += own
        y += events
        made_for += [label for label, made in recipes.items() for _ in made]
    return mixtures, y, made_for


def error_rates(candidates, y, made_for, max_events=1):
    """The error rate of each label over thresholds, on the mixtures made for that label."""
    curves = {}
    for label, own in by_own_mixtures(y, candidates, made_for).items():
        found = threshold_curves(*own, labels=[label], max_events=max_events)
        curves[label] = (found.thresholds, found.error_rate[0])
    return curves


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=150, help="of a class and seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 4])
    args = parser.parse_args()
    mixtures, y, made_for = held_out_mixtures(args.split, args.clips, args.seeds)
    print(f"{len(mixtures)} mixtures, seeds {args.seeds}")
    labels = sorted(set(made_for))
    print(f"{'model':<24}{''.join(f'{label:>12}' for label in labels)}{'mean':>8}")
    for path in args.models:
        pipe = load(path)
        candidates = pipe[-1].predict_candidates(pipe[:-1].transform(mixtures))
        rates = [float(rate.min()) for _, rate in error_rates(candidates, y, made_for).values()]
        columns = "".join(f"{rate:12.3f}" for rate in rates)
        print(f"{path.name:<24}{columns}{np.mean(rates):8.3f}", flush=True)


if __name__ == "__main__":
    main()
