"""Two thousand models with something wrong in them: an error that says so, or a detector."""

from __future__ import annotations

import copy
import hashlib
import json
import resource
import time

import numpy as np
import pytest
from small_runs import RATE, tiny_pipeline

from sklearn_rcrnn import RCRNNDetector, load, save
from sklearn_rcrnn.datasets import make_rare_events

N_MODELS = 1000  # of each kind
# What is put in the place of values.
VALUES = [
    None, True, False, 0, 1, -1, 2, 7, 0.5, -0.5, 1e-300, 1e300, 10**9, 10**30, "", "x", "cuda",
    "auto", "1", "../..", "\x00", [], [1], [[]], [None] * 3, ["a", "a"], {}, {"type": "dict"},
    {"type": "dict", "value": [["a", 1]]}, {"type": "Recipe", "value": {}},
    {"type": "os.system", "value": {"command": "true"}}, list(range(2000)),
]  # fmt: skip


def whole_pipeline():
    """Features and all of the network, and a clip for it."""
    X, _ = make_rare_events(1, duration=3.0, sample_rate=RATE, random_state=0)
    pipe = tiny_pipeline(4)
    pipe[-1].set_params(score_threshold=dict.fromkeys(pipe[-1].classes_.tolist(), 0.0))
    # A second is enough: what can go wrong does not depend on the length of the clip.
    return pipe, X[:, :RATE]


def detector_of_maps():
    """A detector alone, on feature maps that others made: small, so that it loads fast."""
    X = np.random.default_rng(0).normal(size=(4, 20, 6)).astype(np.float32)
    detector = RCRNNDetector(
        extractor="precomputed", dense_units=4, max_epochs=1, score_threshold=0.0, random_state=0
    )
    return detector.fit(X, [[(0.5, 1.5, "dog")], [(1.0, 2.0, "cat")], [], []]), X[:1]


@pytest.fixture(scope="module", params=[whole_pipeline, detector_of_maps])
def model(request, tmp_path_factory):
    estimator, X = request.param()
    return save(estimator, tmp_path_factory.mktemp("hostile") / "model"), X


def places(value, path=()):
    """The paths of all values in nested lists and objects."""
    if path:
        yield path
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def mutate(description, rng):
    """Replace, remove or double a value somewhere."""
    changed = copy.deepcopy(description)
    for _ in range(rng.integers(1, 3)):
        there = list(places(changed))
        path = there[rng.integers(len(there))]
        parent = changed
        for key in path[:-1]:
            parent = parent[key]
        how = rng.integers(8)
        if how == 0:
            del parent[path[-1]]
        elif how == 1 and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[path[-1]]))
        elif how == 2 and isinstance(parent, dict):
            parent[f"{path[-1]}x"] = copy.deepcopy(parent[path[-1]])
        else:
            parent[path[-1]] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
    return json.dumps(changed).encode()


def damage(data, rng):
    """Change a few bytes, or cut some off."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        # The head is where sizes and names are.
        stop = len(changed) if rng.integers(2) else min(len(changed), 4000)
        changed[rng.integers(stop)] = rng.integers(256)
    return bytes(changed if rng.integers(4) else changed[: rng.integers(len(changed))])


@pytest.mark.slow
def test_no_traceback_and_no_gigabytes(model, tmp_path):
    folder, X = model
    text = (folder / "model.json").read_bytes()
    weights = (folder / "weights.safetensors").read_bytes()
    description = json.loads(text)
    rng = np.random.default_rng(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    n_loaded, unnamed, slowest = 0, 0, 0.0
    for i in range(N_MODELS):
        kind = i % 4
        new_text, new_weights = text, weights
        if kind < 2:
            new_text = mutate(description, rng)
        elif kind == 2:
            new_text = damage(text, rng)
        else:
            new_weights = damage(weights, rng)
            checksum = hashlib.sha256(new_weights).hexdigest()
            new_text = json.dumps(description | {"weights_sha256": checksum}).encode()
        (tmp_path / "model.json").write_bytes(new_text)
        (tmp_path / "weights.safetensors").write_bytes(new_weights)
        start = time.perf_counter()
        try:
            loaded = load(tmp_path)
        except (FileNotFoundError, ValueError) as error:
            unnamed += str(tmp_path) not in str(error)
            continue
        n_loaded += 1
        try:  # some values do not go with each other, or not with these clips
            events = loaded.predict(X)
        except ValueError:
            events = []
        finally:
            slowest = max(slowest, time.perf_counter() - start)
        assert all(np.isfinite(event[:2]).all() for clip in events for event in clip), new_text
    assert unnamed == 0
    assert 0.05 * N_MODELS < n_loaded < 0.6 * N_MODELS
    assert slowest < 5
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert peak - before < 500_000  # kilobytes
