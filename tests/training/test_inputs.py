"""Which clips and labels a training learns from: the split, weights, and what cannot be learnt."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from skorch.callbacks import Callback
from small_trainings import KINDS, assert_same_weights, noisy_clips, tiny

from sklearn_rcrnn import Event, FrameDetector, RCRNNDetector
from sklearn_rcrnn.training.targets import warn_of_shared_times


@pytest.fixture(scope="module")
def data():
    return noisy_clips()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"anchor_sizes": (9, 16)},
            "narrowest of anchor_sizes has 9 steps, the longest clip 8",
        ),
        ({"normalization": 0.03}, r"normalization=0.03 s is less than two frames of 0.0232 s"),
    ],
)
def test_parameters_with_which_nothing_can_be_learnt(params, message, data):
    with pytest.raises(ValueError, match=message):
        tiny(RCRNNDetector, **params).fit(*data)


def test_two_labels_of_one_interval_are_told_of(data):
    """Nothing is ever matched with the second one, so that it was never learnt."""
    X, y = data
    both = [[*clip, *((*event[:2], "both") for event in clip[:1])] for clip in y]
    n = sum(bool(clip) for clip in y)
    with pytest.warns(UserWarning, match=rf"{n} event\(s\) have the onset and offset of one of"):
        tiny(RCRNNDetector, max_epochs=1).fit(X, both)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_shared_times([[Event(0.0, 1.0, "a"), Event(0.0, 1.5, "b"), Event(0.0, 1.0, "a")]])


class Learnt(Callback):
    """Remembers the labels of the clips that are trained on, and the number of others."""

    def on_train_begin(self, net, X=None, **kwargs):
        self.labels = {event.label for clip in X.y for event in clip}
        self.n_clips = len(X)


class TestSplit:
    @pytest.mark.parametrize("seed", range(3))
    def test_the_only_clip_with_a_label_is_learnt_from(self, data, seed):
        X, y = data
        rare = [*y[:-1], [(0.1, 0.5, "c"), (0.6, 0.9, "a")]]
        learnt = Learnt()
        detector = tiny(FrameDetector, max_epochs=1, random_state=seed)
        detector.set_params(callbacks=[learnt]).fit(X, rare)
        assert learnt.labels == set(detector.classes_) == {"a", "b", "c"}
        assert learnt.n_clips == 11

    def test_all_clips_are_the_only_ones_with_a_label(self, data):
        X, _ = data
        odd = [[(0.1, 0.5, f"label {i}")] for i in range(12)]
        with pytest.warns(UserWarning, match="Each clip is the only one with one of its labels"):
            tiny(FrameDetector, max_epochs=1).fit(X, odd)


class TestWeights:
    @KINDS
    def test_equal_weights_change_nothing(self, kind, data):
        X, y = data
        plain = tiny(kind, max_epochs=1).fit(X, y)
        weighted = tiny(kind, max_epochs=1, class_weight={"a": 1.0}).fit(
            X, y, sample_weight=np.full(12, 1.0)
        )
        for one, other in zip(plain.history_, weighted.history_, strict=True):
            assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-4)
            assert one["valid_loss"] == pytest.approx(other["valid_loss"], rel=1e-4)

    @KINDS
    def test_a_clip_of_weight_0_is_as_if_it_were_not_there(self, kind, data):
        """Neither in the losses nor in the split, the statistics, the labels or the counts."""
        X, y = data
        weight = np.r_[np.ones(10), 0.0, 0.0]
        odd = [*y[:10], [(0.1, 0.2, "c")], y[11]]
        detector = tiny(kind, class_weight="balanced")
        weighted = clone(detector).fit(X, odd, sample_weight=weight)
        assert weighted.classes_.tolist() == ["a", "b"]
        assert_same_weights(weighted, detector.fit(X[:10], y[:10], sample_weight=weight[:10]))
        assert_same_weights(weighted, clone(detector).fit(list(X), odd, sample_weight=weight))

    def test_class_weight(self, data):
        X, y = data
        rare = [clip if i % 4 else [] for i, clip in enumerate(y)]  # a: 3 events, b: 6
        known = tiny(FrameDetector, class_weight={"a": 1.5, "b": 0.75}).fit(X, rare)
        balanced = tiny(FrameDetector, class_weight="balanced").fit(X, rare)
        assert_same_weights(known, balanced)
        plain = tiny(FrameDetector).fit(X, rare)
        shares = [one.predict_frame_proba(X)[..., 0].mean() for one in (plain, balanced)]
        assert shares[1] > shares[0]

    def test_a_fold_may_lack_a_label(self, data):
        """As with scikit-learn's class_weight, if all labels of the fold are named."""
        by_label = {"a": 0.25, "b": 0.5, "c": 0.75}
        names = ("class_weight", "score_threshold", "merge_gap", "min_duration")
        detector = tiny(RCRNNDetector, max_epochs=1, **dict.fromkeys(names, by_label))
        assert len(detector.fit(*data).predict(data[0])) == 12
        detector.set_params(merge_gap={"a": 0.1, "c": 0.1})
        with pytest.raises(ValueError, match=r"merge_gap has the label\(s\) \['c'\]"):
            detector.predict(data[0])

    @pytest.mark.parametrize(
        ("params", "given", "match"),
        [
            ({"class_weight": {"c": 2.0}}, {}, r"class_weight has the labels \['c'\]"),
            ({"class_weight": {"a": -1.0}}, {}, "positive"),
            ({}, {"sample_weight": np.ones(3)}, r"one weight for each of the 12 clips"),
            ({}, {"sample_weight": np.full(12, np.nan)}, "finite"),
        ],
    )
    def test_errors(self, params, given, match, data):
        with pytest.raises(ValueError, match=match):
            tiny(RCRNNDetector, **params).fit(*data, **given)
