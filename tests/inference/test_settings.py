"""The settings that tables of events are known by."""

from __future__ import annotations

from types import FunctionType

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from small_runs import tiny_pipeline

from sklearn_rcrnn.inference.settings import differences, settings_of


def test_labels_may_be_integers_of_numpy():
    pipe = tiny_pipeline(4).set_params(detector__merge_gap={np.int64(3): np.float32(0.5)})
    assert settings_of(pipe)["merge_gap"] == {"3": 0.5}


def logarithm(x):
    return np.log(x)


def exponential(x):
    return np.exp(x)


def test_functions_are_known_in_another_process():
    """Their addresses were taken for them, so that a run could not be taken up again."""
    ours, again, other = (
        Pipeline([("own", FunctionTransformer(function)), *tiny_pipeline(4).steps[1:]])
        for function in (logarithm, FunctionType(logarithm.__code__, globals()), exponential)
    )
    found = [settings_of(pipe)["func"] for pipe in (ours, again, other)]
    assert found[0] == found[1] != found[2]
    assert found[0].startswith("<function logarithm> ")


def test_differences_of_many_labels_are_told_shortly():
    few, many = {"a": 0.1}, dict.fromkeys("abcdefgh", 0.5)
    there = {"nms_threshold": 0.3, "score_threshold": few, "weights": "ab"}
    here = {"nms_threshold": 0.3, "score_threshold": many, "weights": "cd"}
    assert differences(here, there) == (
        "weights ab there, cd here; "
        "score_threshold (a: 0.1) there, (a: 0.5, b: 0.5, c: 0.5 and 5 more) here"
    )
