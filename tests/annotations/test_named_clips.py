"""A frame of events is the `y` of recordings, wherever estimators take one."""

from __future__ import annotations

import pandas
import pytest
import soundfile
from sklearn.model_selection import cross_val_score

from sklearn_rcrnn import CRNNPretrainer, TunedThresholdDetectorCV, make_rcrnn_pipeline
from sklearn_rcrnn.annotations import match_files
from sklearn_rcrnn.annotations.named_clips import lists_of_clips
from sklearn_rcrnn.datasets import make_rare_events

RATE = 4000
COLUMNS = ["file", "onset", "offset", "label"]


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("in")
    X, _ = make_rare_events(4, duration=3.0, sample_rate=RATE, random_state=1)
    paths = [str(folder / f"{name}.wav") for name in "abcd"]
    for path, samples in zip(paths, X, strict=True):
        soundfile.write(path, samples, RATE)
    return paths


# Not in the order of the recordings; b has no event.
FRAME = pandas.DataFrame(
    [
        ("c.wav", 0.5, 1.0, "dog"),
        ("a.wav", 1.0, 2.0, "cat"),
        ("d.wav", 0.1, 0.9, "dog"),
        ("a.wav", 0.2, 0.8, "dog"),
        ("d.wav", 2.0, 2.5, "cat"),
        ("b.wav", None, None, None),
    ],
    columns=COLUMNS,
)


def tiny(**params):
    return make_rcrnn_pipeline(
        sample_rate=RATE,
        n_fft=256,
        hop_length=128,
        n_mels=16,
        gru_units=2,
        dense_units=4,
        max_epochs=1,
        random_state=0,
        **params,
    )


def weights(pipe):
    return pipe[-1].net_.module_.state_dict()


def test_fit_and_score(paths):
    lists = match_files(FRAME, paths)
    assert [len(own) for own in lists] == [2, 0, 1, 2]
    validation = {"detector__X_val": tiny()[:-1].transform(paths)}
    given = tiny().fit(paths, FRAME, **validation, detector__y_val=FRAME)
    meant = tiny().fit(paths, lists, **validation, detector__y_val=lists)
    for name, value in weights(meant).items():
        assert value.equal(weights(given)[name]), name
    given.set_params(detector__score_threshold=0.0)
    assert given.score(paths, FRAME) == given.score(paths, lists)
    in_a_frame = pandas.DataFrame({"path": paths})
    assert tiny().fit(in_a_frame, FRAME)[-1].classes_.tolist() == ["cat", "dog"]


def test_other_estimators(paths):
    features = tiny()[:-1].transform(paths)
    lists = match_files(FRAME, paths)
    pretrainer = CRNNPretrainer(
        gru_units=2, frame_shift=128 / RATE, max_epochs=1, random_state=0
    ).fit(features, FRAME)
    assert pretrainer.score(features, FRAME) == pretrainer.score(features, lists)
    tuned = [TunedThresholdDetectorCV(tiny(), cv=2).fit(paths, y) for y in (FRAME, lists)]
    assert tuned[0].best_threshold_ == tuned[1].best_threshold_


class TestWhatNobodyKnows:
    def test_rows_of_no_clip(self, paths):
        with pytest.raises(ValueError, match=r"rows of a\.wav, d\.wav, and X no such recording"):
            tiny().fit(paths[1:3], FRAME)

    def test_clips_without_names(self, paths):
        with pytest.raises(TypeError, match="the clips have no names: X must be paths"):
            tiny().fit([[0.0] * RATE] * 6, FRAME)

    def test_rows_that_could_be_split_as_clips(self, paths):
        """scikit-learn would take row i for clip i, and nobody would notice."""
        frame = FRAME.iloc[:4]
        with pytest.raises(ValueError, match="as many rows as X has clips, 4, but not one for"):
            lists_of_clips(frame, paths)
        with pytest.raises(ValueError, match="not one for each in its order"):
            cross_val_score(tiny(), paths, frame, cv=[([0, 1, 2, 3], [0])], error_score="raise")

    def test_a_row_for_each_clip_can_be_split(self, paths):
        frame = pandas.DataFrame([(f"{n}.wav", 0.5, 1.0, "dog") for n in "abcd"], columns=COLUMNS)
        scores = cross_val_score(tiny(), paths, frame, cv=2, error_score="raise")
        assert len(scores) == 2

    def test_lists_are_left_as_they_are(self):
        y = [[(0.1, 0.2, "dog")]]
        assert lists_of_clips(y, [[0.0]]) is y
