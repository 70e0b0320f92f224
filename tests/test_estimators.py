"""The estimators' promises: scikit-learn's own checks, and the same on features and audio."""

from __future__ import annotations

import pickle
import re
from functools import partial
from unittest import mock

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks
from skorch.callbacks import EpochTimer

from sklearn_rcrnn import (
    CRNNPretrainer,
    Event,
    FrameDetector,
    LFBETransformer,
    RCRNNDetector,
    TunedThresholdDetectorCV,
    make_rcrnn_pipeline,
)

PATHS_AND_CLIPS = "X may be a list of paths or of clips of unequal length"
STATELESS = "stateless: fit reads no samples; transform checks them"
# Checks of scikit-learn that cannot apply to LFBETransformer, each with its reason.
CANNOT_APPLY = {
    "check_estimators_dtypes": "64-bit integers are no PCM format: an error, not silence",
    "check_estimator_sparse_array": PATHS_AND_CLIPS,
    "check_estimator_sparse_matrix": PATHS_AND_CLIPS,
    "check_n_features_in": "clips may be of any length",
    "check_n_features_in_after_fitting": "clips may be of any length",
    "check_estimators_nan_inf": STATELESS,
    "check_complex_data": STATELESS,
    "check_dtype_object": "an object array is a list of paths or clips",
    "check_estimators_empty_data_messages": "a clip without samples, not without features",
}


@parametrize_with_checks(
    [LFBETransformer()],
    expected_failed_checks=lambda e: CANNOT_APPLY,
)
def test_scikit_learn(estimator, check):
    check(estimator)


NEEDS_2D = "fits an array of shape (n_samples, n_features)"
NEEDS_1D = "gives y one label a sample; here it is a list of events"
# Checks that cannot apply to the estimators that train on (n_clips, n_frames, n_bands) and
# lists of events, each with its reason. The same promises are tested below and in
# test_fit.py, on such data.
CANNOT_APPLY_TO_NETWORKS = {
    **dict.fromkeys(
        [
            "check_array_api_input",
            "check_complex_data",
            "check_dtype_object",
            "check_estimators_dtypes",
            "check_estimators_empty_data_messages",
            "check_estimators_nan_inf",
            "check_f_contiguous_array_estimator",
            "check_fit1d",
            "check_fit2d_1feature",
            "check_fit2d_1sample",
            "check_fit2d_predict1d",
            "check_n_features_in",
            "check_positive_only_tag_during_fit",
            "check_transformer_data_not_an_array",
            "check_transformer_general",
        ],
        NEEDS_2D,
    ),
    **dict.fromkeys(
        [
            "check_all_zero_sample_weights_error",
            "check_dict_unchanged",
            "check_dont_overwrite_parameters",
            "check_estimators_fit_returns_self",
            "check_estimators_overwrite_params",
            "check_estimators_pickle",
            "check_fit_check_is_fitted",
            "check_fit_idempotent",
            "check_fit_score_takes_y",
            "check_methods_sample_order_invariance",
            "check_methods_subset_invariance",
            "check_pipeline_consistency",
            "check_readonly_memmap_input",
            "check_requires_y_none",
            "check_sample_weight_equivalence_on_dense_data",
            "check_sample_weight_equivalence_on_sparse_data",
            "check_sample_weights_list",
            "check_sample_weights_not_an_array",
            "check_sample_weights_not_overwritten",
            "check_sample_weights_pandas_series",
            "check_sample_weights_shape",
        ],
        f"{NEEDS_2D}, and {NEEDS_1D}",
    ),
}
SPARSE = ("check_estimator_sparse_array", "check_estimator_sparse_matrix")
NETWORKS = [
    CRNNPretrainer(),
    RCRNNDetector(),
    FrameDetector(),
    TunedThresholdDetectorCV(RCRNNDetector()),
]


def checks_of_a_table_estimator():
    """Each network with each check that scikit-learn would run if it took 2-D arrays."""
    for estimator in NETWORKS:
        kind = type(estimator)
        own_tags = kind.__sklearn_tags__

        def tags_of_tables(self, own_tags=own_tags):
            tags = own_tags(self)
            tags.input_tags.two_d_array, tags.input_tags.three_d_array = True, False
            tags.target_tags.one_d_labels = True
            return tags

        with mock.patch.object(kind, "__sklearn_tags__", tags_of_tables):
            checks = list(estimator_checks._yield_all_checks(estimator, legacy=True))
        for check in checks:
            name = (check.func if isinstance(check, partial) else check).__name__
            yield pytest.param(estimator, check, name, id=f"{kind.__name__}-{name}")


@pytest.mark.parametrize(("estimator", "check", "name"), checks_of_a_table_estimator())
def test_scikit_learn_on_networks(estimator, check, name):
    if name in CANNOT_APPLY_TO_NETWORKS:
        pytest.skip(CANNOT_APPLY_TO_NETWORKS[name])
    if name in SPARSE and isinstance(estimator, TunedThresholdDetectorCV):
        pytest.skip(NEEDS_1D)
    check(type(estimator).__name__, estimator)


def as_tuples(events):
    return [[tuple(event) for event in clip] for clip in events]


def assert_same_events(first, second, atol=1e-4):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert [e.label for e in one] == [e.label for e in other]
        times = [[e[:2] + e[3:] for e in clip] for clip in (one, other)]
        np.testing.assert_allclose(*times, atol=atol)


@pytest.mark.parametrize("estimator", [RCRNNDetector(), CRNNPretrainer()])
def test_init_only_stores(estimator):
    assert vars(estimator) == estimator.get_params(deep=False)


def test_fitted_attributes(fitted):
    assert fitted.classes_.tolist() == ["babycry", "glassbreak", "gunshot"]
    assert fitted.n_features_in_ == 64
    assert len(fitted.history_) == 3
    for name in ("valid_loss", "rpn_cls", "rpn_reg", "head_cls", "head_reg", "train_head_cls"):
        assert np.isfinite(fitted.history_[:, name]).all()


def test_events_are_sorted_inside_the_clip_and_typed(fitted, features):
    X, _ = features
    for clip in fitted.predict(X):
        assert clip
        assert clip == sorted(clip)
        for event in clip:
            assert isinstance(event, Event)
            assert [type(part) for part in event] == [float, float, str, float]
            assert 0 <= event.onset < event.offset <= 4.0
            assert 0 <= event.score <= 1


def test_same_weights_twice(small, features):
    X, y = features
    first, second = (clone(small).fit(X, y) for _ in range(2))
    for a, b in zip(first.net_.module_.parameters(), second.net_.module_.parameters(), strict=True):
        assert torch.equal(a, b)
    other = clone(small).set_params(random_state=1).fit(X, y)
    assert not torch.equal(
        next(first.net_.module_.parameters()), next(other.net_.module_.parameters())
    )


def test_fit_leaves_the_global_generator_alone(small, features):
    X, y = features
    state = torch.get_rng_state()
    small.set_params(max_epochs=1).fit(X, y)
    assert torch.equal(state, torch.get_rng_state())


def test_fit_does_not_change_the_input(small, features):
    X, y = features
    before = X.copy()
    small.set_params(max_epochs=1).fit(X, y).predict(X)
    np.testing.assert_array_equal(X, before)


def test_pickle_clone_and_joblib(fitted, features, tmp_path):
    X, _ = features
    expected = fitted.predict(X)
    assert pickle.loads(pickle.dumps(fitted)).predict(X) == expected
    joblib.dump(fitted, tmp_path / "detector.joblib")
    assert joblib.load(tmp_path / "detector.joblib").predict(X) == expected
    # The training clips do not travel along.
    assert (tmp_path / "detector.joblib").stat().st_size < 20e6
    assert not hasattr(clone(fitted), "net_")


def test_html_repr(fitted):
    assert "RCRNNDetector" in fitted._repr_html_()


def test_alone_in_a_batch_or_padded(fitted, features):
    """The events of a clip do not depend on which clips it is predicted with."""
    X, _ = features
    clips = [X[0], X[1][:100], X[2][:37], X[3], X[4][:101]]
    together = fitted.predict(clips)
    for clip, expected in zip(clips, together, strict=True):
        assert_same_events(fitted.predict([clip]), [expected])
    for batch_size in (1, 2, 5):
        again = clone(fitted)
        vars(again).update(vars(fitted))
        assert_same_events(again.set_params(batch_size=batch_size).predict(clips), together)


def test_thresholds_may_change_after_fit(fitted, features):
    X, _ = features
    detector = clone(fitted)
    vars(detector).update(vars(fitted))
    candidates = detector.predict_candidates(X)
    detector.set_params(score_threshold=0.3)
    assert detector.predict(X) == [[e for e in clip if e.score >= 0.3] for clip in candidates]
    detector.set_params(score_threshold=0.0, max_events_per_clip=1)
    best = [[max(clip, key=lambda e: e.score)] for clip in candidates]
    assert detector.predict(X) == best
    count = sum(map(len, candidates))
    assert sum(map(len, detector.set_params(nms_threshold=0.1).predict_candidates(X))) < count
    assert sum(map(len, detector.set_params(nms_threshold=0.9).predict_candidates(X))) > count


def test_proposals(fitted, features):
    X, _ = features
    proposals = fitted.predict_proposals([X[0], X[1][:60]])
    for rows, end in zip(proposals, (4.0, 60 * 1024 / 44100), strict=True):
        assert rows.shape[1] == 3
        assert 0 < len(rows) <= 100
        assert (rows[:, 0] >= 0).all()
        assert (rows[:, 1] <= end).all()
        assert (np.diff(rows[:, 2]) <= 0).all()


def test_proposals_of_long_clips_are_those_of_windows(fitted, features):
    """A clip of an hour had no more than one of a minute, and others than ``predict`` looks at."""
    long = np.tile(np.concatenate(features[0]), (4, 1))[:7000]
    window = fitted._windows().length
    first, whole = fitted.predict_proposals([long[:window]])[0], fitted.predict_proposals([long])[0]
    early = [rows[rows[:, 1] < 40] for rows in (first, whole)]
    assert len(long) > 2.5 * window
    assert len(early[0]) > 10
    np.testing.assert_allclose(*(rows[np.lexsort(rows.T)] for rows in early), atol=1e-3)
    assert len(whole) > 100
    assert whole[:, 1].max() > 0.95 * len(long) * 1024 / 44100
    assert (np.diff(whole[:, 2]) <= 0).all()


@pytest.mark.parametrize("extractor", ["cnn", "crnn_gru", "crnn_bigru"])
def test_extractors_fit_and_predict(small, features, extractor):
    X, y = features
    detector = small.set_params(extractor=extractor, max_epochs=1)
    assert len(detector.fit(X, y).predict(X)) == len(X)
    assert detector.n_parameters_ > 0


def test_integer_labels_and_one_class(small, features):
    X, y = features
    numbered = [[(a, b, 7) for a, b, _ in clip] for clip in y]
    small.set_params(max_epochs=1, score_threshold=0.0).fit(X, numbered)
    labels = {event.label for clip in small.predict(X) for event in clip}
    assert labels == {7}
    assert {type(label) for label in labels} == {int}


def test_training_on_unequal_clips(small, features):
    X, y = features
    clips = [clip[: 130 + 3 * i] for i, clip in enumerate(X)]
    short = [
        [e for e in events if e[1] < len(clip) * 1024 / 44100]
        for clip, events in zip(clips, y, strict=True)
    ]
    assert len(small.set_params(max_epochs=1).fit(clips, short).predict(clips)) == len(clips)


def test_own_validation_callbacks_and_net_params(small, features):
    X, y = features
    small.set_params(
        max_epochs=1, callbacks=[("mine", EpochTimer())], net_params={"optimizer": torch.optim.SGD}
    )
    small.fit(X[:16], y[:16], X_val=X[16:], y_val=y[16:])
    assert isinstance(small.net_.optimizer_, torch.optim.SGD)
    assert "mine" in dict(small.net_.callbacks_)
    assert small.history_[-1, "batches", :, "train_batch_size"] == [8, 8]


def test_log_says_what_it_says(small, features, capsys):
    small.set_params(max_epochs=2, verbose=1, score_threshold=0.0).fit(*features)
    lines = capsys.readouterr().out.splitlines()
    assert "Losses are what the training lowers" in lines[0]
    header, *rows = lines[-3:]
    columns = re.split(r"\s{2,}", header.strip())
    assert columns == ["epoch", "training loss", "validation loss", "F-score", "seconds", "left"]
    assert [row.split()[0] for row in rows] == ["1/2", "2/2"]
    assert rows[1].split()[1] == f"{small.history_[-1, 'train_loss']:.3f}"
    assert rows[1].split()[3] == f"{small.history_[-1, 'valid_f_score']:.2f}"
    assert rows[1].split()[-1] == "0:00"
    assert max(map(len, lines)) < 100
    assert len(lines) == 6  # one line an epoch where no terminal is


def test_log_with_parts(small, features, capsys):
    small.set_params(max_epochs=1, verbose=2).fit(*features)
    header = capsys.readouterr().out.splitlines()[-2]
    assert {"rpn_cls", "rpn_reg", "head_cls", "head_reg"} <= set(header.split())


def test_no_validation(small, features):
    X, y = features
    small.set_params(validation_fraction=None, max_epochs=1).fit(X, y)
    assert "valid_loss" not in small.history_[-1]


def test_early_stopping_restores_the_best(small, features):
    X, y = features
    small.set_params(lr=0.02, max_epochs=30, patience=2).fit(X, y)
    losses = small.history_[:, "valid_loss"]
    assert len(losses) < 30
    best = int(np.argmin(losses))
    assert len(losses) == best + 3


def test_divergence_is_reported(small, features):
    X, y = features
    with pytest.raises(ValueError, match="lower lr"):
        small.set_params(lr=1e30, max_epochs=5, gradient_clip=None).fit(X, y)


class TestModelSelection:
    def test_grid_search_on_paths_with_workers(self, small, clips, tmp_path):
        import soundfile

        X, y = clips
        paths = [tmp_path / f"{i}.wav" for i in range(12)]
        for path, samples in zip(paths, X, strict=False):
            soundfile.write(path, samples, 44100)
        pipe = Pipeline([("lfbe", LFBETransformer()), ("detector", small)])
        grid = {"detector__gru_units": [4], "detector__dense_units": [8, 16]}
        search = GridSearchCV(pipe, grid, cv=2, n_jobs=2, error_score="raise")
        search.fit(paths, y[:12])
        assert search.best_params_["detector__dense_units"] in (8, 16)
        assert len(search.predict(paths[:2])) == 2

    def test_workers_share_the_cores(self):
        threads = joblib.Parallel(n_jobs=2)(joblib.delayed(torch.get_num_threads)() for _ in "ab")
        assert max(threads) <= max(1, joblib.cpu_count() // 2)

    def test_cross_val_score_on_arrays(self, small, clips):
        X, y = clips
        pipe = make_rcrnn_pipeline(gru_units=4, dense_units=8, max_epochs=1, random_state=0)
        scores = cross_val_score(pipe, X, y, cv=2, error_score="raise")
        assert ((scores >= 0) & (scores <= 1)).all()
