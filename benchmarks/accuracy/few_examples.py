"""How many examples of sounds of one's own it takes: `rcrnn train` from scratch and from starts.

python benchmarks/accuracy/few_examples.py --root ../shared/corpus
python benchmarks/accuracy/few_examples.py --examples 10 --starts work/general --form files

For each number of examples and each start, as many events of every label of the training
subset are written as recordings with a table, `rcrnn train` learns from that folder, and what
it writes is scored: mixtures of the test subset as the challenge made them, one event a clip,
each label over its own mixtures, at the thresholds that the training chose. With --form
mixtures each event lies in half a minute of the subset's surroundings, at -6, 0 or 6 dB; with
--form files it is a file of its own, a quarter of a second around it, and no surroundings are
given at all.

Cells that are done are kept in --work and not done again. The table is printed and written as
few_examples.csv, few_examples.json and few_examples.png.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from conditions import RATE, Material

from sklearn_rcrnn import list_pretrained, load
from sklearn_rcrnn.datasets import generate_mixture_recipes, synthesize_mixtures
from sklearn_rcrnn.datasets.layout import recording_of
from sklearn_rcrnn.evaluation import by_own_mixtures
from sklearn_rcrnn.events import select_events
from sklearn_rcrnn.metrics import event_based_error_rate
from sklearn_rcrnn.models import NO_START

EBRS = (-6, 0, 6)
HEADROOM = 0.2


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", default=os.environ.get("RCRNN_CORPUS", "../shared/corpus"))
    parser.add_argument("--train", default="fewshot_train", help="subset with the examples")
    parser.add_argument("--test", default="fewshot_test")
    parser.add_argument("--examples", type=int, nargs="+", default=[1, 2, 5, 10])
    parser.add_argument("--starts", nargs="+", default=[NO_START, *list_pretrained()])
    parser.add_argument("--form", choices=("mixtures", "files"), default="mixtures")
    parser.add_argument("--clips", type=int, default=100, help="test mixtures of each label")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="which examples")
    parser.add_argument("--options", default="", help="more options of rcrnn train, in one text")
    parser.add_argument("--work", type=Path, default=Path("work/few_examples"))
    return parser.parse_args()


def examples(material: Material, n: int, seed: int) -> list[tuple[str, dict[str, Any]]]:
    """Label and entry of so many events of each label, of as many recordings as there are."""
    rng = np.random.default_rng(seed)
    chosen = []
    for label in material.labels:
        own = [material.entries[label][i] for i in rng.permutation(len(material.entries[label]))]
        seen: set[str] = set()
        # Second pieces of a recording come after the first ones of all.
        ranked = sorted(own, key=lambda e: (recording_of(e) in seen, seen.add(recording_of(e)))[0])
        if len(ranked) < n:
            raise SystemExit(f"{material.subset} has {len(ranked)} events of {label}, not {n}")
        chosen += [(label, entry) for entry in ranked[:n]]
    return chosen


def write_recordings(material: Material, n: int, seed: int, form: str, folder: Path) -> None:
    """Recordings and a table of their events, as somebody would have them who begins."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {(label, entry["audio_filename"]) for label, entry in examples(material, n, seed)}
    rng = np.random.default_rng([seed, n])
    backgrounds = material.backgrounds() if form == "mixtures" else []
    rows = []
    for label, file, samples, onset, offset in material.events():
        if (label, file) not in wanted:
            continue
        if form == "mixtures":
            event = samples[round(onset * RATE) : round(offset * RATE)]
            mixture = backgrounds[rng.integers(len(backgrounds))].copy()
            start = int(rng.integers(len(mixture) - len(event)))
            under = mixture[start : start + len(event)]
            level = np.sqrt(np.mean(under**2)) / np.sqrt(np.mean(event**2))
            mixture[start : start + len(event)] += 10 ** (rng.choice(EBRS) / 20) * level * event
            samples = HEADROOM * mixture / max(1.0, HEADROOM * np.abs(mixture).max())
            onset, offset = start / RATE, (start + len(event)) / RATE
        name = f"{label}-{Path(file).stem}.flac"
        soundfile.write(folder / name, samples, RATE)
        offset = min(offset, len(samples) / RATE)
        rows.append((name, f"{onset:.4f}", f"{offset:.4f}", label))
    with open(folder / "events.csv", "w", newline="") as table:
        csv.writer(table).writerows([("file", "onset", "offset", "label"), *rows])


def train(folder: Path, model: Path, start: str, options: str) -> dict[str, float]:
    """Run the command; its minutes, and those of all processors together."""
    command = [sys.executable, "-c", "from sklearn_rcrnn.cli import main; main()", "train"]
    command += [str(folder), str(folder / "events.csv"), "-o", str(model), "--start", start]
    began, used = time.time(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*command, *options.split(), "--quiet"], check=True)
    done = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = done.ru_utime + done.ru_stime - used.ru_utime - used.ru_stime
    return {"minutes": (time.time() - began) / 60, "processor minutes": spent / 60}


class Test:
    """Mixtures of the test subset; features are computed once for each kind."""

    def __init__(self, root: str, subset: str, labels: list[str], clips: int):
        recipes = generate_mixture_recipes(
            root, subset, mixtures_per_class=clips, n_jobs=1, classes=labels
        )
        self.mixtures, self.y = synthesize_mixtures(root, recipes, lazy=True)
        self.made_for = [label for label, own in recipes.items() for _ in own]
        self.features: dict[str, list[Any]] = {}

    def error_rates(self, pipe: Any) -> dict[str, float]:
        kind = repr(pipe[0].set_params(n_jobs=None))
        if kind not in self.features:
            self.features[kind] = [pipe[:-1].transform([np.asarray(x)])[0] for x in self.mixtures]
        found = select_events(
            pipe[-1].predict_candidates(self.features[kind]), pipe[-1].score_threshold, 1
        )
        return {
            str(label): float(event_based_error_rate(*own, labels=[label]))
            for label, own in by_own_mixtures(self.y, found, self.made_for).items()
        }


def table(cells: list[dict[str, Any]]) -> str:
    """Markdown: starts by rows, numbers of examples by columns, means over the seeds."""
    counts = sorted({cell["examples"] for cell in cells})
    head = [f"{n} example{'s' * (n > 1)}" for n in counts]
    lines = [f"| start | {' | '.join(head)} | minutes |", "|---" * (len(counts) + 2) + "|"]
    for start in dict.fromkeys(cell["start"] for cell in cells):
        own = [cell for cell in cells if cell["start"] == start]
        rates = []
        for n in counts:
            means = [cell["mean"] for cell in own if cell["examples"] == n]
            rates.append(f"{np.mean(means):.2f}" if means else "")
        minutes = np.mean([cell["minutes"] for cell in own])
        lines.append(f"| {start} | {' | '.join(rates)} | {minutes:.1f} |")
    return "\n".join(lines)


def draw(cells: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for start in dict.fromkeys(cell["start"] for cell in cells):
        own = [cell for cell in cells if cell["start"] == start]
        counts = sorted({cell["examples"] for cell in own})
        means = [np.mean([c["mean"] for c in own if c["examples"] == n]) for n in counts]
        name = "from scratch" if start == NO_START else f"from {start}"
        axes.plot(counts, means, "o-", label=name)
    axes.set_xscale("log")
    axes.set_xticks(counts, [str(n) for n in counts])
    axes.minorticks_off()
    axes.set(xlabel="examples of each sound", ylabel="mean error rate", ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    args = parse_args()
    material = Material(args.root, args.train)
    test = None
    args.work.mkdir(parents=True, exist_ok=True)
    cells = []
    for start in args.starts:
        for n in args.examples:
            for seed in args.seeds:
                name = f"{args.form}-{Path(start).name}-{n}-{seed}"
                path = args.work / f"{name}.json"
                if not path.exists():
                    recordings = args.work / f"{args.form}-{n}-{seed}"
                    write_recordings(material, n, seed, args.form, recordings)
                    spent = train(recordings, args.work / name, start, args.options)
                    if test is None:
                        test = Test(args.root, args.test, material.labels, args.clips)
                    rates = test.error_rates(load(args.work / name))
                    cell = {"start": Path(start).name, "examples": n, "seed": seed, **spent}
                    cell |= {"labels": rates, "mean": float(np.mean(list(rates.values())))}
                    path.write_text(json.dumps(cell, indent=2) + "\n")
                    print(f"{name}: {cell['mean']:.2f}, {cell['minutes']:.1f} min", flush=True)
                cells.append(json.loads(path.read_text()))
    stem = args.work / "few_examples"
    stem.with_suffix(".json").write_text(json.dumps(cells, indent=2) + "\n")
    with open(stem.with_suffix(".csv"), "w", newline="") as file:
        writer = csv.writer(file)
        columns = ["start", "examples", "seed", "mean", "minutes", "processor minutes"]
        writer.writerow([*columns, *material.labels])
        for cell in cells:
            rates = [cell["labels"][label] for label in material.labels]
            writer.writerow([*(cell[column] for column in columns), *rates])
    draw(cells, stem.with_suffix(".png"))
    print(f"\n{args.form} of {args.train}, scored on {args.test}, {args.clips} mixtures a label\n")
    print(f"{table(cells)}\n\n{platform.machine()}, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
