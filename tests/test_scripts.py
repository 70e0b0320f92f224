"""The scripts behind the figures of the docs run, on recordings made here; sizes are tiny."""

from __future__ import annotations

import csv
import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.pipeline import make_pipeline
from small_corpus import RATE, write_subset
from small_runs import run_script

from sklearn_rcrnn import LFBETransformer, RCRNNDetector, load, save
from sklearn_rcrnn.models.shipped import model_card, model_facts

REPOSITORY = Path(__file__).parents[1]
CLASSES = {"babycry": 600, "glassbreak": 5000, "gunshot": 150}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Tones for the three classes over half-minutes of noise: two recordings of each."""
    root = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    for subset in ("devtrain", "devtest"):
        backgrounds = {
            f"{subset}-{recording}_0_30.wav": 0.05 * rng.normal(size=30 * RATE)
            for recording in "ab"
        }
        events = {}
        for label, frequency in CLASSES.items():
            tone = 0.3 * np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE)
            names = [f"{subset}-{recording}_0.wav" for recording in "ab"]
            events[label] = [(name, tone, RATE, (0.0, 0.8)) for name in names]
        write_subset(root / "source_data", subset, backgrounds, events)
    return root


def run(script, *arguments):
    return run_script(REPOSITORY / script, *arguments)


def test_training_on_a_corpus_and_its_held_out_rates(root, tmp_path):
    sizes = "--epoch-clips 4 --pretrain-epochs 1 --epochs 1 --rounds 1 --round-lr 1e-4 "
    sizes += "--final-epochs 1 --valid-clips 2 --test-clips 2 --gru-units 4 --dense-units 8 "
    sizes += "--judges 1 --judge-epochs 1"
    settings = [*sizes.split(), "--held-out", "0.5", "--root", root, "--work", tmp_path]
    printed = run("benchmarks/accuracy/rare_events_corpus.py", *settings)
    assert "1 judges: 1 epochs of 4 mixtures each" in printed
    assert "scored devtest: 2 mixtures a class" in printed
    assert (tmp_path / "scores.json").exists()

    models = [tmp_path / "round1", tmp_path / "model"]
    printed = run(
        "benchmarks/accuracy/held_out.py", "--split", tmp_path / "split", "--clips", 2, *models
    )
    assert [line.split()[0] for line in printed.splitlines()[-2:]] == ["round1", "model"]


def test_the_conditions_of_a_model(root, tmp_path):
    """Every figure is there, and those that can be told by hand are right."""
    detector = RCRNNDetector(4, 8, max_epochs=1, validation_fraction=None, random_state=0)
    pipe = make_pipeline(LFBETransformer(), detector)
    tones = [np.sin(f * np.arange(RATE) / 7000) for f in CLASSES.values()]
    pipe.fit(tones, [[(0.0, 0.8, label)] for label in CLASSES])
    pipe.set_params(rcrnndetector__score_threshold=1.0)
    save(pipe, tmp_path / "deaf")
    settings = ["--root", root, "--clips", 2, "--json", tmp_path / "figures.json"]
    printed = run("benchmarks/accuracy/conditions.py", tmp_path / "deaf", *settings)
    assert "| at 8 kHz | 1.00 | 1.00 | 1.00 | 1.00 | 1.00 |" in printed
    (figures,) = json.loads((tmp_path / "figures.json").read_text()).values()
    assert [row["of all events"] for row in figures["found"].values()] == [0, 0, 0]
    assert len(figures["found"]["in 10 s of silence"]["missed"]) == 6
    assert figures["failures"]["events"] == figures["failures"]["missed or misplaced"] == 3
    for row in figures["false alarms an hour"].values():
        assert row["hours"] == pytest.approx(1 / 60)
        assert row["model"]["all"] == 0

    rows = [f"events/{label}/*,someone/sounds,CC0" for label in CLASSES]
    rows += ["bgs/*,someone/scenes,CC BY 4.0"]
    (root / "provenance.csv").write_text("\n".join(["file,repository,licence", *rows]) + "\n")
    figures = ["--figures", tmp_path / "figures.json", "--command", "make deaf"]
    settings = ["--root", root, "--trained-on", "devtrain", *figures]
    run("benchmarks/accuracy/model_card.py", tmp_path / "deaf", *settings)
    card = model_card(str(tmp_path / "deaf"))
    assert card.startswith("# deaf\n")
    assert "| babycry | 2 | 2 | someone/sounds | CC0 |" in card
    assert "3 of 3 events in mixtures as they are were missed" in card
    assert model_facts(str(tmp_path / "deaf")).error_rate == pytest.approx(1.0)


def test_thresholds_that_a_judge_chooses(root, tmp_path):
    """Missed events are those of one judge, false ones those of another if there is one."""
    source = root / "source_data" / "cv_setup"
    split = tmp_path / "split" / "source_data"
    (split / "cv_setup").mkdir(parents=True)
    for name in ("events", "bgs"):
        (split / name).symlink_to(root / "source_data" / name)
    for kind, subset in product(("events", "bgs"), ("hold", "foreign")):
        listed = (source / f"{kind}_devtest.yaml").read_text()
        (split / "cv_setup" / f"{kind}_{subset}.yaml").write_text(listed)
    detector = RCRNNDetector(4, 8, max_epochs=1, validation_fraction=None, random_state=0)
    pipe = make_pipeline(LFBETransformer(), detector)
    tones = [np.sin(f * np.arange(RATE) / 7000) for f in CLASSES.values()]
    pipe.fit(tones, [[(0.0, 0.8, label)] for label in CLASSES])
    save(pipe, tmp_path / "judge")
    settings = ["--root", tmp_path / "split", "--clips", 2, "--recorders", "as they are"]
    settings += ["--made-backgrounds", 1, "--seeds", 3, 4, "--json", tmp_path / "chosen.json"]
    script = "benchmarks/accuracy/choose_thresholds.py"
    judge = tmp_path / "judge"
    run(script, judge, *settings, "--false-by", judge, "--into", judge)
    made = yaml.safe_load(
        (tmp_path / "split-1" / "source_data" / "cv_setup" / "bgs_foreign.yaml").read_text()
    )
    assert [row["filepath"] for row in made][-1] == "made/0.flac"
    chosen = json.loads((tmp_path / "chosen.json").read_text())
    assert set(chosen["thresholds"]) == {"sensitive", "balanced", "few false alarms"}
    assert load(judge)[-1].thresholds_ == chosen["thresholds"]
    seen = chosen["judge"]["balanced"]["gunshot"]
    assert list(seen) == ["hold, seed 3", "hold, seed 4", "foreign, seed 3", "foreign, seed 4"]
    # The two subsets are the same here.
    assert seen["hold, seed 3"] == seen["foreign, seed 3"]


@pytest.mark.slow
def test_how_many_examples_it_takes(root, tmp_path):
    sizes = ["--examples", 1, "--clips", 2, "--starts", "none", "--work", tmp_path]
    options = "--epochs 1 --final-epochs 0 --clip-length 1 --gru-units 4 --dense-units 8 --jobs 1"
    settings = ["--root", root, "--train", "devtrain", "--test", "devtest", "--options", options]
    for form in ("files", "mixtures"):
        printed = run("benchmarks/accuracy/few_examples.py", *sizes, *settings, "--form", form)
        assert "| start | 1 example | minutes |" in printed
        (cell,) = json.loads((tmp_path / "few_examples.json").read_text())
        assert set(cell["labels"]) == set(CLASSES)
        assert (tmp_path / f"{form}-none-1-0" / "model.json").exists()
    assert (tmp_path / "few_examples.png").stat().st_size > 0
    again = run("benchmarks/accuracy/few_examples.py", *sizes, *settings)
    assert "mixtures-none-1-0:" not in again


@pytest.mark.parametrize("mixtures", [["--length", "3"], ["--challenge"]])
def test_what_defaults_are_worth(mixtures, root, tmp_path):
    sizes = "--train-clips 2 --epochs 1 --clips 2"
    settings = [*mixtures, "--root", root, "--work", tmp_path, "--settings", "constant"]
    printed = run("benchmarks/accuracy/defaults.py", *sizes.split(), *settings).splitlines()
    assert printed[0].startswith("6 mixtures to train on, 1 epochs; 12 held out")
    assert [line.split()[2] for line in printed[-2:]] == ["1", "any"]


def test_a_table_of_the_paper_for_one_class_learns_from_the_challenges_mixtures(root, tmp_path):
    sizes = "--table 4 --epochs 1 --train-clips 4 --valid-clips 2 --test-clips 2 --pretrain-batch 2"
    chosen = ["--classes", "gunshot", "--systems", "R-CRNN", "--root", root, "--work", tmp_path]
    printed = run("benchmarks/accuracy/paper_tables.py", *sizes.split(), *chosen)
    assert "R-CRNN, gunshot, seed 0" in printed
    with open(tmp_path / "table4.csv", newline="") as file:
        assert [(row["class"], row["epochs"]) for row in csv.DictReader(file)] == [("gunshot", "1")]


def test_cells_that_were_trained_elsewhere_are_scored_here(root, tmp_path):
    sizes = "--table 4 --epochs 3 --train-clips 4 --valid-clips 2 --test-clips 2 --pretrain-batch 2"
    chosen = ["--classes", "gunshot", "--systems", "R-CRNN", "DNN", "--root", root]
    settings = ["benchmarks/accuracy/paper_tables.py", *sizes.split(), *chosen, "--work", tmp_path]
    trained = run(*settings, "--train-only", "--stop-after", 0.0001)
    assert "2 cells are left to train" in trained
    assert len(list((tmp_path / "trained").glob("gunshot-*.pt"))) == 2
    assert not list((tmp_path / "cells").iterdir())
    scored = run(*settings)
    assert "0 cells are left to train" in scored
    with open(tmp_path / "table4.csv", newline="") as file:
        # One epoch, after which the time was over.
        assert [row["epochs"] for row in csv.DictReader(file)] == ["1", "1"]


def test_a_table_of_the_paper_goes_on_where_it_was(root, tmp_path):
    sizes = "--table 4 --minutes 0.01 --train-clips 3 --valid-clips 2 --test-clips 2 --classes all"
    settings = [*sizes.split(), "--root", root, "--work", tmp_path]
    cost = run("benchmarks/accuracy/paper_tables.py", *settings, "--systems", "DNN", "--cost")
    assert "1 cells are left to train, which takes about 0.0 h here" in cost
    assert not (tmp_path / "cells").exists()
    first = run("benchmarks/accuracy/paper_tables.py", *settings, "--systems", "DNN")
    assert "DNN, all, seed 0" in first
    ours = ("R-CRNN", "R-CRNN (refined)")
    again = run("benchmarks/accuracy/paper_tables.py", *settings, "--systems", "DNN", *ours)
    assert "2 cells are left to train" in again
    assert "DNN, all, seed 0" not in again
    assert all(f"{name}, all, seed 0" in again for name in ours)
    with open(tmp_path / "table4.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    assert {row["class"] for row in rows} == set(CLASSES)
    assert (tmp_path / "table4.png").stat().st_size > 0
