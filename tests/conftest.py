"""Shared data: synthesized clips, small features, and the corpus where there is one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from sklearn_rcrnn import LFBETransformer, RCRNNDetector
from sklearn_rcrnn.datasets import make_rare_events

# A user's script that is checked for its types and never run.
collect_ignore = ["typed_user.py"]

CORPUS = Path(
    os.environ.get("RCRNN_CORPUS", Path(__file__).parents[1] / ".." / "shared" / "corpus")
)


@pytest.fixture
def corpus():
    if not (CORPUS / "source_data").is_dir():
        pytest.skip(f"no corpus in {CORPUS}")
    return CORPUS


@pytest.fixture(scope="session")
def clips():
    """24 clips of 4 s with up to two events."""
    return make_rare_events(24, duration=4.0, max_events=2, ebr=(6, 18), random_state=0)


@pytest.fixture(scope="session")
def features(clips):
    X, y = clips
    return LFBETransformer().transform(X), y


@pytest.fixture
def small():
    """A detector that trains in seconds; float32, so that figures are the same anywhere."""
    return RCRNNDetector(
        gru_units=8, dense_units=16, max_epochs=2, batch_size=8, precision="float32", random_state=0
    )


@pytest.fixture(scope="session")
def fitted(features):
    """Trained just enough to score proposals differently; lets everything through."""
    X, y = features
    detector = RCRNNDetector(
        gru_units=8,
        dense_units=16,
        max_epochs=3,
        batch_size=4,
        lr=1e-3,
        score_threshold=0.0,
        precision="float32",
        random_state=0,
    )
    return detector.fit(X, y)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
