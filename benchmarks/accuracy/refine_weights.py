"""Go on from trained weights with plain mixtures, as the challenge mixes them.

    python benchmarks/accuracy/refine_weights.py work/rare-events.pt --into work/refined
    python benchmarks/accuracy/refine_weights.py work/rare-events-judge.pt --judge --into work/judge

``train_weights.py`` learns from all kinds of surroundings and recorders, of which plain mixtures
are a small part; weights that come from it miss events there. Two of three batches of this script
are mixtures of 10 s by ``FreshMixtures``, and one is of the kind that the weights were trained on,
so that these are not forgotten. A judge is refined without the recordings that it must not hear.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import train_weights
import yaml
from bank import divide, rare_events_bank
from mixtures import STEP_SECONDS, Batch

from sklearn_rcrnn import LFBETransformer
from sklearn_rcrnn.datasets import FreshMixtures
from sklearn_rcrnn.nn.losses import Targets

N_CLIPS, SECONDS = 16, 10.0
# Steps between two renderings of the kind that the weights were trained on.
RENDER_EVERY = 24


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("weights", type=Path, help="what train_weights.py left")
    parser.add_argument("--root", type=Path, default=Path("../shared/corpus"))
    parser.add_argument("--judge", action="store_true", help="leave out what thresholds need")
    parser.add_argument("--minutes", type=float, default=26.0)
    parser.add_argument("--lr", type=float, default=3e-4, help="highest of the cycle")
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--into", type=Path, required=True, help="folder of the training")
    return parser.parse_args()


def fit_subset(args: argparse.Namespace, without: set[Path]) -> Path:
    """A folder of the challenge's layout whose subset "fit" lacks some files of devtrain2."""
    source, target = args.root / "source_data", args.into / "root" / "source_data"
    (target / "cv_setup").mkdir(parents=True, exist_ok=True)
    for part in ("bgs", "events"):
        if not (target / part).exists():
            os.symlink((source / part).resolve(), target / part)
    names = {path.name for path in without}
    events = yaml.safe_load((source / "cv_setup" / "events_devtrain2.yaml").read_text())
    backgrounds = yaml.safe_load((source / "cv_setup" / "bgs_devtrain2.yaml").read_text())
    kept = {
        label: [e for e in own if Path(e["audio_filename"]).name not in names]
        for label, own in events.items()
    }
    heard = [b for b in backgrounds if Path(b["filepath"]).name not in names]
    (target / "cv_setup" / "events_fit.yaml").write_text(yaml.safe_dump(kept))
    (target / "cv_setup" / "bgs_fit.yaml").write_text(yaml.safe_dump(heard))
    return args.into / "root"


class PlainBatches:
    """Batches of mixtures that are new each time."""

    def __init__(self, root: Path, labels: list[str]):
        self.labels = labels
        self.lfbe = LFBETransformer()
        self.mixtures = FreshMixtures(
            root,
            "fit",
            n_mixtures=10**6,
            mixture_length=SECONDS,
            event_counts=(0.35, 0.5, 0.15),
            ebr=(-9.0, 9.0),
            distractors=0.15,
            random_state=5,
        )
        self.drawn = 0

    def __call__(self) -> Batch:
        clips = [self.mixtures.draw(1, self.drawn + i) for i in range(N_CLIPS)]
        self.drawn += N_CLIPS
        features = np.stack([self.lfbe.transform([samples])[0] for samples, _ in clips])
        most = max(1, *(len(events) for _, events in clips))
        intervals = torch.zeros(N_CLIPS, most, 2)
        classes = torch.zeros(N_CLIPS, most, dtype=torch.long)
        mask = torch.zeros(N_CLIPS, most, dtype=torch.bool)
        for i, (_, events) in enumerate(clips):
            for j, (onset, offset, label) in enumerate(events):
                intervals[i, j] = torch.tensor([onset, offset]) / STEP_SECONDS
                classes[i, j], mask[i, j] = self.labels.index(label), True
        return Batch(torch.from_numpy(features), Targets(intervals, classes, mask))


def main() -> None:
    args = parse_args()
    args.into.mkdir(parents=True, exist_ok=True)
    begun = time.time()

    def say(text: str) -> None:
        print(f"[{time.time() - begun:6.0f} s] {text}", flush=True)

    without: set[Path] = set()
    if args.judge:
        parts = divide(args.root, 0)
        without = {Path(entry.path) for entries in parts.values() for entry in entries}
    bank = rare_events_bank(args.root, without=without, seed=0)
    found = torch.load(args.weights, map_location="cpu")
    plain = PlainBatches(fit_subset(args, without), bank.labels)

    class Pool(train_weights.Pool):
        def draw(self) -> Batch:
            self.drawn += 1
            if self.drawn % 3:
                return plain()
            if self.drawn % RENDER_EVERY == 0:
                self.batches.append(self.render())
            return self.batches[int(self.rng.integers(len(self.batches)))]

    settings = train_weights.parse_args(["rare-events", "--device", "cpu", "--workers", "0"])
    settings.minutes, settings.lr, settings.seed = args.minutes, args.lr, args.seed
    settings.work, settings.batch_seconds = args.into, N_CLIPS * SECONDS
    settings.gru_units, settings.dense_units = found["gru_units"], found["dense_units"]
    start: dict[str, Any] = found["weights"]
    weights = train_weights.train(settings, bank, say, start=start, pool_class=Pool)
    train_weights.export(weights, args.into / "model")
    say(f"saved {args.into / 'model'}")


if __name__ == "__main__":
    main()
