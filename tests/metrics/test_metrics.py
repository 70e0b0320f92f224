"""Scores are sed_eval's own, on random events."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.pipeline import make_pipeline

from sklearn_rcrnn import CRNNPretrainer, Event, RCRNNDetector, TunedThresholdDetectorCV
from sklearn_rcrnn.evaluation import detection_summary, scores_by_group, threshold_curves
from sklearn_rcrnn.metrics import (
    counts_by_clip,
    error_rate_scorer,
    event_based_error_rate,
    event_based_f_score,
    event_counts,
    event_pairs,
    f_score_scorer,
    false_alarm_scorer,
    false_alarms_per_hour,
    match_events,
)
from sklearn_rcrnn.metrics.durations import clip_durations
from sklearn_rcrnn.metrics.event_based import _sed_eval

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
    return metrics


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
    expected = direct(y_true, y_pred, LABELS, **kwargs).results()
    there = {label for clip in y_true for _, _, label in clip}
    for function, name in (
        (event_based_error_rate, "error_rate"),
        (event_based_f_score, "f_measure"),
    ):
        for average, key in (("micro", "overall"), ("macro", "class_wise_average")):
            value = function(y_true, y_pred, average=average, labels=LABELS, **kwargs)
            if name == "f_measure" or there == set(LABELS):
                np.testing.assert_equal(value, expected[key][name][name])
        by_label = function(y_true, y_pred, average=None, labels=LABELS, **kwargs)
        theirs = [expected["class_wise"][label][name][name] for label in LABELS]
        if name == "error_rate":
            theirs = np.where([label in there for label in LABELS], theirs, np.nan)
        np.testing.assert_equal(by_label, theirs)
    counts = event_counts(y_true, y_pred, labels=LABELS, **kwargs)
    metrics = direct(y_true, y_pred, LABELS, **kwargs).class_wise
    assert counts[:, :3].tolist() == [
        [metrics[label][name] for name in ("Nref", "Nsys", "Ntp")] for label in LABELS
    ]


@pytest.mark.parametrize("what", [(True, False), (True, True), (False, True)])
def test_a_night_is_scored_in_parts(what, monkeypatch):
    """As if it were paired as a whole, which takes memory for all pairs."""
    rng = np.random.default_rng(0)
    onsets = np.sort(rng.uniform(0, 8000, 300)).tolist()
    true = [Event(t, t + rng.uniform(0.1, 6), str(rng.choice(LABELS))) for t in onsets]
    found = [e._replace(onset=max(0.0, e.onset - rng.uniform(0, 1))) for e in true[::-1][:200]]
    found += [Event(t, t + 1, "cry") for t in rng.uniform(0, 8000, 50).tolist()]
    kwargs = {"evaluate_onset": what[0], "evaluate_offset": what[1]}
    assert len(event_pairs.parts_apart(true, found, event_pairs.Criteria(**kwargs))) > 1
    scores = [scores_of_a_night(true, found, **kwargs)]
    monkeypatch.setattr(event_pairs, "_FEW", 1000)
    scores.append(scores_of_a_night(true, found, **kwargs))
    assert scores[0] == scores[1]


def scores_of_a_night(true, found, **kwargs):
    counts = event_counts([true], [found], **kwargs)
    return counts.tolist(), event_based_error_rate([true], [found], **kwargs)


# sed_eval adds a tiny number to denominators.
one = pytest.approx(1)


def test_collar_is_inclusive():
    assert event_based_f_score([[(1.0, 2.0, "a")]], [[(1.5, 2.0, "a")]]) == one
    assert event_based_error_rate([[(1.0, 2.0, "a")]], [[(1.51, 2.0, "a")]]) == pytest.approx(2)


@pytest.mark.parametrize("t_collar", [0, 0.0, 1, np.float32(0.5)])
def test_collars_that_sed_eval_does_not_take(t_collar):
    y_true, y_pred = [[(1, 2, "a"), (5, 6, "a")]], [[(1, 2, "a"), (5.25, 6, "a")]]
    expected = 1 if t_collar == 0 else 2
    criteria = {"t_collar": t_collar, "percentage_of_length": 1}
    assert event_counts(y_true, y_pred, **criteria)[0, 2] == expected
    error_rate = event_based_error_rate(y_true, y_pred, **criteria)
    assert error_rate == pytest.approx(2 - expected, abs=1e-9)


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
    assert event_based_f_score([[]], [[]], zero_division=0.0) == 0
    for function in (event_based_error_rate, event_based_f_score):
        assert function([[]], [[]], average=None).tolist() == []


def test_false_alarms_without_true_events():
    y_true, y_pred = [[], []], [[(1, 2, "a")], [(1, 2, "b"), (3, 4, "b")]]
    assert np.isnan(event_based_error_rate(y_true, y_pred))
    assert np.isnan(event_based_error_rate(y_true, y_pred, average="macro"))
    assert np.isnan(event_based_error_rate(y_true, y_pred, average=None)).all()
    durations = [900.0, 900.0]
    assert false_alarms_per_hour(y_true, y_pred, durations=durations) == 6
    by_label = false_alarms_per_hour(y_true, y_pred, durations=durations, average=None)
    assert by_label.tolist() == [2, 4]
    assert np.isnan(event_based_f_score(y_true, y_pred))
    with pytest.warns(UndefinedMetricWarning, match="no event is true"):
        assert event_based_f_score(y_true, y_pred, zero_division="warn") == 0


@pytest.mark.parametrize("function", [event_counts, event_based_error_rate, match_events])
@pytest.mark.parametrize("t_collar", [np.nan, -0.1])
def test_tolerances_that_cannot_be(function, t_collar):
    with pytest.raises(ValueError, match="t_collar must be 0 or more"):
        function([[(1, 2, "a")]], [[(1, 2, "a")]], t_collar=t_collar)


@pytest.mark.parametrize("function", [event_counts, event_based_error_rate])
def test_something_has_to_match(function):
    with pytest.raises(ValueError, match="cannot both be False"):
        function([[(1, 2, "a")]], [[(1, 2, "a")]], evaluate_onset=False)


def test_what_cannot_be_compared():
    with pytest.raises(TypeError, match="int in y_true, such as 3, and str in y_pred, such as '3'"):
        event_counts([[(1, 2, 3)]], [[(1, 2, "3")]])
    with pytest.raises(ValueError, match="zero_division must be a number"):
        event_based_f_score([[]], [[]], zero_division="zero")


def test_score_without_warning_where_an_event_is_true(recwarn):
    assert event_based_f_score([[(1, 2, "a")]], [[]], zero_division="warn") == 0
    assert not recwarn.list


def test_labels_without_true_events_do_not_count_in_the_mean():
    y_true, y_pred = [[(1, 2, "a")]], [[(1, 2, "a"), (5, 6, "b")]]
    rate = event_based_error_rate(y_true, y_pred, average="macro")
    assert rate == pytest.approx(0)


def test_misplaced_events_are_no_false_alarms():
    y_true, y_pred = [[(1, 4, "a")]], [[(2, 4, "a"), (2, 4, "b")]]
    assert event_counts(y_true, y_pred).tolist() == [[1, 1, 0, 1, 0, 0], [0, 1, 0, 0, 0, 1]]
    assert false_alarms_per_hour(y_true, y_pred, durations=[3600]) == 1


class Constant(BaseEstimator):
    def __init__(self, sample_rate=None, frame_shift=None):
        self.sample_rate = sample_rate
        self.frame_shift = frame_shift

    def predict(self, X):
        return [[(1.0, 2.0, "a")] for _ in X]


def test_scorers():
    y = [[(1.0, 2.0, "a")], []]
    assert f_score_scorer(Constant(), [0, 1], y) == pytest.approx(2 / 3)
    assert error_rate_scorer(Constant(), [0, 1], y) == pytest.approx(-1)


def test_false_alarm_scorer_measures_the_clips(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 4000)
    y = [[(1.0, 2.0, "a")], []]
    paths = [tmp_path / "a.wav", str(tmp_path / "a.wav")]
    assert false_alarm_scorer(Constant(), paths, y) == -3600 / 4
    samples = [np.zeros(4000), np.zeros(6000)]
    assert false_alarm_scorer(Constant(sample_rate=1000), samples, y) == -3600 / 10
    frames = np.zeros((2, 50, 3))
    assert false_alarm_scorer(Constant(frame_shift=0.1), frames, y) == -3600 / 10
    detector = RCRNNDetector(extractor="precomputed", frame_shift=0.1)
    for maps in (frames, list(frames)):  # the steps of feature maps are eight frames long
        assert clip_durations(detector, maps) == pytest.approx([40, 40])
        tuned = TunedThresholdDetectorCV(make_pipeline(detector))
        assert clip_durations(tuned, maps) == pytest.approx([40, 40])
    before = CRNNPretrainer(frame_shift=0.1)
    assert clip_durations(make_pipeline(before, detector), frames) == pytest.approx([5, 5])
    elements = [{"array": np.zeros(2000), "sampling_rate": 500}, {"path": str(paths[0])}]
    assert clip_durations(Constant(sample_rate=1000), elements) == pytest.approx([4, 2])
    with pytest.raises(ValueError, match="no parameter sample_rate"):
        false_alarm_scorer(RCRNNDetector(), samples, y)


@pytest.mark.parametrize(
    "score",
    [
        event_based_error_rate,
        event_based_f_score,
        event_counts,
        partial(false_alarms_per_hour, durations=[9.0]),
        partial(scores_by_group, groups=[1]),
        detection_summary,
        threshold_curves,
    ],
)
def test_a_label_is_no_list_of_labels(score):
    """Its letters were labels that never occur: no event, and no false alarm."""
    with pytest.raises(TypeError, match=r"labels must be a list of labels.*Use \['dog'\]"):
        score([[]], [[(1.0, 2.0, "dog")]], labels="dog")


@pytest.mark.parametrize(
    ("labels", "error", "match"),
    [
        (["7", "8"], TypeError, "labels has '7', and events have labels such as 7"),
        ([7, 8, 7], ValueError, "labels has a label more than once"),
    ],
)
@pytest.mark.parametrize("score", [event_based_error_rate, event_counts, threshold_curves])
def test_labels_that_cannot_be_meant(score, labels, error, match):
    """Texts were labels that never occur, and of a label named twice one had no event."""
    with pytest.raises(error, match=match):
        score([[(1, 2, 7)]], [[(1, 2, 7)]], labels=labels)


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
