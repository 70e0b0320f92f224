"""Pre-training: as the first weights of a detector, frozen, and as a transformer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from sklearn_rcrnn import (
    CRNNPretrainer,
    LFBETransformer,
)


class TestPretraining:
    @pytest.fixture
    def pretrainer(self):
        return CRNNPretrainer(
            gru_units=8, max_epochs=1, batch_size=8, precision="float32", random_state=0
        )

    def test_feature_maps(self, pretrainer, features):
        X, y = features
        maps = pretrainer.fit(X, y).transform(X)
        assert maps.shape == (24, 22, 16)
        assert maps.dtype == np.float32
        unequal = pretrainer.transform([X[0], X[1][:60]])
        assert [row.shape for row in unequal] == [(22, 16), (8, 16)]
        np.testing.assert_allclose(unequal[0], maps[0], atol=1e-4)
        assert pretrainer.predict_proba(X).shape == (24, 3)
        assert 0 <= pretrainer.score(X, y) <= 1
        assert len(pretrainer.get_feature_names_out()) == 16

    def test_long_clips_go_through_in_windows(self, pretrainer, features):
        X, y = features
        extractor = pretrainer.fit(X, y).net_.module_.extractor
        long = np.concatenate([X[i % len(X)] for i in range(20)])  # 80 s
        with torch.inference_mode():
            whole = extractor.eval()(torch.from_numpy(long)[None])[0]
        lengths = []

        def look(module, inputs):
            lengths.append(inputs[0].shape[1])

        extractor.register_forward_pre_hook(look)
        maps = pretrainer.transform([long])[0]
        assert maps.shape == whole.shape
        np.testing.assert_allclose(maps[:100], whole[:100], atol=1e-3)
        assert max(lengths) * 1024 / 44100 < 61

    def test_fine_tuned(self, pretrainer, small, features):
        X, y = features
        small.set_params(pretrainer=pretrainer, max_epochs=1).fit(X, y)
        assert small.pretrainer_.gru_units == 8
        assert not hasattr(pretrainer, "net_")
        tuned = small.net_.module_.extractor.state_dict()["stem.weight"]
        assert not torch.equal(tuned, small.pretrainer_.net_.module_.extractor.stem.weight)

    @pytest.mark.parametrize("fitted_before", [True, False])
    def test_frozen(self, pretrainer, small, features, fitted_before):
        X, y = features
        if fitted_before:
            pretrainer = FrozenEstimator(pretrainer.fit(X, y))
        small.set_params(pretrainer=pretrainer, freeze_extractor=True).fit(X, y)
        before = small.pretrainer_.net_.module_.extractor.state_dict()
        for name, value in small.net_.module_.extractor.state_dict().items():
            assert torch.equal(value, before[name]), name
        clone(small).fit(X, y)

    def test_precomputed_pipeline(self, pretrainer, small, clips):
        X, y = clips
        detector = small.set_params(extractor="precomputed", max_epochs=1, score_threshold=0.0)
        pipe = Pipeline([("lfbe", LFBETransformer()), ("crnn", pretrainer), ("detector", detector)])
        events = pipe.fit(X, y).predict(X)
        assert all(0 <= e.onset < e.offset <= 4 for clip in events for e in clip)
        assert any(events)

    def test_long_feature_maps_are_heard_in_windows(self, small):
        """Of an hour, no more proposals were looked at than of a clip."""
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(8, 60, 6)).astype(np.float32), [[(1.0, 4.0, "a")]] * 8
        small.set_params(extractor="precomputed", n_proposals=3, max_epochs=1, score_threshold=0.0)
        small.set_params(nms_threshold=1.0).fit(X, y)
        long = rng.normal(size=(1000, 6)).astype(np.float32)  # 186 s, five windows
        (found,) = small.predict_candidates([long])
        assert len(found) > 3
        windows, expected = small._windows(), []
        for window in windows.of_recording(len(long)):
            (own,) = small.predict([long[window.start : window.stop]])
            expected += windows.own_events(window, own)
        for first, second in zip(found, sorted(expected), strict=True):
            assert first[:2] == pytest.approx(second[:2], abs=1e-3)

    def test_memory_fits_each_once(self, pretrainer, small, features, tmp_path, monkeypatch):
        X, y = features
        calls = []
        fit = CRNNPretrainer.fit
        monkeypatch.setattr(
            CRNNPretrainer,
            "fit",
            lambda self, *a, **k: calls.append(self.gru_units) or fit(self, *a, **k),
        )
        small.set_params(pretrainer=pretrainer, memory=str(tmp_path), max_epochs=1)
        grid = {"gru_units": [4, 8], "dense_units": [8, 16]}
        GridSearchCV(small, grid, cv=2, refit=False, error_score="raise").fit(X, y)
        assert sorted(calls) == [4, 4, 8, 8]  # once for each U and fold, not for each M

    def test_what_it_is_fitted_with(self, pretrainer, small, features, monkeypatch):
        """Without the validation clips of the detector, on its device and in its precision."""
        X = features[0]
        y = [[(0.5, 1.5, f"label {i}")] for i in range(24)]  # some of the validation clips alone

        class Stop(Exception):
            pass

        def watch(self, **given):
            raise Stop(self.get_params(), given)

        monkeypatch.setattr(CRNNPretrainer, "fit", watch)
        pretrainer.set_params(precision="auto")
        small.set_params(pretrainer=pretrainer, device="cpu", validation_fraction=0.25)
        with pytest.raises(Stop) as stop:
            small.fit(X, y, sample_weight=np.arange(1.0, 25.0))
        params, given = stop.value.args
        assert (params["device"], params["precision"]) == ("cpu", "float32")
        learnt = [int(weight) - 1 for weight in given["sample_weight"]]
        assert len(learnt) == 18
        np.testing.assert_array_equal(given["X"], X[learnt])
        assert [clip[0].label for clip in given["y"]] == [f"label {i}" for i in learnt]
        np.testing.assert_array_equal(given["X_val"], np.delete(X, learnt, axis=0))
        assert given["y_val"] == [[]] * 6

    def test_own_validation_clips_and_own_precision(self, pretrainer, small, features, monkeypatch):
        X, y = features

        class Stop(Exception):
            pass

        def watch(self, **given):
            raise Stop(self.precision, len(given["X"]), len(given["X_val"]))

        monkeypatch.setattr(CRNNPretrainer, "fit", watch)
        small.set_params(pretrainer=pretrainer, precision="bfloat16")
        with pytest.raises(Stop) as stop:
            small.fit(X[:20], y[:20], X_val=X[20:], y_val=y[20:])
        assert stop.value.args == ("float32", 20, 4)

    def test_disagreement(self, pretrainer, small, features):
        X, y = features
        frozen = FrozenEstimator(pretrainer.fit(X, y))
        with pytest.raises(ValueError, match=r"gru_units=8.*gru_units=16"):
            small.set_params(pretrainer=frozen, gru_units=16).fit(X, y)
