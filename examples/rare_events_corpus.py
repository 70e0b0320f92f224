"""Train R-CRNN on mixtures of real recordings and score it as DCASE 2017 did.

One network of all classes with the paper's two stages: the extractor is pre-trained on
presence (mixtures with an event in half of the clips), then everything is tuned on
mixtures with events (99 % in the paper; in the small draws used here that is all). Both
stop by themselves, on mixtures of recordings
that were held out of training; the test mixtures are only scored.

    python examples/rare_events_corpus.py --root ../shared/corpus --train-clips 3000

The folder is laid out as the challenge's development set; the environment variable
RCRNN_CORPUS may name it. Stages that are done are not done again when the command is
repeated with the same arguments and ``--work``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

import joblib
import numpy as np
import yaml
from sklearn.frozen import FrozenEstimator

from sklearn_rcrnn import CRNNPretrainer, LFBETransformer, RCRNNDetector
from sklearn_rcrnn.datasets import generate_mixture_recipes, synthesize_mixtures
from sklearn_rcrnn.metrics import event_based_error_rate, event_based_f_score


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", default=os.environ.get("RCRNN_CORPUS", "../shared/corpus"))
    parser.add_argument("--train-clips", type=int, default=600, help="of each stage")
    parser.add_argument("--valid-clips", type=int, default=300)
    parser.add_argument("--test-clips", type=int, default=500, help="of each class")
    parser.add_argument("--pretrain-epochs", type=int, default=100, help="at most")
    parser.add_argument("--epochs", type=int, default=100, help="at most")
    parser.add_argument("--patience", type=int, default=10)
    parser.add_argument("--lr", type=float, default=5e-4, help="of the second stage")
    parser.add_argument("--gru-units", type=int, default=50)
    parser.add_argument("--dense-units", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path("work"), help="cache and results")
    return parser.parse_args()


def split_by_recording(root: str, folder: Path, fraction: float, seed: int) -> Path:
    """Write a folder like `root` whose devtrain is split into "fit" and "hold".

    Clips of one recording, told by the name up to the last underscore, stay together.
    """
    source = Path(root).resolve() / "source_data"
    target = folder / "source_data"
    (target / "cv_setup").mkdir(parents=True, exist_ok=True)
    for name in ("events", "bgs"):
        if not (target / name).exists():
            (target / name).symlink_to(source / name)
    rng = np.random.RandomState(seed)
    events = yaml.safe_load((source / "cv_setup/events_devtrain.yaml").read_text())
    backgrounds = yaml.safe_load((source / "cv_setup/bgs_devtrain.yaml").read_text())
    parts = {"fit": ({}, []), "hold": ({}, [])}

    def divide(entries, key):
        groups = sorted(
            {entry[key].rsplit("_", 2 if key == "filepath" else 1)[0] for entry in entries}
        )
        held = set(rng.permutation(groups)[: max(1, round(fraction * len(groups)))])
        for entry in entries:
            group = entry[key].rsplit("_", 2 if key == "filepath" else 1)[0]
            yield "hold" if group in held else "fit", entry

    for label, entries in sorted(events.items()):
        for part, entry in divide(entries, "audio_filename"):
            parts[part][0].setdefault(label, []).append(entry)
    for part, entry in divide(backgrounds, "filepath"):
        parts[part][1].append(entry)
    for part, (chosen_events, chosen_backgrounds) in parts.items():
        setup = target / "cv_setup"
        (setup / f"events_{part}.yaml").write_text(yaml.safe_dump(chosen_events))
        (setup / f"bgs_{part}.yaml").write_text(yaml.safe_dump(chosen_backgrounds))
    return folder


def mixture_features(root, subset, n_clips, presence, seed, jobs):
    """Features and events of `n_clips` mixtures, of all classes in turn.

    The challenge's mixer gives an event that it draws twice the same onset: many small
    draws with seeds of their own give it many.
    """
    X, y = [], []
    draw = 0
    while len(X) < n_clips:
        per_class = min(20, -(-(n_clips - len(X)) // 3))
        recipes = generate_mixture_recipes(
            root,
            subset,
            mixtures_per_class=per_class,
            event_presence_prob=presence,
            random_state=1000 * seed + draw,
            n_jobs=jobs,
        )
        more_X, more_y = synthesize_mixtures(root, recipes, lazy=True)
        X, y, draw = X + more_X, y + more_y, draw + 1
    return LFBETransformer(n_jobs=jobs).transform(X[:n_clips]), y[:n_clips]


def test_features(root, n_clips, jobs):
    """The challenge's own devtest: seed 42, by class."""
    recipes = generate_mixture_recipes(root, "devtest", mixtures_per_class=n_clips, n_jobs=jobs)
    lfbe = LFBETransformer(n_jobs=jobs)
    sets = {}
    for label, own in recipes.items():
        X, y = synthesize_mixtures(root, {label: own}, lazy=True)
        sets[label] = lfbe.transform(X), y
    return sets


def score_by_class(detector, sets):
    """ER and F1 of each class over its own mixtures, and their mean, as in the challenge."""
    rows = {}
    for label, (X, y) in sets.items():
        found = detector.predict(X)
        own = [[event for event in clip if event.label == label] for clip in found]
        rows[label] = (
            float(event_based_error_rate(y, own, labels=[label])),
            float(event_based_f_score(y, own, labels=[label])),
        )
    rows["mean"] = tuple(np.mean(list(rows.values()), axis=0).tolist())
    return rows


def main() -> None:
    args = parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    memory = joblib.Memory(args.work / "cache", verbose=0)
    started = time.time()

    def say(text):
        print(f"[{time.time() - started:6.0f} s] {text}", flush=True)

    split = split_by_recording(args.root, args.work / "split", 0.15, args.seed)
    features = memory.cache(mixture_features, ignore=["jobs"])
    held = features(split, "hold", args.valid_clips, 0.5, args.seed + 1, args.jobs)
    shared = {
        "gru_units": args.gru_units,
        "patience": args.patience,
        "precision": args.precision,
        "random_state": args.seed,
        "verbose": 1,
    }

    path = args.work / "pretrainer.joblib"
    if not path.exists():
        train = features(split, "fit", args.train_clips, 0.5, args.seed, args.jobs)
        say(f"features of {args.train_clips} mixtures, half of them with an event")
        pretrainer = CRNNPretrainer(max_epochs=args.pretrain_epochs, **shared)
        joblib.dump(pretrainer.fit(*train, X_val=held[0], y_val=held[1]), path)
    pretrainer = joblib.load(path)
    epochs, right = len(pretrainer.history_), pretrainer.score(*held)
    say(f"pre-training: {epochs} epochs, presence right on {right:.3f} of held-out clips")

    path = args.work / "detector.joblib"
    if not path.exists():
        train = features(split, "fit", args.train_clips, 0.99, args.seed + 2, args.jobs)
        say(f"features of {args.train_clips} mixtures with events")
        detector = RCRNNDetector(
            dense_units=args.dense_units,
            pretrainer=FrozenEstimator(pretrainer),
            lr=args.lr,
            max_epochs=args.epochs,
            max_events_per_clip=1,
            **shared,
        )
        joblib.dump(detector.fit(*train, X_val=held[0], y_val=held[1]), path)
    detector = joblib.load(path)
    say(f"detector: {len(detector.history_)} epochs")

    # The threshold is chosen on held-out training recordings, never on the test.
    thresholds = np.round(np.arange(0.1, 0.96, 0.05), 2)
    scored = detector.set_params(score_threshold=0.0).predict(held[0])
    rates = [
        event_based_error_rate(
            held[1], [[event for event in clip if event.score >= threshold] for clip in scored]
        )
        for threshold in thresholds
    ]
    best = float(thresholds[int(np.argmin(rates))])
    detector.set_params(score_threshold=best)
    say(f"threshold {best} (ER {min(rates):.3f} on held-out recordings)")

    tests = memory.cache(test_features, ignore=["jobs"])(args.root, args.test_clips, args.jobs)
    rows = score_by_class(detector, tests)
    say("scored devtest")
    print(f"\n{'class':<12}{'ER':>6}{'F1':>8}")
    for label, (rate, f_score) in rows.items():
        print(f"{label:<12}{rate:6.2f}{100 * f_score:7.1f}%")
    print(f"\n{vars(args)}\n{platform.machine()}, {os.cpu_count()} cores")
    (args.work / "scores.json").write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
