"""Two processes learn what one learns with batches twice as large."""

import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from sklearn.base import clone

from sklearn_rcrnn import ClipStream, CRNNPretrainer, RCRNNDetector
from sklearn_rcrnn.nn.recipe import Recipe
from sklearn_rcrnn.training.nets import TrainingNet

N_CLIPS, N_FRAMES = 16, 64

pytestmark = pytest.mark.slow


def clips():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_CLIPS, N_FRAMES, 16)).astype(np.float32)
    y = []
    for i, clip in enumerate(X):
        first = int(rng.integers(4, 30))
        clip[first : first + 20, 4 * (i % 3) : 4 * (i % 3) + 4] += 2
        event = (first * 1024 / 44100, (first + 20) * 1024 / 44100, "abc"[i % 3])
        y.append([event] if i % 4 else [])
    return X, y


class Drawn(ClipStream):
    """Clips of an array; remembers which were drawn."""

    labels = ["a", "b", "c"]

    def __init__(self):
        self.clips, self.events = clips()
        self.drawn = []

    def __len__(self):
        return N_CLIPS

    def draw(self, epoch, index):
        self.drawn.append((epoch, index))
        return self.clips[index], self.events[index]


SHARED = {
    "gru_units": 4,
    "batch_size": 4,
    "precision": "float32",
    "validation_fraction": None,
    "random_state": 0,
    "lr": 0.02,
    "lr_schedule": "constant",
    # Adam would turn gradients of nearly 0, which are but rounding, into steps of full length.
    "net_params": {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9},
}


def exhaustive(focal_gamma=0.0, **params):
    """All anchors and RoIs are sampled, nothing is dropped out: clips determine everything."""
    recipe = Recipe(
        n_anchors=10_000,
        anchor_positive_fraction=1.0,
        n_rois=10_000,
        roi_positive_fraction=1.0,
        step_weight=0.5,
        focal_gamma=focal_gamma,
    )
    return RCRNNDetector(recipe=recipe, head="position_sensitive", **{**SHARED, **params})


def usual(**params):
    """With dropout and sampling; its random numbers differ from process to process."""
    detector = RCRNNDetector(gru_units=4, dense_units=8, batch_size=3, max_epochs=3)
    return detector.set_params(validation_fraction=0.2, **params)


def learnt(estimator):
    """What an estimator has learnt, as plain arrays."""
    weights = {name: value.numpy() for name, value in estimator.net_.module_.state_dict().items()}
    rows = [
        {k: v for k, v in row.items() if "loss" in k or "cls" in k} for row in estimator.history_
    ]
    return weights, rows


def in_steps(size):
    """One epoch in several steps: the order of the clips is that of the first process."""
    detector = exhaustive(max_epochs=1, batch_size=size, class_weight={"a": 3.0})
    return detector.fit(*clips(), sample_weight=np.linspace(0.5, 2, N_CLIPS))


def fits(factor=1):
    """Trainings whose results must not depend on the number of processes."""
    X, y = clips()
    stream = Drawn()
    size = 4 * factor
    found = {
        # The batch is the whole epoch, so the order of clips does not matter.
        "epochs": exhaustive(2.0, max_epochs=4, batch_size=N_CLIPS // 2 * factor).fit(X, y),
        "steps": in_steps(size),
        "stream": exhaustive(max_epochs=1, batch_size=size).fit(stream),
        "presence": CRNNPretrainer(**{**SHARED, "batch_size": size}, max_epochs=1).fit(X, y),
    }
    return {name: learnt(estimator) for name, estimator in found.items()}, stream.drawn


def interrupt(self, net, training=False, **kwargs):
    """Ends the training in its second epoch."""
    if training and len(net.history) == 2:
        raise KeyboardInterrupt


def in_each_process(folder):
    """What each of two processes does; results go to a file of its own."""
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    torch.set_num_threads(1)
    X, y = clips()
    same, drawn = fits()
    results = {"same": same, "drawn": drawn}
    # Without a random state, and with a number of clips that 2 does not divide.
    results["usual"] = learnt(usual(verbose=1).fit(X[:15], y[:15]))
    seeded = usual(random_state=0, max_epochs=4)
    results["whole"] = learnt(clone(seeded).fit(X, y))
    with patch.object(TrainingNet, "on_batch_end", interrupt), pytest.raises(KeyboardInterrupt):
        clone(seeded).fit(X, y, checkpoint=folder / "checkpoint")
    results["resumed"] = learnt(clone(seeded).fit(X, y, checkpoint=folder / "checkpoint"))
    with pytest.raises(ValueError, match="all clips and the same parameters"):
        seeded.fit(X[rank:], y[rank:])
    cached = usual(pretrainer=CRNNPretrainer(max_epochs=1), memory=folder / "memory")
    with pytest.raises(ValueError, match="memory cannot be shared"):
        cached.fit(X, y)
    with pytest.raises(ValueError, match="2 processes cannot share 1 training clips"):
        usual().set_params(validation_fraction=None).fit(X[1:2], y[1:2])
    torch.save(results, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, "--log-dir", str(folder / "logs"), "--redirects=3", __file__, str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    logs = {p.parent.name + p.name: p.read_text() for p in folder.glob("logs/**/*.log")}
    assert done.returncode == 0, (done.stderr, logs)
    results = [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1)]
    return results, logs, folder


@pytest.fixture(scope="module")
def one():
    return fits(factor=2)[0]


def close(ours, theirs):
    """The largest difference of two states of a network."""
    assert ours.keys() == theirs.keys()
    return max(np.abs(ours[name] - theirs[name]).max() for name in ours)


@pytest.mark.parametrize("name", ["epochs", "steps", "stream", "presence"])
def test_two_processes_learn_what_one_learns_with_the_doubled_batch(two, one, name):
    weights, history = two[0][0]["same"][name]
    assert close(weights, one[name][0]) < 2e-5
    for row, expected in zip(history, one[name][1], strict=True):
        assert row == pytest.approx(expected, rel=1e-4)


def test_they_do_not_learn_what_one_learns_with_the_same_batch(two):
    """The test above can fail."""
    weights, _ = two[0][0]["same"]["steps"]
    assert close(weights, learnt(in_steps(4))[0]) > 1e-3


@pytest.mark.parametrize("name", ["usual", "whole", "resumed"])
def test_processes_end_with_the_same_weights_and_history(two, name):
    first, second = (results[name] for results in two[0])
    assert close(first[0], second[0]) == 0
    assert first[1] == second[1]


def test_a_training_that_goes_on_is_that_of_one_never_interrupted(two):
    results, _, folder = two
    assert close(results[0]["resumed"][0], results[0]["whole"][0]) == 0
    assert len(list((folder / "checkpoint").iterdir())) == 1


def test_each_clip_of_a_stream_is_drawn_by_one_process(two):
    drawn = [{place for place in results["drawn"] if place[0]} for results in two[0]]
    assert len(drawn[0]) == len(drawn[1]) == N_CLIPS // 2
    assert drawn[0] | drawn[1] == {(1, i) for i in range(N_CLIPS)}


def test_only_the_first_process_prints(two):
    said = {name[0]: text for name, text in two[1].items() if "stdout" in name}
    assert "epoch" in said["0"]
    assert not said["1"]


if __name__ == "__main__":
    in_each_process(Path(sys.argv[1]))
