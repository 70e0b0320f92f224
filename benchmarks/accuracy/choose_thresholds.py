"""Choose the thresholds of weights by a judge: recordings and sources that it has not heard.

python benchmarks/accuracy/choose_thresholds.py work/rare-events-judge --root work/judge-split

The judge was trained as the weights were, but without the subsets "hold" (recordings of known
sources) and "foreign" (whole sources). On mixtures of both, as they are and from other recorders,
each label gets three thresholds: where missed and false events together are fewest, and where
one or the other kind counts several times. The backgrounds of "hold", in a row and with joins,
say how many false alarms an hour that makes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from conditions import Material, false_alarms, mixture_candidates
from numpy.typing import NDArray

from sklearn_rcrnn import load
from sklearn_rcrnn.evaluation import by_own_mixtures, threshold_curves

# What a missed and what a false event cost.
COSTS = {"sensitive": (3.0, 1.0), "balanced": (1.0, 1.0), "few false alarms": (1.0, 4.0)}
THRESHOLDS = np.round(np.arange(0.1, 0.96, 0.025), 3)


def curves(
    pipe: Any, root: str, subset: str, clips: int, seed: int
) -> dict[str, list[tuple[NDArray[Any], NDArray[Any]]]]:
    """By label, parts of missed and of false events over the thresholds, for each recorder."""
    labels = Material(root, subset, pipe[-1].classes_.tolist()).labels
    candidates, y, made_for = mixture_candidates(pipe, root, subset, labels, clips, seed)
    found: dict[str, list[tuple[NDArray[Any], NDArray[Any]]]] = {label: [] for label in labels}
    for recorder, scored in candidates.items():
        for label, (true, own) in by_own_mixtures(y, scored, made_for).items():
            curve = threshold_curves(true, own, labels=[label], max_events=1, thresholds=THRESHOLDS)
            missed = 1 - curve.recall[0]
            # Mixtures as they are count as much as two other recorders.
            found[label] += [(missed, curve.error_rate[0] - missed)] * (
                2 if recorder == "as they are" else 1
            )
    return found


def choose(
    parts: list[tuple[NDArray[Any], NDArray[Any]]], costs: tuple[float, float]
) -> tuple[float, float]:
    """The threshold of the lowest cost, and the error rate there."""
    missed, false = (np.mean([part[i] for part in parts], axis=0) for i in range(2))
    cost = costs[0] * missed + costs[1] * false
    # A single recording makes steps in the curve: its neighbors have a say.
    smooth = np.convolve(np.pad(cost, 2, "edge"), [0.1, 0.2, 0.4, 0.2, 0.1], "valid")
    best = int(smooth.argmin())
    return float(THRESHOLDS[best]), float((missed + false)[best])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--root", type=Path, default=Path("work/judge-split"))
    parser.add_argument("--clips", type=int, default=60, help="mixtures of each label and subset")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path, default=Path("work/thresholds.json"))
    args = parser.parse_args()
    pipe = load(args.model)
    by_label: dict[str, list[Any]] = {}
    for subset in ("hold", "foreign"):
        for label, own in curves(pipe, str(args.root), subset, args.clips, args.seed).items():
            by_label.setdefault(label, []).extend(own)
    chosen: dict[str, dict[str, float]] = {}
    for name, costs in COSTS.items():
        found = {label: choose(own, costs) for label, own in by_label.items()}
        chosen[name] = {label: threshold for label, (threshold, _) in found.items()}
        rates = {label: round(rate, 3) for label, (_, rate) in found.items()}
        print(f"{name}: {chosen[name]}, error rates of the judge {rates}", flush=True)
    material = Material(str(args.root), "hold")
    alarms = false_alarms(pipe, material, chosen, args.seed)
    print(json.dumps(alarms, indent=2))
    args.json.write_text(
        json.dumps({"thresholds": chosen, "false alarms of the judge": alarms}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
