"""Trainings that were killed go on, and come to the weights of one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback

from sklearn_rcrnn import (
    ClipStream,
    CRNNPretrainer,
    Event,
    FeatureAugmentation,
    FrameDetector,
    RCRNNDetector,
)
from sklearn_rcrnn.datasets import FreshExcerpts
from sklearn_rcrnn.training.nets import TrainingNet

N_FRAMES = 40


class Noise(ClipStream):
    labels = ["a", "b"]

    def __len__(self):
        return 8

    def draw(self, epoch, index):
        rng = np.random.default_rng([epoch, index])
        clip = rng.normal(size=(N_FRAMES, 16)).astype(np.float32)
        return clip, [(0.1, 0.5, self.labels[index % 2])]


def example(name):
    """An estimator with everything that a training has as state, and its data."""
    settings = {
        "max_epochs": 5,
        "batch_size": 4,
        "precision": "float32",
        "augmentation": FeatureAugmentation(),
        "random_state": 0,
    }
    rng = np.random.default_rng(0)
    X = rng.normal(size=(12, N_FRAMES, 16)).astype(np.float32)
    y = [[(0.1, 0.5, "ab"[i % 2])] for i in range(12)]
    if name == "frames":
        return FrameDetector("mlp", lr_schedule="one_cycle", **settings), X, y
    if name == "stream":
        return RCRNNDetector(gru_units=4, dense_units=8, **settings), Noise(), None
    settings |= {"lr_schedule": "constant", "patience": 2, "lr": 0.02, "random_state": None}
    pretrainer = CRNNPretrainer(max_epochs=2, random_state=0, precision="float32")
    return RCRNNDetector(gru_units=4, dense_units=8, pretrainer=pretrainer, **settings), X, y


def assert_same_training(first, second):
    theirs = second.net_.module_.state_dict()
    for name, value in first.net_.module_.state_dict().items():
        assert torch.equal(value, theirs[name]), name
    assert first.history_[:, "train_loss"] == second.history_[:, "train_loss"]


def kill(self, net, training=False, **kwargs):
    """Ends the process in the middle of an epoch, as a power cut would."""
    if training and len(net.history) == 3:
        os.kill(os.getpid(), signal.SIGKILL)


def interrupt(self, net, training=False, **kwargs):
    if training and len(net.history) == 3:
        raise KeyboardInterrupt


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
@pytest.mark.parametrize("name", ["frames", "stream"])
def test_killed_training_goes_on(name, tmp_path):
    estimator, X, y = example(name)
    killed = subprocess.run(
        [sys.executable, __file__, name, tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob("*.pt"))) == 1
    resumed = example(name)[0].fit(X, y, checkpoint=tmp_path)
    assert_same_training(resumed, estimator.fit(X, y))


def test_interrupted_with_early_stopping_and_pretrainer(tmp_path, capsys, monkeypatch):
    """Without a random_state: its seed is in the checkpoint."""
    estimator, X, y = example("pretrained")
    with monkeypatch.context() as patched:
        patched.setattr(TrainingNet, "on_batch_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            estimator.fit(X, y, checkpoint=tmp_path / "a")
    (tmp_path / "b").mkdir()
    for path in (tmp_path / "a").glob("*.pt"):
        (tmp_path / "b" / path.name).write_bytes(path.read_bytes())
    both = [
        example("pretrained")[0].set_params(verbose=v).fit(X, y, checkpoint=tmp_path / folder)
        for folder, v in (("a", 1), ("b", 0))
    ]
    assert "Going on after epoch 2" in capsys.readouterr().out
    assert_same_training(*both)
    assert len(both[0].history_) > 2


def test_finished_training_is_taken(tmp_path, monkeypatch):
    estimator, X, y = example("frames")
    first = estimator.fit(X, y, checkpoint=tmp_path)
    monkeypatch.setattr(TrainingNet, "on_batch_end", interrupt)  # would end a training
    again = example("frames")[0].fit(X, y, checkpoint=tmp_path)
    assert_same_training(first, again)
    assert again.predict(X) == first.predict(X)


def test_other_parameters_or_data_start_anew(tmp_path):
    estimator, X, y = example("frames")
    estimator.set_params(max_epochs=1).fit(X, y, checkpoint=tmp_path)
    estimator.set_params(lr=2e-3).fit(X, y, checkpoint=tmp_path)
    estimator.fit(X + 1, y, checkpoint=tmp_path)
    estimator.fit(X + 1, y, checkpoint=tmp_path)
    assert len(list(tmp_path.glob("*.pt"))) == 3


def test_corrected_events_of_a_stream_start_anew(tmp_path):
    class Corrected(Noise):
        def draw(self, epoch, index):
            clip, _ = super().draw(epoch, index)
            return clip, [(0.2, 0.5, self.labels[index % 2])]

    estimator, stream, _ = example("stream")
    estimator.set_params(max_epochs=1)
    for own in (stream, Corrected(), stream):
        estimator.fit(own, checkpoint=tmp_path)
    assert len(list(tmp_path.glob("*.pt"))) == 2


def test_corrected_events_that_the_first_clips_lack_start_anew(tmp_path):
    """The training went on with the events as they had been before."""
    samples = np.random.default_rng(0).normal(size=2 * 44100).astype(np.float32)
    first, again, corrected = (
        FreshExcerpts([samples], [[(0.5, offset, "dog")]]) for offset in (1.0, 1.0, 1.001)
    )
    assert first._identity() == again._identity() != corrected._identity()
    mapped = corrected.map(np.abs).augment(np.abs)
    assert mapped._identity() == corrected._identity()

    class Corrected(Noise):
        def _identity(self):
            return mapped._identity()

    estimator, stream, _ = example("stream")
    estimator.set_params(max_epochs=1)
    for own in (stream, Corrected(), stream):
        estimator.fit(own, checkpoint=tmp_path)
    assert len(list(tmp_path.glob("*.pt"))) == 2


def test_grid_search(tmp_path):
    estimator, X, y = example("frames")
    estimator.set_params(max_epochs=1)
    search = GridSearchCV(estimator, {"lr": [1e-3, 1e-2]}, cv=2)
    search.fit(X, y, checkpoint=tmp_path)
    assert len(list(tmp_path.glob("*.pt"))) == 5  # two folds of two, and the best on all


class Recorder(Callback):
    """Records what a file without code cannot hold, and keeps a tuple of a class of its own."""

    best_ = None

    def on_epoch_end(self, net, **kwargs):
        net.history.record("spread", np.ones(3))
        self.best_ = Event(0.0, 1.0, "a")


class Remembering(Callback):
    def state_dict(self):
        return {"weights": np.ones(3)}


def test_callbacks_of_the_user(tmp_path):
    """The checkpoint could not be read, so that the training was lost."""
    estimator, X, y = example("frames")
    estimator.set_params(max_epochs=1, callbacks=[Recorder()])
    first = clone(estimator).fit(X, y, checkpoint=tmp_path)
    assert_same_training(first, clone(estimator).fit(X, y, checkpoint=tmp_path))
    with pytest.raises(TypeError, match="state_dict of Remembering cannot be kept"):
        estimator.set_params(callbacks=[Remembering()]).fit(X, y, checkpoint=tmp_path)


def test_broken_file(tmp_path):
    estimator, X, y = example("frames")
    estimator.set_params(max_epochs=1).fit(X, y, checkpoint=tmp_path)
    (path,) = tmp_path.glob("*.pt")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"cannot be read as the checkpoint.*Delete it"):
        estimator.fit(X, y, checkpoint=tmp_path)


if __name__ == "__main__":  # the process that is killed
    doomed, X, y = example(sys.argv[1])
    TrainingNet.on_batch_end = kill
    doomed.fit(X, y, checkpoint=sys.argv[2])
