"""Curves, tables and intervals against the plain metrics."""

from __future__ import annotations

import numpy as np
import pytest

from sklearn_rcrnn import (
    Event,
)
from sklearn_rcrnn.evaluation import (
    bootstrap_interval,
    by_own_mixtures,
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
    with pytest.raises(ValueError, match=r"groups\[59\] is NaN"):
        scores_by_group(*scored, [1.0] * 59 + [np.nan])


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
    lists = [[], []], [[(1, 2, "dog")], []]
    assert np.isnan(bootstrap_interval(*lists, random_state=0)).all()
    assert np.isnan(bootstrap_interval(*lists, metric=event_based_f_score, random_state=0)).all()


def test_label_without_true_events_has_no_f_score():
    lists = [[(3, 4, "cat")]], [[(1, 2, "dog", 0.9)]]
    dog = detection_summary(*lists).by_label[1]
    assert (dog["f_score"], dog["error_rate"], dog["n_false"]) == (None, None, 1)
    curves = threshold_curves(*lists, labels=["cat", "dog"], thresholds=[0.5])
    assert curves.f_score[0] == 0
    assert np.isnan([curves.f_score[1], curves.recall[1], curves.error_rate[1]]).all()


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

    def test_no_clip_has_no_rates(self):
        overall = detection_summary([], [], durations=[]).overall
        assert overall["n_false"] == 0
        assert overall["error_rate"] is overall["false_alarms_per_hour"] is None

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


def test_mixtures_made_for_classes_of_another_type():
    """None of the events was of the classes, without a word."""
    with pytest.raises(TypeError, match="labels has '1', and events have labels such as 1"):
        by_own_mixtures([[(1.0, 2.0, 1)]], [[]], ["1"])


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
    touching = [[(1.0, 2.0, "dog"), (2.0, 3.0, "dog")]]
    assert psds(touching, [[Event(1.0, 3.0, "dog", 0.9)]], [5.0]) == pytest.approx(1.0)
    # Candidates of a label that is never true were an error.
    other = [[*sure[0], Event(5.0, 6.0, "elk", 0.1)], *sure[1:]]
    assert psds(apart, other, durations) == pytest.approx(1.0)
    assert np.isnan(psds([[] for _ in true], other, durations))
    late = [[e._replace(onset=e.onset + 3, offset=e.offset + 3) for e in c] for c in sure]
    assert psds(apart, late, [20.0] * len(true)) < 0.1
