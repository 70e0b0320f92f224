"""Groups of values as parameters: a recipe, augmentations."""

from __future__ import annotations

import pickle

import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sklearn_rcrnn import (
    EventAugmentation,
    FeatureAugmentation,
    RCRNNDetector,
    Recipe,
    load,
    make_rcrnn_pipeline,
    save,
)


@pytest.mark.parametrize(
    ("group", "change"),
    [
        (Recipe(), {"focal_gamma": 1.0}),
        (Recipe(roi_positive=[0.4, 0.5]), {"n_rois": 16}),
        (FeatureAugmentation(gain=1.0), {"gain": 2.0}),
        (EventAugmentation(), {"speed": 0.1}),
    ],
)
def test_groups_are_values(group, change):
    twin = clone(group)
    assert twin == group
    assert hash(twin) == hash(group)
    assert pickle.loads(pickle.dumps(group)) == group
    assert vars(group) == group.get_params()
    twin.set_params(**change)
    assert twin != group
    assert twin.get_params() == {**group.get_params(), **change}
    assert group != "group"


def test_values_of_a_preset():
    """The name of a preset is enough to change one of its values; the preset stays."""
    pipe = make_rcrnn_pipeline(recipe="refined")
    pipe.set_params(detector__recipe__focal_gamma=0.0)
    recipe = pipe["detector"].recipe
    assert recipe == Recipe.named("refined").set_params(focal_gamma=0.0)
    assert Recipe.named("refined").focal_gamma == 2.0
    paper = RCRNNDetector().set_params(recipe="paper", recipe__n_rois=32).recipe
    assert paper == Recipe(n_rois=32)


def test_search_over_recipe_and_augmentation(features):
    X, y = features
    detector = RCRNNDetector(
        gru_units=2,
        dense_units=4,
        max_epochs=1,
        augmentation=FeatureAugmentation(),
        random_state=0,
    )
    grid = {"recipe__focal_gamma": [0.0, 2.0], "augmentation__gain": [0.0, 6.0]}
    search = GridSearchCV(detector, grid, cv=2, refit=False).fit(X[:8], y[:8])
    tried = {tuple(sorted(params.items())) for params in search.cv_results_["params"]}
    assert len(tried) == 4
    assert detector.recipe == "refined"
    assert detector.augmentation == FeatureAugmentation()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"focal_gamma": -1.0}, "focal_gamma"),
        ({"roi_positive": ()}, "roi_positive must be one or more"),
        ({"roi_positive": (0.5,), "roi_background": 0.6}, "at least roi_background=0.6"),
        ({"anchor_weights": (1.0,)}, "anchor_weights must be two positive"),
        ({"roi_coding": "corners"}, "roi_coding"),
        ({"anchor_negative": 0.8}, "must not be above anchor_positive=0.7"),
    ],
)
def test_values_are_checked_in_fit(features, params, message):
    with pytest.raises(ValueError, match=message):
        RCRNNDetector(recipe=Recipe(**params)).fit(*features)


def test_augmentations_are_checked_when_they_are_used():
    with pytest.raises(ValueError, match="band_mask"):
        FeatureAugmentation(band_mask=2.0)(torch.zeros(1, 10, 4))


def test_unknown_preset():
    with pytest.raises(ValueError, match=r"no recipe 'papper'; there are \['paper', 'refined'\]"):
        Recipe.named("papper")


def test_a_trained_network_keeps_its_recipe(features, tmp_path):
    X, y = features[0][:6], features[1][:6]
    recipe = Recipe()
    params = {"gru_units": 2, "dense_units": 4, "score_threshold": 0.0, "precision": "float32"}
    detector = RCRNNDetector(**params, recipe=recipe, max_epochs=1, random_state=0).fit(X, y)
    before = detector.predict_candidates(X)
    RCRNNDetector(recipe=recipe).set_params(recipe__roi_coding="edges")
    assert detector.predict_candidates(X) == before
    assert load(save(detector, tmp_path / "model")).predict_candidates(X) == before
