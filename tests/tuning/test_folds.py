"""Folds of clips: labels spread evenly, groups kept together."""

from __future__ import annotations

import numpy as np
import pytest

from sklearn_rcrnn import Event
from sklearn_rcrnn.tuning.folds import stratified_folds, warn_of_missing_labels


class TestFolds:
    def test_clips_sorted_by_class(self):
        clips = [[Event(0, 1, label)] for label in "aaabbbbbbccc"] + [[]] * 6
        for train, test in stratified_folds(clips, 3):
            labels = sorted(event.label for i in test for event in clips[i])
            assert labels == list("abbc")
            assert len(test) == 6
            assert sorted([*train, *test]) == list(range(18))

    def test_groups_stay_together(self):
        rng = np.random.default_rng(0)
        groups = rng.integers(12, size=80)
        kinds = [["a"], ["b"], ["a", "b"], []]
        clips = [[Event(0, 1, label) for label in kinds[group % 4]] for group in groups]
        for train, test in stratified_folds(clips, 3, groups):
            assert set(groups[train]).isdisjoint(groups[test])
            assert {e.label for i in test for e in clips[i]} == {"a", "b"}

    def test_what_cannot_be_split(self):
        with pytest.raises(ValueError, match="2 clips cannot make cv=3"):
            stratified_folds([[], []], 3)
        with pytest.raises(ValueError, match="1 groups of clips"):
            stratified_folds([[], []], 2, ["x", "x"])

    @pytest.mark.parametrize("groups", [["x"], [("x", 1), ("x", 2), ("y", 1)]])
    def test_groups_that_are_not_one_value_for_each_clip(self, groups):
        """Of pairs, each value was a group, and folds had clips that do not exist."""
        with pytest.raises(ValueError, match=r"groups has .* for 3 clips"):
            stratified_folds([[], [], []], 2, groups)

    def test_warnings(self):
        clips = [[Event(0, 1, "a")], [Event(0, 1, "b")], [Event(0, 1, "b")], []]
        with pytest.warns(UserWarning, match="Fold 0") as told:
            warn_of_missing_labels(clips, stratified_folds(clips, 2))
        texts = [str(warning.message) for warning in told]
        assert any("no event of a to train on" in text for text in texts)
        assert any("no event of a to test on" in text for text in texts)
