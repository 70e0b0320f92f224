"""Streams of features: each clip is checked, and transformers map them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from sklearn_rcrnn import ClipStream, CRNNPretrainer, RCRNNDetector
from sklearn_rcrnn.nn.rcrnn import RCRNN

SMALL = {"gru_units": 2, "batch_size": 4, "precision": "float32", "random_state": 0}


class Features(ClipStream):
    """Noise; the features of one clip of the second epoch can be others."""

    labels = ["a", "b"]

    def __init__(self, other=None, n_jobs=None):
        self.other = other
        self.n_jobs = n_jobs

    def __len__(self):
        return 8

    def draw(self, epoch, index):
        clip = np.random.default_rng([epoch, index]).normal(size=(40, 16))
        if (epoch, index) == (2, 5) and self.other is not None:
            clip = self.other
        return clip, [(0.1, 0.5, self.labels[index % 2])]


@pytest.fixture
def detector():
    return RCRNNDetector(dense_units=4, max_epochs=2, **SMALL)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (np.full((40, 16), np.nan), "clip 5 of epoch 2 of the stream contain NaN"),
        (np.zeros((40, 15)), "Clip 5 of epoch 2 of the stream has 15 bands.* have 16"),
        (np.zeros(40), r"Clip 5 of epoch 2 of the stream must be features.*\(40,\)"),
    ],
)
def test_every_clip_is_checked(other, message, detector):
    with pytest.raises(ValueError, match=message):
        detector.fit(Features(other))


def test_clips_may_be_float64_of_unequal_lengths(detector):
    detector.fit(Features(np.zeros((30, 16))))
    assert np.isfinite(detector.history_[-1]["train_loss"])


def test_feature_maps_of_a_stream(detector):
    """A pre-trainer, or a detector, maps a stream as it maps its clips."""
    pretrainer = CRNNPretrainer(max_epochs=1, **SMALL)
    detector.set_params(extractor="precomputed", max_epochs=1)
    pipe = Pipeline([("crnn", pretrainer), ("detector", detector)])
    stream = Features(n_jobs=1)
    pipe.fit(stream)
    clip, events = stream.draw(1, 0)
    mapped, same = pipe[:-1].transform(stream).draw(1, 0)
    assert same == events
    np.testing.assert_array_equal(mapped, pipe[:-1].transform([clip])[0])
    assert mapped.frame_shift == pytest.approx(8 * 1024 / 44100)
    again, _ = pickle.loads(pickle.dumps(pipe.transform(stream))).draw(1, 0)
    np.testing.assert_array_equal(again, mapped)
    with pytest.raises(TypeError, match=r"X is a ClipStream.*Draw some"):
        pipe.predict(stream)


class Drawn(Features):
    """Writes down each clip that is drawn, also by another process."""

    def __init__(self, diary, n_jobs=None):
        super().__init__(n_jobs=n_jobs)
        self.diary = diary

    def draw(self, epoch, index):
        with self.diary.open("a") as file:
            file.write(f"{epoch} ")
        return super().draw(epoch, index)


@pytest.mark.parametrize(
    ("n_jobs", "net_params"),
    [
        (None, {"callbacks": []}),
        (None, {"callbacks": None}),
        (1, {"iterator_train__persistent_workers": True}),
    ],
    ids=["other callbacks", "no callbacks", "lasting processes"],
)
def test_each_epoch_has_clips_of_its_own(n_jobs, net_params, detector, tmp_path):
    """Also if the user's parameters take the place of the callbacks, or let processes live on."""
    detector.set_params(net_params=net_params).fit(Drawn(tmp_path / "diary", n_jobs))
    epochs = (tmp_path / "diary").read_text().split()
    assert {epoch: epochs.count(epoch) for epoch in epochs} == {"0": 8, "1": 8, "2": 8}


def test_divergence_is_noticed_with_other_callbacks(detector):
    detector.set_params(net_params={"callbacks": []}, lr=1e6, gradient_clip=None)
    with pytest.raises(ValueError, match="Training diverged"):
        detector.fit(Features())


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_training_ends_in_a_mean_with_its_start_where_the_stream_says_so(share, detector):
    start = clone(detector).fit(Features())
    stream = Features()
    stream.labels = ["a", "c"]
    params = {"pretrainer": FrozenEstimator(start), "max_epochs": 1}
    first = clone(detector).set_params(**params).fit(stream).net_.module_.state_dict()
    stream.start_share = share
    mean = clone(detector).set_params(**params).fit(stream.map(np.array)).net_.module_.state_dict()
    before = start.net_.module_.state_dict()
    assert not torch.equal(first["rpn.objectness.weight"], before["rpn.objectness.weight"])
    for name, weights in mean.items():
        if name.startswith(RCRNN.label_layers) or not weights.is_floating_point():
            assert torch.equal(weights, first[name])
        else:
            expected = (1 - share) * first[name] + share * before[name]
            torch.testing.assert_close(weights, expected)
