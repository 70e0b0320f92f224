"""Models in files: the same predictions, no pickle, nothing unknown accepted."""

from __future__ import annotations

import json

import pytest
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline, make_pipeline

from sklearn_rcrnn import (
    CRNNPretrainer,
    FeatureAugmentation,
    LFBETransformer,
    RCRNNDetector,
    load,
    save,
)
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
    small.set_params(max_epochs=1, score_threshold=0.0).fit(X, numbered)
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
        ({"steps": [{"name": "x", "class": "LFBETransformer", "params": {"f": 1}}]}, "does not"),
        ({"steps": [{"name": "x"}]}, "does not describe"),
    ],
)
def test_edited_description(model, change, message):
    edit(model, **change)
    with pytest.raises(ValueError, match=message):
        load(model)


def test_other_sizes_than_the_weights(model):
    steps = json.loads((model / "model.json").read_text())["steps"]
    steps[0]["params"]["gru_units"] = 9
    edit(model, steps=steps)
    with pytest.raises(ValueError, match="does not describe"):
        load(model)


def test_description_that_is_no_json(model):
    (model / "model.json").write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        load(model)
