"""Make a model that the package loads from what ``train_weights.py`` left.

    python benchmarks/accuracy/export_weights.py work/third/rare-events.pt \\
        work/fourth/rare-events.pt --into work/rare-events

Weights of several trainings are averaged. One must have been the ``--start`` of the next, as of
unrelated ones the mean is worthless. With ``--as-start``, the mean is written as a file that
``train_weights.py --start`` and this command take.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mixture_plans import CONTEXT_SECONDS, N_BANDS

from sklearn_rcrnn.models.averaging import mean_of
from sklearn_rcrnn.nn.rcrnn import RCRNN

# License of the weights, and attribution of the recordings that they learnt from.
PROVENANCE = {
    "rare-events": {
        "license": "CC BY-NC 4.0",
        "attribution": (
            "Trained on recordings of donateacry-corpus (ODbL/DbCL), ESC-50 (CC BY-NC 3.0), "
            "UrbanSound8K (CC BY-NC 3.0), CDDA-Soundpacks (CC BY-SA 4.0), ufoai-sound "
            "(GPL-2+/CC BY-SA 3.0), hedgewars-data (GPL-2), tuxpaint-stamps-default (GPL-2+), "
            "bucklespring-data (GPL-2+), Red Eclipse (CC BY-SA 4.0), Moodist (Pixabay, CC0) and "
            "public repositories of unstated license."
        ),
    },
    "general": {
        "license": "CC BY-SA 4.0",
        "attribution": (
            "Trained on recordings of donateacry-corpus (ODbL/DbCL), CDDA-Soundpacks "
            "(CC BY-SA 4.0), ufoai-sound (GPL-2+/CC BY-SA 3.0), hedgewars-data (GPL-2), "
            "tuxpaint-stamps-default (GPL-2+), bucklespring-data (GPL-2+), Red Eclipse "
            "(CC BY-SA 4.0) and 278 other packages of Debian 12, which are free by Debian's "
            "guidelines (benchmarks/accuracy/packaged_sounds.csv names them, and their copyright "
            "files the authors), and on synthesized sounds."
        ),
    },
}
# Thresholds by name for models without recordings to choose them on.
UNCHOSEN = {"sensitive": 0.35, "balanced": 0.5, "few false alarms": 0.65}


def average(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The file of the last training, with the mean of the weights of all files.

    Earlier ones may have known fewer labels: they do not count for those that they lack. As in
    :func:`~sklearn_rcrnn.average_weights`, the normalization looks at no more frames than in any of
    the trainings.
    """
    last = parts[-1]
    labels = last["labels"]
    if any(set(part["labels"]) - set(labels) for part in parts):
        raise ValueError("the trainings have different labels, so their mean is worthless")
    weights = [taken_over(last["weights"], labels, part) for part in parts]
    mean = {}
    for name, tensor in last["weights"].items():
        own = torch.stack([part[name] for part in weights])
        mean[name] = mean_of(name, list(own))
        for label in labels if _belongs_to_labels(name) else ():
            rows, knows = _rows(tensor, labels, label), [label in p["labels"] for p in parts]
            mean[name][rows] = own[knows, rows].mean(0)
    return {**last, "weights": mean}


def taken_over(
    weights: dict[str, torch.Tensor], labels: Sequence[str], start: dict[str, Any]
) -> dict[str, torch.Tensor]:
    """The weights of a training that knew only some of the labels, for a network of all.

    Parameters
    ----------
    weights : dict of Tensor
        Of the network of `labels`: the rows of labels that the training did not know stay.
    labels : sequence of str
    start : dict
        The file of the training.
    """
    taken = dict(start["weights"])
    for name in filter(_belongs_to_labels, taken):
        theirs, known = taken[name], start["labels"]
        taken[name] = weights[name].clone()
        taken[name][: len(theirs) % len(known)] = theirs[: len(theirs) % len(known)]
        for label in set(labels) & set(known):
            rows = _rows(taken[name], labels, label)
            taken[name][rows] = theirs[_rows(theirs, known, label)]
    return taken


def _belongs_to_labels(name: str) -> bool:
    return name.rpartition(".")[0] in RCRNN.label_layers


def _rows(tensor: torch.Tensor, labels: Sequence[str], label: str) -> slice:
    """The rows of a label: each has as many as the others, behind those of the background."""
    n_rows, before = divmod(len(tensor), len(labels))
    start = before + labels.index(label) * n_rows
    return slice(start, start + n_rows)


def export(
    weights: Path | Sequence[Path],
    folder: Path,
    thresholds: dict[str, dict[str, float]] | None = None,
) -> Any:
    """Write a model that the package can load, with its license, from ``train_weights.py``'s files.

    The weights of several files are averaged. Thresholds are those of ``choose_thresholds.py``.
    Without them, a name stands for the same threshold for all labels.
    """
    from sklearn.pipeline import Pipeline

    from sklearn_rcrnn import LFBETransformer, RCRNNDetector, save

    files = [weights] if isinstance(weights, Path) else weights
    found = average([torch.load(file, map_location="cpu") for file in files])
    named = thresholds or {
        name: dict.fromkeys(found["labels"], threshold) for name, threshold in UNCHOSEN.items()
    }
    detector = RCRNNDetector(
        gru_units=found["gru_units"],
        dense_units=found["dense_units"],
        normalization=CONTEXT_SECONDS,
        score_threshold=named["balanced"],
    )
    detector._restore_net(np.array(found["labels"]), N_BANDS, found["weights"])
    detector.thresholds_ = named
    detector.provenance_ = PROVENANCE[found["arguments"]["weights"]]
    pipe = Pipeline([("lfbe", LFBETransformer()), ("detector", detector)])
    save(pipe, folder)
    return pipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("weights", type=Path, nargs="+", help="files that a training left")
    parser.add_argument("--into", type=Path, help="folder of the model")
    parser.add_argument("--as-start", type=Path, help="file of the mean of the weights")
    args = parser.parse_args()
    if args.as_start:
        torch.save(
            average([torch.load(file, map_location="cpu") for file in args.weights]), args.as_start
        )
    if args.into:
        export(args.weights, args.into)


if __name__ == "__main__":
    main()
