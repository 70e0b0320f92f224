"""Own features in files and streams: through their method for blocks, or chunk by chunk."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import Pipeline

from sklearn_rcrnn import LFBETransformer, RCRNNDetector, detect_file, detect_stream
from sklearn_rcrnn.inference.feature_blocks import feature_blocks

RATE = 8000


class Louder(LFBETransformer):
    """A subclass with an own ``transform``: its features are not those of its parent."""

    def transform(self, X):
        return [clip + 3.0 for clip in super().transform(X)]


class LouderInBlocks(Louder):
    """It says itself how its features come in blocks."""

    def transform_blocks(self, blocks):
        for frames in super().transform_blocks(blocks):
            yield frames + 3.0


class Levels(TransformerMixin, BaseEstimator):
    """No relative of the package's features: levels of stretches of 20 ms, not centered."""

    sample_rate = RATE
    frame_shift = 0.02

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        hop = round(self.frame_shift * self.sample_rate)
        clips = [np.asarray(clip) for clip in X]
        parts = [c[: len(c) // hop * hop].reshape(-1, 16, hop // 16) for c in clips]
        return [np.log((p**2).mean(2) + 1e-10) for p in parts]


SETTINGS = {"sample_rate": RATE, "n_fft": 512, "hop_length": 256, "n_mels": 16}
FEATURES = [
    LFBETransformer(**SETTINGS),
    Louder(**SETTINGS),
    LouderInBlocks(**SETTINGS),
    Levels(),
]


@pytest.mark.parametrize("seconds", [0.5, 29.9, 33.0, 35.01, 70.0, 100.123])
@pytest.mark.parametrize(
    "features",
    [LFBETransformer(**SETTINGS), Louder(**SETTINGS), LouderInBlocks(**SETTINGS), Levels()],
)
def test_blocks_are_the_whole(features, seconds, rng):
    samples = rng.normal(size=round(seconds * RATE)).astype(np.float32)
    expected = features.transform([samples])[0]
    for n_blocks in (1, 7):
        joined = np.concatenate(list(feature_blocks(features, np.array_split(samples, n_blocks))))
        assert joined.dtype == np.float32
        assert joined.shape == expected.shape
        np.testing.assert_allclose(joined, expected, atol=1e-4)


def fitted(features, rng):
    X = rng.normal(scale=0.1, size=(6, 3 * RATE)).astype(np.float32)
    y = [[(0.5, 1.5, "dog")]] * 6
    detector = RCRNNDetector(
        gru_units=4,
        dense_units=8,
        max_epochs=1,
        validation_fraction=None,
        frame_shift=features.frame_shift,
        normalization="training",
        score_threshold=0.0,
        random_state=0,
    )
    return Pipeline([("features", features), ("detector", detector)]).fit(X, y)


@pytest.mark.parametrize("features", [Louder(**SETTINGS), Levels()])
def test_own_features_are_never_passed_over(features, rng, tmp_path):
    """Files and streams give the events of ``predict``, and not those of the parent's features."""
    pipe = fitted(features, rng)
    samples = rng.normal(scale=0.1, size=70 * RATE).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    expected = [e[:2] + e[3:] for e in pipe.predict([samples])[0]]
    assert expected
    from_file = [e[:2] + e[3:] for e in detect_file(pipe, tmp_path / "a.wav")]
    np.testing.assert_allclose(from_file, expected, atol=1e-3)
    stream = detect_stream(pipe, np.array_split(samples, 50))
    np.testing.assert_allclose(sorted(e[:2] + e[3:] for e in stream), expected, atol=1e-3)
    if isinstance(features, Louder):
        pipe.steps[0] = ("features", LFBETransformer(**SETTINGS))
        of_the_parent = [e[3] for e in detect_file(pipe, tmp_path / "a.wav")]
        assert not np.allclose(sorted(of_the_parent)[-5:], sorted(e[2] for e in expected)[-5:])


class TestWhatCannotBe:
    def test_no_clock(self, rng):
        pipe = fitted(Levels(), rng)

        class NoClock(Levels):
            sample_rate = None

        pipe.steps[0] = ("features", NoClock())
        with pytest.raises(TypeError, match="NoClock, have no sample_rate"):
            detect_stream(pipe, [])

    def test_frames_between_samples(self):
        features = Levels()
        features.frame_shift = 0.0201
        with pytest.raises(ValueError, match=r"frame_shift=0\.0201 s of Levels is no whole"):
            list(feature_blocks(features, [np.zeros(RATE, np.float32)]))

    def test_frames_of_another_length(self):
        class Sparse(Levels):
            def transform(self, X):
                return [clip[::2] for clip in super().transform(X)]

        with pytest.raises(ValueError, match=r"Sparse gives features of shape \(875, 16\)"):
            list(feature_blocks(Sparse(), [np.zeros(70 * RATE, np.float32)]))

    def test_empty_and_not_finite(self):
        with pytest.raises(ValueError, match="0 samples"):
            list(feature_blocks(Levels(), []))
        wrong = np.full(RATE, np.nan, np.float32)
        with pytest.raises(ValueError, match=r"before 2\.00 s that are NaN or infinite"):
            list(feature_blocks(Levels(), [np.zeros(RATE, np.float32), wrong]))
