"""What estimators say about arguments that cannot be."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from sklearn_rcrnn import (
    CRNNPretrainer,
    RCRNNDetector,
)


class TestBadInput:
    @pytest.mark.parametrize("estimator", [RCRNNDetector(), CRNNPretrainer()])
    @pytest.mark.parametrize(
        ("X", "y", "error", "match"),
        [
            ([], [], ValueError, "empty"),
            (np.zeros((2, 50, 64)), [[]], ValueError, "y has event lists for 1 clips"),
            (np.zeros((2, 50, 64)), [[], []], ValueError, "no event in any clip"),
            (np.zeros((2, 64)), [[], []], ValueError, "LFBETransformer"),
            ([np.zeros(44100)] * 2, [[], []], ValueError, "Clip 0 .*LFBETransformer"),
            (["a.wav", "b.wav"], [[], []], ValueError, "Clip 0"),
            ("a.wav", [[]], TypeError, "features"),
            ([np.zeros((50, 64)), np.zeros((50, 40))], [[], []], ValueError, "bands"),
            (np.full((2, 50, 64), np.nan), [[], []], ValueError, "clip 0 .*NaN"),
            (np.zeros((2, 50, 8)), [[(0, 1, "a")], []], ValueError, "At least 11 bands"),
            (np.zeros((2, 50, 64)), [(0.0, 1.0, "a")] * 2, TypeError, r"y\[0\]\[0\]"),
            (np.zeros((1, 50, 64)), [[(0, 1, "a")]], ValueError, "validation"),
            (np.zeros((2, 50, 64)), None, TypeError, "y must hold"),
        ],
    )
    def test_fit(self, estimator, X, y, error, match):
        with pytest.raises(error, match=match):
            clone(estimator).fit(X, y)

    def test_event_beyond_the_end(self, small):
        with pytest.raises(ValueError, match=r"y\[1\]\[0\] ends at 3 s"):
            small.fit(np.zeros((2, 100, 64)), [[], [(1, 3, "a")]])

    def test_predict_before_fit(self, small, features):
        for method in (small.predict, small.predict_candidates, small.predict_proposals):
            with pytest.raises(NotFittedError):
                method(features[0])

    @pytest.mark.parametrize("X", [None, "a.wav", [], np.zeros((2, 64)), [np.zeros(5)]])
    def test_predict_on_what_is_no_features(self, fitted, X):
        with pytest.raises((TypeError, ValueError), match=r"features|empty"):
            fitted.predict(X)

    def test_thresholds_are_looked_up_before_the_detection(self, fitted, features):
        named = copy.copy(fitted).set_params(score_threshold="balanced")
        named._candidates = None  # would fail otherwise
        with pytest.raises(ValueError, match="no thresholds named 'balanced'"):
            named.predict(features[0])

    @pytest.mark.parametrize("size", [np.nan, np.inf, 0, -1])
    def test_anchor_sizes(self, small, features, size):
        with pytest.raises(ValueError, match="anchor_sizes must be positive numbers"):
            small.set_params(anchor_sizes=(1, size)).fit(*features)

    def test_other_number_of_bands(self, fitted):
        with pytest.raises(ValueError, match="40 features"):
            fitted.predict(np.zeros((1, 50, 40)))

    def test_y_val_with_a_new_label(self, small, features):
        X, y = features
        with pytest.raises(ValueError, match=r"y_val\[0\].*'cow'"):
            small.fit(X, y, X_val=X[:1], y_val=[[(0, 1, "cow")]])

    @pytest.mark.parametrize(
        "params",
        [
            {"extractor": "resnet"},
            {"gru_units": 0},
            {"score_threshold": 2},
            {"precision": "half"},
            {"anchor_sizes": [1, -2]},
            {"freeze_extractor": True},
            {"device": "gpu"},
            {"pretrainer": "yes"},
            {"lr": 0},
            {"max_events_per_clip": 0},
        ],
    )
    def test_unknown_options(self, small, features, params):
        with pytest.raises(ValueError, match=next(iter(params))):
            small.set_params(**params).fit(*features)

    def test_a_fitted_network_predicts_where_device_says(self, small, features):
        """It went on where it was, and said nothing, when `device` was changed after fit."""
        detector = small.fit(*features)
        before = detector.predict_candidates(features[0])
        if not torch.cuda.is_available():
            with pytest.raises(ValueError, match="finds no CUDA"):
                detector.set_params(device="cuda").predict(features[0])
        detector.set_params(device="cpu:0")
        assert detector.predict_candidates(features[0]) == before
        assert detector.net_.device == "cpu:0"
