"""Two trainings count as one where they would come to the same weights, and only there."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from threading import Lock

import joblib
import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import EarlyStopping, Freezer, LRScheduler, TensorBoard

from sklearn_rcrnn import CRNNPretrainer, FeatureAugmentation, RCRNNDetector
from sklearn_rcrnn.training.identity import identity


def change(features, lengths, targets, amount=1):
    return features if "none" in {"none", "a", "b", "c"} else features * amount


def around(k):
    return lambda features, lengths, targets: features * k


class Own(torch.nn.Module):
    n_channels, frames_per_step = 4, 2

    def __init__(self, k):
        super().__init__()
        torch.manual_seed(0)
        self.gru = torch.nn.GRU(3, 4)
        self.lock = Lock()
        self.k = k
        self.outer = [self]


class Changed:
    def __init__(self, k):
        self.table = torch.full((3,), float(k))

    def __call__(self, features, lengths, targets):
        return features

    def method(self, features, lengths, targets):
        return features


def nested(name, value):
    return RCRNNDetector(pretrainer=CRNNPretrainer(**{name: value}))


def of_a_module(text):
    """The function ``augmentation`` of a module with this text."""
    names = {"__name__": "users"}
    exec(text, names)
    return names["augmentation"]


def module_of_code(body, constant=1):
    """A module whose class is always of one name."""
    names = {"__name__": "users", "torch": torch}
    exec(
        "class Edited(torch.nn.Module):\n"
        f"    n_channels, frames_per_step, constant = 4, 2, {constant}\n"
        "    def __init__(self): super().__init__()\n"
        f"    def forward(self, h, lengths=None): return {body}\n",
        names,
    )
    return names["Edited"]()


def called_of_code(body):
    names = {"__name__": "users"}
    exec(f"class Edited:\n    def __call__(self, x, n, y): return {body}\n", names)
    return names["Edited"]()


NAMED = "def augmentation(x, n, y): return [x * GAIN for _ in y]"
CALLED = "def augmentation(x, n, y): return twice(x)\ndef twice(x): return {} * x"

DIFFERENT = {
    "code of a class": [RCRNNDetector(extractor=module_of_code(f"h * {k}")) for k in (1, 2)],
    "code of an object": [RCRNNDetector(augmentation=called_of_code(f"x * {k}")) for k in (1, 2)],
    "constant of a class": [
        RCRNNDetector(extractor=module_of_code("h", constant=k)) for k in (1, 2)
    ],
    "generator as seed": [RCRNNDetector(random_state=np.random.RandomState(k)) for k in (0, 1)],
    "no seed": [RCRNNDetector(random_state=k) for k in (0, None)],
    "constant of the module": [
        RCRNNDetector(augmentation=of_a_module(f"GAIN = {k}\n{NAMED}")) for k in (1, 2)
    ],
    "function of the module": [
        RCRNNDetector(augmentation=of_a_module(CALLED.format(k))) for k in (1, 2)
    ],
    "seed": [RCRNNDetector(random_state=np.int64(k)) for k in (0, 1)],
    "seed of the pre-trainer": [nested("random_state", k) for k in (0, 1)],
    "argument": [RCRNNDetector(augmentation=partial(change, amount=k)) for k in (1, 5)],
    "function": [
        RCRNNDetector(augmentation=lambda x, n, y: x),
        RCRNNDetector(augmentation=lambda x, n, y: -x),
    ],
    "constant": [
        RCRNNDetector(augmentation=lambda x, n, y: 2 * x),
        RCRNNDetector(augmentation=lambda x, n, y: 3 * x),
    ],
    "closure": [RCRNNDetector(augmentation=around(k)) for k in (1, 2)],
    "object": [RCRNNDetector(augmentation=Changed(k)) for k in (1, 2)],
    "method": [RCRNNDetector(augmentation=Changed(k).method) for k in (1, 2)],
    "function of NumPy": [RCRNNDetector(augmentation=f) for f in (np.exp, np.log)],
    "generator": [
        RCRNNDetector(augmentation=partial(change, amount=np.random.default_rng(k))) for k in (1, 2)
    ],
    "attribute of a module": [RCRNNDetector(extractor=Own(k)) for k in (1, 2)],
    "module of the pre-trainer": [nested("extractor", Own(k)) for k in (1, 2)],
    "callback": [RCRNNDetector(callbacks=[Freezer(own)]) for own in ("rpn.*", "head.*")],
    "number of NumPy in a callback": [
        RCRNNDetector(callbacks=[EarlyStopping(patience=np.int64(k))]) for k in (1, 2)
    ],
    "class in a callback": [
        RCRNNDetector(callbacks=[LRScheduler(policy, gamma=0.5, step_size=1)])
        for policy in (torch.optim.lr_scheduler.StepLR, torch.optim.lr_scheduler.ExponentialLR)
    ],
}

SAME = {
    "the code of a class": [RCRNNDetector(extractor=module_of_code("h * 2")) for _ in range(2)],
    "kind of integer": [RCRNNDetector(random_state=k) for k in (0, np.int64(0))],
    "generator in the same state": [
        RCRNNDetector(random_state=np.random.RandomState(0)) for _ in range(2)
    ],
    "other names of the module": [
        RCRNNDetector(augmentation=of_a_module(f"GAIN = 1\nSEED = {k}\n{NAMED}")) for k in (1, 2)
    ],
    "verbose": [RCRNNDetector(verbose=k) for k in (0, 1)],
    "copies of a module": [RCRNNDetector(extractor=Own(1)) for _ in range(2)],
    "logger": [RCRNNDetector(callbacks=[TensorBoard(Lock())]) for _ in range(2)],
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_different_trainings(name):
    first, second = (joblib.hash(identity(own)) for own in DIFFERENT[name])
    assert first != second


@pytest.mark.parametrize("name", SAME)
def test_same_trainings(name):
    first, second = (joblib.hash(identity(own)) for own in SAME[name])
    assert first == second


def estimators():
    """One of everything, of a new detector each time."""
    extractor = Own(3)
    return [
        RCRNNDetector(extractor=extractor, augmentation=change),
        RCRNNDetector(augmentation=FeatureAugmentation()),
        RCRNNDetector(augmentation=Changed(1).method),
        RCRNNDetector(augmentation=around(2), callbacks=[Freezer("rpn.*")]),
    ]


def test_another_process_comes_to_the_same():
    code = (
        "import joblib, test_identity as t; from sklearn_rcrnn.training.identity import identity;"
        "print(*[joblib.hash(identity(own)) for own in t.estimators()])"
    )
    paths = [os.path.dirname(__file__), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": "7"}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    sys.path.insert(0, paths[0])
    try:
        import test_identity as itself
    finally:
        sys.path.remove(paths[0])
    assert result.stdout.split() == [joblib.hash(identity(own)) for own in itself.estimators()]


def test_a_frozen_estimator_without_a_network():
    """One of another package, wherever it was among the parameters, was an AttributeError."""
    X, y = np.arange(12.0).reshape(6, 2), [0, 1] * 3

    def frozen(scale):
        known = make_pipeline(StandardScaler(), LogisticRegression()).fit(scale * X, y)
        return joblib.hash(identity(FrozenEstimator(known)))

    assert frozen(1) == frozen(1) != frozen(2)
    unfitted = joblib.hash(identity(FrozenEstimator(CRNNPretrainer())))
    assert unfitted != joblib.hash(identity(FrozenEstimator(CRNNPretrainer(gru_units=4))))


def test_a_start_without_a_network_is_refused_with_a_checkpoint_as_without(tmp_path):
    start = FrozenEstimator(LogisticRegression().fit([[0.0], [1.0]], [0, 1]))
    X, y = np.random.default_rng(0).normal(size=(4, 40, 16)), [[(0.1, 0.5, "a")]] * 4
    for checkpoint in (None, tmp_path):
        with pytest.raises(TypeError, match="must freeze a CRNNPretrainer or an RCRNNDetector"):
            RCRNNDetector(pretrainer=start).fit(X, y, checkpoint=checkpoint)
