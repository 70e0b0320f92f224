"""Write the card of a model from what was measured and from where its recordings come.

python benchmarks/accuracy/model_card.py sklearn_rcrnn/models/rare-events \
    --root ../shared/corpus --trained-on devtrain --command "python benchmarks/..."

Measures the model as conditions.py does, unless --figures names its JSON, and writes README.md
and figures.json into the folder of the model. What a person has to say (--note) is put at the
top of the section on failures.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import packaged_sounds
from conditions import Material, measure
from few_examples import table as start_table

from sklearn_rcrnn import load
from sklearn_rcrnn.datasets import read_sources
from sklearn_rcrnn.datasets.layout import recording_of
from sklearn_rcrnn.events import THRESHOLD_NAMES
from sklearn_rcrnn.models import NO_START
from sklearn_rcrnn.models.provenance import provenance_lines, provenance_of
from sklearn_rcrnn.models.shipped import CARD, FIGURES

# How all packages of Debian's with sounds of a label are named in one row.
_PACKAGED = "{} packages of Debian 12, by name in `packaged_sounds.csv`"

TEMPLATE = """# {name}

{purpose}

| property | value |
|---|---|
| labels | {labels} |
| network | R-CRNN, {gru_units} GRU units, {dense_units} dense units, {n_parameters:,} parameters |
| input | recordings of any length and rate; it hears {sample_rate:g} kHz |
| output | onset, offset, label and score of each event |
| size | {size:.1f} MB |

{provenance}

## What it learnt from

{data}

None of the audio is in this repository. The new weights were made by

```bash
{command}
```

## How good it is

Measured on `{subset}`, recordings that it has not learnt from, at its own thresholds
(`benchmarks/accuracy/conditions.py`, {clips} mixtures a label, seed {seed}). An event is found if
its onset is within 0.5 s.

{rates}

{found}

{few_examples}## Thresholds and false alarms

By name, as `rcrnn detect --threshold NAME` and
`set_params(detector__score_threshold=NAME)` take them:

{thresholds}

Events an hour that it finds where there are none:

{alarms}

## Where it fails

{notes}{missed} of {events} events in mixtures as they are were missed or misplaced;
{ratios}. Most of these recordings:

{worst}

Backgrounds with most false alarms, in a row: {loudest}.

It is a demonstration and a starting point, and no alarm: do not rely on it where safety depends
on it.
"""


def table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def data_table(root: str, subsets: list[str], classes: list[Any], without: list[str]) -> str:
    """Tabulate clips and recordings of each label and source, with the license of the source."""
    with open(Path(root) / "provenance.csv", newline="", encoding="utf-8") as file:
        licenses: dict[str, set[str]] = defaultdict(set)
        for row in csv.DictReader(file):
            licenses[row["repository"]].add(row["licence"])
    clips: dict[tuple[str, str], set[str]] = defaultdict(set)
    recordings: dict[tuple[str, str], set[str]] = defaultdict(set)
    packages: dict[str, set[str]] = defaultdict(set)
    for subset in subsets:
        sources = read_sources(root, subset)
        material = Material(root, subset, [*map(str, classes)])
        named = [
            (label, f"events/{label}/{entry['audio_filename']}", entry)
            for label in material.labels
            for entry in material.entries[label]
        ]
        named += [
            ("surroundings", f"bgs/{entry['filepath']}", entry)
            for entry in material.background_entries
        ]
        for label, file_name, entry in named:
            source = sources[file_name]
            if source in without:
                continue
            if licenses[source] == {packaged_sounds.LICENSE}:
                packages[label].add(source)
                source = _PACKAGED
            clips[label, source].add(file_name)
            recordings[label, source].add(recording_of(entry))
    licenses[_PACKAGED] = {packaged_sounds.LICENSE}
    order = sorted(clips, key=lambda key: (key[0] == "surroundings", key))
    rows = []
    for label, source in order:
        counts = len(clips[label, source]), len(recordings[label, source])
        name, license_ = source.format(len(packages[label])), " / ".join(sorted(licenses[source]))
        rows.append([label, *counts, name, license_])
    return table(["label", "clips", "recordings", "source", "license"], rows)


def few_examples(path: Path | None, name: str) -> str:
    """Write the section on the model as a start, from the JSON of few_examples.py if given."""
    if path is None:
        return ""
    cells = [c for c in json.loads(path.read_text()) if c["start"] in (name, NO_START)]
    return (
        "## As a start for sounds of your own\n\n"
        "Mean error rate of five office sounds after `rcrnn train` with so many examples of each "
        f'(`benchmarks/accuracy/few_examples.py`); "{NO_START}" is from scratch:\n\n'
        f"{start_table(cells)}\n\n"
    )


def fill(args: argparse.Namespace, pipe: Any, figures: dict[str, Any]) -> str:
    """Fill in the template."""
    values = {**about_the_network(args, pipe), **about_the_figures(pipe, figures)}
    return TEMPLATE.format(
        **values,
        data=data_table(
            args.root, args.trained_on, pipe[-1].classes_.tolist(), args.without_sources
        ),
        command=args.command,
        few_examples=few_examples(args.few_examples, args.model.name),
        notes=f"{args.note}\n\n" if args.note else "",
    )


def about_the_network(args: argparse.Namespace, pipe: Any) -> dict[str, Any]:
    """Collect the values of the table at the top of the card."""
    detector = pipe[-1]
    return {
        "name": args.model.name,
        "purpose": args.purpose,
        "labels": ", ".join(f"`{label}`" for label in detector.classes_.tolist()),
        "gru_units": detector.gru_units,
        "dense_units": detector.dense_units,
        "n_parameters": detector.n_parameters_,
        "sample_rate": pipe[0].sample_rate / 1000,
        "size": sum(p.stat().st_size for p in args.model.glob("*.safetensors")) / 1e6,
        "provenance": "\n".join(provenance_lines(provenance_of(detector)))
        or "- license: not stated",
    }


def about_the_figures(pipe: Any, figures: dict[str, Any]) -> dict[str, Any]:
    """Format tables and sentences on the measurements."""
    labels = list(figures["found"]["in files of their own"]["labels"])
    alarms = figures["false alarms an hour"]
    kinds = [kind for kind in alarms["in a row"] if kind != "hours"]
    alarm_rows = [
        [name, *(f"{row[kind]['all']:.1f}" for kind in kinds)] for name, row in alarms.items()
    ]
    rates = [
        [name, *map(_rate, [*(row["labels"][x] for x in labels), row["mean"], row["ratio"]])]
        for name, row in figures["error rate"].items()
    ]
    found = [
        [name, *map(_part, [*(row["labels"][x] for x in labels), row["mean"]])]
        for name, row in figures["found"].items()
    ]
    failed = figures["failures"]
    ratios = failed["found by ratio"].items()
    loudest = [f"`{path}` ({n})" for path, n in alarms["in a row"]["model"]["most in"]]
    return {
        "subset": figures["subset"],
        "clips": figures["mixtures of each label"],
        "seed": figures["seed"],
        "rates": table(["error rate, one event a clip", *labels, "mean", "ratio"], rates),
        "found": table(["events found", *labels, "mean"], found),
        "thresholds": threshold_table(pipe[-1], figures["thresholds"]),
        "alarms": table(["surroundings", *kinds], alarm_rows),
        "missed": failed["missed or misplaced"],
        "events": failed["events"],
        "ratios": ", ".join(f"at {ratio} {100 * part:.0f} % were found" for ratio, part in ratios),
        "worst": "\n".join(f"- `{path}`: {n} of {total}" for path, n, total in failed["most of"]),
        "loudest": ", ".join(loudest) or "none",
    }


def threshold_table(detector: Any, own: Any) -> str:
    """Tabulate the thresholds of each label, first the model's own, then those with names."""
    labels = detector.classes_.tolist()
    named = {"model": own, **getattr(detector, "thresholds_", {})}
    rows = [
        [name, *(_threshold(named[name], label) for label in labels)]
        for name in ("model", *THRESHOLD_NAMES)
        if name in named
    ]
    if len(labels) > 1 and all(len(set(row[1:])) == 1 for row in rows):
        return table(["thresholds", "all labels"], [row[:2] for row in rows])
    return table(["thresholds", *map(str, labels)], rows)


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _part(value: float) -> str:
    return f"{100 * value:.0f} %"


def _threshold(threshold: Any, label: Any) -> str:
    value = threshold[label] if isinstance(threshold, dict) else threshold
    return f"{value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path, help="folder")
    parser.add_argument("--root", default=os.environ.get("RCRNN_CORPUS", "../shared/corpus"))
    parser.add_argument("--subset", default="devtest", help="to measure on")
    parser.add_argument("--trained-on", nargs="+", required=True, help="subsets")
    parser.add_argument("--without-sources", nargs="+", default=[], help="that it did not hear")
    parser.add_argument("--command", required=True, help="that retrains the weights")
    parser.add_argument("--purpose", default="Weights for `load_pretrained` and `--start`.")
    parser.add_argument("--note", default="", help="on failures, in a person's words")
    parser.add_argument("--figures", type=Path, help="JSON of conditions.py, instead of measuring")
    parser.add_argument("--few-examples", type=Path, help="JSON of few_examples.py")
    parser.add_argument("--clips", type=int, default=80, help="mixtures of each label")
    args = parser.parse_args()
    pipe = load(args.model)
    if args.figures:
        (figures,) = json.loads(args.figures.read_text()).values()
    else:
        figures = measure(pipe, args.root, args.subset, clips=args.clips)
    (args.model / FIGURES).write_text(json.dumps(figures, indent=1) + "\n")
    (args.model / CARD).write_text(fill(args, pipe, figures), encoding="utf-8")
    print(f"{args.model}: {CARD} and {FIGURES}")


if __name__ == "__main__":
    main()
