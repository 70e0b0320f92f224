"""``rcrnn train`` and ``rcrnn tune``, from recordings and a table to a model and its scores."""

from __future__ import annotations

import csv
import json

import pytest
from small_runs import rcrnn

from sklearn_rcrnn import Event, load
from sklearn_rcrnn.annotations.tables import read_events, write_events

LENGTH = ("--length", 3, "--presence", 1)
SMALL = ("--gru-units", 4, "--dense-units", 8, "--clip-length", 3)


@pytest.fixture(scope="module", autouse=True)
def short_epochs():
    """Epochs of 32 clips in place of 256: how well something is learnt is not what counts here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sklearn_rcrnn.cli._material._FEWEST", 32)
        yield


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """Eight clips with an event each, three files beside them that are no audio, and the table."""
    clips = tmp_path_factory.mktemp("train") / "clips"
    out = rcrnn("synthesize", clips, "--clips", 8, *LENGTH)
    assert out.exit_code == 0, out.stderr
    (clips / "broken.wav").write_text("no audio")
    (clips / "._clip.wav").write_text("of macOS")
    (clips / "of_a_phone.m4a").write_bytes(b"\0\0\0\x1cftypM4A ")
    return clips, clips / "events.csv"


@pytest.fixture(scope="module")
def trained(material):
    """A model that was trained from nothing, and what the command said meanwhile."""
    model = material[0].parent / "model"
    train = ("train", *material, "-o", model, "--epochs", 1, "--json", "--pretrain-epochs", 1)
    train = (*train, "--held-out", 0.4, *SMALL)
    out = rcrnn(*train)
    assert out.exit_code == 2
    assert "give --start none with --gru-units, --dense-units" in out.stderr
    out = rcrnn(*train, "--start", "none")
    assert out.exit_code == 1, out.stderr  # two recordings cannot be read
    return model, [json.loads(line) for line in out.stderr.splitlines()]


@pytest.mark.slow
def test_from_nothing_to_a_model(material, trained):
    model, rows = trained
    assert len(read_events(material[1])) == 8
    kinds = [row["event"] for row in rows]
    assert kinds[:3] == ["error", "error", "read"]
    assert "of_a_phone.m4a' " in rows[1]["error"]  # broken, or in need of PyAV
    assert {"start", "epoch", "score", "finished"} <= set(kinds)
    assert rows[-1]["event"] == "finished"
    assert rows[-1]["n_failed"] == 2
    assert [row["error"] for row in rows[-1]["failures"]] == [row["error"] for row in rows[:2]]
    assert "held out by: recording" in (model / "README.md").read_text()
    scores = json.loads((model / "scores.json").read_text())
    assert {label: row["threshold"] for label, row in scores.items()}.items() <= {
        label: round(value, 3) for label, value in load(model)[-1].score_threshold.items()
    }.items()


@pytest.mark.slow
def test_from_one_model_to_the_next(material, trained, tmp_path):
    again = ("train", *material, "-o", tmp_path / "tuned", "--epochs", 1, "--start", trained[0])
    again = (*again, "--clip-length", 3)
    out = rcrnn(*again)
    assert out.exit_code == 1, out.stderr
    assert out.stderr.endswith("\n2 recordings failed: broken.wav, of_a_phone.m4a\n")
    assert f"started from {trained[0]}\n" in out.stderr
    tuned = load(tmp_path / "tuned")[-1]
    assert tuned.gru_units == 4
    assert set(tuned.thresholds_) == {"sensitive", "balanced", "few false alarms"}
    assert "- started from: model\n" in (tmp_path / "tuned" / "README.md").read_text()
    model = ("--model", tmp_path / "tuned", "--threshold", "sensitive")
    found = rcrnn("detect", material[0], *model)
    assert found.stdout.startswith("file,onset,offset,label,score"), found.stderr


@pytest.mark.slow
def test_tuning(material, tmp_path):
    args = ("tune", *material, "-p", "dense_units=8", "--folds", 2)
    args = (*args, "--clip-length", 1, "-p", "max_epochs=1,2")
    out = rcrnn(*args, "-p", "gru_units=4")
    assert out.exit_code == 2
    assert "dense_units and gru_units cannot be changed with --start" in out.stderr
    args = (*args, "--start", "none")
    out = rcrnn(*args, "-p", "gru_units=4", "-o", tmp_path / "results.csv")
    assert out.exit_code == 1, out.stderr
    assert out.stderr.endswith("2 recordings failed: broken.wav, of_a_phone.m4a\n")
    assert out.stdout.split()[:2] == ["dense_units", "max_epochs"]
    rows = list(csv.DictReader((tmp_path / "results.csv").open()))
    assert sorted(row["epochs"] for row in rows) == ["1", "2"]
    assert all(row["epochs"] == row["max_epochs"] for row in rows)
    rates = [float(row["error rate"]) for row in rows]
    assert rates == sorted(rates)
    out = rcrnn(*args, "-p", "units=4")
    assert out.exit_code == 2
    assert "no parameter 'units'" in out.stderr


def test_recordings_that_cannot_be_read_are_no_success(tmp_path):
    """A model was written from the others, and nothing but a line far above told of it."""
    clips = tmp_path / "clips"
    rcrnn("synthesize", clips, "--clips", 2, *LENGTH)
    (clips / "empty.wav").write_bytes(b"")
    command = ("train", clips, clips / "events.csv", "--epochs", 1, "--start", "none", *SMALL)
    out = rcrnn(*command, "--held-out", 0, "-o", tmp_path / "model")
    assert out.exit_code == 1
    assert out.stderr.endswith("scores.json\n1 recording failed: empty.wav\n")
    assert load(tmp_path / "model")[-1].gru_units == 4
    assert not (tmp_path / "model.checkpoints").exists()
    (clips / "empty.wav").unlink()
    out = rcrnn(*command, "--held-out", 0, "-o", tmp_path / "another", "--json")
    last = json.loads(out.stderr.splitlines()[-1])
    assert (out.exit_code, last["n_failed"], last["failures"]) == (0, 0, [])


def test_rules_of_other_labels_cost_no_training(material, tmp_path):
    rule = "min_duration={cow: 1}"
    out = rcrnn("train", *material, "-o", tmp_path / "model", "-p", rule, *SMALL, "--start", "none")
    assert out.exit_code == 2
    assert "min_duration has the label(s) ['cow']" in out.stderr
    assert "started from" not in out.stderr


def test_events_of_other_recordings(material, tmp_path):
    clips, table = material
    other = {"other.wav": [Event(1.0, 2.0, "dog")]}
    write_events({**read_events(table), **other}, tmp_path / "more.csv")
    out = rcrnn("tune", clips, tmp_path / "more.csv", "-p", "lr=1e-3", "--folds", 9)
    assert "no recording for the events of other.wav\n" in out.stderr
    write_events(other, tmp_path / "other.csv")
    out = rcrnn("train", clips, tmp_path / "other.csv", "-o", tmp_path / "model")
    assert out.exit_code == 2
    assert "belongs to a recording" in out.stderr


def test_training_on_one_clip_says_what_to_do(tmp_path):
    out = rcrnn("synthesize", tmp_path / "clips", "--clips", 1, *LENGTH)
    assert out.stderr == f"{tmp_path / 'clips'}: 1 clip, 1 event\n"
    command = (tmp_path / "clips", tmp_path / "clips" / "events.csv", "--epochs", 1)
    small = ("--start", "none", *SMALL, "-o", tmp_path / "model")
    out = rcrnn("train", *command, *small)
    assert out.exit_code == 2
    assert "1 clip, and nothing can be held out of it" in out.stderr
    assert rcrnn("train", *command, *small, "--held-out", 0).exit_code == 0
    out = rcrnn("tune", *command, "-p", "lr=1e-4,1e-3")
    assert out.exit_code == 2
    assert "1 recording with clips cannot make" in out.stderr


def test_recordings_without_clips_do_not_count(tmp_path):
    """Events are in two of six recordings, and clips without an event are not wanted."""
    clips, table = tmp_path / "clips", tmp_path / "events.csv"
    rcrnn("synthesize", clips, "--clips", 6, *LENGTH)
    events = read_events(clips / "events.csv")
    write_events({name: events[name] for name in list(events)[:2]}, table)
    command = (clips, table, "--epochs", 1, "--empty-ratio", 0)
    out = rcrnn("tune", *command, "-p", "lr=1e-4,1e-3")
    assert out.exit_code == 2
    assert "2 recordings with clips cannot make 3 folds" in out.stderr
    small = ("--start", "none", *SMALL, "--held-out", 0.4, "-o", tmp_path / "model")
    assert rcrnn("train", *command, *small).exit_code == 0
    card = (tmp_path / "model" / "README.md").read_text()
    assert "- recordings: 2\n" in card
    assert "held out by: clip" in card
