"""Make a model that the package loads from what ``train_weights.py`` left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mixture_plans import CONTEXT_SECONDS, N_BANDS

# What the weights may be used for, and whose recordings they learnt from.
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
# Thresholds by name, where nothing was there to choose them on.
UNCHOSEN = {"sensitive": 0.35, "balanced": 0.5, "few false alarms": 0.65}


def export(
    weights: Path, folder: Path, thresholds: dict[str, dict[str, float]] | None = None
) -> Any:
    """A model that the package loads, with its license, from what :func:`train` left.

    Thresholds are those of ``choose_thresholds.py``. Without them, each name means the same
    for all labels.
    """
    from sklearn.pipeline import Pipeline

    from sklearn_rcrnn import LFBETransformer, RCRNNDetector, save

    found = torch.load(weights, map_location="cpu")
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
