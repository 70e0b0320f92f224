"""What tests of trainings share: a dozen short clips, and estimators that learn them in seconds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sklearn_rcrnn import CRNNPretrainer, FrameDetector, RCRNNDetector

N_FRAMES = 60
SECONDS = N_FRAMES * 1024 / 44100


def noisy_clips():
    """Twelve clips of 1.4 s of noise, each with an event that is louder in some bands."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(12, N_FRAMES, 16)).astype(np.float32)
    y = []
    for i, clip in enumerate(X):
        start, label = int(rng.integers(5, 30)), "ab"[i % 2]
        clip[start : start + 20, 4 * (i % 2) : 4 * (i % 2) + 8] += 3
        y.append([(start * 1024 / 44100, (start + 20) * 1024 / 44100, label)])
    return X, y


def tiny(kind, **params):
    params = {"max_epochs": 2, "batch_size": 4, "precision": "float32", "random_state": 0} | params
    if kind is FrameDetector:
        return FrameDetector("mlp", **params)
    if kind is RCRNNDetector:
        params = {"dense_units": 8, "score_threshold": 0.0} | params
    return kind(gru_units=4, **params)


KINDS = pytest.mark.parametrize("kind", [RCRNNDetector, CRNNPretrainer, FrameDetector])


def weights(estimator):
    return estimator.net_.module_.state_dict()


def assert_same_weights(first, second):
    theirs = weights(second)
    for name, value in weights(first).items():
        assert torch.equal(value, theirs[name]), name
