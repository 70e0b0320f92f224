"""Features that know their clock keep it through caches and processes, and lose it in time."""

from __future__ import annotations

import copy
import io
import pickle

import joblib
import numpy as np
import pandas
import pytest
import torch

from sklearn_rcrnn._utils.clock import (
    Origin,
    changed_recordings,
    clocks_of,
    origin_of,
    origins_of,
    settings_of,
    with_clock,
)

FEATURES = np.random.default_rng(0).normal(size=(4, 100, 8)).astype(np.float32)


def through_joblib(array):
    file = io.BytesIO()
    joblib.dump(array, file)
    file.seek(0)
    return joblib.load(file)


@pytest.mark.parametrize(
    "way",
    [
        lambda x: x[1:3],
        lambda x: x[np.array([2, 0])],
        lambda x: x[1],
        lambda x: x * 2 + 1,
        lambda x: x.astype(np.float64),
        copy.copy,
        copy.deepcopy,
        lambda x: pickle.loads(pickle.dumps(x)),
        through_joblib,
    ],
)
def test_what_keeps_the_clock(way):
    kept = way(with_clock(FEATURES, 0.02, settings={"n_fft": 256}))
    assert kept.frame_shift == 0.02
    assert settings_of(kept) == {"n_fft": 256}
    np.testing.assert_array_equal(kept, way(FEATURES))


@pytest.mark.parametrize(
    "way",
    [
        lambda x: x[:, ::2],
        lambda x: x[:, :50],
        lambda x: x.mean(1),
        lambda x: np.concatenate([x, x], 1),
        np.asarray,
    ],
)
def test_what_makes_other_frames(way):
    changed = way(with_clock(FEATURES, 0.02, settings={"n_fft": 256}))
    assert clocks_of(changed) == set()
    assert settings_of(changed) is None
    np.testing.assert_array_equal(changed, way(FEATURES))


def test_clocks_of_lists():
    clips = with_clock([FEATURES[0], FEATURES[1][:30]], 0.02)
    assert clocks_of(clips) == {0.02}
    assert clocks_of([*clips, with_clock(FEATURES[2], 0.01), FEATURES[3]]) == {0.01, 0.02}
    assert clocks_of([FEATURES[0]]) == set()


def test_clocks_of_columns_of_objects():
    clips = with_clock([FEATURES[0], FEATURES[1][:30]], 0.02)
    column = np.empty(2, object)
    column[:] = clips
    assert clocks_of(column) == clocks_of(pandas.Series(clips)) == {0.02}


def test_bands_of_two_are_not_joined_along_time():
    """FeatureUnion of scikit-learn 1.7 does so, and recordings would seem twice as long."""
    clocked = with_clock(FEATURES, 0.02)
    with pytest.raises(ValueError, match=r"FeatureUnion.* along their time.*axis=2"):
        np.hstack([FEATURES, clocked])
    np.testing.assert_array_equal(np.hstack([clocked]), FEATURES)
    np.testing.assert_array_equal(np.hstack([clocked[0]] * 2), np.hstack([FEATURES[0]] * 2))
    assert np.concatenate([clocked, clocked], 2).shape == (4, 100, 16)


def test_torch_takes_them():
    assert torch.equal(torch.from_numpy(with_clock(FEATURES, 0.02)), torch.from_numpy(FEATURES))


def test_no_copy():
    assert np.shares_memory(with_clock(FEATURES, 0.02), FEATURES)


class TestRecordings:
    """Only what certainly has the same clips in the same order knows whose they are."""

    origins = [Origin(f"{i}.wav", 10, 5) for i in range(4)]

    @pytest.mark.parametrize("way", [lambda x: pickle.loads(pickle.dumps(x)), through_joblib])
    def test_what_is_kept_knows_them(self, way):
        assert origins_of(way(with_clock(FEATURES, 0.02, self.origins))) == self.origins
        clips = with_clock(list(FEATURES), 0.02, self.origins)
        assert origins_of([way(clip) for clip in clips[:2]]) == self.origins[:2]

    @pytest.mark.parametrize(
        "way", [lambda x: x[::-1], lambda x: x[[1, 0, 2, 3]], lambda x: x * 2, np.asarray]
    )
    def test_what_may_have_others_does_not(self, way):
        assert origins_of(way(with_clock(FEATURES, 0.02, self.origins))) == [None] * 4

    def test_those_that_changed(self, tmp_path):
        path = tmp_path / "a.wav"
        path.write_bytes(b"one")
        features = with_clock(FEATURES[:1], 0.02, [origin_of(path)])
        kept = pickle.loads(pickle.dumps(features))
        assert changed_recordings(kept) == []
        path.write_bytes(b"another")
        assert changed_recordings(kept) == changed_recordings([kept, features]) == [str(path)]
        assert changed_recordings(features) == []  # they were computed by this process
        path.unlink()
        assert changed_recordings(kept) == []

    def test_of_paths(self, tmp_path):
        found = origins_of([tmp_path / "none.wav", FEATURES[0], "b.wav"])
        assert [None if own is None else own.path for own in found] == [
            str(tmp_path / "none.wav"),
            None,
            "b.wav",
        ]
        assert origins_of(np.array(["a", "b"])) == origins_of(["a", "b"])
