"""Pipelines: built with one clock, taken apart, and vectors from recordings."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.pipeline import Pipeline, make_pipeline

from sklearn_rcrnn import (
    ClipStream,
    CRNNPretrainer,
    FrameDetector,
    LFBETransformer,
    RCRNNDetector,
    event_embeddings,
    make_rcrnn_pipeline,
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
