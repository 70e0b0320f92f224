"""The folds in which ``rcrnn tune`` trains, by clips that it makes of the recordings."""

from __future__ import annotations

import numpy as np
import soundfile
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.pipeline import Pipeline

from sklearn_rcrnn import Event
from sklearn_rcrnn.cli._clips import Clips
from sklearn_rcrnn.cli._folds import FreshClipsDetector
from sklearn_rcrnn.datasets import cut_recordings


class Through(TransformerMixin, BaseEstimator):
    """Gives what it is given, with a clock."""

    frame_shift = 0.02

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X


class Listener(BaseEstimator):
    """Keeps what it is given."""

    def __init__(self, frame_shift=None):
        self.frame_shift = frame_shift

    def fit(self, X, y=None):
        self.heard_ = X
        return self

    def predict(self, X):
        return [clip.start for clip in X]


def test_a_fold_is_trained_as_by_train_and_hears_nothing_of_the_other(tmp_path):
    """One recording is noise and one is a tone, so that a clip tells what it was made of."""
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, 20 * 44100)
    tone = 0.1 * np.sin(2 * np.pi * 3000 / 44100 * np.arange(20 * 44100))
    paths, y = [tmp_path / "a.wav", tmp_path / "b.wav"], [[Event(4, 5, "a")], [Event(4, 5, "b")]]
    for path, samples in zip(paths, (noise, tone), strict=True):
        soundfile.write(path, samples, 44100)
    X, own, groups = cut_recordings(paths, y, clip_length=5.0, empty_ratio=1.0, random_state=0)
    clips = Clips(X, own, groups, recordings=paths, events=y, undecided=[[], []])

    def fitted(places):
        pipe = Pipeline([("lfbe", Through()), ("detector", Listener())])
        detector = clone(FreshClipsDetector(pipe, clips, length=2.0, seed=0))
        return detector.fit(places, [own[i] for i in places])

    def tonal(stream):
        power = [abs(np.fft.rfft(stream.draw(1, i)[0])) ** 2 for i in range(20)]
        return max(own[5900:6100].sum() / own.sum() for own in power)

    held = np.flatnonzero(groups == 1)
    fold = fitted(np.flatnonzero(groups == 0))
    stream = fold.pipeline[-1].heard_
    assert (stream.labels, len(stream), stream.mixture_length) == (["a"], 256, 2.0)
    assert tonal(stream) < 0.1 < tonal(fitted(np.arange(len(X))).pipeline[-1].heard_)
    assert fold.pipeline[-1].frame_shift == Through.frame_shift
    assert fold.predict(held) == [X[i].start for i in held]
