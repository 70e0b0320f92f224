"""Curves, tables, intervals and thresholds against the plain metrics."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags

from sklearn_rcrnn import (
    Event,
    FrameDetector,
    LFBETransformer,
    RCRNNDetector,
    TunedThresholdDetectorCV,
)
from sklearn_rcrnn._base import NetworkEstimator
from sklearn_rcrnn._folds import stratified_folds, warn_of_missing_labels
from sklearn_rcrnn.evaluation import (
    bootstrap_interval,
    detection_summary,
    onset_errors,
    psds,
    scores_by_group,
    threshold_curves,
)
from sklearn_rcrnn.events import select_events
from sklearn_rcrnn.metrics import (
    counts_by_clip,
    event_based_error_rate,
    event_based_f_score,
    event_counts,
    false_alarms_per_hour,
)

LABELS = ["cat", "dog"]


@pytest.fixture(scope="module")
def scored():
    """60 clips of true events and candidates, some of them near, with scores."""
    rng = np.random.default_rng(0)

    def event(near=None):
        onset = rng.uniform(0, 8) if near is None else max(0.0, near + rng.normal(scale=0.5))
        return Event(onset, onset + rng.uniform(0.2, 2), LABELS[rng.integers(2)], rng.uniform())

    true = [[event() for _ in range(rng.integers(3))] for _ in range(60)]
    found = [
        [*(event(e.onset)._replace(label=e.label) for e in clip), event()][: rng.integers(4)]
        for clip in true
    ]
    return true, found


def test_curves_equal_the_metrics_at_each_threshold(scored):
    true, found = scored
    curves = threshold_curves(true, found, thresholds=[0.0, 0.3, 0.8], max_events=1)
    assert curves.labels == LABELS
    for j, threshold in enumerate(curves.thresholds):
        kept = select_events(found, threshold, 1)
        rates = event_based_error_rate(true, kept, average=None, labels=LABELS)
        scores = event_based_f_score(true, kept, average=None, labels=LABELS)
        np.testing.assert_allclose(curves.error_rate[:, j], rates)
        np.testing.assert_allclose(curves.f_score[:, j], scores)


def test_curve_where_nothing_is_found(scored):
    true, _ = scored
    curves = threshold_curves(true, [[] for _ in true])
    assert (curves.error_rate == 1).all()
    assert (curves.precision == 1).all()
    assert (curves.recall == 0).all()


def test_groups_add_up(scored):
    true, found = scored
    groups = [i % 3 for i in range(60)]
    rows = scores_by_group(true, found, groups)
    n_true, n_found, n_right = event_counts(true, found, labels=LABELS)[0, :3]
    own = [row for row in rows if row["label"] == "cat"]
    assert sum(row["n_events"] for row in own) == n_true
    assert sum(row["recall"] * row["n_events"] for row in own) == pytest.approx(n_right)
    errors = sum(row["error_rate"] * row["n_events"] for row in own)
    assert errors == pytest.approx(n_true + n_found - 2 * n_right)


def test_groups_of_another_length(scored):
    with pytest.raises(ValueError, match="2 values for 60 clips"):
        scores_by_group(*scored, [1, 2])


def test_counts_by_clip_give_the_error_rate(scored):
    counts = counts_by_clip(*scored)
    assert counts[:, 3].sum() / counts[:, 0].sum() == pytest.approx(event_based_error_rate(*scored))


def test_interval_holds_the_score_and_narrows(scored):
    true, found = scored
    for metric in (event_based_error_rate, event_based_f_score):
        low, high = bootstrap_interval(true, found, metric=metric, random_state=0)
        assert low < metric(true, found) < high
        four = bootstrap_interval(true * 4, found * 4, metric=metric, random_state=0)
        assert (four[1] - four[0]) / (high - low) == pytest.approx(0.5, abs=0.1)


def test_interval_without_true_events():
    assert np.isnan(bootstrap_interval([[], []], [[(1, 2, "dog")], []], random_state=0)).all()


def test_interval_of_another_metric(scored):
    with pytest.raises(ValueError, match="metric must be"):
        bootstrap_interval(*scored, metric=len)


class TestSummary:
    def test_what_became_of_events(self):
        true = [[(1.0, 3.0, "dog"), (5.0, 6.0, "cat"), (8.0, 9.0, "cat")], []]
        found = [
            [(1.2, 3.0, "dog"), (5.6, 6.0, "cat"), (8.1, 9.0, "dog"), (20.0, 21.0, "dog")],
            [(4.0, 5.0, "cat")],
        ]
        summary = detection_summary(true, found, durations=[1800, 1800])
        assert summary.labels == LABELS
        cat, dog = summary.by_label
        names = ("n_true", "n_found", "n_right", "n_misplaced", "n_missed", "n_false")
        assert [cat[name] for name in names] == [2, 2, 0, 1, 1, 1]
        assert [dog[name] for name in names] == [1, 3, 1, 0, 0, 2]
        assert summary.confusions.tolist() == [[0, 1], [0, 0]]
        assert (cat["error_rate"], dog["error_rate"]) == (2.0, 2.0)
        assert summary.overall["n_true"] == 3
        assert summary.overall["false_alarms_per_hour"] == 3.0
        # The cat taken for a dog is one substitution: with it there are five errors.
        assert summary.overall["error_rate"] == pytest.approx(5 / 3)

    def test_recordings_without_true_events(self):
        summary = detection_summary([[], []], [[(1, 2, "dog")], []], durations=[900, 900])
        assert summary.overall["error_rate"] is None
        assert summary.by_label[0]["error_rate"] is None
        assert summary.overall["n_false"] == 1
        assert summary.overall["false_alarms_per_hour"] == 2.0

    def test_without_any_event(self):
        summary = detection_summary([[]], [[]])
        assert summary.labels == summary.by_label == []
        assert summary.overall["n_found"] == 0
        assert summary.overall["false_alarms_per_hour"] is None

    @pytest.mark.parametrize("durations", [[1.0], [1.0, 0.0], [1.0, np.nan]])
    def test_durations_that_cannot_be(self, durations):
        with pytest.raises(ValueError, match="durations"):
            detection_summary([[], []], [[], []], durations=durations)

    def test_rows_add_up(self, scored):
        summary = detection_summary(*scored)
        for row in (*summary.by_label, summary.overall):
            assert row["n_true"] == row["n_right"] + row["n_misplaced"] + row["n_missed"]
            assert row["n_found"] == row["n_right"] + row["n_misplaced"] + row["n_false"]
        assert 0 < summary.confusions.sum() <= summary.overall["n_missed"]
        assert summary.overall["error_rate"] == event_based_error_rate(*scored)
        assert summary.overall["f_score"] == pytest.approx(event_based_f_score(*scored))


def test_onset_errors_pair_the_same_label():
    true = [[(1.0, 3.0, "dog"), (1.5, 2.0, "cat")]]
    found = [[(1.4, 3.0, "dog"), (0.2, 0.9, "cat"), (2.9, 3.2, "dog")]]
    errors = onset_errors(true, found)
    assert errors["cat"].size == 0
    np.testing.assert_allclose(errors["dog"], [0.4])


def test_psds_of_the_truth_and_of_nothing(scored):
    pytest.importorskip("sed_scores_eval")
    true, _ = scored
    durations = [11.0] * len(true)
    # Of events of a label that overlap, any detection joins them.
    apart = [clip[:1] for clip in true]
    sure = [[event._replace(score=0.9) for event in clip] for clip in apart]
    assert psds(apart, sure, durations) == pytest.approx(1.0)
    assert psds(apart, [[] for _ in true], durations) == pytest.approx(0.0)
    late = [[e._replace(onset=e.onset + 3, offset=e.offset + 3) for e in c] for c in sure]
    assert psds(apart, late, [20.0] * len(true)) < 0.1


class TestFolds:
    def test_clips_sorted_by_class(self):
        clips = [[Event(0, 1, label)] for label in "aaabbbbbbccc"] + [[]] * 6
        for train, test in stratified_folds(clips, 3):
            labels = sorted(event.label for i in test for event in clips[i])
            assert labels == list("abbc")
            assert len(test) == 6
            assert sorted([*train, *test]) == list(range(18))

    def test_groups_stay_together(self):
        rng = np.random.default_rng(0)
        groups = rng.integers(12, size=80)
        kinds = [["a"], ["b"], ["a", "b"], []]
        clips = [[Event(0, 1, label) for label in kinds[group % 4]] for group in groups]
        for train, test in stratified_folds(clips, 3, groups):
            assert set(groups[train]).isdisjoint(groups[test])
            assert {e.label for i in test for e in clips[i]} == {"a", "b"}

    def test_what_cannot_be_split(self):
        with pytest.raises(ValueError, match="2 clips cannot make cv=3"):
            stratified_folds([[], []], 3)
        with pytest.raises(ValueError, match="1 groups of clips"):
            stratified_folds([[], []], 2, ["x", "x"])

    def test_warnings(self):
        clips = [[Event(0, 1, "a")], [Event(0, 1, "b")], [Event(0, 1, "b")], []]
        with pytest.warns(UserWarning, match="Fold 0") as told:
            warn_of_missing_labels(clips, stratified_folds(clips, 2))
        texts = [str(warning.message) for warning in told]
        assert any("no event of a to train on" in text for text in texts)
        assert any("no event of a to test on" in text for text in texts)


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

    def test_wrong_use(self, fitted, features):
        X, y = features
        with pytest.raises(ValueError, match="refit=False"):
            TunedThresholdDetectorCV(fitted, refit=False).fit(X, y)
        with pytest.raises(ValueError, match="nothing to choose"):
            TunedThresholdDetectorCV(fitted, cv="prefit").fit(X, [[]] * len(X))

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
