"""A detector that has learnt, in bfloat16 where there is that: scores and clock."""

from __future__ import annotations

import copy
import subprocess
import sys

import numpy as np
import pytest

from sklearn_rcrnn import LFBETransformer, RCRNNDetector
from sklearn_rcrnn.datasets import make_rare_events
from sklearn_rcrnn.metrics import event_based_error_rate
from sklearn_rcrnn.training.device import bfloat16_supported

pytestmark = pytest.mark.slow

# Loud events: enough to learn in half a minute.
SETTINGS = {"duration": 4.0, "sample_rate": 44100, "ebr": (10, 20), "event_presence_prob": 0.9}


@pytest.fixture(scope="module")
def sets():
    lfbe = LFBETransformer(n_jobs=2)
    X, y = make_rare_events(200, random_state=0, **SETTINGS)
    X_test, y_test = make_rare_events(80, random_state=1, **SETTINGS)
    return lfbe.transform(X), y, lfbe.transform(X_test), y_test


@pytest.fixture(scope="module")
def learnt(sets):
    X, y, *_ = sets
    detector = RCRNNDetector(
        lr=1e-3,
        batch_size=4,
        max_epochs=12,
        random_state=0,
    )
    return detector.fit(X, y)


def test_finds_events_it_was_not_trained_on(learnt, sets):
    _, _, X, y = sets
    assert learnt.score(X, y) > 0.8
    assert event_based_error_rate(y, learnt.predict(X)) < 0.4


@pytest.mark.skipif(not bfloat16_supported("cpu"), reason="no bfloat16 here")
def test_finds_them_in_bfloat16_too(learnt, sets):
    """It predicts in float32 unless told otherwise, whatever it was trained in."""
    _, _, X, y = sets
    rounded = copy.copy(learnt).set_params(precision="bfloat16")
    assert rounded.score(X, y) == pytest.approx(learnt.score(X, y), abs=0.03)


def test_finds_them_in_a_long_recording_too(learnt, sets):
    """Clips of other levels and backgrounds, one after the other, over five minutes."""
    _, _, X, y = sets
    length = X.shape[1] * learnt.frame_shift
    events = [
        (onset + i * length, offset + i * length, label)
        for i, clip in enumerate(y)
        for onset, offset, label in clip
    ]
    assert learnt.score([np.concatenate(list(X))], [events]) > 0.8


def test_the_clock_is_right(learnt, sets):
    """No half step and no frame center is left in the onsets."""
    _, _, X, y = sets
    errors = [
        found.onset - true[0]
        for clip, own in zip(y, learnt.predict(X), strict=True)
        for true in clip
        for found in own
        if abs(found.onset - true[0]) < 0.5
    ]
    assert len(errors) > 40
    assert abs(np.median(errors)) < 0.06


def test_import_is_light():
    heavy = "[m for m in ('torch', 'sklearn', 'librosa') if m in sys.modules]"
    code = f"import sys, sklearn_rcrnn; print({heavy})"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
