"""The models that come with the package, on what they are for."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone

from sklearn_rcrnn import list_pretrained, load_pretrained, save
from sklearn_rcrnn.datasets import generate_mixture_recipes, make_rare_events, synthesize_mixtures
from sklearn_rcrnn.evaluation import onset_errors
from sklearn_rcrnn.metrics import event_based_error_rate
from sklearn_rcrnn.models import DEFAULT_START
from sklearn_rcrnn.models.shipped import MODELS, model_card, model_facts
from sklearn_rcrnn.models.starts import load_start


def test_names_and_sizes():
    assert list_pretrained() == ["general", "rare-events"]
    for folder in (MODELS / name for name in list_pretrained()):
        there = {path.name for path in folder.iterdir()}
        assert there == {"model.json", "weights.safetensors", "README.md", "figures.json"}
        assert sum(path.stat().st_size for path in folder.iterdir()) < 8 * 2**20


def test_what_trainings_start_from_may_be_used_for_any_purpose():
    facts = model_facts(DEFAULT_START)
    assert facts.license == "CC BY-SA 4.0"
    assert len(facts.labels) == 77
    names = set(load_pretrained(DEFAULT_START)[-1].thresholds_)
    assert names == {"sensitive", "balanced", "few false alarms"}


@pytest.mark.parametrize("name", list_pretrained())
def test_the_card_says_what_the_model_is(name):
    """License, sources, conditions and failures; and nothing that was not filled in."""
    card, facts = model_card(name), model_facts(name)
    assert card.startswith(f"# {name}\n")
    assert facts.license
    assert f"- license of the weights: {facts.license}\n" in card
    for label in facts.labels:
        assert f"`{label}`" in card
    for heading in ("What it learnt from", "Thresholds and false alarms", "Where it fails"):
        assert f"## {heading}" in card
    assert f"{facts.error_rate:.2f}" in card
    assert "{" not in card.replace("{lines", "")


def test_unknown_name():
    with pytest.raises(ValueError, match=r"'birds'; there are \['general', 'rare-events'\]"):
        load_pretrained("birds")


def test_a_folder_of_the_same_name_is_told_of(tmp_path, monkeypatch):
    """A training into the folder general was followed by detection with the package's model."""
    monkeypatch.chdir(tmp_path)
    save(load_pretrained(), "general")
    with pytest.warns(UserWarning, match=r"the model of the package, .* is \./general"):
        assert len(load_start("general")[-1].classes_) == 77
    with pytest.warns(UserWarning, match=r"\./general"):
        assert model_facts("general").name == "general"
    assert model_facts("./general").labels == ["babycry", "glassbreak", "gunshot"]


def test_each_has_its_own_copy():
    first, second = load_pretrained(), load_pretrained()
    first.set_params(detector__score_threshold=0.0)
    assert second["detector"].score_threshold != 0.0
    X, _ = make_rare_events(2, duration=5.0, random_state=0)
    assert load_pretrained().predict(X) == second.predict(X)
    assert clone(second).get_params()["detector__gru_units"] == 100


@pytest.fixture(scope="module")
def mixtures():
    """Ten devtest mixtures a class, all with an event as loud as in the challenge's easy third."""
    from conftest import CORPUS

    if not (CORPUS / "source_data").is_dir():
        pytest.skip(f"no corpus in {CORPUS}")
    recipes = generate_mixture_recipes(
        CORPUS, "devtest", mixtures_per_class=10, event_presence_prob=1.0, ebrs=[6]
    )
    X, y = synthesize_mixtures(CORPUS, recipes, n_jobs=2)
    return X, y


@pytest.mark.corpus
def test_real_recordings(mixtures):
    X, y = mixtures
    found = load_pretrained().predict(X)
    assert event_based_error_rate(y, found) < 0.6
    errors = np.concatenate(list(onset_errors(y, found).values()))
    assert abs(np.median(errors)) < 0.1


@pytest.mark.corpus
def test_a_clip_alone_and_inside_a_long_recording(mixtures):
    """Sure events are found again within the collar, wherever the borders of windows fall.

    They are not equal, because other surroundings normalize them.
    """
    X, _ = mixtures
    pipe = load_pretrained().set_params(detector__max_events_per_clip=None)
    alone = [event for clip in pipe.predict(X[:6]) for event in clip if event.score > 0.8]
    assert len(alone) >= 3
    for shift in (0, 13, 41):
        noise = 1e-3 * np.random.default_rng(0).normal(size=shift * 44100).astype(np.float32)
        long = np.concatenate([noise, *X[:6]])
        found = pipe.predict([long])[0]
        expected = [
            (event.onset + shift + 30 * i, event.label)
            for i, clip in enumerate(pipe.predict(X[:6]))
            for event in clip
            if event.score > 0.8
        ]
        nearest = [
            min((abs(e.onset - onset) for e in found if e.label == label), default=np.inf)
            for onset, label in expected
        ]
        assert max(nearest) < 0.5, (shift, expected, nearest)
