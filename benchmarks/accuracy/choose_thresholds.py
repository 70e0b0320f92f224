"""Choose the thresholds of weights by a judge: recordings and sources that it has not heard.

python benchmarks/accuracy/choose_thresholds.py work/rare-events-judge --root work/judge-split \
    --into work/rare-events

The judge was trained as the weights were, but without the subsets "hold" (recordings of known
sources) and "foreign" (whole sources). Each label gets three thresholds, where the price of what
goes wrong is lowest on both subsets together: missed and false events of mixtures, as they are
and from other recorders; events missed in files of their own, in silence and in noise; false
alarms an hour on backgrounds, in a row and with joins. What a missed event and a false alarm
cost is in PRICES. --into writes the thresholds into the model that they are for.

A judge whose earlier trainings have heard the backgrounds finds too few false events in them. With
--false-by, these are counted by another judge, which has not. --made-backgrounds adds as many that
are made of those of the subsets (``made_backgrounds.py``).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import yaml
from conditions import (
    COLLAR,
    RATE,
    RECORDERS,
    Material,
    alone,
    candidates_of,
    mixture_candidates,
    read,
    rows_of_backgrounds,
)
from made_backgrounds import made_backgrounds
from numpy.typing import NDArray

from sklearn_rcrnn import load, save
from sklearn_rcrnn.evaluation import by_own_mixtures, threshold_curves

# For each name, the price of missing all events, of one false event for each true one, and of one
# false alarm an hour.
PRICES = {
    "sensitive": (2.0, 0.5, 0.002),
    "balanced": (1.0, 1.0, 0.002),
    "few false alarms": (0.5, 1.5, 0.02),
}
THRESHOLDS = np.round(np.arange(0.1, 0.96, 0.025), 3)
SUBSETS = ("hold", "foreign")
Curve = NDArray[np.float64]


@dataclass
class Evidence:
    """Results for one label: a row for each condition, a column for each threshold.

    ``missed`` are parts of the true events, ``false`` false events for each true one, ``alarms``
    false events an hour.
    """

    missed: list[Curve] = field(default_factory=list)
    false: list[Curve] = field(default_factory=list)
    alone: list[Curve] = field(default_factory=list)
    alarms: list[Curve] = field(default_factory=list)

    def price(self, missed: float, false: float, alarm: float) -> Curve:
        """The price of each threshold; mixtures count twice as much as events alone."""
        in_mixtures, in_files = np.mean(self.missed, axis=0), np.mean(self.alone, axis=0)
        price = missed * (2 * in_mixtures + in_files) / 3
        return price + false * np.mean(self.false, axis=0) + alarm * np.mean(self.alarms, axis=0)


def gather(
    pipe: Any, root: str, subset: str, *, clips: int, seed: int, recorders: list[str]
) -> dict[str, Evidence]:
    """Measure the evidence of a subset for each label."""
    material = Material(root, subset, pipe[-1].classes_.tolist())
    evidence = {label: Evidence() for label in material.labels}
    candidates, y, made_for = mixture_candidates(
        pipe, root, subset, material.labels, n_clips=clips, seed=seed, recorders=recorders
    )
    for recorder, scored in candidates.items():
        for label, (true, own) in by_own_mixtures(y, scored, made_for).items():
            curve = threshold_curves(true, own, labels=[label], max_events=1, thresholds=THRESHOLDS)
            missed = 1 - curve.recall[0]
            # Unchanged mixtures count as much as two other recorders.
            for _ in range(2 if recorder == "as they are" else 1):
                evidence[label].missed.append(missed)
                evidence[label].false.append(curve.error_rate[0] - missed)
    events = list(material.events())
    for _, samples, shifts in alone(events, seed):
        found: dict[str, list[float]] = {label: [] for label in evidence}
        scored_clips = candidates_of(pipe, samples)
        for (label, _, _, onset, _), shift, own in zip(events, shifts, scored_clips, strict=True):
            near = [
                e.score
                for e in own
                if e.label == label and abs(e.onset - onset - shift / RATE) <= COLLAR
            ]
            found[label].append(max(near, default=0.0))
        for label, scores in found.items():
            evidence[label].alone.append(1 - above(scores) / len(scores))
    for _, whole, *_ in rows_of_backgrounds(material, seed):
        (scored_events,) = candidates_of(pipe, [whole])
        hours = len(whole) / RATE / 3600
        for label, own in evidence.items():
            scores = [e.score for e in scored_events if e.label == label]
            own.alarms.append(above(scores) / hours)
    return evidence


def with_made_backgrounds(root: Path, n: int, seed: int) -> Path:
    """Write a folder beside `root` whose subsets also have `n` made backgrounds; returns it."""
    source, target = root / "source_data", root.with_name(f"{root.name}-{n}") / "source_data"
    for folder in ("cv_setup", "bgs/made"):
        (target / folder).mkdir(parents=True, exist_ok=True)
    for path in (source / "events", *(source / "bgs").iterdir()):
        link = target / path.relative_to(source)
        if not link.exists():
            link.symlink_to(path.resolve())
    listed = yaml.safe_load((source / "cv_setup" / "bgs_hold.yaml").read_text())
    recorded = [read(source / "bgs" / row["filepath"]) for row in listed]
    for i, samples in enumerate(made_backgrounds(recorded, n, seed)):
        listed.append({"filepath": f"made/{i}.flac", "classname": "scene", "classid": 0})
        soundfile.write(target / "bgs" / "made" / f"{i}.flac", np.clip(samples, -1, 1), RATE)
    for subset in SUBSETS:  # all subsets have the same backgrounds
        events = (source / "cv_setup" / f"events_{subset}.yaml").read_text()
        (target / "cv_setup" / f"events_{subset}.yaml").write_text(events)
        (target / "cv_setup" / f"bgs_{subset}.yaml").write_text(yaml.safe_dump(listed))
    return target.parent


def above(scores: list[float]) -> Curve:
    """Count the scores that reach each threshold."""
    return (np.array(scores)[:, None] >= THRESHOLDS).sum(0).astype(float)


def choose(parts: list[Evidence], prices: tuple[float, float, float]) -> int:
    """The index of the threshold with the lowest price, with equal weight for all subsets."""
    price = np.mean([part.price(*prices) for part in parts], axis=0)
    # The curve is smoothed, because each recording makes a step in it.
    smooth = np.convolve(np.pad(price, 2, "edge"), [0.1, 0.2, 0.4, 0.2, 0.1], "valid")
    return int(smooth.argmin())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path, help="of the judge")
    parser.add_argument("--root", type=Path, default=Path("work/judge-split"))
    parser.add_argument("--clips", type=int, default=60, help="mixtures of each label and subset")
    parser.add_argument("--recorders", nargs="+", choices=list(RECORDERS), default=list(RECORDERS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[7], help="of the mixtures")
    parser.add_argument("--false-by", type=Path, help="judge that counts the false events")
    parser.add_argument("--made-backgrounds", type=int, default=0, help="in addition to recorded")
    parser.add_argument("--json", type=Path, default=Path("work/thresholds.json"))
    parser.add_argument("--into", type=Path, help="folder of the model that gets the thresholds")
    args = parser.parse_args()
    if args.made_backgrounds:
        args.root = with_made_backgrounds(args.root, args.made_backgrounds, args.seeds[0])
    parts = all_evidence(args)
    chosen: dict[str, dict[str, float]] = {}
    figures: dict[str, Any] = {}
    for name, prices in PRICES.items():
        chosen[name], figures[name] = {}, {}
        for label in parts[0][1]:
            i = choose([own[label] for _, own in parts], prices)
            chosen[name][label] = float(THRESHOLDS[i])
            figures[name][label] = {which: at(own[label], i) for which, own in parts}
        print(f"{name}: {chosen[name]}", flush=True)
    print(json.dumps(figures, indent=2))
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps({"thresholds": chosen, "judge": figures}, indent=2) + "\n")
    if args.into:
        set_thresholds(args.into, chosen)


def all_evidence(args: argparse.Namespace) -> list[tuple[str, dict[str, Evidence]]]:
    """The evidence of each subset and seed for each label."""
    judge = load(args.model)
    other = load(args.false_by) if args.false_by else None
    parts = []
    for subset in SUBSETS:
        for seed in args.seeds:
            settings = {"clips": args.clips, "seed": seed, "recorders": args.recorders}
            evidence = gather(judge, str(args.root), subset, **settings)
            if other is not None:
                counted = gather(other, str(args.root), subset, **settings)
                evidence = {
                    label: replace(own, false=counted[label].false, alarms=counted[label].alarms)
                    for label, own in evidence.items()
                }
            parts.append((f"{subset}, seed {seed}", evidence))
    return parts


def at(evidence: Evidence, i: int) -> dict[str, Any]:
    """Rates of the judge at a threshold, for each condition in the order of measurement."""
    rates = [
        round(float(m[i] + f[i]), 3) for m, f in zip(evidence.missed, evidence.false, strict=True)
    ]
    return {
        # The first condition occurs twice.
        "error rates": rates[1:],
        "missed alone": [round(float(curve[i]), 3) for curve in evidence.alone],
        "false alarms an hour": [round(float(curve[i]), 1) for curve in evidence.alarms],
    }


def set_thresholds(folder: Path, chosen: dict[str, dict[str, float]]) -> None:
    """Set all named thresholds, and "balanced" as the default."""
    pipe = load(folder)
    pipe[-1].thresholds_ = chosen
    pipe[-1].set_params(score_threshold=chosen["balanced"])
    save(pipe, folder)


if __name__ == "__main__":
    main()
