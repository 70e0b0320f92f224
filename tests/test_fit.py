"""What ``fit`` promises for every estimator that trains a network."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError, UndefinedMetricWarning
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback, EarlyStopping, EpochScoring, LRScheduler
from small_trainings import (
    KINDS,
    assert_same_weights,
    noisy_clips,
    tiny,
)

from sklearn_rcrnn import (
    CRNNPretrainer,
    FeatureAugmentation,
    FrameDetector,
    LFBETransformer,
    RCRNNDetector,
    load,
    save,
)
from sklearn_rcrnn.metrics import error_rate_scorer
from sklearn_rcrnn.nn.losses import Targets


@pytest.fixture(scope="module")
def data():
    return noisy_clips()


class RaiseInEpoch(Callback):
    def __init__(self, epoch, error):
        self.epoch, self.error = epoch, error

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise self.error


@KINDS
def test_parameters_are_read_from_the_signature(kind):
    estimator = tiny(kind)
    assert {"max_epochs", "lr", "verbose", "frame_shift"} <= set(estimator.get_params())
    assert clone(estimator.set_params(lr=0.5)).lr == 0.5
    with pytest.raises(TypeError, match=rf"{kind.__name__}.*'epochs'"):
        kind(epochs=3)


@pytest.mark.parametrize("kind", [RCRNNDetector, CRNNPretrainer])
def test_a_search_may_have_integers_of_numpy(kind, data):
    search = GridSearchCV(tiny(kind), {"gru_units": np.arange(2, 4)}, cv=2, error_score="raise")
    assert search.fit(*data).best_estimator_.net_.module_.extractor.gru.hidden_size in (2, 3)


class TestRandomNumbers:
    @KINDS
    def test_threads_do_not_disturb_each_other(self, kind, data):
        alone = [tiny(kind, random_state=seed).fit(*data) for seed in (1, 2)]
        state = torch.get_rng_state()
        together = [tiny(kind, random_state=seed) for seed in (1, 2)]
        threads = [threading.Thread(target=one.fit, args=data) for one in together]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one, other in zip(alone, together, strict=True):
            assert_same_weights(one, other)
        assert torch.equal(state, torch.get_rng_state())

    def test_a_failed_fit_leaves_the_generator_alone(self, data):
        state = torch.get_rng_state()
        with pytest.raises(RuntimeError, match="boom"):
            tiny(RCRNNDetector, callbacks=[RaiseInEpoch(1, RuntimeError("boom"))]).fit(*data)
        assert torch.equal(state, torch.get_rng_state())


class TestInterruption:
    @KINDS
    def test_ctrl_c_is_no_success(self, kind, data):
        estimator = tiny(kind).fit(*data)
        estimator.set_params(callbacks=[RaiseInEpoch(1, KeyboardInterrupt())])
        with pytest.raises(KeyboardInterrupt):
            estimator.fit(*data)
        with pytest.raises(NotFittedError):
            check_is_fitted(estimator)

    def test_a_grid_search_stops(self, data):
        detector = tiny(RCRNNDetector, callbacks=[RaiseInEpoch(1, KeyboardInterrupt())])
        with pytest.raises(KeyboardInterrupt):
            GridSearchCV(detector, {"lr": [1e-3, 1e-2]}, cv=2).fit(*data)

    def test_early_stopping_is_no_interruption(self, data):
        own = EarlyStopping(monitor="train_loss", patience=1, threshold=10.0)
        assert len(tiny(RCRNNDetector, max_epochs=9, callbacks=[own]).fit(*data).history_) == 2


class TestDivergence:
    @KINDS
    def test_a_rate_far_too_high(self, kind, data):
        with pytest.raises(ValueError, match=r"diverged.*lower lr"):
            tiny(kind, lr=1e6, lr_schedule="constant", max_epochs=4).fit(*data)

    def test_validation_loss(self, data):
        class Spoil(Callback):
            def on_batch_end(self, net, training=False, **kwargs):
                if not training:
                    net.history.record_batch("valid_loss", float("nan"))

        with pytest.raises(ValueError, match="valid_loss is nan"):
            tiny(RCRNNDetector, callbacks=[Spoil()]).fit(*data)

    def test_batch_statistics(self, data):
        class Spoil(Callback):
            def on_epoch_end(self, net, **kwargs):
                net.module_.get_buffer("extractor.norm.running_var").fill_(torch.inf)

        with pytest.raises(ValueError, match=r"running_var holds values that are not finite"):
            tiny(CRNNPretrainer, callbacks=[Spoil()]).fit(*data)


def test_schedule_ends_with_the_epochs_of_net_params(data):
    detector = tiny(RCRNNDetector, net_params={"max_epochs": 3, "batch_size": 6, "lr": 1e-2})
    detector.fit(*data)
    cycle = dict(detector.net_.callbacks_)["lr_schedule"].lr_scheduler_
    assert len(detector.history_) == 3
    # 11 of 12 clips are trained on, in batches of six.
    assert cycle.total_steps == 6
    assert cycle.last_epoch == 6


def test_early_stopping_without_validation_clips(data):
    detector = tiny(RCRNNDetector, validation_fraction=None, callbacks=[EarlyStopping()])
    with pytest.raises(ValueError, match=r"EarlyStopping monitors valid_loss.*X_val"):
        detector.fit(*data)


def test_a_callback_that_monitors_what_is_not_recorded(data):
    for params in (
        {"callbacks": [EarlyStopping(monitor="val_loss")]},
        {"net_params": {"callbacks": [EarlyStopping()]}, "validation_fraction": None},
    ):
        with pytest.raises(ValueError, match=r"monitors what .* not record: .*There are .*train_l"):
            tiny(RCRNNDetector, **params).fit(*data)


def test_no_epochs(data):
    with pytest.raises(ValueError, match="max_epochs must be 1 or more; got 0"):
        tiny(RCRNNDetector, net_params={"max_epochs": 0}).fit(*data)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"net_params": {"criterion": torch.nn.MSELoss}}, "computes its losses itself"),
        ({"net_params": {"train_split": None}}, "give validation_fraction"),
        ({"net_params": {"warm_start": True}}, r"pretrainer=FrozenEstimator\(fitted\)"),
        ({"net_params": {"module__dense_units": 3}}, "the parameters of the estimator"),
        ({"net_params": {"callbacks": []}, "callbacks": [Callback()]}, "take the place"),
        ({"net_params": {"device": "gpu"}}, "device must be"),
        ({"callbacks": [LRScheduler()], "lr_schedule": "one_cycle"}, 'lr_schedule="constant"'),
        ({"callbacks": [("a", LRScheduler)], "lr_schedule": "one_cycle"}, "only the latter"),
    ],
)
def test_parameters_of_skorch_that_would_have_no_effect(params, match, data):
    with pytest.raises(ValueError, match=match):
        tiny(CRNNPretrainer, **params).fit(*data)


@KINDS
def test_event_after_the_end_of_the_clip(kind, data):
    X, y = data
    with pytest.raises(ValueError, match=r"y\[0\]\[0\] ends at 1000 s"):
        tiny(kind).fit(X, [[(0.1, 1000.0, "a")], *y[1:]])


def test_y_that_can_be_read_once(data):
    X, y = data
    pretrainer = tiny(CRNNPretrainer, max_epochs=1)
    known = tiny(RCRNNDetector, pretrainer=pretrainer).fit(X, y)
    once = tiny(RCRNNDetector, pretrainer=pretrainer).fit(X, (iter(clip) for clip in y))
    assert_same_weights(known, once)


class TestScikitLearn:
    def test_cross_val_predict(self, data):
        X, y = data
        detector = tiny(RCRNNDetector, max_epochs=1)
        found = cross_val_predict(detector, X, y, cv=3)
        assert found.shape == (12,)
        for first in (0, 4, 8):
            rest = np.r_[:first, first + 4 : 12]
            expected = detector.fit(X[rest], [y[i] for i in rest]).predict(X[first : first + 4])
            assert found[first : first + 4].tolist() == expected

    def test_predictions_are_lists(self, data):
        found = tiny(RCRNNDetector, max_epochs=1).fit(*data).predict(data[0])
        assert isinstance(found, list)
        assert found == [list(clip) for clip in found]
        assert found[:2] == [found[0], found[1]]
        assert found[-1] is found[11]

    def test_pandas_output_is_for_tables(self, data):
        rng = np.random.default_rng(0)
        X, y = [0.1 * rng.normal(size=44100) for _ in range(4)], [[(0.1, 0.5, "a")]] * 4
        crnn, detector = tiny(CRNNPretrainer), tiny(RCRNNDetector, extractor="precomputed")
        pipe = Pipeline([("lfbe", LFBETransformer()), ("crnn", crnn), ("detector", detector)])
        with sklearn.config_context(transform_output="pandas"):
            assert len(pipe.fit(X, y).predict(X)) == 4

    def test_metadata_routing(self, data):
        X, y = data
        with sklearn.config_context(enable_metadata_routing=True):
            pipe = Pipeline([("detector", tiny(RCRNNDetector, max_epochs=1))])
            score = pipe.fit(X, y).score(X, y)
            assert score == pipe["detector"].score(X, y)
            # scikit-learn 1.6 asks for params where others have a default.
            scores = cross_val_score(pipe, X, y, cv=2, error_score="raise", params={})
            assert scores.shape == (2,)

    def test_score_by_weight(self, data):
        X, y = data
        detector = tiny(RCRNNDetector, max_epochs=1).fit(X, y)
        weight = np.r_[np.zeros(8), np.full(4, 3.0)]
        assert detector.score(X, y, weight) == pytest.approx(detector.score(X[8:], y[8:]))

    def test_score_without_true_events(self, data, capsys):
        X, y = data
        none = [[] for _ in y]
        detector = tiny(RCRNNDetector, max_epochs=1, verbose=1)
        detector.fit(X, y, X_val=X, y_val=none)
        assert np.isnan(detector.history_[-1]["valid_f_score"])
        assert "F-score" not in capsys.readouterr().out
        of_none = np.r_[np.zeros(1), np.ones(len(X) - 1)]
        for events, weight in [(none, None), (none, np.ones(len(X))), ([y[0], *none[1:]], of_none)]:
            with pytest.warns(UndefinedMetricWarning, match="no event is true"):
                assert detector.score(X, events, weight) == 0

    def test_validation_clips_in_a_pipeline(self, data):
        rng = np.random.default_rng(0)
        X, y = [0.1 * rng.normal(size=44100) for _ in range(4)], [[(0.1, 0.5, "a")]] * 4
        steps = [("lfbe", LFBETransformer()), ("detector", tiny(RCRNNDetector))]
        pipe = Pipeline(steps)
        with pytest.raises(ValueError, match=r"X_val=pipe\[:-1\]\.transform\(X_val\)"):
            pipe.fit(X, y, detector__X_val=X, detector__y_val=y)
        pipe.fit(X, y, detector__X_val=pipe[:-1].transform(X), detector__y_val=y)
        assert "valid_loss" in pipe[-1].history_[-1]
        with sklearn.config_context(enable_metadata_routing=True):
            steps[1][1].set_fit_request(X_val=True, y_val=True)
            routed = Pipeline(steps, transform_input=["X_val"]).fit(X, y, X_val=X, y_val=y)
        assert routed[-1].history_[-1, "valid_loss"] == pipe[-1].history_[-1, "valid_loss"]

    def test_validation_keeps_to_the_rules_for_events(self, data):
        X, y = data
        free = tiny(RCRNNDetector)
        ruled = clone(free).set_params(min_duration=0.3, score_threshold={"a": 0.0, "b": 0.2})
        for detector in (free, ruled):
            detector.fit(X, y, X_val=X, y_val=y)
            assert detector.history_[-1, "valid_f_score"] == pytest.approx(detector.score(X, y))
        assert free.score(X, y) != ruled.score(X, y)

    @pytest.mark.parametrize("kind", [RCRNNDetector, FrameDetector])
    def test_epoch_scoring(self, kind, data):
        X, y = data
        scoring = EpochScoring(error_rate_scorer, name="error_rate", lower_is_better=False)
        detector = tiny(kind, callbacks=[scoring])
        detector.fit(X, y, X_val=X[:4], y_val=y[:4])
        assert detector.history_[-1, "error_rate"] == error_rate_scorer(detector, X[:4], y[:4])


def mixup(features, lengths, targets):
    """Each clip with half of the next one, and the events of both."""
    features = torch.logaddexp(features, features.roll(1, 0)) - np.log(2)
    parts = zip(targets, (part.roll(1, 0) for part in targets), strict=True)
    return features, lengths, Targets(*(torch.cat(pair, 1) for pair in parts))


def shift(features, lengths, targets):
    """Ten frames later; events that leave the clip are cut, or dropped."""
    features = torch.cat([features[:, :1].expand(-1, 10, -1), features[:, :-10]], 1)
    intervals = (targets.intervals + 10).clamp(max=features.shape[1] - 1)
    inside = targets.mask & (intervals[..., 0] < intervals[..., 1])
    return features, lengths, targets._replace(intervals=intervals, mask=inside)


class TestAugmentation:
    @KINDS
    @pytest.mark.parametrize("augmentation", [mixup, shift, FeatureAugmentation()])
    def test_any_callable(self, kind, augmentation, data):
        plain = tiny(kind, max_epochs=1).fit(*data)
        changed = tiny(kind, max_epochs=1, augmentation=augmentation).fit(*data)
        assert plain.history_[-1, "train_loss"] != changed.history_[-1, "train_loss"]

    @KINDS
    def test_targets_are_in_frames(self, kind, data):
        X, y = data
        seen = []

        def look(features, lengths, targets):
            seen.append((features, lengths, targets))
            return features

        tiny(kind, max_epochs=1, batch_size=12, validation_fraction=None, augmentation=look).fit(
            X, y
        )
        ((features, lengths, targets),) = seen
        assert lengths is None
        for clip, interval, mask in zip(features, targets.intervals, targets.mask, strict=True):
            assert mask.tolist() == [True]
            i = int((torch.from_numpy(X) == clip).all(-1).all(-1).nonzero())
            expected = np.array(y[i][0][:2]) * 44100 / 1024
            np.testing.assert_allclose(interval[0], expected, rtol=1e-5)

    def test_targets_follow(self, data):
        """What is learnt from clips turned by ten frames is as if they had been so before."""
        X, y = data
        later = [[(a + 10 * 1024 / 44100, b + 10 * 1024 / 44100, c) for a, b, c in e] for e in y]

        def turn(features, lengths, targets):
            later = targets._replace(intervals=targets.intervals + 10)
            return features.roll(10, 1), lengths, later

        settings = {"validation_fraction": None, "max_epochs": 1, "normalization": "training"}
        turned = tiny(RCRNNDetector, augmentation=turn, **settings).fit(X, y)
        expected = tiny(RCRNNDetector, **settings).fit(np.roll(X, 10, 1), later)
        loss = turned.history_[-1, "train_loss"]
        assert loss == pytest.approx(expected.history_[-1, "train_loss"], rel=1e-3)
        plain = tiny(RCRNNDetector, **settings).fit(X, y)
        assert loss != pytest.approx(plain.history_[-1, "train_loss"], rel=1e-3)

    def test_in_place(self, data):
        """Times that were changed in place were forgotten."""
        X, y = data

        def returned(features, lengths, targets):
            return features, lengths, targets._replace(intervals=targets.intervals / 2)

        def in_place(features, lengths, targets):
            targets.intervals.div_(2)
            return features

        losses = [
            tiny(RCRNNDetector, max_epochs=1, augmentation=own).fit(X, y).history_[-1, "train_loss"]
            for own in (returned, in_place)
        ]
        assert losses[0] == losses[1]

    def test_other_frames_without_times(self, data):
        with pytest.raises(ValueError, match="where the number of frames changes, it must return"):
            tiny(RCRNNDetector, augmentation=lambda x, n, y: x[:, ::2]).fit(*data)

    def test_what_is_no_batch(self, data):
        def half(features, lengths, targets):
            return features[: len(features) // 2]

        with pytest.raises(ValueError, match="augmentation must return features of 4 clips"):
            tiny(RCRNNDetector, augmentation=half).fit(*data)


def test_an_own_augmentation_is_not_saved(data, tmp_path):
    detector = tiny(RCRNNDetector, augmentation=shift, class_weight={"a": 2.0}).fit(*data)
    loaded = load(save(detector, tmp_path / "model"))
    assert loaded.augmentation is None
    assert loaded.class_weight == {"a": 2.0}
    assert loaded.predict(data[0]) == detector.predict(data[0])
