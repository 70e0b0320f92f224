"""Starting from a fitted detector, and averaging what was tuned from one start."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from sklearn_rcrnn import (
    FrameDetector,
    LFBETransformer,
    RCRNNDetector,
    average_weights,
    load,
    save,
)
from sklearn_rcrnn.datasets import make_rare_events
from sklearn_rcrnn.nn.recipe import Recipe
from sklearn_rcrnn.training.restoring import LoadedNetwork

SETTINGS = {"gru_units": 4, "dense_units": 8, "max_epochs": 1, "score_threshold": 0.0}


@pytest.fixture(scope="module")
def features():
    X, y = make_rare_events(8, duration=3.0, random_state=0)
    return LFBETransformer().transform(X), y


@pytest.fixture(scope="module")
def fitted(features):
    return RCRNNDetector(**SETTINGS, random_state=0).fit(*features)


def weights(detector):
    return detector.net_.module_.state_dict()


def test_all_weights_of_a_detector_of_the_same_labels(fitted, features):
    again = RCRNNDetector(**SETTINGS, pretrainer=FrozenEstimator(fitted), lr=1e-12, random_state=1)
    again.fit(*features)
    for name, value in weights(again).items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(value, weights(fitted)[name], rtol=0, atol=1e-8)
    assert clone(again).pretrainer.estimator is fitted


def test_what_tells_labels_apart_starts_anew(fitted, features):
    X, y = features
    other = [[(on, off, label.upper()) for on, off, label in clip] for clip in y]
    again = RCRNNDetector(**SETTINGS, pretrainer=FrozenEstimator(fitted), lr=1e-12, random_state=1)
    again.fit(X, other)
    assert again.classes_.tolist() == [label.upper() for label in fitted.classes_]
    ours, theirs = weights(again), weights(fitted)
    assert torch.allclose(ours["rpn.window.weight"], theirs["rpn.window.weight"], atol=1e-8)
    assert torch.allclose(ours["head.dense.0.weight"], theirs["head.dense.0.weight"], atol=1e-8)
    assert not torch.allclose(ours["head.classes.weight"], theirs["head.classes.weight"])


def test_frame_detectors_have_no_such_extractor(features):
    frames = FrameDetector("mlp", max_epochs=1, random_state=0).fit(*features)
    detector = RCRNNDetector(**SETTINGS, pretrainer=FrozenEstimator(frames))
    with pytest.raises(TypeError, match="must freeze a CRNNPretrainer or an RCRNNDetector"):
        detector.fit(*features)


def test_the_mean_of_weights(fitted, features):
    start = FrozenEstimator(fitted)
    tuned = [
        RCRNNDetector(**SETTINGS, pretrainer=start, lr=1e-3, random_state=i).fit(*features)
        for i in range(2)
    ]
    mean = average_weights(tuned)
    for name, value in weights(mean).items():
        if value.is_floating_point():
            expected = (weights(tuned[0])[name] + weights(tuned[1])[name]) / 2
            torch.testing.assert_close(value, expected)
    assert mean.net_ is not tuned[0].net_
    later = RCRNNDetector(**SETTINGS, pretrainer=FrozenEstimator(tuned[1])).fit(*features)
    for earlier in (fitted, *tuned):
        average_weights([earlier, later])
    X, _ = features
    assert average_weights([fitted, fitted]).predict(X) == fitted.predict(X)


def test_what_belongs_to_the_weights_is_not_taken_over(fitted, features, tmp_path):
    """Neither thresholds nor name and checksum; the license is that of all of them."""
    detectors = [load(save(fitted, tmp_path / name)) for name in "ab"]
    for detector in detectors:
        detector.thresholds_ = {"balanced": dict.fromkeys(fitted.classes_.tolist(), 0.3)}
        detector.provenance_["license"] = "CC BY 4.0"
    mean = average_weights(detectors)
    assert not hasattr(mean, "thresholds_")
    assert mean.provenance_ == {"license": "CC BY 4.0"}
    assert {"thresholds_", "provenance_"} <= vars(detectors[0]).keys()
    detectors[1].provenance_["license"] = "CC BY-NC 4.0"
    with pytest.raises(ValueError, match="Detector 1 does not come from the weights"):
        average_weights(detectors)


def test_what_cannot_be_averaged(fitted, features):
    X, y = features
    larger = RCRNNDetector(**{**SETTINGS, "dense_units": 16}).fit(X, y)
    with pytest.raises(ValueError, match="Detector 1 has other labels or another network"):
        average_weights([fitted, larger])
    with pytest.raises(ValueError, match="empty"):
        average_weights([])
    other = RCRNNDetector(**SETTINGS, random_state=1).fit(X, y)
    with pytest.raises(ValueError, match="Detector 1 did not start from the weights"):
        average_weights([fitted, other])


def with_first_weights(**params):
    """A detector as it is before its training."""
    detector = RCRNNDetector(**SETTINGS, **params)
    detector.classes_, detector.n_features_in_ = np.array(["dog"]), 64
    built = detector._network_params()
    network = built.pop("module")(**{k.removeprefix("module__"): v for k, v in built.items()})
    detector._loaded = LoadedNetwork(network, "cpu")
    return detector


def test_the_shortest_normalization_is_that_of_the_mean():
    """It was that of the first detector, so that their order made a difference."""
    detectors = [with_first_weights() for _ in range(3)]
    for detector, n_frames in zip(detectors, (200, 60, 90), strict=True):
        network = detector.net_.module_
        detector._set_normalization(network, [np.zeros((n_frames, 64), np.float32)])
    for order in (detectors, detectors[::-1]):
        assert int(weights(average_weights(order))["extractor.normalization.context"]) == 60


@pytest.mark.parametrize(
    ("params", "what"),
    [
        ({"anchor_sizes": (2, 4, 8, 16, 32, 64)}, "coding of intervals"),
        ({"recipe": Recipe.named("refined").set_params(anchor_weights=(3, 3))}, "coding"),
        ({"frame_shift": 0.01}, "frame_shift"),
    ],
)
def test_weights_of_the_same_sizes_that_mean_something_else(params, what):
    """Their mean was taken, even for detectors of one start: the other layers began anew."""
    detectors = [with_first_weights(**given) for given in ({}, params)]
    with pytest.raises(ValueError, match=f"Detector 1 has another {what}.* than detector 0"):
        average_weights(detectors)
