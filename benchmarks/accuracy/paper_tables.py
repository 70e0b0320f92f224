"""Tables 1 to 4 of the paper, run here: one cell for each system, class and seed.

python benchmarks/accuracy/paper_tables.py --table 4 --root ../shared/corpus --train-clips 500
python benchmarks/accuracy/paper_tables.py --table 4 --minutes 10 --train-clips 1500 --classes all

The first trains as the paper did, on the challenge's mixtures, for --epochs at most. The
second gives every system the same minutes of one core on the same fresh mixtures of ten
seconds, which is how systems compare where time is short.

Detectors of single classes as in the paper, and of all classes at once beside them
("all"). Before it begins, the command says how long it may take here; with --cost, no more than
that. Cells that are done are kept in --work and not done again, and one that was interrupted goes
on after its last epoch when the command is repeated; the tables are written anew after each
cell. --train-only leaves out the scores: a machine with a graphics card can train with mixtures
that it makes there (--mix-on cuda) for as long as it is lent (--stop-after), and the same command
without these options scores on another one what is in --work. Thresholds, and the sizes of
Table 2, are chosen on held-out recordings of devtrain, and so are the median filters of systems
that judge frames.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import time
from pathlib import Path

import joblib
import numpy as np
import torch
from paper_cost import StopAfter, say_cost
from paper_mixtures import data_loader, of_class
from paper_results import CLASSES, PAPER, write_tables
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from sklearn_rcrnn import (
    CRNNPretrainer,
    FeatureAugmentation,
    FrameDetector,
    RCRNNDetector,
)
from sklearn_rcrnn.events import select_events
from sklearn_rcrnn.frame_level import frames_to_events
from sklearn_rcrnn.metrics import event_based_error_rate, event_based_f_score
from sklearn_rcrnn.training.initial_weights import cached_fit, shared_params

# U and M of each class from Table 2; a detector of all classes has the largest.
SIZES = {"babycry": (50, 128), "glassbreak": (50, 256), "gunshot": (100, 256), "all": (100, 256)}
THRESHOLDS = np.round(np.arange(0.1, 0.96, 0.05), 2)
WIDTHS = (0.05, 0.25, 0.54)  # seconds of the median filter over frames


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--table", type=int, choices=(1, 2, 3, 4), required=True)
    parser.add_argument("--root", default=os.environ.get("RCRNN_CORPUS", "../shared/corpus"))
    parser.add_argument("--train-clips", type=int, default=500, help="of a class and stage")
    parser.add_argument("--valid-clips", type=int, default=100, help="of a class")
    parser.add_argument("--test-clips", type=int, default=500, help="of a class")
    parser.add_argument("--epochs", type=int, default=30, help="of each stage, at most")
    parser.add_argument("--patience", type=int, default=10)
    parser.add_argument("--lr", type=float, default=3e-4, help="of the detector; paper: 1e-5")
    parser.add_argument("--pretrain-batch", type=int, default=32, help="paper: 80")
    parser.add_argument("--minutes", type=float, help="of one core for each system, not --epochs")
    parser.add_argument("--mixture-length", type=float, default=10.0, help="with --minutes")
    parser.add_argument("--recipe", default="paper", choices=["paper", "refined"])
    parser.add_argument("--normalization", default="training", help="of the paper's recipe")
    parser.add_argument("--classes", nargs="+", default=[*CLASSES, "all"])
    parser.add_argument("--systems", nargs="+", help="only these rows, by name")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--jobs", type=int, default=2, help="threads for features")
    parser.add_argument("--mix-on", default="cpu", help="device that makes mixtures: cuda")
    parser.add_argument("--train-only", action="store_true", help="score on another machine")
    parser.add_argument("--stop-after", type=float, help="minutes of this run; keep what is best")
    parser.add_argument("--cost", action="store_true", help="say what it would cost, and end")
    parser.add_argument("--work", type=Path, default=Path("work/paper_tables"))
    return parser.parse_args()


def rcrnn(args, target, seed, **params):
    """The paper's detector for a class, fine-tuned after pre-training unless told otherwise."""
    units, dense = SIZES[target]
    pretrainer = CRNNPretrainer(
        max_epochs=args.epochs,
        patience=args.patience,
        batch_size=args.pretrain_batch,
        random_state=seed,
    )
    settings = {
        "gru_units": units,
        "dense_units": dense,
        "pretrainer": pretrainer,
        "recipe": args.recipe,
        "lr": args.lr,
        "lr_schedule": "constant",
        "max_epochs": args.epochs,
        "patience": args.patience,
        "max_events_per_clip": 1,
        "nms_threshold": 0.5,
        "random_state": seed,
        "memory": args.work / "pretrained",
    }
    settings |= params
    if settings["recipe"] == "paper":
        settings["normalization"] = args.normalization
    return RCRNNDetector(**settings)


def rival(args, seed, network, **params):
    return FrameDetector(
        network,
        max_epochs=args.epochs,
        patience=args.patience,
        max_events_per_clip=1,
        random_state=seed,
        **params,
    )


def systems(args, target, seed):
    """Yield name, estimator and feature settings of each row of the table."""
    plain = {}
    if args.table == 1:
        for name, extractor in zip(PAPER[1], ("cnn", "crnn_gru", "crnn_bigru"), strict=True):
            sizes = {"gru_units": 100, "dense_units": 512}
            yield name, rcrnn(args, target, seed, extractor=extractor, **sizes), plain
    elif args.table == 2:
        for units in (50, 100):
            for dense in (64, 128, 256, 512):
                sizes = {"gru_units": units, "dense_units": dense}
                yield f"U={units}, M={dense}", rcrnn(args, target, seed, **sizes), plain
    elif args.table == 3:
        without, fixed, tuned = PAPER[3]
        yield without, rcrnn(args, target, seed, pretrainer=None), plain
        yield fixed, rcrnn(args, target, seed, freeze_extractor=True), plain
        yield tuned, rcrnn(args, target, seed), plain
    else:
        yield "R-CRNN", rcrnn(args, target, seed), plain
        yield "R-CRNN (refined)", rcrnn(args, target, seed, recipe="refined"), plain
        yield "1D-CRNN", rival(args, seed, "crnn_1d"), plain
        yield "1D-CRNN (5 networks)", rival(args, seed, "crnn_1d", n_members=5), plain
        yield "CRNN", rival(args, seed, "crnn"), plain
        yield "DNN", rival(args, seed, "dnn"), plain
        yield "CNN", rival(args, seed, "cnn"), plain
        no_recurrence = {"extractor": "cnn", "head": "position_sensitive"}
        yield "R-FCN", rcrnn(args, target, seed, **no_recurrence), plain
        # 40 bands every 20 ms.
        baseline = {"n_mels": 40, "hop_length": 882}
        yield "Baseline", rival(args, seed, "mlp", frame_shift=882 / 44100), baseline


def within(estimator, X, y, minutes):
    """Set the number of epochs that takes so many minutes of a core, and the schedule."""
    params = {
        "lr_schedule": "one_cycle",
        "patience": None,
        "validation_fraction": None,
        "augmentation": FeatureAugmentation(),
    }
    if isinstance(estimator, RCRNNDetector):
        params["lr"] = 1e-3
    estimator.set_params(**params)
    few = list(range(0, len(X), max(1, len(X) // 128)))

    def spent(n_epochs):
        trial = clone(estimator).set_params(max_epochs=n_epochs)
        started = time.process_time()
        trial.fit(X[few], [y[i] for i in few])
        return time.process_time() - started

    # Starting takes longer than an epoch of a small network, especially the first time.
    spent(1)
    seconds = (spent(3) - spent(1)) / 2 / len(few) * len(X)
    return estimator.set_params(max_epochs=max(1, round(60 * minutes / max(seconds, 1e-3))))


def settings_to_try(estimator):
    """Settings to choose from on held-out recordings: thresholds, and for frames also filters."""
    widths = (
        [{}] if isinstance(estimator, RCRNNDetector) else [{"median_filter": w} for w in WIDTHS]
    )
    return [{"threshold": float(t), **width} for width in widths for t in THRESHOLDS]


def predictions(estimator, X, label):
    """Return a function from settings to the events of a label; the network runs only once."""
    column = estimator.classes_.tolist().index(label)
    if isinstance(estimator, RCRNNDetector):
        found = estimator.predict_candidates(X)
        candidates = [[event for event in clip if event.label == label] for clip in found]
        return lambda threshold: select_events(candidates, threshold, 1)
    fixed = {name: getattr(estimator, name) for name in ("frame_shift", "min_duration", "min_gap")}
    frames = [clip[:, [column]] for clip in estimator.predict_frame_proba(X)]
    return lambda **chosen: select_events(
        [frames_to_events(clip, [label], **fixed, **chosen) for clip in frames], 0, 1
    )


def train_cell(args, target, estimator, data, checkpoint):
    """Train the estimator of a cell; return how many minutes it took."""
    started = time.time()
    train = of_class(data["train"](), target)
    # Only early stopping needs the held-out clips; a budget of time does not.
    held = (None, None) if args.minutes else of_class(data["valid"](), target)
    minutes = args.minutes
    if getattr(estimator, "pretrainer", None) is not None:
        # Pre-training has mixtures of its own, half of them with an event.
        shared = shared_params(estimator) | {"callbacks": estimator.callbacks}
        pretrainer = clone(estimator.pretrainer).set_params(**shared)
        own = of_class(data["pretrain"](), target)
        if args.minutes:
            within(pretrainer, *own, args.minutes / 5)
            minutes = 4 * args.minutes / 5
        given = dict(zip(("X", "y", "X_val", "y_val"), (*own, *held), strict=True))
        fitted = cached_fit(pretrainer, given, estimator.memory, checkpoint)
        estimator.set_params(pretrainer=FrozenEstimator(fitted))
    if args.minutes:
        within(estimator, *train, minutes)
    estimator.fit(*train, X_val=held[0], y_val=held[1], checkpoint=checkpoint)
    return round((time.time() - started) / 60, 2)


def trained(args, target, estimator, data, known_as):
    """Train the estimator of a cell, or give it the weights of an earlier run; and say how long.

    Returns
    -------
    estimator
    dict
        ``minutes`` and the ``losses`` of each epoch.
    """
    path = weights_path(args, known_as)
    if not path.exists():
        checkpoint = args.work / "checkpoints" / known_as
        minutes = train_cell(args, target, estimator, data, checkpoint)
        kept = ("train_loss", "valid_loss")
        losses = [{n: float(row[n]) for n in kept if n in row} for row in estimator.history_]
        weights = {k: v.cpu() for k, v in estimator.net_.module_.state_dict().items()}
        labels, n_bands = estimator.classes_.tolist(), estimator.n_features_in_
        path.parent.mkdir(exist_ok=True)
        torch.save((labels, n_bands, weights, {"minutes": minutes, "losses": losses}), path)
        shutil.rmtree(checkpoint, ignore_errors=True)
    labels, n_bands, weights, training = torch.load(path, weights_only=True)
    estimator._restore_net(np.array(labels), n_bands, weights)
    return estimator, training


def score_cell(target, estimator, data):
    """Choose thresholds on held-out recordings, and score each class on devtest."""
    valid, test = data["valid"](), data["test"]()
    tried = settings_to_try(estimator)
    scores, chosen, held_out = {}, {}, []
    for label in CLASSES if target == "all" else [target]:
        X, y = of_class(valid, label)
        detect = predictions(estimator, X, label)
        rates = [
            event_based_error_rate(y, detect(**settings), labels=[label]) for settings in tried
        ]
        held_out.append(min(rates))
        chosen[label] = tried[int(np.argmin(rates))]
        X, y = of_class(test, label)
        found = predictions(estimator, X, label)(**chosen[label])
        scores[label] = (
            float(event_based_error_rate(y, found, labels=[label])),
            float(event_based_f_score(y, found, labels=[label], zero_division=0.0)),
        )
    return {
        "scores": scores,
        "held_out_er": float(np.mean(held_out)),
        "chosen": chosen,
        "n_parameters": estimator.n_parameters_,
    }


def key(args, estimator, settings, target, seed):
    """Name a cell after what is trained in it, so that tables share cells of the same system."""
    what = clone(estimator)
    if "memory" in what.get_params():
        what.set_params(memory=None)  # the place of pre-trained weights changes nothing
    what.set_params(callbacks=None)
    sizes = ("train_clips", "valid_clips", "test_clips", "minutes", "mixture_length")
    content = joblib.hash((what.get_params(), settings, [getattr(args, n) for n in sizes]))
    return f"{target}-seed{seed}-{content}"


def all_cells(args):
    """Yield name, class, seed, estimator and feature settings of each requested cell."""
    for seed in args.seeds:
        for target in args.classes:
            for name, estimator, settings in systems(args, target, seed):
                if not args.systems or name in args.systems:
                    if args.stop_after:
                        estimator.set_params(callbacks=[StopAfter(args.stop_after)])
                    yield name, target, seed, estimator, settings


def cell_path(args, known_as):
    return args.work / "cells" / f"{known_as}.json"


def weights_path(args, known_as):
    return args.work / "trained" / f"{known_as}.pt"


def is_trained(args, cell):
    """Tell whether a cell is done, or has weights and only waits for its scores."""
    _, target, seed, estimator, settings = cell
    known_as = key(args, estimator, settings, target, seed)
    return cell_path(args, known_as).exists() or weights_path(args, known_as).exists()


def main() -> None:
    args = parse_args()
    names = [name for name, *_ in systems(args, "all", 0)]
    unknown = set(args.systems or ()) - set(names)
    if unknown:
        raise SystemExit(f"Table {args.table} has no {sorted(unknown)}; it has {names}")
    budget = f"{args.minutes:g} minutes of a core" if args.minutes else f"{args.epochs} epochs"
    print(f"Table {args.table}: {args.train_clips} mixtures a class and stage, {budget}")
    cells_of = list(all_cells(args))
    todo = [cell for cell in cells_of if not is_trained(args, cell)]
    say_cost(args, [(name, target, estimator) for name, target, _, estimator, _ in todo])
    if args.cost:
        return
    (args.work / "cells").mkdir(parents=True, exist_ok=True)
    load_data = data_loader(args)
    if args.minutes:
        torch.set_num_threads(1)
    cells = {}
    for name, target, seed, estimator, settings in cells_of:
        known_as = key(args, estimator, settings, target, seed)
        path = cell_path(args, known_as)
        if not path.exists():
            data = load_data(target, seed, settings)
            fitted, training = trained(args, target, estimator, data, known_as)
            print(f"  {name}, {target}, seed {seed}: {training['minutes']} min", flush=True)
            if args.train_only:
                continue
            cell = {"system": name, "epochs": len(training["losses"]), **training}
            path.write_text(json.dumps(cell | score_cell(target, fitted, data), indent=2))
        cells[name, target, seed] = json.loads(path.read_text())
        table = write_tables(args.work / f"table{args.table}", args.table, cells)
    if not cells:
        return
    print(f"\n{table}\n\n{vars(args)}\n{platform.machine()}, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
