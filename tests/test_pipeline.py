"""Pipelines: built with one clock, taken apart, and vectors from recordings."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from sklearn.pipeline import Pipeline, make_pipeline

from sklearn_rcrnn import (
    ClipStream,
    CRNNPretrainer,
    FrameDetector,
    LFBETransformer,
    RCRNNDetector,
    average_weights,
    detect_stream,
    event_embeddings,
    load,
    make_rcrnn_pipeline,
    save,
)
from sklearn_rcrnn.datasets import make_rare_events
from sklearn_rcrnn.pipeline import split_pipeline


def test_parts():
    lfbe, pretrainer, detector = LFBETransformer(), CRNNPretrainer(), RCRNNDetector()
    assert split_pipeline(make_pipeline(lfbe, detector)) == (lfbe, detector)
    assert split_pipeline(make_pipeline("passthrough", detector)) == (None, detector)
    assert split_pipeline(detector) == (None, detector)
    features, last = split_pipeline(make_pipeline(lfbe, pretrainer, detector))
    assert [step for _, step in features.steps] == [lfbe, pretrainer]
    assert last is detector


@pytest.mark.parametrize(
    "steps",
    [
        [("lfbe", LFBETransformer(hop_length=512)), ("detector", RCRNNDetector())],
        [("lfbe", LFBETransformer()), ("detector", RCRNNDetector(frame_shift=0.02))],
        [
            ("lfbe", LFBETransformer()),
            ("crnn", CRNNPretrainer(frame_shift=0.02)),
            ("detector", RCRNNDetector(extractor="precomputed")),
        ],
    ],
)
def test_clocks_that_differ(steps):
    with pytest.raises(ValueError, match=f"not that of step '{steps[-2][0]}'"):
        split_pipeline(Pipeline(steps))


def test_vectors_from_recordings(data):
    X, y = data
    pipe = make_rcrnn_pipeline(gru_units=4, dense_units=8, max_epochs=1, random_state=0).fit(X, y)
    vectors = event_embeddings(pipe, X, y)
    assert [len(own) for own in vectors] == [len(clip) for clip in y]
    direct = pipe["detector"].event_embeddings(pipe["lfbe"].transform(X), y)
    for ours, theirs in zip(vectors, direct, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert pipe.transform(X).shape == (4, 17, 8)
    with pytest.raises(TypeError, match="ends in one; got LFBETransformer"):
        event_embeddings(pipe[:-1], X, y)


@pytest.fixture(scope="module")
def data():
    return make_rare_events(4, duration=3.0, random_state=0)


@pytest.fixture(scope="module")
def fitted(data):
    detector = RCRNNDetector(gru_units=4, dense_units=8, max_epochs=1, random_state=0)
    return detector.fit(LFBETransformer().transform(data[0]), data[1])


@pytest.fixture(scope="module")
def pipe(data):
    sizes = {"gru_units": 4, "dense_units": 8, "max_epochs": 1, "random_state": 0}
    return make_rcrnn_pipeline(**sizes).fit(*data)


class TestWrongClock:
    """A pipeline that is built by hand with two clocks is an error, not wrong times."""

    @pytest.mark.parametrize("method", ["predict", "transform", "score"])
    def test_at_predict(self, data, fitted, method):
        X, y = data
        pipe = make_pipeline(LFBETransformer(hop_length=512), fitted)
        message = r"frames of X are 0\.0116.* s apart, but with frame_shift=0\.0232"
        with pytest.raises(ValueError, match=message):
            getattr(pipe, method)(*([X, y] if method == "score" else [X]))

    def test_on_clips_of_unequal_length(self, data, fitted):
        clips = [data[0][0], data[0][1][:50000]]
        with pytest.raises(ValueError, match="times would be wrong"):
            make_pipeline(LFBETransformer(hop_length=512), fitted).predict(clips)

    @pytest.mark.parametrize(
        "estimator",
        [CRNNPretrainer(), RCRNNDetector(), FrameDetector(), RCRNNDetector(extractor="cnn")],
    )
    def test_at_fit(self, data, estimator):
        with pytest.raises(ValueError, match="times would be wrong"):
            make_pipeline(LFBETransformer(hop_length=2048), estimator).fit(*data)

    def test_through_a_cache(self, data, fitted, tmp_path):
        X, y = data
        for _ in range(2):  # the second time the features come from the cache
            pipe = make_pipeline(
                LFBETransformer(hop_length=512), RCRNNDetector(), memory=str(tmp_path)
            )
            with pytest.raises(ValueError, match="times would be wrong"):
                pipe.fit(X, y)

    def test_of_feature_maps(self, data):
        X, y = data
        steps = [LFBETransformer(), CRNNPretrainer(gru_units=4, max_epochs=1)]
        right = RCRNNDetector(extractor="precomputed", dense_units=8, max_epochs=1)
        assert len(make_pipeline(*steps, right).fit(X, y).predict(X)) == 4
        with pytest.raises(ValueError, match=r"frames of X are 0\.185.* takes them to be 0\.16 s"):
            make_pipeline(*steps, right.set_params(frame_shift=0.02)).fit(X, y)

    def test_of_a_stream(self, data):
        class Two(ClipStream):
            labels = ("babycry", "glassbreak", "gunshot")

            def __len__(self):
                return 2

            def draw(self, epoch, index):
                return data[0][index], data[1][index]

        with pytest.raises(ValueError, match="times would be wrong"):
            make_pipeline(LFBETransformer(hop_length=512), RCRNNDetector()).fit(Two())


class TestOtherFeatures:
    """Features that are set to others after fit are an error, not events of a network at a loss."""

    message = r"has features with n_fft=1024, but this \w+ knows only features with n_fft=2048"
    of_steps = r"'lfbe' makes features with n_fft=1024, but step '\w+' knows only .* n_fft=2048"
    sizes = {"gru_units": 4, "dense_units": 8, "max_epochs": 1, "random_state": 0}

    @pytest.fixture(params=["fitted", "loaded", "pickled"])
    def changed(self, request, pipe, tmp_path):
        if request.param == "loaded":
            again = load(save(pipe, tmp_path / "model"))
        else:
            again = copy.deepcopy(pipe) if request.param == "fitted" else through_pickle(pipe)
        return again.set_params(lfbe__n_fft=1024)

    def test_every_door(self, changed, data, tmp_path):
        X, y = data
        for arguments in (("predict", X), ("score", X, y), ("transform", X)):
            with pytest.raises(ValueError, match=self.message):
                getattr(changed, arguments[0])(*arguments[1:])
        detector, features = changed["detector"], changed["lfbe"].transform(X)
        for method in (detector.predict_candidates, detector.predict_proposals):
            with pytest.raises(ValueError, match=self.message):
                method(list(features))
        # These never compute features of a whole recording, or none at all.
        with pytest.raises(ValueError, match=self.of_steps):
            event_embeddings(changed, X, y)
        with pytest.raises(ValueError, match=self.of_steps):
            next(detect_stream(changed, [X[0]]))
        with pytest.raises(ValueError, match=self.of_steps):
            save(changed, tmp_path / "next")
        found = changed.set_params(lfbe__n_fft=2048, lfbe__f_max=22050.0, lfbe__n_jobs=2).predict(X)
        assert found == changed.predict(X)

    def test_what_is_not_known_goes_on(self, changed, data):
        features = np.asarray(changed["lfbe"].transform(data[0]))
        assert len(changed["detector"].predict(features)) == len(features)
        assert len(changed["detector"].predict(list(features))) == len(features)

    def test_the_hop_is_not_mended_by_another_clock(self, pipe, data):
        changed = copy.deepcopy(pipe).set_params(lfbe__hop_length=512)
        message = r"times would be wrong\. Compute .* as in fit, with hop_length=1024, or fit again"
        with pytest.raises(ValueError, match=message):
            changed.predict(data[0])
        with pytest.raises(ValueError, match=message):
            split_pipeline(changed)
        changed.set_params(detector__frame_shift=512 / 44100)
        with pytest.raises(ValueError, match="knows only features with hop_length=1024"):
            changed.predict(data[0])

    @pytest.mark.parametrize(
        "estimator",
        [
            CRNNPretrainer(gru_units=4, max_epochs=1),
            FrameDetector("mlp", max_epochs=1),
            RCRNNDetector(**sizes),
        ],
    )
    def test_every_estimator(self, estimator, data, tmp_path):
        X, y = data
        lfbe = LFBETransformer()
        known, other = lfbe.transform(X), LFBETransformer(n_fft=1024).transform(X)
        estimator.fit(known, y)
        mixed = [known[0], other[1]]
        for fitted in (estimator, load(save(estimator, tmp_path / "alone"))):
            fitted.score(known, y)
            for clips in (other, list(other), [*mixed, *known[2:]]):
                with pytest.raises(ValueError, match=self.message):
                    fitted.score(clips, y)
        with pytest.raises(ValueError, match="X_val has features with n_fft=1024, but this"):
            estimator.fit(known, y, X_val=other, y_val=y)
        estimator.fit(other, y).score(other, y)

    def test_a_stream_of_feature_maps(self, data):
        crnn = CRNNPretrainer(gru_units=4, max_epochs=1)
        detector = RCRNNDetector(extractor="precomputed", dense_units=8, max_epochs=1)
        pipe = Pipeline([("lfbe", LFBETransformer()), ("crnn", crnn), ("detector", detector)])
        pipe.fit(*data).predict(data[0])
        pipe.set_params(lfbe__eps=1e-6)
        with pytest.raises(ValueError, match=r"eps=1e-06, but this CRNNPretrainer knows only"):
            pipe.predict(data[0])
        with pytest.raises(ValueError, match=r"eps=1e-06, but step 'crnn' knows only"):
            split_pipeline(pipe)

    def test_averaged(self, data):
        X, y = data
        first = RCRNNDetector(**self.sizes).fit(LFBETransformer().transform(X), y)
        second = RCRNNDetector(**self.sizes).fit(LFBETransformer(n_fft=1024).transform(X), y)
        with pytest.raises(ValueError, match="another n_fft of the features than detector 0"):
            average_weights([first, second])

    def test_an_edited_model(self, pipe, tmp_path):
        folder = save(pipe, tmp_path / "model")
        text = (folder / "model.json").read_text()
        place = folder / "model.json"
        place.write_text(text.replace('"n_fft": 2048', '"n_fft": 1024', 1))
        with pytest.raises(ValueError, match=r"does not describe a model .* n_fft=1024"):
            load(folder)
        place.write_text(text.replace('"feature_settings"', '"from_before"'))
        assert load(folder)["detector"]._feature_settings["n_fft"] == 2048
        place.write_text(text.replace('"feature_settings": {', '"feature_settings": {"x": [],'))
        with pytest.raises(ValueError, match="feature_settings must be an object of numbers"):
            load(folder)


def through_pickle(estimator):
    return pickle.loads(pickle.dumps(estimator))
