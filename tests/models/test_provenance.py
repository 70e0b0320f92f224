"""A model carries the license of what it started from, through every further start."""

from __future__ import annotations

import json

import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from sklearn_rcrnn import (
    CRNNPretrainer,
    FrameDetector,
    LFBETransformer,
    RCRNNDetector,
    load,
    make_rcrnn_pipeline,
    save,
)
from sklearn_rcrnn.datasets import make_rare_events
from sklearn_rcrnn.models.provenance import provenance_lines, provenance_of

SMALL = {"gru_units": 4, "dense_units": 8, "max_epochs": 1, "validation_fraction": None}


@pytest.fixture(scope="module")
def features():
    X, y = make_rare_events(4, duration=3.0, random_state=0)
    return LFBETransformer().transform(X), y


def from_start(features, start=None):
    pretrainer = None if start is None else FrozenEstimator(start)
    return RCRNNDetector(**SMALL, pretrainer=pretrainer, random_state=0).fit(*features)


@pytest.fixture
def licensed(features, tmp_path):
    """The folder of a model under a license."""
    folder = save(from_start(features), tmp_path / "geese")
    description = json.loads((folder / "model.json").read_text())
    assert "provenance" not in description
    description["provenance"] = {"license": "CC BY-NC 4.0", "attribution": "by A and B"}
    (folder / "model.json").write_text(json.dumps(description))
    return folder


def test_through_every_further_start(features, licensed, tmp_path):
    first = from_start(features, load(licensed))
    assert provenance_of(first)["license"] == "CC BY-NC 4.0"
    save(first, tmp_path / "swans")
    second = from_start(features, load(tmp_path / "swans"))
    third = load(save(second, tmp_path / "ducks"))
    kept = json.loads((tmp_path / "ducks" / "model.json").read_text())["provenance"]
    assert kept["license"] == "CC BY-NC 4.0"
    assert kept["attribution"] == "by A and B"
    assert [entry["name"] for entry in kept["started_from"]] == ["swans", "geese"]
    assert len({entry["weights_sha256"] for entry in kept["started_from"]}) == 2
    assert provenance_lines(provenance_of(third)) == [
        "- started from: swans, which started from geese",
        "- license of the weights: CC BY-NC 4.0",
        "- attribution: by A and B",
    ]


def test_trained_anew_it_carries_nothing(features, licensed):
    detector = load(licensed)
    assert provenance_of(detector)["license"] == "CC BY-NC 4.0"
    assert provenance_of(detector.fit(*features)) == {}


@pytest.mark.parametrize(
    "estimator",
    [
        RCRNNDetector(**SMALL),
        CRNNPretrainer(gru_units=4, max_epochs=1, validation_fraction=None),
        FrameDetector("mlp", max_epochs=1, validation_fraction=None),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_trained_on_other_labels_it_keeps_no_thresholds_and_no_license(
    features, estimator, tmp_path
):
    X, y = features
    estimator = clone(estimator).fit(X, y)
    estimator.provenance_ = {"license": "CC BY-NC 4.0"}
    estimator.thresholds_ = {"balanced": dict.fromkeys(estimator.classes_.tolist(), 0.3)}
    estimator.fit(X, [[(onset, offset, "dog") for onset, offset, *_ in own] for own in y])
    assert not hasattr(estimator, "thresholds_")
    assert provenance_of(estimator) == {}
    assert load(save(estimator, tmp_path / "model")).classes_.tolist() == ["dog"]


@pytest.mark.parametrize("wrong", ["CC0", {"license": 4}, {"started_from": ["geese"]}])
def test_a_wrong_entry_is_named(licensed, wrong):
    path = licensed / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "provenance": wrong}))
    with pytest.raises(ValueError, match="provenance must be an object"):
        load(licensed)


@pytest.fixture(scope="module")
def detector(features):
    """With two thresholds by name: everything and nothing."""
    detector = from_start(features)
    detector.thresholds_ = {
        name: dict.fromkeys(detector.classes_.tolist(), value)
        for name, value in (("sensitive", 0.0), ("few false alarms", 1.0))
    }
    return detector


class TestThresholdsByName:
    def test_they_are_kept_and_taken_by_name(self, detector, features, tmp_path):
        kept = load(save(detector, tmp_path / "model"))
        assert kept.thresholds_ == detector.thresholds_
        few = kept.set_params(score_threshold="few false alarms").predict(features[0])
        many = kept.set_params(score_threshold="sensitive").predict(features[0])
        assert sum(map(len, few)) == 0 < sum(map(len, many))
        assert load(save(kept, tmp_path / "model")).score_threshold == "sensitive"

    def test_a_name_that_is_not_there(self, detector, features):
        with pytest.raises(ValueError, match="no thresholds named 'balanced'; it has 'sensitive'"):
            detector.set_params(score_threshold="balanced").predict(features[0])
        with pytest.raises(ValueError, match="no thresholds named 'balanced'; it has none"):
            from_start(features).set_params(score_threshold="balanced").predict(features[0])
        with pytest.raises(ValueError, match="no thresholds named 'low'; it has 'sensitive'"):
            detector.set_params(score_threshold="low").predict(features[0])


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    X, y = make_rare_events(4, duration=3.0, random_state=0)
    settings = {**SMALL, "n_mels": 40, "hop_length": 2048, "normalization": 2.0}
    pipe = make_rcrnn_pipeline(**settings, random_state=0).fit(X, y)
    return save(pipe, tmp_path_factory.mktemp("starts") / "geese")


def test_features_and_sizes_are_those_of_the_start(start):
    X, y = make_rare_events(4, duration=3.0, random_state=1)
    y = [[(onset, offset, "swan") for onset, offset, _ in clip] for clip in y]
    pipe = make_rcrnn_pipeline(start=start, max_epochs=1, validation_fraction=None)
    assert pipe["lfbe"].n_mels == 40
    assert pipe["detector"].frame_shift == pipe["lfbe"].frame_shift == 2048 / 44100
    assert (pipe["detector"].gru_units, pipe["detector"].normalization) == (4, 2.0)
    fitted = clone(pipe).fit(X, y)
    assert provenance_of(fitted[-1])["started_from"][0]["name"] == "geese"
    # A short training away from the weights of the start, where random ones never are.
    before, after = (p[-1].net_.module_.state_dict() for p in (load(start), fitted))
    name = next(key for key in before if key.startswith("extractor") and "weight" in key)
    assert not torch.equal(before[name], after[name])
    assert torch.allclose(before[name], after[name], atol=2e-2)


def test_a_start_does_not_share_what_may_be_changed(start):
    model = load(start)
    model[-1].set_params(recipe__n_rois=32)
    make_rcrnn_pipeline(start=model).set_params(detector__recipe__n_rois=16)
    assert model[-1].recipe.n_rois == 32


def test_what_was_set_after_fit_is_not_taken_over(start):
    """Layers of other sizes would start anew without a word."""
    model = load(start)
    model[-1].set_params(gru_units=16, dense_units=16)
    pipe = make_rcrnn_pipeline(start=model, max_epochs=1)
    assert (pipe[-1].gru_units, pipe[-1].dense_units) == (4, 8)
    pipe.fit(*make_rare_events(4, duration=3.0, random_state=0))


def test_what_cannot_be_had_with_a_start(start):
    # 64 is what there is without a start: it was taken for no value at all.
    for n_mels in (80, 64):
        with pytest.raises(ValueError, match=f"with n_mels=40; n_mels={n_mels} cannot be had"):
            make_rcrnn_pipeline(start=start, n_mels=n_mels)
    assert make_rcrnn_pipeline(start=start, n_mels=40)["lfbe"].n_mels == 40
    with pytest.raises(ValueError, match="trains from scratch"):
        make_rcrnn_pipeline(start=start, preset="paper")
    with pytest.raises(FileNotFoundError, match="start must be a folder of a model, or one of"):
        make_rcrnn_pipeline(start="no-such-model")
    with pytest.raises(TypeError, match="got RCRNNDetector"):
        make_rcrnn_pipeline(start=load(start)[-1])
    with pytest.raises(TypeError, match="got Pipeline"):
        make_rcrnn_pipeline(start=Pipeline(load(start).steps[-1:]))


def test_none_is_from_scratch():
    assert make_rcrnn_pipeline(start="none")["detector"].pretrainer is None
