"""Warm starts: what is taken over from a fitted estimator, and what is kept in a cache."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator

from sklearn_rcrnn import (
    CRNNPretrainer,
    LFBETransformer,
    RCRNNDetector,
    Recipe,
    load,
    make_rcrnn_pipeline,
    save,
)
from sklearn_rcrnn.nn.losses import LabelLinear
from sklearn_rcrnn.nn.rcrnn import RCRNN
from sklearn_rcrnn.training.initial_weights import cached_fit, copy_weights

PER_LABEL = {
    "dense": {"head.classes", "head.regression", "step_classifier"},
    "position_sensitive": {"head.maps", "step_classifier"},
}


class Fitted:
    """As much of a fitted detector as a warm start looks at."""

    def __init__(self, network, labels):
        import numpy as np

        self.classes_ = np.asarray(labels)
        self.net_ = type("Net", (), {"module_": network})


def network(head, n_classes=2, **sizes):
    usual = {"gru_units": 4, "dense_units": 8, "recipe": Recipe.named("refined")}
    return RCRNN(16, n_classes, head=head, **usual | sizes)


def layers_taken(target, source):
    """Layers of the target with the weights of the source."""
    theirs = dict(source.named_parameters())
    return {
        name.rpartition(".")[0]
        for name, weights in target.named_parameters()
        if weights.dim() > 1 and torch.equal(weights, theirs[name])
    }


@pytest.mark.parametrize("head", ["dense", "position_sensitive"])
@pytest.mark.parametrize("labels", [["a", "b"], ["b", "c"], ["a", "b", "c"]])
def test_layers_of_labels_start_anew_where_labels_are_others(head, labels):
    torch.manual_seed(0)
    source = network(head)
    target = network(head, len(labels))
    with_weights = {n.rpartition(".")[0] for n, w in target.named_parameters() if w.dim() > 1}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        copy_weights(target, Fitted(source, ["a", "b"]), labels)
    taken = layers_taken(target, source)
    assert taken == (with_weights if labels == ["a", "b"] else with_weights - PER_LABEL[head])


def test_a_frozen_extractor_keeps_its_surroundings():
    """Shorter clips changed the normalization, and so the feature maps, of a frozen extractor."""
    rng = np.random.default_rng(0)
    long, short = (rng.normal(size=(4, n, 16)).astype(np.float32) for n in (80, 40))
    y = [[(0.1, 0.5, "ab"[i % 2])] for i in range(4)]
    settings = {"gru_units": 4, "max_epochs": 1, "validation_fraction": None, "random_state": 0}
    start = FrozenEstimator(CRNNPretrainer(**settings).fit(long, y))
    frozen = RCRNNDetector(dense_units=8, pretrainer=start, freeze_extractor=True, **settings)
    maps = frozen.fit(short, y).transform(long)
    ours, theirs = (own.net_.module_.extractor.state_dict() for own in (frozen, start.estimator))
    assert ours.keys() == theirs.keys()
    assert all(value.equal(theirs[name]) for name, value in ours.items())
    # On some processors the same weights give maps that differ by rounding.
    np.testing.assert_allclose(maps, start.transform(long), rtol=0, atol=1e-5)


def test_layers_of_another_size_start_anew():
    torch.manual_seed(0)
    source, target = network("dense"), network("dense", anchor_sizes=(1, 2))
    with pytest.warns(UserWarning, match=r"layers rpn\.objectness, rpn\.regression begin with"):
        copy_weights(target, Fitted(source, ["a", "b"]), ["a", "b"])
    taken = layers_taken(target, source)
    assert "rpn.window" in taken
    assert not taken & {"rpn.objectness", "rpn.regression"}


@pytest.mark.parametrize(
    ("params", "anew"),
    [
        ({"recipe": Recipe.named("paper")}, {"head.regression"}),
        ({"anchor_sizes": (2, 4, 8, 16, 32, 64)}, {"rpn.objectness", "rpn.regression"}),
        ({"recipe": Recipe(roi_coding="edges", anchor_weights=(1, 1))}, {"rpn.regression"}),
    ],
)
def test_layers_of_another_meaning_start_anew(params, anew):
    """Intervals that are coded otherwise were wrong from the start, although the sizes fit."""
    torch.manual_seed(0)
    source, target = network("dense"), network("dense", **params)
    with pytest.warns(UserWarning, match=f"The layers {', '.join(sorted(anew))} begin"):
        copy_weights(target, Fitted(source, ["a", "b"]), ["a", "b"])
    with_weights = {n.rpartition(".")[0] for n, w in target.named_parameters() if w.dim() > 1}
    assert with_weights - layers_taken(target, source) == anew


@pytest.mark.parametrize(("head", "units"), [("dense", 9), ("position_sensitive", 8)])
def test_other_layers_behind_the_extractor_are_named(head, units):
    """They began anew without a word, also where the labels are others."""
    source, target = network(head, dense_units=units), network("dense")
    with pytest.warns(UserWarning, match=r"The layers head\..* begin with random weights") as told:
        copy_weights(target, Fitted(source, ["a", "b"]), ["b", "c"])
    assert not any(layer in str(told[0].message) for layer in ("head.classes", "step", "extractor"))


@pytest.mark.parametrize("head", ["dense", "position_sensitive"])
def test_the_network_names_the_layers_of_its_labels(head):
    layers = network(head).named_modules()
    found = {name for name, layer in layers if isinstance(layer, LabelLinear)}
    assert found == PER_LABEL[head]
    assert found <= set(RCRNN.label_layers)


def test_layers_that_start_anew_behind_known_ones_learn_faster(features):
    X, y = features
    others = [[(*event[:2], "other") for event in own] for own in y]
    params = {"gru_units": 4, "dense_units": 8, "max_epochs": 1, "random_state": 0, "lr": 1e-4}
    start = RCRNNDetector(**params).fit(X, others)
    detector = RCRNNDetector(**params, lr_schedule="constant", pretrainer=FrozenEstimator(start))
    new, rest = rates(detector.fit(X, y))
    assert new == (5e-4, {"head.classes", "head.regression", "step_classifier"})
    assert rest[0] == 1e-4
    ((rate, layers),) = rates(detector.fit(X, others))
    assert rate == 1e-4
    assert "head.classes" in layers


def rates(detector):
    """Learning rate and layers of each group of the optimizer, the highest rate first."""
    names = {w: n.rpartition(".")[0] for n, w in detector.net_.module_.named_parameters()}
    groups: dict[float, set[str]] = {}
    for group in detector.net_.optimizer_.param_groups:
        groups.setdefault(group["lr"], set()).update(names[w] for w in group["params"])
    return sorted(groups.items(), reverse=True)


class Halves(torch.nn.Module):
    frames_per_step = 2
    n_channels = 4

    def __init__(self, scale=1.0):
        super().__init__()
        self.linear = torch.nn.Linear(64, 4)
        self.scale = scale

    def forward(self, features, lengths=None):
        return self.linear(features[:, ::2]) * self.scale


def test_a_cache_knows_an_own_extractor_again(features, tmp_path, monkeypatch):
    X, y = features
    calls = []
    fit = CRNNPretrainer.fit
    monkeypatch.setattr(
        CRNNPretrainer, "fit", lambda self, *a, **k: calls.append(self) or fit(self, *a, **k)
    )
    extractor, scaled = Halves(), Halves(2.0)
    scaled.load_state_dict(extractor.state_dict())
    for module in (extractor, copy.deepcopy(extractor), Halves(), scaled):
        pretrainer = CRNNPretrainer(extractor=module, max_epochs=1, random_state=0)
        cached_fit(pretrainer, {"X": X, "y": y}, str(tmp_path))
    # The second is as the first; the third has other weights, and the last another scale.
    assert [call.extractor is extractor for call in calls] == [True, False, False]


@pytest.mark.parametrize("way", ["fitted", "loaded"])
def test_a_start_refuses_features_that_it_does_not_know(way, tmp_path):
    """Of the same number of bands and the same hop, it took others for its own without a word."""
    X = list(np.random.default_rng(0).normal(size=(4, 4 * 4000)).astype(np.float32))
    y = [[(0.5, 1.5, "a")]] * 4
    settings = {"max_epochs": 1, "validation_fraction": None, "random_state": 0}
    sizes = {"sample_rate": 4000, "n_fft": 256, "hop_length": 128, "n_mels": 16, "gru_units": 4}
    start = make_rcrnn_pipeline(**sizes, dense_units=8, **settings).fit(X, y)
    if way == "loaded":
        start = load(save(start, tmp_path / "start"))
    pipe = make_rcrnn_pipeline(start=start, **settings)
    pipe.set_params(lfbe__f_max=2000.0).fit(X, y)  # as None means
    with pytest.raises(ValueError, match=r"features with n_fft=256, and X has .* n_fft=512"):
        pipe.set_params(lfbe__n_fft=512).fit(X, y)
    pipe.set_params(detector__pretrainer=None).fit(X, y)
    frozen = FrozenEstimator(start[-1])
    again = RCRNNDetector(gru_units=4, frame_shift=0.032, pretrainer=frozen, **settings)
    other = LFBETransformer(4000, 256, 128, 16, f_min=50.0).transform(X)
    with pytest.raises(ValueError, match=r"f_min=0\.0, and X has features with f_min=50\.0"):
        again.fit(other, y)
    again.fit(np.asarray(other), y)  # nobody knows what these are
