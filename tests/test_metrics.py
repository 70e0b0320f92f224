"""Scores are sed_eval's own, on random events."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator

from sklearn_rcrnn.metrics import (
    _sed_eval,
    counts_by_clip,
    error_rate_scorer,
    event_based_error_rate,
    event_based_f_score,
    f_score_scorer,
    match_events,
)

LABELS = ["cry", "glass", "shot"]


def random_events(rng, n_clips, labels):
    clips = []
    for _ in range(n_clips):
        onsets = rng.uniform(0, 5, rng.integers(0, 4))
        clips.append([(t, t + rng.uniform(0.1, 2), str(rng.choice(labels))) for t in onsets])
    return clips


def direct(y_true, y_pred, labels, **kwargs):
    """sed_eval called by hand."""
    metrics = _sed_eval().sound_event.EventBasedMetrics(event_label_list=labels, **kwargs)
    for true, found in zip(y_true, y_pred, strict=True):
        metrics.evaluate(
            *(
                [{"event_onset": a, "event_offset": b, "event_label": c} for a, b, c in clip]
                for clip in (true, found)
            )
        )
    return metrics.results()


@given(
    st.integers(0, 2**31),
    st.sampled_from([0.2, 0.5, 1.0]),
    st.sampled_from([(True, False), (True, True), (False, True)]),
    st.sampled_from([LABELS, LABELS[:2], LABELS[:1]]),
)
@settings(max_examples=40, deadline=None)
def test_equals_sed_eval(seed, t_collar, what, found_labels):
    rng = np.random.default_rng(seed)
    y_true, y_pred = random_events(rng, 6, LABELS), random_events(rng, 6, found_labels)
    kwargs = {
        "t_collar": t_collar,
        "evaluate_onset": what[0],
        "evaluate_offset": what[1],
        "percentage_of_length": 0.3,
    }
    expected = direct(y_true, y_pred, LABELS, **kwargs)
    for function, name in (
        (event_based_error_rate, "error_rate"),
        (event_based_f_score, "f_measure"),
    ):
        for average, key in (("micro", "overall"), ("macro", "class_wise_average")):
            value = function(y_true, y_pred, average=average, labels=LABELS, **kwargs)
            np.testing.assert_equal(value, expected[key][name][name])
        by_label = function(y_true, y_pred, average=None, labels=LABELS, **kwargs)
        np.testing.assert_equal(
            by_label, [expected["class_wise"][label][name][name] for label in LABELS]
        )


# sed_eval adds a tiny number to denominators.
one = pytest.approx(1)


def test_collar_is_inclusive():
    assert event_based_f_score([[(1.0, 2.0, "a")]], [[(1.5, 2.0, "a")]]) == one
    assert event_based_error_rate([[(1.0, 2.0, "a")]], [[(1.51, 2.0, "a")]]) == pytest.approx(2)


def test_labels_restrict_and_order():
    y_true, y_pred = [[(1, 2, 7), (3, 4, 8)]], [[(1, 2, 7)]]
    assert event_based_f_score(y_true, y_pred, labels=[7]) == one
    assert event_based_error_rate(y_true, y_pred, average=None, labels=[8, 7]) == pytest.approx(
        [1, 0]
    )


def test_nothing_found():
    y_true, y_pred = [[(1, 2, "a")], []], [[], []]
    assert np.isnan(event_based_f_score(y_true, y_pred))
    assert event_based_f_score(y_true, y_pred, zero_division=0.0) == 0
    assert event_based_error_rate(y_true, y_pred) == one


def test_zero_division_counts_in_macro():
    y_true, y_pred = [[(1, 2, "a"), (3, 4, "b")]], [[(1, 2, "a")]]
    assert event_based_f_score(y_true, y_pred, average="macro") == one
    assert event_based_f_score(y_true, y_pred, average="macro", zero_division=0.0) == pytest.approx(
        0.5
    )


def test_no_event_at_all():
    assert np.isnan(event_based_error_rate([[], []], [[], []]))


class Constant(BaseEstimator):
    def predict(self, X):
        return [[(1.0, 2.0, "a")] for _ in X]


def test_scorers():
    y = [[(1.0, 2.0, "a")], []]
    assert f_score_scorer(Constant(), [0, 1], y) == pytest.approx(2 / 3)
    assert error_rate_scorer(Constant(), [0, 1], y) == pytest.approx(-1)


@pytest.mark.parametrize(
    ("y_true", "y_pred", "error", "match"),
    [
        ([[]], [[], []], ValueError, "y_pred has event lists for 2 clips"),
        ([[(2, 1, "a")]], [[]], ValueError, r"y_true\[0\]\[0\].*before"),
        ([[]], [(1, 2, "a")], TypeError, r"y_pred\[0\]"),
    ],
)
def test_bad_events(y_true, y_pred, error, match):
    with pytest.raises(error, match=match):
        event_based_error_rate(y_true, y_pred)


def test_bad_average():
    with pytest.raises(ValueError, match="average"):
        event_based_f_score([[]], [[]], average="weighted")


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_pairs_are_as_many_as_sed_eval_counts(seed):
    rng = np.random.default_rng(seed)

    def clip():
        onsets = rng.uniform(0, 4, size=rng.integers(0, 8)).round(2)
        return [(t, t + 1.0, str(rng.choice(["a", "b"]))) for t in sorted(onsets.tolist())]

    true, found = clip(), clip()
    pairs = match_events([true], [found])[0]
    assert len(pairs) == counts_by_clip([true], [found])[0, 2]
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    assert all(true[i][2] == found[j][2] and abs(true[i][0] - found[j][0]) <= 0.5 for i, j in pairs)
