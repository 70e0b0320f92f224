"""Normalization of features by what is around each frame, and by the training clips."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.frozen import FrozenEstimator

from sklearn_rcrnn import CRNNPretrainer, FrameDetector, RCRNNDetector
from sklearn_rcrnn.nn.crnn import CRNN
from sklearn_rcrnn.nn.normalization import Normalization, Prior, normalized_around


def one_by_one(clip, context):
    """The same, frame by frame."""
    n = len(clip)
    width = min(context, n)
    rows = np.empty_like(clip)
    for i in range(n):
        first = min(max(i - width // 2, 0), n - width)
        around = clip[first : first + width]
        around = around[around.max(1) > around.min(1)]
        if not len(around):
            around = np.zeros((1, clip.shape[1])) + clip[i]
        rows[i] = (clip[i] - around.mean(0)) / (around.std(0) + 0.3)
    return np.maximum(rows, -4)


def test_a_single_band_is_normalized():
    clip = np.random.default_rng(0).normal(-10, 1, (200, 1)).astype(np.float32)
    found = Normalization(1, 50)(torch.tensor(clip)[None]).numpy()
    assert abs(found.mean()) < 0.1
    assert 0.5 < found.std() < 1


@settings(max_examples=50, deadline=None)
@given(
    n_frames=st.integers(1, 60),
    context=st.integers(1, 80),
    level=st.floats(-25, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_as_frame_by_frame(n_frames, context, level, seed):
    rng = np.random.default_rng(seed)
    clip = level + 3 * rng.standard_normal((n_frames, 8))
    found = normalized_around(torch.tensor(clip, dtype=torch.float32)[None], context)[0]
    np.testing.assert_allclose(found, one_by_one(clip, context), atol=2e-3)


def test_microphone_and_steady_background_do_not_count():
    features = torch.randn(2, 100, 64)
    other = features + 3 * torch.randn(2, 1, 64)
    torch.manual_seed(0)
    around, training = CRNN(64, gru_units=4, context=40).eval(), CRNN(64, gru_units=4).eval()
    with torch.inference_mode():
        assert torch.allclose(around(features), around(other), atol=1e-4)
        assert not torch.allclose(training(features), training(other), atol=1e-2)


def test_what_is_further_away_does_not_count():
    quiet, loud = torch.randn(1, 300, 64), 8 + 3 * torch.randn(1, 300, 64)
    found = normalized_around(torch.cat([quiet, loud], 1), 100)
    assert torch.allclose(found[:, :250], normalized_around(quiet, 100)[:, :250], atol=1e-3)
    assert torch.allclose(found[:, 350:], normalized_around(loud, 100)[:, 50:], atol=1e-3)


def test_bands_that_change_much_are_made_smaller():
    features = torch.randn(1, 1000, 64) * torch.linspace(0, 10, 64)
    deviation = normalized_around(features, 1000)[0].std(0)
    assert deviation[0] == 0  # steady, and not blown up
    assert (deviation < 1).all()
    assert deviation[-1] == pytest.approx(1, abs=0.1)


def test_padding_and_digital_silence_do_not_count():
    features = torch.randn(2, 100, 64)
    expected = normalized_around(features, 1000)
    silence = torch.full((2, 50, 64), -23.0)
    found = normalized_around(torch.cat([features, silence], 1), 1000)
    assert torch.allclose(found[:, :100], expected, atol=1e-5)
    assert (found[:, 100:] == found.min()).all()
    padded = torch.cat([features, torch.randn(2, 30, 64)], 1)
    found = normalized_around(padded, 1000, torch.tensor([100, 100]))
    assert torch.allclose(found[:, :100], expected, atol=1e-5)


def test_unequal_lengths_as_one_by_one():
    features, lengths = torch.randn(3, 90, 16), torch.tensor([90, 50, 7])
    found = normalized_around(features, 30, lengths)
    for row, clip, n in zip(found, features, lengths, strict=True):
        expected = normalized_around(clip[None, :n], 30)[0]
        assert torch.allclose(row[:n], expected, atol=1e-5)


def test_nothing_but_silence():
    network = CRNN(64, gru_units=4, context=20).eval()
    with torch.inference_mode():
        assert network(torch.full((1, 50, 64), -23.0)).isfinite().all()


def test_measured_over_all_frames():
    rng = np.random.default_rng(0)
    clips = [rng.normal(3, 2, (n, 16)).astype(np.float32) for n in (50, 80, 110)]
    plain = Normalization(16)
    plain.measure(clips)
    frames = np.concatenate(clips)
    np.testing.assert_allclose(plain.mean, frames.mean(0), rtol=1e-5)
    np.testing.assert_allclose(plain.scale, frames.std(0), rtol=1e-5)


@pytest.mark.parametrize(("lengths", "expected"), [((50, 80, 200), 80), ((200, 300), 100)])
def test_context_is_no_longer_than_training_clips(lengths, expected):
    around = Normalization(16, 100)
    around.narrow([np.random.default_rng(n).random((n, 16), np.float32) for n in lengths])
    assert around.context == expected


@pytest.mark.parametrize(
    "estimator",
    [
        RCRNNDetector(gru_units=4, dense_units=8),
        CRNNPretrainer(gru_units=4),
        FrameDetector("mlp"),
    ],
)
def test_in_seconds(estimator, features):
    X, y = features[0][:4, :100], [[(0.2, 1.0, "dog")], []] * 2
    fit = estimator.set_params(max_epochs=1, random_state=0, frame_shift=1024 / 44100).fit
    for normalization, frames in (("auto", 100), (2.0, 86), (10.0, 431)):
        estimator.set_params(normalization=normalization)
        assert own(fit(X, y)).context == frames
    estimator.set_params(normalization="training")
    assert own(fit(X, y)).context is None


def own(estimator):
    """Its module that normalizes."""
    network = estimator.net_.module_
    return getattr(network, "extractor", network).normalization


def test_a_detector_goes_on_with_what_its_pretrainer_measured(features):
    X, y = features[0][:4], [[(0.2, 1.0, "dog")], []] * 2
    pretrainer = CRNNPretrainer(gru_units=4, max_epochs=1, random_state=0).fit(X[:, :150], y)
    detector = RCRNNDetector(
        4, 8, max_epochs=1, pretrainer=FrozenEstimator(pretrainer), random_state=0
    )
    first, second = own(pretrainer), own(detector.fit(X, y))
    assert first.context == second.context == 150
    assert torch.equal(first.mean, second.mean)
    assert own(detector.fit(X[:, :100], y)).context == 100


@pytest.mark.parametrize("value", [0, -1.0, "clip", None])
def test_what_it_cannot_be(value, features, small):
    with pytest.raises(ValueError, match="normalization"):
        small.set_params(normalization=value).fit(*features)


@pytest.mark.parametrize("context", [1, 2, 30, 31, 400])
def test_a_chunk_with_its_reach_is_normalized_as_in_the_recording(context):
    around = Normalization(16, context)
    features = 3 * torch.randn(1, 300, 16) - 10
    before, after = reach = around.reach(200)
    assert before + after + 1 == min(context, 200)
    assert after <= 50
    whole = around(features, reach=reach)
    chunk = around(features[:, 200 - before : 210 + after], reach=reach)
    assert torch.allclose(chunk[:, before : before + 10], whole[:, 200:210], atol=2e-3)
    if after == (context - 1) // 2:
        assert torch.equal(whole, around(features))


def test_a_prior_of_no_frames_changes_nothing():
    features = torch.randn(2, 60, 16, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([60, 25])
    prior = Prior(torch.randn(16), torch.ones(16), torch.tensor(0.0))
    plain = normalized_around(features, 40, lengths)
    torch.testing.assert_close(normalized_around(features, 40, lengths, prior=prior), plain)


def test_with_a_prior_a_short_clip_keeps_its_color_and_a_long_one_does_not():
    color = torch.linspace(-2.0, 2.0, 16)
    noise = torch.randn(1, 2000, 16, generator=torch.Generator().manual_seed(0))
    prior = Prior(torch.zeros(16), torch.ones(16), torch.tensor(60.0))

    def color_left(n_frames):
        clip = noise[:, :n_frames] + color
        means = normalized_around(clip, 2000, prior=prior).mean((0, 1))
        return float(means[-1] - means[0])

    assert color_left(20) > 1.5
    assert abs(color_left(2000)) < 0.2


def test_with_a_prior_the_level_of_a_clip_does_not_matter():
    clip = torch.randn(1, 30, 16, generator=torch.Generator().manual_seed(0))
    prior = Prior(torch.linspace(-3, 0, 16), torch.ones(16), torch.tensor(60.0))
    loud = normalized_around(clip + 7.0, 100, prior=prior)
    torch.testing.assert_close(loud, normalized_around(clip, 100, prior=prior), atol=1e-4, rtol=0)


def test_weights_from_before_there_was_a_prior_load():
    saved = Normalization(16, context=40).state_dict()
    old = {name: value for name, value in saved.items() if not name.startswith("prior_")}
    network = Normalization(16, context=40)
    network.load_state_dict(old)
    assert network.prior_frames == 0
