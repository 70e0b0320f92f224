"""A small corpus in the layout of the challenge."""

from __future__ import annotations

import numpy as np
import pytest
from small_corpus import RATE, write_subset

from sklearn_rcrnn.datasets.layout import CLASSES


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """Two events a class and three backgrounds of 30 s, in the challenge's layout."""
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("small")
    backgrounds = {f"audio/b{i}.wav": rng.normal(scale=0.1, size=30 * RATE) for i in range(3)}
    events = {}
    for label in CLASSES:
        events[label] = []
        for i, rate in enumerate((22050, RATE)):
            sound = rng.normal(scale=0.3, size=(2 * rate, 2))
            events[label].append((f"e{i}.wav", sound, rate, (0.25 * (i + 1), 1.5)))
    for subset in ("devtrain", "devtest"):
        write_subset(root / "data" / "source_data", subset, backgrounds, events)
    return root
