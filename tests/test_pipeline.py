"""Pipelines: built with one clock, taken apart, and vectors from recordings."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.pipeline import Pipeline, make_pipeline

from sklearn_rcrnn import (
    CRNNPretrainer,
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


def test_vectors_from_recordings():
    X, y = make_rare_events(4, duration=3.0, random_state=0)
    pipe = make_rcrnn_pipeline(gru_units=4, dense_units=8, max_epochs=1, random_state=0).fit(X, y)
    vectors = event_embeddings(pipe, X, y)
    assert [len(own) for own in vectors] == [len(clip) for clip in y]
    direct = pipe["detector"].event_embeddings(pipe["lfbe"].transform(X), y)
    for ours, theirs in zip(vectors, direct, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert pipe.transform(X).shape == (4, 17, 8)
    with pytest.raises(TypeError, match="ends in one; got LFBETransformer"):
        event_embeddings(pipe[:-1], X, y)
