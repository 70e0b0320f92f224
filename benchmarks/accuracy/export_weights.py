"""Make a model that the package loads from what ``train_weights.py`` left.

    python benchmarks/accuracy/export_weights.py work/third/rare-events.pt \\
        work/fourth/rare-events.pt --into work/rare-events

Weights of several trainings are averaged. One must have been the ``--start`` of the next, as of
unrelated ones the mean is worthless.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mixture_plans import CONTEXT_SECONDS, N_BANDS

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
            "tuxpaint-stamps-default (GPL-2+), bucklespring-data (GPL-2+) and Red Eclipse "
            "(CC BY-SA 4.0), and on synthesized sounds."
        ),
    },
}
# Thresholds by name for models without recordings to choose them on.
UNCHOSEN = {"sensitive": 0.35, "balanced": 0.5, "few false alarms": 0.65}


def average(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The file of one training, with the mean of the weights of all files."""
    if len({tuple(part["labels"]) for part in parts}) > 1:
        raise ValueError("the trainings have different labels, so their mean is worthless")
    weights = [part["weights"] for part in parts]
    mean = {
        name: torch.stack([own[name] for own in weights]).mean(0)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in weights[-1].items()
    }
    return {**parts[-1], "weights": mean}


def take_over(network: torch.nn.Module, start: dict[str, Any], labels: Sequence[str]) -> None:
    """Give a network the weights of a training, which may have known only some of its labels.

    Rows of other labels stay as they are.

    Parameters
    ----------
    network : RCRNN
        Of `labels`.
    start : dict
        The file of a training, as :func:`average` returns it.
    labels : sequence of str
    """
    own = network.state_dict()
    known = [(i, start["labels"].index(x)) for i, x in enumerate(labels) if x in start["labels"]]
    for name, theirs in start["weights"].items():
        if name.rpartition(".")[0] not in network.label_layers:
            own[name].copy_(theirs)
            continue
        # A layer has the same number of rows for each label, behind those of the background.
        per_label, before = divmod(len(theirs), len(start["labels"]))
        own[name][:before] = theirs[:before]
        ours, others = own[name][before:], theirs[before:]
        for i, j in known:
            rows = slice(j * per_label, (j + 1) * per_label)
            ours[i * per_label : (i + 1) * per_label] = others[rows]


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
    parser.add_argument("--into", type=Path, required=True, help="folder of the model")
    args = parser.parse_args()
    export(args.weights, args.into)


if __name__ == "__main__":
    main()
