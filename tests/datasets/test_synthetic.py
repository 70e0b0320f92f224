"""Clips that are made from nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sklearn_rcrnn.datasets import (
    make_rare_events,
)


class TestMakeRareEvents:
    def test_deterministic_and_typed(self):
        X, y = make_rare_events(5, duration=4.0, max_events=3, random_state=1)
        again, y_again = make_rare_events(5, duration=4.0, max_events=3, random_state=1)
        np.testing.assert_array_equal(X, again)
        assert y == y_again
        assert X.dtype == np.float32
        assert np.abs(X).max() <= 1
        for clip in y:
            for (_, end, _), (start, _, _) in itertools.pairwise(clip):
                assert end <= start

    def test_presence_and_labels(self):
        _, y = make_rare_events(
            20, duration=3.0, event_presence_prob=1, labels=["gunshot"], random_state=0
        )
        assert all(len(clip) == 1 and clip[0][2] == "gunshot" for clip in y)
        _, y = make_rare_events(5, duration=3.0, event_presence_prob=0, random_state=0)
        assert y == [[]] * 5

    @pytest.mark.parametrize(
        "params", [{"labels": ["dog"]}, {"duration": 1.0}, {"n_clips": 0}, {"max_events": 0}]
    )
    def test_bad_parameters(self, params):
        with pytest.raises(ValueError, match=next(iter(params))):
            make_rare_events(**params)
