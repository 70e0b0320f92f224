"""Frame-level rivals: frames to events, the networks, the estimator's promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_rcrnn import (
    FrameDetector,
    RCRNNDetector,
    TunedThresholdDetectorCV,
    load,
    make_rcrnn_pipeline,
    save,
)
from sklearn_rcrnn.displays import ThresholdDisplay
from sklearn_rcrnn.frame_level import frames_to_events
from sklearn_rcrnn.nn.frame_networks import NETWORKS, FrameNetwork
from sklearn_rcrnn.nn.losses import Targets


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3]), st.sampled_from([0.0, 0.25]))
@settings(max_examples=50, deadline=None)
def test_frames_to_events_equal_a_walk_over_the_frames(seed, gap, duration):
    rng = np.random.default_rng(seed)
    frames = np.convolve(rng.uniform(size=60), [0.5, 0.5], mode="same")[:, None]
    found = frames_to_events(
        frames,
        ["x"],
        frame_shift=0.1,
        threshold=0.6,
        median_filter=0,
        min_gap=gap,
        min_duration=duration,
    )
    runs = []
    for i in np.flatnonzero(frames[:, 0] >= 0.6).tolist():
        if runs and (i - runs[-1][1] - 1) * 0.1 <= gap + 1e-9:  # 3 * 0.1 is more than 0.3
            runs[-1][1] = i
        else:
            runs.append([i, i])
    expected = [
        (max(0, (a - 0.5) * 0.1), min(5.9, (b + 0.5) * 0.1), frames[a : b + 1, 0].max())
        for a, b in runs
        if (b + 1 - a) * 0.1 >= duration
    ]
    np.testing.assert_allclose(
        [(e.onset, e.offset, e.score) for e in found] or np.empty((0, 3)),
        expected or np.empty((0, 3)),
    )


@pytest.mark.parametrize("n_frames", range(30, 60))
def test_a_gap_and_a_length_that_are_just_the_limit(n_frames):
    """Some gaps of exactly `min_gap` were joined, and others were not, by rounding."""
    settings = {"frame_shift": 0.02, "median_filter": 0, "min_gap": n_frames / 50}
    frames = np.concatenate([np.ones(5), np.zeros(n_frames), np.ones(5)])[:, None]
    assert len(frames_to_events(frames, ["x"], **settings)) == 1
    assert len(frames_to_events(1 - frames, ["x"], **settings, min_duration=n_frames / 50)) == 1


def test_median_filter_drops_a_single_frame():
    frames = np.zeros((50, 1))
    frames[10] = frames[20:40] = 1
    found = frames_to_events(frames, ["x"], frame_shift=0.1, median_filter=0.5)
    assert [(round(e.onset, 2), round(e.offset, 2)) for e in found] == [(1.95, 3.95)]


def targets(n_clips):
    intervals = torch.tensor([[[5.0, 20.0], [30.0, 34.0]]]).repeat(n_clips, 1, 1)
    mask = torch.tensor([[True, True], [True, False], [False, False]])[:n_clips]
    return Targets(intervals, torch.tensor([[0, 1]]).repeat(n_clips, 1), mask)


@pytest.mark.parametrize("name", NETWORKS)
def test_in_bfloat16(name):
    """What is chosen by itself where the processor has it, here on any."""
    torch.manual_seed(0)
    network = FrameNetwork(40, 2, name)
    features = torch.randn(3, 50, 40)
    with torch.autocast("cpu", torch.bfloat16):
        losses = network.losses(features, torch.tensor([50, 40, 30]), targets(3))
        sum(losses.values()).backward()
        found = network.eval()(features)
    assert all(loss.isfinite() for loss in losses.values())
    assert found.isfinite().all()


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_reach_every_member(name):
    torch.manual_seed(0)
    network = FrameNetwork(16, 2, name, n_members=2, foreground_weight=3.0, distance_weight=1.0)
    losses = network.losses(torch.randn(3, 60, 16), None, targets(3))
    assert set(losses) == {"frames", "distances"}
    sum(losses.values()).backward()
    for key, parameter in network.named_parameters():
        assert torch.isfinite(parameter.grad).all(), key
        if key.endswith("weight"):
            assert parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", NETWORKS)
def test_padding_changes_nothing(name):
    torch.manual_seed(0)
    network = FrameNetwork(16, 2, name).train()
    network.losses(torch.randn(3, 60, 16), None, targets(3))  # batch statistics off their start
    network.eval()
    short, batch = torch.randn(1, 43, 16), torch.randn(2, 90, 16)
    batch[0, :43] = short[0]
    with torch.inference_mode():
        alone = network(short)
        beside = network(batch, torch.tensor([43, 90]))
    torch.testing.assert_close(beside[0, :43], alone[0], atol=1e-5, rtol=1e-4)


def test_distances_are_those_to_the_edges():
    from sklearn_rcrnn.nn.frame_networks import _distances

    to_edges, inside = _distances(targets(3), 60)
    assert inside.sum(1).tolist() == [16 + 5, 16, 0]
    np.testing.assert_allclose(to_edges[0, 5], [0, 1])
    np.testing.assert_allclose(to_edges[0, 20], [1, 0])
    np.testing.assert_allclose(to_edges[0, 31], [0.25, 0.75])


@pytest.fixture
def rival():
    return FrameDetector("mlp", max_epochs=3, batch_size=4, lr=1e-2, random_state=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_each_network_learns(name, features):
    X, y = features
    detector = FrameDetector(
        name, max_epochs=3, batch_size=4, patience=None, validation_fraction=None, random_state=0
    ).fit(X[:12], y[:12])
    assert detector.history_[-1]["train_loss"] < detector.history_[0]["train_loss"]
    probabilities = detector.predict_frame_proba(X[:2])
    assert probabilities.shape == (2, X.shape[1], 3)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


class TestEstimator:
    def test_same_seed_same_events(self, rival, features):
        X, y = features
        first, second = clone(rival).fit(X, y), clone(rival).fit(X, y)
        assert np.array_equal(first.predict_frame_proba(X), second.predict_frame_proba(X))

    def test_threshold_after_fit(self, rival, features):
        X, y = features
        rival.fit(X, y)
        assert rival.set_params(frame_threshold=0.0).predict(X[:1]) != []
        assert rival.set_params(frame_threshold=1.0).predict(X) == [[] for _ in X]
        rival.set_params(frame_threshold=0.2, max_events_per_clip=1)
        assert max(len(clip) for clip in rival.predict(X)) == 1

    def test_unequal_lengths(self, rival, features):
        X, y = features
        rival.fit(X, y)
        short = [X[0], X[1][:50]]
        rows = rival.predict_frame_proba(short)
        assert [len(row) for row in rows] == [len(X[0]), 50]
        assert rival.predict(short)[0] == rival.predict(X[:1])[0]

    def test_windows_of_a_long_clip_join_without_a_seam(self, features):
        X, y = features
        # It hears 41 frames, less than the margin of a window.
        rival = FrameDetector("cnn", max_epochs=1, batch_size=4, random_state=0).fit(X, y)
        long = np.concatenate(list(X) * (1 + 8000 // (len(X) * X.shape[1])))[:8000]
        clips = [long, X[0], long[:2584]]
        for clip, row in zip(clips, rival.predict_frame_proba(clips), strict=True):
            (whole,) = rival._rows_in_one_piece([clip], torch.nn.Module.__call__, frames_per_row=1)
            np.testing.assert_allclose(row, whole, atol=1e-5)

    def test_grid_search_and_files(self, rival, features, tmp_path):
        X, y = features
        search = GridSearchCV(rival, {"network": ["mlp", "dnn"]}, cv=2).fit(X, y)
        best = search.best_estimator_
        assert load(save(best, tmp_path / "best")).predict(X) == best.predict(X)

    def test_thresholds_of_frames_are_tuned_otherwise(self, rival, features):
        X, y = features
        with pytest.raises(ValueError, match="GridSearchCV"):
            TunedThresholdDetectorCV(rival).fit(X, y)
        with pytest.raises(TypeError, match="moves their boundaries"):
            ThresholdDisplay.from_estimator(make_pipeline("passthrough", rival.fit(X, y)), X, y)

    def test_wrong_parameters(self, features):
        X, y = features
        with pytest.raises(ValueError, match="network"):
            FrameDetector("transformer").fit(X, y)
        with pytest.raises(ValueError, match="n_members"):
            FrameDetector(n_members=0).fit(X, y)


def test_r_fcn(features):
    X, y = features
    detector = RCRNNDetector(
        extractor="cnn",
        head="position_sensitive",
        max_epochs=1,
        batch_size=4,
        score_threshold=0.0,
        random_state=0,
    ).fit(X[:8], y[:8])
    assert len(detector.predict(X[:2])) == 2


def test_the_papers_preset():
    pipe = make_rcrnn_pipeline(preset="paper", gru_units=100, lr=1e-4)
    params = pipe["detector"].get_params()
    assert (params["recipe"], params["lr"], params["gru_units"]) == ("paper", 1e-4, 100)
    assert params["pretrainer__batch_size"] == 80
    with pytest.raises(ValueError, match="preset"):
        make_rcrnn_pipeline(preset="best")
