"""How well a model works in recordings from other recorders and surroundings.

python benchmarks/accuracy/conditions.py rare-events --root ../shared/corpus
python benchmarks/accuracy/conditions.py work/round1 --root work/split --subset hold --best

Three kinds of rows, for each label that both the model and the subset have:

- found: events of the subset in a file of their own with up to 0.25 s of what is around them
  in their recording, and the same in ten seconds of digital silence and of white noise at
  -60 dBFS. An event is found if the model gives one of its label with an onset within 0.5 s.
- error rate: mixtures as DCASE 2017 made them, one event a clip, each label over its own
  mixtures, as they are and as other recorders would have kept them, with the ratio to the first.
- false alarms an hour: the backgrounds of the subset in a row, and cut into pieces of five
  seconds that are joined in another order. Their ends and joins are hard.

All at the thresholds that the model has, and false alarms at those that it has by name, too;
--best takes, for each label, the one that is best on the mixtures as they are, to compare models
that have none yet. The folder has the challenge's layout, whatever it holds: also splits that no
training has seen.
"""

from __future__ import annotations

import argparse
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from sklearn_rcrnn.datasets import generate_mixture_recipes, synthesize_mixtures
from sklearn_rcrnn.datasets.layout import data_folder, read_cv_setup
from sklearn_rcrnn.evaluation import by_own_mixtures, threshold_curves
from sklearn_rcrnn.events import select_events
from sklearn_rcrnn.metrics import event_based_error_rate
from sklearn_rcrnn.models.starts import load_start

RATE = 44100
MARGIN = 0.25
COLLAR = 0.5
PADDED = 10.0
NOISE = 10 ** (-60 / 20)
PIECE = 5.0
N_SHOWN = 5
Samples = NDArray[np.float32]


def as_recorded_at(rate: int) -> Callable[[Samples], Samples]:
    return lambda x: soxr.resample(soxr.resample(x, RATE, rate), rate, RATE)[: len(x)]


def as_mp3(x: Samples) -> Samples:
    file = io.BytesIO()
    soundfile.write(file, np.clip(x, -1, 1), RATE, format="MP3")
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0][: len(x)]


def as_16_bit(gain: float) -> Callable[[Samples], Samples]:
    return lambda x: np.round(10 ** (gain / 20) * x * 2**15) / 2**15


RECORDERS: dict[str, Callable[[Samples], Samples]] = {
    "as they are": lambda x: x,
    "MP3": as_mp3,
    "30 dB down, 16 bits": as_16_bit(-30),
    "at 16 kHz": as_recorded_at(16000),
    "at 8 kHz": as_recorded_at(8000),
}


def read(path: Path) -> Samples:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return soxr.resample(samples.mean(1), rate, RATE).astype(np.float32)


class Material:
    """Events and backgrounds of a subset."""

    def __init__(self, root: str, subset: str, labels: list[str] | None = None):
        self.root, self.subset = root, subset
        folder = data_folder(root)
        self.source = folder / "source_data"
        self.entries, self.background_entries = read_cv_setup(folder, subset)
        if labels is not None:
            self.entries = {k: own for k, own in self.entries.items() if k in labels}

    @property
    def labels(self) -> list[str]:
        return sorted(self.entries)

    def events(self) -> Iterator[tuple[str, str, Samples, float, float]]:
        """Yield label, name, samples with surroundings, and onset and offset in these."""
        for label in self.labels:
            for entry in self.entries[label]:
                samples = read(self.source / "events" / label / entry["audio_filename"])
                onset, offset = entry["segment"]
                start = max(0.0, onset - MARGIN)
                cut = samples[round(start * RATE) : round((offset + MARGIN) * RATE)]
                yield label, entry["audio_filename"], cut, onset - start, offset - start

    def backgrounds(self) -> list[Samples]:
        return [read(self.source / "bgs" / entry["filepath"]) for entry in self.background_entries]


def candidates_of(pipe: Any, clips: list[Samples]) -> list[list[Any]]:
    """Detect scored events in each clip, in a few clips of 30 s at a time to save memory."""
    found = []
    for i in range(0, len(clips), 32):
        part = [np.asarray(clip, np.float32) for clip in clips[i : i + 32]]
        found += pipe[-1].predict_candidates(pipe[:-1].transform(part))
    return found


@cache
def _recipes(root: str, subset: str, labels: tuple[str, ...], n_clips: int, seed: int) -> Any:
    return generate_mixture_recipes(
        root, subset, mixtures_per_class=n_clips, random_state=seed, n_jobs=1, classes=labels
    )


def recipes_of(root: str, subset: str, labels: list[str], n_clips: int, seed: int) -> Any:
    """Draw the recipes of the mixtures, once for all models."""
    return _recipes(str(root), subset, tuple(labels), n_clips, seed)


def mixture_candidates(
    pipe: Any,
    root: str,
    subset: str,
    labels: list[str],
    *,
    n_clips: int,
    seed: int,
    recorders: Iterable[str] = RECORDERS,
) -> tuple[dict[str, list[Any]], list[Any], list[str]]:
    """Candidates of each recorder, true events, and the label each mixture was made for."""
    recipes = recipes_of(root, subset, labels, n_clips, seed)
    mixtures, y = synthesize_mixtures(root, recipes, lazy=True)
    found: dict[str, list[Any]] = {name: [] for name in recorders}
    for i in range(0, len(mixtures), 16):
        clips = [np.asarray(mixture) for mixture in mixtures[i : i + 16]]
        for name in found:
            found[name] += candidates_of(pipe, [RECORDERS[name](x) for x in clips])
    return found, y, [label for label, own in recipes.items() for _ in own]


def best_thresholds(candidates: Any, y: Any, made_for: list[str]) -> dict[str, float]:
    """Find the threshold of each label with the lowest error rate on its own mixtures."""
    chosen = {}
    for label, (true, found) in by_own_mixtures(y, candidates, made_for).items():
        curve = threshold_curves(true, found, labels=[label], max_events=1)
        chosen[label] = float(curve.thresholds[curve.error_rate[0].argmin()])
    return chosen


def alone(
    events: list[tuple[str, str, Samples, float, float]], seed: int
) -> Iterator[tuple[str, list[Samples], list[int]]]:
    """Put each event alone into a clip, for all surroundings; also return where its file begins."""
    rng = np.random.default_rng(seed)
    own = [samples for *_, samples, _, _ in events]
    # The event lies in the middle, with up to two seconds of random shift.
    room = [max(0.0, PADDED - len(samples) / RATE) for samples in own]
    starts = [round(RATE * rng.uniform(0.3, 0.7) * left) for left in room]
    silent = [
        np.pad(x, (start, max(0, round(PADDED * RATE) - len(x) - start)))
        for x, start in zip(own, starts, strict=True)
    ]
    noisy = [x + NOISE * rng.standard_normal(len(x), np.float32) for x in silent]
    yield "in files of their own", own, [0] * len(own)
    yield "in 10 s of silence", silent, starts
    yield "in 10 s of noise at -60 dBFS", noisy, starts


def found_parts(pipe: Any, material: Material, thresholds: Any, seed: int) -> dict[str, Any]:
    """Measure the share of events found, by surroundings and label, and list what was missed."""
    events = list(material.events())
    result = {}
    for name, clips, shifts in alone(events, seed):
        chosen = select_events(candidates_of(pipe, clips), thresholds, None)
        hits: dict[str, list[bool]] = {label: [] for label in material.labels}
        missed, extra = [], 0
        for (label, file, _, onset, _), shift, found in zip(events, shifts, chosen, strict=True):
            right = [
                e.label == label and abs(e.onset - onset - shift / RATE) <= COLLAR for e in found
            ]
            hits[label].append(any(right))
            extra += len(found) - any(right)
            if not any(right):
                missed.append(f"{label}/{file}")
        result[name] = {
            "labels": {label: float(np.mean(own_hits)) for label, own_hits in hits.items()},
            "mean": float(np.mean([np.mean(own_hits) for own_hits in hits.values()])),
            "of all events": float(
                np.mean([hit for own_hits in hits.values() for hit in own_hits])
            ),
            "n_events": len(events),
            "other events found": extra,
            "missed": missed,
        }
    return result


def error_rates(
    candidates: dict[str, list[Any]], y: Any, made_for: list[str], thresholds: Any
) -> dict[str, Any]:
    """Measure the error rate with one event a clip, by recorder and label."""
    result: dict[str, Any] = {}
    for name, found in candidates.items():
        chosen = select_events(found, thresholds, 1)
        rates = {
            label: float(event_based_error_rate(*own, labels=[label]))
            for label, own in by_own_mixtures(y, chosen, made_for).items()
        }
        result[name] = {"labels": rates, "mean": float(np.mean(list(rates.values())))}
    clean = result["as they are"]["mean"]
    for row in result.values():
        row["ratio"] = row["mean"] / clean if clean else None
    return result


def rows_of_backgrounds(
    material: Material, seed: int
) -> Iterator[tuple[str, Samples, list[str], NDArray[np.float64]]]:
    """Join backgrounds to rows; return the samples, the names of the parts, and their ends."""
    backgrounds = material.backgrounds()
    names = [entry["filepath"] for entry in material.background_entries]
    size = round(PIECE * RATE)
    pieces = [
        (name, x[i : i + size])
        for name, x in zip(names, backgrounds, strict=True)
        for i in range(0, len(x) - size + 1, size)
    ]
    order = np.random.default_rng(seed).permutation(len(pieces))
    for name, parts in (
        ("in a row", list(zip(names, backgrounds, strict=True))),
        ("with joins every 5 s", [pieces[i] for i in order]),
    ):
        whole = np.concatenate([samples for _, samples in parts])
        ends = np.cumsum([len(samples) for _, samples in parts]) / RATE
        yield name, whole, [part for part, _ in parts], ends


def false_alarms(
    pipe: Any, material: Material, thresholds: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Count false alarms an hour by surroundings, name of thresholds and label."""
    result: dict[str, Any] = {}
    for name, whole, parts, ends in rows_of_backgrounds(material, seed):
        hours = len(whole) / RATE / 3600
        candidates = candidates_of(pipe, [whole])
        result[name] = {"hours": hours}
        for kind, chosen in thresholds.items():
            found = select_events(candidates, chosen, None)[0]
            labels = pipe[-1].classes_.tolist()
            rates = {label: sum(e.label == label for e in found) / hours for label in labels}
            heard = Counter(parts[int(np.searchsorted(ends, e.onset))] for e in found)
            result[name][kind] = {
                "labels": rates,
                "all": len(found) / hours,
                "most in": heard.most_common(N_SHOWN),
            }
    return result


def failures(
    recipes: dict[str, Any], candidates: Any, y: Any, made_for: list[str], thresholds: Any
) -> dict[str, Any]:
    """List the recordings missed most in unchanged mixtures, and the share of events found."""
    chosen = select_events(candidates, thresholds, 1)
    flat = [recipe for own in recipes.values() for recipe in own]
    missed, mixed, by_ratio = Counter(), Counter(), Counter()
    for recipe, label, true, found in zip(flat, made_for, y, chosen, strict=True):
        if not true:
            continue
        right = any(e.label == label and abs(e.onset - true[0][0]) <= COLLAR for e in found)
        mixed[recipe["event_path"]] += 1
        missed[recipe["event_path"]] += not right
        by_ratio[recipe["ebr"], right] += 1
    return {
        "events": sum(mixed.values()),
        "missed or misplaced": sum(missed.values()),
        "most of": [(path, n, mixed[path]) for path, n in missed.most_common(N_SHOWN) if n],
        "found by ratio": {
            f"{ratio:g} dB": by_ratio[ratio, True]
            / (by_ratio[ratio, True] + by_ratio[ratio, False])
            for ratio in sorted({ratio for ratio, _ in by_ratio})
        },
    }


def measure(
    pipe: Any, root: str, subset: str, *, clips: int = 80, seed: int = 43, best: bool = False
) -> dict[str, Any]:
    """Measure all figures of a model, as ``--json`` writes them."""
    known = pipe[-1].classes_.tolist()
    material = Material(root, subset, known)
    if not material.labels:
        raise SystemExit(f"{subset} of {root} has no events of the model's labels, {known}")
    candidates, y, made_for = mixture_candidates(
        pipe, root, subset, material.labels, n_clips=clips, seed=seed
    )
    thresholds = pipe[-1]._thresholds()
    if best:
        default = thresholds if isinstance(thresholds, dict) else dict.fromkeys(known, 0.5)
        thresholds = default | best_thresholds(candidates["as they are"], y, made_for)
    by_name = {"model": thresholds, **getattr(pipe[-1], "thresholds_", {})}
    recipes = recipes_of(root, subset, material.labels, clips, seed)
    return {
        "subset": subset,
        "seed": seed,
        "mixtures of each label": clips,
        "thresholds": thresholds,
        "found": found_parts(pipe, material, thresholds, seed),
        "error rate": error_rates(candidates, y, made_for, thresholds),
        "false alarms an hour": false_alarms(pipe, material, by_name, seed),
        "failures": failures(recipes, candidates["as they are"], y, made_for, thresholds),
    }


def report(name: str, figures: dict[str, Any]) -> str:
    """Format the figures as Markdown tables."""
    labels = list(figures["found"]["in files of their own"]["labels"])
    head = f"{name} on {figures['subset']}, seed {figures['seed']}"
    lines = [head, "", f"| events found | {' | '.join(labels)} | mean |"]
    lines.append("|---" * (len(labels) + 2) + "|")
    for place, row in figures["found"].items():
        cells = [f"{100 * row['labels'][label]:.0f} %" for label in labels]
        lines.append(f"| {place} | {' | '.join(cells)} | {100 * row['mean']:.0f} % |")
    lines += ["", f"| error rate of mixtures | {' | '.join(labels)} | mean | ratio |"]
    lines.append("|---" * (len(labels) + 3) + "|")
    for recorder, row in figures["error rate"].items():
        cells = [f"{row['labels'][label]:.2f}" for label in labels]
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        lines.append(f"| {recorder} | {' | '.join(cells)} | {row['mean']:.2f} | {ratio} |")
    of_model = list(figures["false alarms an hour"]["in a row"]["model"]["labels"])
    lines += ["", f"| false alarms an hour | thresholds | {' | '.join(of_model)} | all |"]
    lines.append("|---" * (len(of_model) + 3) + "|")
    for place, row in figures["false alarms an hour"].items():
        for kind in (key for key in row if key != "hours"):
            cells = [f"{row[kind]['labels'][label]:.1f}" for label in of_model]
            lines.append(f"| {place} | {kind} | {' | '.join(cells)} | {row[kind]['all']:.1f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+", help="of the package, or folders")
    parser.add_argument("--root", default=os.environ.get("RCRNN_CORPUS", "../shared/corpus"))
    parser.add_argument("--subset", default="devtest")
    parser.add_argument("--clips", type=int, default=80, help="mixtures of each label")
    parser.add_argument("--seed", type=int, default=43)
    parser.add_argument("--best", action="store_true", help="thresholds, instead of the model's")
    parser.add_argument("--json", type=Path, help="file for all figures, by model")
    args = parser.parse_args()
    results = {}
    for model in args.models:
        pipe = load_start(model)
        figures = measure(
            pipe, args.root, args.subset, clips=args.clips, seed=args.seed, best=args.best
        )
        results[model] = figures
        print(report(model, figures), flush=True)
        if args.json:
            args.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
