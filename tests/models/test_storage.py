"""Models in files: the same predictions, no pickle, nothing unknown accepted."""

from __future__ import annotations

import copy
import hashlib
import json
import subprocess
import sys
import time
import tracemalloc

import joblib
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline, make_pipeline
from skorch.exceptions import SkorchTrainingImpossibleError

from sklearn_rcrnn import (
    CRNNPretrainer,
    FeatureAugmentation,
    LFBETransformer,
    RCRNNDetector,
    load,
    save,
)
from sklearn_rcrnn.displays import TrainingDisplay
from sklearn_rcrnn.nn.recipe import Recipe


@pytest.fixture
def model(fitted, tmp_path):
    return save(fitted, tmp_path / "model")


def edit(folder, **changes):
    path = folder / "model.json"
    description = json.loads(path.read_text())
    path.write_text(json.dumps({**description, **changes}))


def test_the_same_events(fitted, features, model):
    again = load(model)
    assert again.predict(features[0]) == fitted.predict(features[0])
    assert again.n_parameters_ == fitted.n_parameters_
    assert again.get_params() == {**fitted.get_params(), "callbacks": None}
    assert sorted(path.name for path in model.iterdir()) == ["model.json", "weights.safetensors"]


@pytest.mark.parametrize(
    "changed",
    [
        {"n_proposals": 3, "proposal_nms_threshold": 0.1},
        {"anchor_sizes": (2, 3, 5, 9, 17, 33)},
        {"recipe": "paper"},
        {"gru_units": 9, "dense_units": 9},
        {"normalization": "training"},
        {"extractor": "cnn", "head": "position_sensitive"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_parameters_that_were_changed_after_fit(changed, fitted, features, tmp_path):
    """Those that the network is built from are saved as they were; the loaded one is the same."""
    X = features[0][:4]
    again = load(save(copy.copy(fitted).set_params(**changed), tmp_path / "model"))
    assert again.predict(X) == fitted.predict(X)
    assert {name: getattr(again, name) for name in changed} == {
        name: getattr(fitted, name) for name in changed
    }
    again.set_params(**changed)
    assert load(save(again, tmp_path / "next")).predict(X) == fitted.predict(X)


def test_values_that_were_changed_in_place(small, features, tmp_path):
    X, y = features
    sizes, recipe = [1, 4, 16], Recipe.named("refined")
    detector = small.set_params(anchor_sizes=sizes, recipe=recipe, score_threshold=0.0).fit(X, y)
    sizes[0] = 2
    recipe.set_params(roi_coding="center")
    again = load(save(detector, tmp_path / "model"))
    assert again.predict(X) == detector.predict(X)
    assert again.anchor_sizes == (1, 4, 16)


def test_pipeline_with_feature_maps(clips, tmp_path):
    X, y = clips
    pipe = Pipeline(
        [
            ("lfbe", LFBETransformer(n_mels=32)),
            ("crnn", CRNNPretrainer(gru_units=4, max_epochs=1, random_state=0)),
            (
                "detector",
                RCRNNDetector(
                    extractor="precomputed",
                    dense_units=8,
                    max_epochs=1,
                    score_threshold=0.0,
                    recipe=Recipe(roi_positive=(0.4,)),
                    augmentation=FeatureAugmentation(band_mask=0),
                    random_state=0,
                ),
            ),
        ]
    ).fit(X, y)
    again = load(save(pipe, tmp_path / "pipe"))
    assert [name for name, _ in again.steps] == ["lfbe", "crnn", "detector"]
    assert again.predict(X) == pipe.predict(X)
    assert again["detector"].recipe == Recipe(roi_positive=(0.4,))


def test_integer_labels(small, features, tmp_path):
    X, y = features
    numbered = [[(a, b, len(label)) for a, b, label in clip] for clip in y]
    small.set_params(max_epochs=1).fit(X, numbered)
    small.set_params(score_threshold=dict.fromkeys(small.classes_, 0.0))  # integers of NumPy
    assert load(save(small, tmp_path)).predict(X[:2]) == small.predict(X[:2])


def test_saves_over_a_model_but_nothing_else(fitted, model, tmp_path):
    save(fitted, model)
    (tmp_path / "thesis.txt").write_text("work of years")
    with pytest.raises(FileExistsError, match="is no model"):
        save(fitted, tmp_path)
    with pytest.raises(FileExistsError):
        save(fitted, tmp_path / "thesis.txt")


def test_what_cannot_be_saved(small, tmp_path, features):
    with pytest.raises(NotFittedError):
        save(small, tmp_path / "x")
    other = make_pipeline(DummyClassifier()).fit([[0]], [0])
    with pytest.raises(TypeError, match="DummyClassifier"):
        save(other, tmp_path / "x")


def test_no_model(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no model\.json"):
        load(tmp_path)


def test_weights_cut_short(model):
    path = model / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cut short"):
        load(model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 99}, "format version 99"),
        ({"format_version": 1}, "Install the version that wrote it"),
        ({"format": "something"}, "cannot be read"),
        ({"steps": [{"name": "x", "class": "os.system", "params": {}}]}, r"unknown class 'os\."),
        ({"steps": [{"name": "x"}]}, r"steps\[0\]\.class is missing"),
        ({"steps": []}, "steps has 0 entries"),
        ({"steps": None}, "steps must be of type list"),
        ({"pipeline": 1}, "pipeline must be of type bool"),
        ({"weights_sha256": "ab"}, "weights_sha256 is no SHA-256"),
        ({"weights": "../../secret"}, "weights names no file of a model"),
        ({"provenance": [{"license": "MIT"}]}, "provenance must be an object"),
    ],
)
def test_edited_description(model, change, message):
    edit(model, **change)
    with pytest.raises(ValueError, match=message):
        load(model)


def edit_step(folder, **changes):
    steps = json.loads((folder / "model.json").read_text())["steps"]
    params = changes.pop("params", {})
    steps[0].update(changes)
    steps[0]["params"].update(params)
    edit(folder, steps=steps)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"params": {"f": 1}}, "params.f: RCRNNDetector has no such parameter"),
        ({"params": {"gru_units": 9}}, "gru_units=9.* do not go with the weights"),
        ({"params": {"gru_units": 8000}}, "gru_units=8000.* do not go with the weights"),
        ({"params": {"gru_units": 10**30}}, "gru_units"),
        ({"params": {"gru_units": "8"}}, "gru_units"),
        ({"params": {"dense_units": 10**9}}, "dense_units=1000000000"),
        ({"params": {"anchor_sizes": [1, 2]}}, "anchor_sizes"),
        ({"params": {"merge_gap": {"type": "dict", "value": [["x", 1]]}}}, "merge_gap"),
        ({"params": {"anchor_sizes": "wide"}}, "anchor_sizes"),
        ({"params": {"anchor_sizes": [1] * 10**5}}, "anchor_sizes has 100000 values"),
        ({"params": {"n_proposals": 10**12}}, "n_proposals must not be larger"),
        ({"params": {"frame_shift": -1}}, "frame_shift"),
        ({"params": {"nms_threshold": 2}}, "nms_threshold"),
        ({"params": {"score_threshold": {"type": "dict", "value": [[[], 1]]}}}, "score_threshold"),
        ({"params": {"score_threshold": {"type": "dict", "value": [["x", 1]]}}}, "score_threshold"),
        ({"params": {"recipe": {"type": "Recipe", "value": {"roi_positive": []}}}}, "roi_positive"),
        ({"params": {"recipe": {"type": "Recipe", "value": {"x": 1}}}}, "recipe.x"),
        ({"params": {"recipe": {"type": "Recipe", "value": {"n_rois": -1}}}}, "recipe.*n_rois"),
        ({"params": {"recipe": {"type": "Recipe", "value": {"roi_weights": [0, "x"]}}}}, "roi_we"),
        ({"params": {"recipe": {"type": "Path", "value": "/"}}}, "recipe: unknown type 'Path'"),
        ({"params": {"memory": "/tmp/somewhere"}}, "memory belongs to a training"),
        ({"params": {"net_params": {"type": "dict", "value": []}}}, "net_params belongs"),
        ({"params": {"device": "no such"}}, "device must be a name of PyTorch's"),
        ({"params": {"device": 7}}, "device"),
        ({"n_features_in": 10**9}, "n_inputs=1000000000"),
        ({"n_features_in": 0}, "n_features_in must be at least 1"),
        ({"n_features_in": True}, "n_features_in must be of type int"),
        ({"classes": []}, "classes must be labels"),
        ({"classes": ["a", 1, "c"]}, "classes must be labels"),
        ({"classes": ["a"] * 3}, "classes must be labels"),
        ({"classes": ["a", "b", "c", "d"]}, "n_classes=4"),
        ({"name": "a__b"}, "cannot be the name of a step"),
    ],
)
def test_wrong_values_are_named_and_cost_nothing(model, change, message):
    edit_step(model, **change)
    tracemalloc.start()
    with pytest.raises(ValueError, match=message):
        load(model)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6


def test_numbers_that_json_should_not_have(model):
    for text in ("NaN", "Infinity", "1e999"):
        edit_step(model, params={"lr": "HERE"})
        path = model / "model.json"
        path.write_text(path.read_text().replace('"HERE"', text))
        with pytest.raises(ValueError, match="cannot be read"):
            load(model)


def rewrite_weights(folder, change):
    """Other weights with a description that goes with them."""
    path = folder / "weights.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path)
    edit(folder, weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("estimator.head.classes.weight", float("nan"), "head.classes.weight contain NaN"),
        ("estimator.head.classes.bias", float("inf"), "head.classes.bias contain NaN or inf"),
        ("estimator.extractor.normalization.scale", 0.0, "normalization.scale must be positive"),
        ("estimator.extractor.normalization.context", -1, "normalization.context must not be"),
    ],
)
def test_weights_that_cannot_be(model, name, value, message):
    rewrite_weights(model, lambda weights: weights[name].fill_(value))
    with pytest.raises(ValueError, match=message):
        load(model)


def test_missing_and_superfluous_weights(model):
    rewrite_weights(model, lambda weights: weights.pop("estimator.head.classes.bias"))
    with pytest.raises(ValueError, match="the weights have no head"):
        load(model)
    rewrite_weights(model, lambda weights: weights.update(other=torch.zeros(1)))
    with pytest.raises(ValueError, match="the weights have no head"):
        load(model)


def test_a_device_that_is_not_there(model):
    for device in ("cuda:7", "mps", "xpu", "meta", "hpu"):
        edit_step(model, params={"device": device})
        assert load(model).device in ("auto", device if device == "mps" else "auto")
    edit_step(model, params={"device": "cpu"})
    assert load(model).device == "cpu"


def test_a_loaded_net_says_that_it_cannot_be_trained(model, features):
    again = load(model)
    with pytest.raises(SkorchTrainingImpossibleError):
        again.net_.partial_fit(*features)
    # The detector itself can be: it makes a net of its own.
    X, y = features
    again.set_params(max_epochs=1).fit(X[:8], y[:8])
    assert again.net_.optimizer_ is not None


def test_loading_imports_no_compiler(model):
    code = (
        "import sys; from sklearn_rcrnn import load; load(sys.argv[1]); "
        "print([m for m in ('torch._dynamo', 'librosa', 'sed_eval') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code, model], capture_output=True, text=True)
    assert out.stdout.strip() == "[]", out.stderr


def test_description_that_is_no_json(model):
    path = model / "model.json"
    for text in ("{", "[" * 100_000, "[]", '"x"', ""):
        path.write_text(text)
        with pytest.raises(ValueError, match="cannot be read"):
            load(model)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="cannot be read"):
        load(model)


class TestSavingOverAModel:
    def test_leaves_nothing_behind(self, fitted, features, model):
        again = copy.deepcopy(fitted).set_params(score_threshold=0.9)
        for detector in (again, fitted, again):
            save(detector, model)
            assert load(model).score_threshold == detector.score_threshold
            names = sorted(path.name for path in model.iterdir())
            assert len(names) == 2, names
            assert names[0] == "model.json"

    def test_what_a_killed_save_left_is_no_obstacle(self, fitted, model):
        (model / "model.json").unlink()
        (model / ".rcrnn-0123456789ab-0.part").write_text("half")
        save(fitted, model)
        assert load(model).get_params() == load(save(fitted, model)).get_params()

    def test_whole_at_every_moment(self, fitted, model, tmp_path):
        """Forty processes that save one of two models again and again, killed at any time."""
        joblib.dump(fitted, tmp_path / "a.joblib")
        other = copy.deepcopy(fitted).set_params(score_threshold=0.5)
        with torch.no_grad():
            for weights in other.net_.module_.parameters():
                weights.add_(1e-3)
        joblib.dump(other, tmp_path / "b.joblib")
        sums = {0.0: weights_sum(fitted), 0.5: weights_sum(other)}
        rng = np.random.default_rng(0)
        code = (
            "import os, sys, time, joblib, threading; from sklearn_rcrnn import save\n"
            "models = [joblib.load(path) for path in sys.argv[2:]]\n"
            "save(models[0], sys.argv[1])\n"
            "start = time.time()\n"
            "for model in models: save(model, sys.argv[1])\n"
            "both = time.time() - start\n"
            "def kill(part): time.sleep(part * both); os.kill(os.getpid(), 9)\n"
            "for line in sys.stdin:\n"
            "    if os.fork() == 0:\n"
            "        threading.Thread(target=kill, args=[float(line)]).start()\n"
            "        while True:\n"
            "            for model in models: save(model, sys.argv[1])\n"
            "    print(os.WTERMSIG(os.wait()[1]), flush=True)\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code, model, tmp_path / "a.joblib", tmp_path / "b.joblib"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        seen = set()
        with process:
            for part in rng.uniform(0, 2, 40):
                process.stdin.write(f"{part}\n")
                process.stdin.flush()
                assert process.stdout.readline().strip() == "9"
                again = load(model)
                assert weights_sum(again) == sums[again.score_threshold]
                seen.add(again.score_threshold)
            process.stdin.close()
        assert seen == {0.0, 0.5}
        save(fitted, model)
        assert len(list(model.iterdir())) == 2

    def test_two_processes(self, fitted, model):
        """Whoever loads meanwhile gets one or the other."""
        code = (
            "import os, sys; from sklearn_rcrnn import load, save\n"
            "model = load(sys.argv[1])\n"
            "other = os.fork()\n"
            "for i in range(10): save(model.set_params(score_threshold=i / 100), sys.argv[1])\n"
            "if other: sys.exit(os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]))\n"
        )
        process = subprocess.Popen([sys.executable, "-c", code, model])
        while process.poll() is None:
            load(model)
            time.sleep(0.1)
        assert process.returncode == 0
        assert load(model).score_threshold == 0.09
        assert len(list(model.iterdir())) == 2


def weights_sum(detector):
    return sum(float(w.double().sum()) for w in detector.net_.module_.state_dict().values())


def test_the_history_is_kept(fitted, tmp_path):
    loaded = load(save(fitted, tmp_path / "model"))
    for name in ("epoch", "train_loss", "valid_loss", "valid_loss_best"):
        assert loaded.history_[:, name] == pytest.approx(fitted.history_[:, name], abs=1e-6)
    assert TrainingDisplay.from_estimator(loaded).history == list(loaded.history_)
