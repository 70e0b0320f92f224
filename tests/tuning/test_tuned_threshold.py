"""Thresholds that are chosen on clips that were not trained on."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags

from sklearn_rcrnn import (
    FrameDetector,
    LFBETransformer,
    RCRNNDetector,
    TunedThresholdDetectorCV,
)
from sklearn_rcrnn._base import NetworkEstimator
from sklearn_rcrnn.evaluation import (
    threshold_curves,
)
from sklearn_rcrnn.events import check_event_lists, select_events
from sklearn_rcrnn.metrics import (
    event_based_f_score,
    false_alarms_per_hour,
)
from sklearn_rcrnn.tuning.tuned_threshold import _check_thresholds


class TestTuning:
    def test_prefit_chooses_the_best_of_each_label(self, fitted, features):
        X, y = features
        tuned = TunedThresholdDetectorCV(fitted, cv="prefit").fit(X, y)
        curves = threshold_curves(y, fitted.predict_candidates(X))
        for label, row in zip(curves.labels, curves.error_rate, strict=True):
            assert tuned.best_score_[label] == row.min()
        assert tuned.estimator_.score_threshold == tuned.best_threshold_
        assert fitted.score_threshold == 0.0  # the user's own stays as it is
        chosen = select_events(fitted.predict_candidates(X), tuned.best_threshold_)
        assert tuned.predict(X) == chosen
        assert tuned.score(X, y) == event_based_f_score(y, chosen, zero_division=0.0)
        assert tuned.predict_candidates(X) == fitted.predict_candidates(X)

    def test_names_of_thresholds_do_not_matter_where_all_are_chosen(self, fitted, features):
        X, y = features
        named = copy.copy(fitted).set_params(score_threshold="balanced")
        tuned = TunedThresholdDetectorCV(named, cv="prefit").fit(X, y)
        assert set(tuned.estimator_.score_threshold) == set(fitted.classes_.tolist())

    def test_names_of_thresholds_are_looked_up_before_the_detection(self, fitted, features):
        X, y = features
        some = [[event for event in own if event[2] == "gunshot"] for own in y]
        named = copy.copy(fitted).set_params(score_threshold="balanced")
        named.predict_candidates = None  # would fail otherwise
        with pytest.raises(ValueError, match="no thresholds named 'balanced'"):
            TunedThresholdDetectorCV(named, cv="prefit").fit(X, some)

    def test_every_clip_is_judged_by_a_model_that_did_not_see_it(self, features, monkeypatch):
        X, y = features
        seen = []
        fit = RCRNNDetector.fit

        def watch(self, X, y, **kwargs):
            seen.append(len(X))
            return fit(self, X, y, **kwargs)

        monkeypatch.setattr(RCRNNDetector, "fit", watch)
        detector = RCRNNDetector(gru_units=4, dense_units=8, max_epochs=1, random_state=0)
        cv = KFold(3, shuffle=True, random_state=0)
        tuned = TunedThresholdDetectorCV(detector, cv=cv, scoring="f_score").fit(X, y)
        assert seen == [16, 16, 16, 24]
        assert set(tuned.best_threshold_) == set(tuned.classes_.tolist())
        assert detector.score_threshold == 0.5

    def test_y_that_can_be_read_once(self, features):
        X, y = features
        detector = RCRNNDetector(gru_units=2, dense_units=4, max_epochs=1, random_state=0)
        tuned = TunedThresholdDetectorCV(detector, cv=2)
        assert clone(tuned).fit(X, iter(y)).predict(X) == tuned.fit(X, y).predict(X)

    def test_clips_of_a_recording_stay_together(self, features, monkeypatch):
        X, y = features
        groups = np.arange(len(X)) % 3
        trained = []
        fit = RCRNNDetector.fit

        def watch(self, X, y, **kwargs):
            trained.append({clip.tobytes() for clip in X})
            return fit(self, X, y, **kwargs)

        monkeypatch.setattr(RCRNNDetector, "fit", watch)
        detector = RCRNNDetector(gru_units=4, dense_units=8, max_epochs=1, random_state=0)
        TunedThresholdDetectorCV(detector, cv=3).fit(X, y, groups=groups)
        for own in trained[:-1]:
            inside = {int(g) for clip, g in zip(X, groups, strict=True) if clip.tobytes() in own}
            assert len(inside) == 2
            assert len(own) == np.isin(groups, list(inside)).sum()

    @pytest.mark.parametrize("wrap", ["frozen", "pipeline", "frozen pipeline", "nested"])
    def test_detectors_inside_something(self, fitted, features, wrap):
        X, y = features
        pipe = make_pipeline(FunctionTransformer(), fitted)
        around = {
            "frozen": FrozenEstimator(fitted),
            "pipeline": pipe,
            "frozen pipeline": FrozenEstimator(pipe),
            "nested": make_pipeline(FunctionTransformer(), pipe),
        }[wrap]
        plain = TunedThresholdDetectorCV(fitted, cv="prefit").fit(X, y)
        tuned = TunedThresholdDetectorCV(around, cv="prefit").fit(X, y)
        assert tuned.best_threshold_ == plain.best_threshold_
        assert tuned.predict(X) == plain.predict(X)
        assert tuned.predict_candidates(X) == plain.predict_candidates(X)
        assert fitted.score_threshold == 0.0

    def test_a_search_inside(self, features):
        X, y = features
        detector = RCRNNDetector(gru_units=4, dense_units=8, max_epochs=1, random_state=0)
        search = GridSearchCV(detector, {"dense_units": [4, 8]}, cv=2)
        tuned = TunedThresholdDetectorCV(search, cv=2).fit(X, y)
        best = tuned.estimator_.best_estimator_
        assert best.score_threshold == tuned.best_threshold_
        assert tuned.predict(X) == best.predict(X)
        assert search.estimator.score_threshold == 0.5

    @pytest.mark.parametrize(
        "estimator",
        [
            LFBETransformer(),
            make_pipeline(LFBETransformer(), FrameDetector()),
            GridSearchCV(RCRNNDetector(), {"lr": [1e-3]}, refit=False),
        ],
    )
    def test_errors_before_any_fit(self, features, monkeypatch, estimator):
        X, y = features
        monkeypatch.setattr(NetworkEstimator, "fit", lambda *_: pytest.fail("fitted"))
        with pytest.raises(ValueError, match=r"score_threshold|refit=True"):
            TunedThresholdDetectorCV(estimator, cv=2).fit(X, y)
        with pytest.raises(ValueError, match="between 0 and 1"):
            TunedThresholdDetectorCV(RCRNNDetector(), thresholds=[2.0]).fit(X, y)
        some = [([0, 1], [2, 3])]
        with pytest.raises(ValueError, match=r"never tests clips \[0, 1, 4"):
            TunedThresholdDetectorCV(RCRNNDetector(), cv=some).fit(X, y)
        pipe = make_pipeline(FunctionTransformer(), RCRNNDetector())
        with pytest.raises(ValueError, match="length of clip 0 is not known"):
            TunedThresholdDetectorCV(pipe, max_false_alarms_per_hour=1).fit([np.zeros(9)], y[:1])

    def test_tags_and_routing(self, fitted, features):
        X, y = features
        tags = get_tags(TunedThresholdDetectorCV(fitted))
        assert tags.input_tags.three_d_array
        assert tags.target_tags.required
        seen = []

        class Watched(RCRNNDetector):
            def fit(self, X, y=None, *, X_val=None, y_val=None, weight=None):
                seen.append(weight)
                return super().fit(X, y)

        watched = Watched(gru_units=4, dense_units=8, max_epochs=1, random_state=0)
        weight = np.arange(len(X))
        groups = weight % 4
        TunedThresholdDetectorCV(watched, cv=2).fit(X, y, weight=weight)
        assert [len(own) for own in seen] == [12, 12, 24]
        with config_context(enable_metadata_routing=True):
            watched.set_fit_request(weight=True)
            tuned = TunedThresholdDetectorCV(watched, cv=GroupKFold(2))
            tuned.fit(X, y, groups=groups, weight=weight)
            assert [len(own) for own in seen[3:]] == [12, 12, 24]
            assert set(seen[3] % 4).isdisjoint(seen[4] % 4)

    def test_few_false_alarms(self, fitted, features):
        X, y = features
        free = TunedThresholdDetectorCV(fitted, cv="prefit", scoring="f_score").fit(X, y)
        hours = sum(len(clip) * fitted.frame_shift for clip in X) / 3600
        some = 3 / hours
        limited = TunedThresholdDetectorCV(
            fitted, cv="prefit", scoring="f_score", max_false_alarms_per_hour=some
        ).fit(X, y)
        for label in free.best_score_:
            assert limited.best_score_[label] <= free.best_score_[label]
        rates = false_alarms_per_hour(
            y,
            limited.predict(X),
            durations=[len(clip) * fitted.frame_shift for clip in X],
            average=None,
            labels=limited.classes_.tolist(),
        )
        assert rates.max() <= some + 1e-6
        assert rates.tolist() == pytest.approx(list(limited.false_alarms_per_hour_.values()))
        with pytest.warns(UserWarning, match="No threshold up to 0 keeps"):
            TunedThresholdDetectorCV(
                fitted, cv="prefit", thresholds=[0.0], max_false_alarms_per_hour=0
            ).fit(X, y)

    def test_nothing_is_left_of_an_earlier_fit(self, fitted, features):
        X, y = features
        tuned = TunedThresholdDetectorCV(fitted, cv="prefit", max_false_alarms_per_hour=100)
        tuned.fit(X, y).set_params(max_false_alarms_per_hour=None).fit(X, y)
        assert not hasattr(tuned, "false_alarms_per_hour_")
        with pytest.raises(ValueError, match="no event in any clip"):
            tuned.fit(X, [[] for _ in y])
        with pytest.raises(NotFittedError):
            tuned.predict(X)

    def test_a_label_of_clips_without_weight(self, features):
        """It got a threshold, with which predict ended in an error."""
        X, y = features
        events = [*y[:8], [(0.5, 1.5, "unheard")]]
        detector = RCRNNDetector(gru_units=4, dense_units=8, max_epochs=1, random_state=0)
        tuned = TunedThresholdDetectorCV(detector, cv=2)
        tuned.fit(X[:9], events, sample_weight=[1.0] * 8 + [0.0])
        assert "unheard" not in tuned.best_threshold_
        assert len(tuned.predict(X[:2])) == 2

    @pytest.mark.parametrize("wrap", ["plain", "pipeline", "frozen", "routed"])
    def test_clips_without_weight_do_not_count(self, fitted, features, wrap):
        """Their events and their false alarms, which may be wrong, chose the thresholds, too."""
        X, y = features
        wrong = [*y[:-3], *([(1.5, 1.8, label)] for label in fitted.classes_.tolist())]
        weight = np.repeat([2.0, 0.0], [len(X) - 3, 3])
        around, name = fitted, "sample_weight"
        limit = {} if wrap == "pipeline" else {"max_false_alarms_per_hour": 900}
        if wrap == "pipeline":
            around = make_pipeline(FunctionTransformer(), make_pipeline(fitted))
            name = "pipeline__rcrnndetector__sample_weight"
        elif wrap == "frozen":
            around = FrozenEstimator(fitted)
        elif wrap == "routed":
            name = "w"
        with config_context(enable_metadata_routing=wrap == "routed"):
            if wrap == "routed":
                around = copy.copy(fitted).set_fit_request(sample_weight="w")
            some, few = (TunedThresholdDetectorCV(around, cv="prefit", **limit) for _ in "ab")
            some.fit(X, wrong, **{name: weight})
            few.fit(X[:-3], y[:-3])
        assert some.best_score_ == few.best_score_
        assert some.best_threshold_ == few.best_threshold_
        if limit:
            assert some.false_alarms_per_hour_ == few.false_alarms_per_hour_
        with pytest.raises(ValueError, match="one weight for each of the 24 clips"):
            TunedThresholdDetectorCV(fitted, cv="prefit").fit(X, y, sample_weight=[1.0])

    def test_wrong_use(self, fitted, features):
        X, y = features
        with pytest.raises(ValueError, match="refit=False"):
            TunedThresholdDetectorCV(fitted, refit=False).fit(X, y)
        with pytest.raises(ValueError, match="nothing to choose"):
            TunedThresholdDetectorCV(fitted, cv="prefit").fit(X, [[]] * len(X))

    def test_a_splitter_of_ones_own_sees_clips_and_events(self, fitted, features):
        """As in a search of scikit-learn; it was given numbers instead of the clips, and no y."""
        X, y = features
        given = []

        class Halves:
            def get_n_splits(self, X=None, y=None, groups=None):
                return 2

            def split(self, X, y, groups=None):
                given.append((X, y))
                return KFold(2).split(X)

        TunedThresholdDetectorCV(FrozenEstimator(fitted), cv=Halves()).fit(X, y)
        ((clips, events),) = given
        assert clips is X
        assert events == check_event_lists(y)

    def test_thresholds_may_come_in_any_order(self):
        assert _check_thresholds([0.9, 0.1, 0.5, 0.1]).tolist() == [0.1, 0.5, 0.9]

    def test_thresholds_by_label(self, fitted, features):
        X, _ = features
        labels = fitted.classes_.tolist()
        detector = clone(fitted)
        detector.__dict__.update(fitted.__dict__)
        detector.set_params(score_threshold=dict.fromkeys(labels[1:], 1.0))
        with pytest.raises(ValueError, match="for each of"):
            detector.predict(X)
        detector.set_params(score_threshold=dict.fromkeys(labels, 1.0) | {labels[0]: 0.0})
        assert {event.label for clip in detector.predict(X) for event in clip} <= {labels[0]}
