"""Around a training on the command line: output, settings, resuming, advice."""

from __future__ import annotations

import functools
import json
import math
import signal
import subprocess
import sys
import time
from typing import Annotated

import numpy as np
import pytest
import soundfile
import typer
import yaml
from skorch.callbacks import Callback
from small_runs import RCRNN, rcrnn
from typer.testing import CliRunner

from sklearn_rcrnn import ClipStream, Event, load, make_rcrnn_pipeline, save
from sklearn_rcrnn.cli._advice import advice_on
from sklearn_rcrnn.cli._clips import Clips, _of_same_files
from sklearn_rcrnn.cli._material import fresh_clips, go_on, unheard
from sklearn_rcrnn.cli._training_run import (
    Config,
    Workplace,
    after_config,
    parameter_name,
    parse_values,
    set_params,
    settings_of,
)
from sklearn_rcrnn.cli.train import _split
from sklearn_rcrnn.datasets import cut_recordings, make_rare_events
from sklearn_rcrnn.evaluation import detection_summary


@pytest.fixture
def material(tmp_path):
    out = rcrnn("synthesize", tmp_path / "clips", "--clips", 6, "--length", 3, "--presence", 1)
    assert out.exit_code == 0, out.stderr
    return tmp_path / "clips", tmp_path / "clips" / "events.csv"


class TestWorkplace:
    def test_a_model_is_not_replaced(self, tmp_path):
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "model.json").write_text("{}")
        with pytest.raises(ValueError, match="--overwrite"):
            Workplace(tmp_path / "model", False, None)
        Workplace(tmp_path / "model", True, None)

    def test_something_else_is_never_replaced(self, tmp_path):
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(FileExistsError, match="no model"):
            Workplace(tmp_path, True, None)

    def test_what_a_killed_save_left_is_taken_up(self, tmp_path):
        left = make_left_over(tmp_path / "model")
        Workplace(left, False, None)

    def test_nothing_to_resume(self, tmp_path):
        with pytest.raises(ValueError, match="no checkpoint"):
            Workplace(tmp_path / "model", False, True)

    def test_starting_anew(self, tmp_path):
        folder = tmp_path / "model.checkpoints"
        folder.mkdir()
        (folder / "abc.pt").write_bytes(b"")
        Workplace(tmp_path / "model", False, True)
        Workplace(tmp_path / "model", False, False)
        assert not folder.exists()


def make_left_over(folder):
    """What there is of a model when `save` is killed before its last step."""
    code = (
        "import os, pathlib, sys\n"
        "from sklearn_rcrnn import LFBETransformer, save\n"
        "replace, made = pathlib.Path.replace, []\n"
        "def killed(self, target):\n"
        "    if made: os._exit(9)\n"
        "    made.append(target); return replace(self, target)\n"
        "pathlib.Path.replace = killed\n"
        "save(LFBETransformer(), sys.argv[1])\n"
    )
    out = subprocess.run([sys.executable, "-c", code, folder], check=False, capture_output=True)
    assert out.returncode == 9, out.stderr
    assert not (folder / "model.json").exists()
    return folder


class TestParameters:
    def test_values(self):
        name, values = parse_values("lr=1e-3,0.01", "a=1")
        assert (name, values) == ("lr", [1e-3, 0.01])
        assert parse_values("anchor_sizes=[1, 2],[3]", "a=1")[1] == [[1, 2], [3]]
        assert parse_values("class_weight=balanced,null", "a=1")[1] == ["balanced", None]
        with pytest.raises(ValueError, match="must be like a=1"):
            parse_values("lr", "a=1")

    def test_names(self):
        pipe = make_rcrnn_pipeline()
        assert parameter_name(pipe, "gru_units") == "detector__gru_units"
        assert parameter_name(pipe, "lfbe__n_mels") == "lfbe__n_mels"
        with pytest.raises(ValueError, match="no parameter 'units'"):
            parameter_name(pipe, "units")

    def test_set(self):
        pipe = make_rcrnn_pipeline()
        set_params(pipe, ["batch_size=4", "anchor_sizes=[1, 3]", "recipe__focal_gamma=1.5"], 2e-3)
        detector = pipe["detector"]
        assert (detector.batch_size, detector.anchor_sizes, detector.lr) == (4, [1, 3], 2e-3)
        assert detector.recipe.focal_gamma == 1.5
        with pytest.raises(ValueError, match="2 values"):
            set_params(pipe, ["batch_size=4,8"], None)

    def test_a_learning_rate_that_is_given_twice(self):
        """That of ``--lr``, or of a file of settings, won over that of ``--param``."""
        pipe = make_rcrnn_pipeline()
        for name in ("lr", "detector__lr"):
            with pytest.raises(ValueError, match=r"lr=0.1 and --lr 0.002 are both"):
                set_params(pipe, [f"{name}=0.1"], 2e-3)


@pytest.mark.parametrize("command", ["train", "tune"])
def test_a_parameter_that_is_given_twice(command, tmp_path):
    """`tune` tried the values of the last one alone."""
    more = ["-o", tmp_path / "model"] if command == "train" else []
    twice = ["-p", "lr=0.1", "-p", "batch_size=2", "-p", "detector__lr=0.2"]
    out = rcrnn(command, tmp_path, tmp_path / "x.csv", *more, *twice)
    assert out.exit_code == 2
    assert "lr is given twice" in " ".join(out.stderr.split())


class TestAdvice:
    def advice(self, found, n=12):
        true = [[(1.0, 2.0, "dog")] for _ in range(n)]
        return advice_on(detection_summary(true, found, labels=["cat", "dog"]))

    def test_all_well(self):
        (cat,) = self.advice([[(1.0, 2.0, "dog")]] * 12)
        assert cat.startswith("cat: none of its events was held out")

    def test_nothing_learnt(self):
        assert "dog: nothing was learnt (error rate 1.00)" in self.advice([[]] * 12)[1]

    def test_taken_for_another(self):
        assert (
            "dog: 12 of 12 events were taken for cat" in self.advice([[(1.0, 2.0, "cat")]] * 12)[1]
        )

    def test_few(self):
        assert "only 5 events" in self.advice([[(1.0, 2.0, "dog")]] * 5, n=5)[1]
        assert "chosen on 2 held-out events" in self.advice([[(1.0, 2.0, "dog")]] * 2, n=2)[1]


def test_errors_come_before_the_training(material, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.json").write_text("{}")
    started = time.monotonic()
    out = rcrnn("train", *material, "-o", tmp_path / "model")
    assert out.exit_code == 2
    assert "give --overwrite to replace it" in out.stderr
    assert "recordings," not in out.stderr  # nothing was read
    (tmp_path / "wrong.yaml").write_text("epoch: 3\n")
    out = rcrnn("train", *material, "-o", tmp_path / "other", "--config", tmp_path / "wrong.yaml")
    assert out.exit_code == 2
    assert "epoch, which is no option" in " ".join(out.stderr.split())
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    ("param", "instead"),
    [
        ("max_epochs=3", "give --epochs"),
        ("detector__random_state=3", "give --seed"),
        ("score_threshold=0.7", "chosen on what is held out"),
        ("lfbe__sample_rate=16000", "this command makes clips at 44100 Hz"),
        ("lfbe__n_jobs=4", "give --jobs"),
    ],
)
def test_parameters_that_the_command_sets_itself(param, instead, tmp_path):
    """They were overwritten, or the card of the model said something else, without a word."""
    out = rcrnn("train", tmp_path, tmp_path / "x.csv", "-o", tmp_path / "model", "-p", param)
    assert out.exit_code == 2
    assert instead in " ".join(out.stderr.split())


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("validation_fraction", "holds recordings out by itself"),
        ("callbacks", "only Python has"),
        ("detector__pretrainer", "give --start"),
        ("frame_shift", "follows from lfbe__hop_length"),
    ],
)
def test_parameters_that_have_no_effect_here(name, instead):
    with pytest.raises(ValueError, match=instead):
        parameter_name(make_rcrnn_pipeline(), name)


def test_tune_takes_the_settings_of_a_training(tmp_path):
    """The help named settings.yaml of a model, which was always refused."""
    settings = {"recordings": "in", "events": "events.csv", "epochs": 6, "clip_length": 10.0}
    settings |= {"held_out": 0.2, "pretrain_epochs": 0, "final_epochs": 3, "jobs": 2}
    settings |= {"param": ["batch_size=4"]}
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(settings))
    out = rcrnn("tune", "--config", file, "-p", "lr=1e-3,1e-4")
    assert "No such" in out.stderr or "no recordings" in out.stderr
    for name, value in (("corrections", "corrections.csv"), ("pretrain_epochs", 5)):
        file.write_text(yaml.safe_dump({**settings, name: value}))
        out = rcrnn("tune", "--config", file)
        assert out.exit_code == 2
        assert f"{name}, which is no option of tune" in " ".join(out.stderr.split())


def test_parameters_of_the_command_line_add_to_those_of_the_file(tmp_path):
    """What a file says of other parameters is not forgotten."""
    seen = []
    other = typer.Typer()

    @other.command()
    def run(
        ctx: typer.Context,
        param: Annotated[list[str], typer.Option("--param", "-p", callback=after_config)],
        config: Config = None,
    ):
        seen.append(settings_of(ctx)["param"])

    file = tmp_path / "settings.yaml"
    file.write_text("param: [gru_units=4, dense_units=8]\n")
    for given in ([], ["-p", "gru_units=6"]):
        assert CliRunner().invoke(other, ["--config", str(file), *given]).exit_code == 0
    assert CliRunner().invoke(other, ["-p", "lr=1"]).exit_code == 0
    of_file = ["gru_units=4", "dense_units=8"]
    assert seen == [of_file, [*of_file, "gru_units=6"], ["lr=1"]]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for another process")
@pytest.mark.parametrize("command", ["train", pytest.param("tune", marks=pytest.mark.slow)])
def test_ctrl_c_is_no_success(command, material, tmp_path):
    args = ["--epochs", 50, "--start", "none", "--clip-length", 1, "--json"]
    args += {
        "train": ["-o", "model", "--gru-units", 4, "-p", "dense_units=8", "--jobs", 2],
        "tune": ["-o", "table.csv", "-p", "gru_units=2,3", "-p", "dense_units=8", "--folds", 2],
    }[command]
    process = subprocess.Popen(
        [RCRNN, command, *map(str, [*material, *args])],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        # What runs in the background of a shell has SIGINT ignored, and so would the command.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    awaited = {"train": "epoch", "tune": "start"}[command]
    for line in process.stderr:
        if json.loads(line)["event"] == awaited:
            break
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in rest
    assert not (tmp_path / "model").exists()
    assert not (tmp_path / "table.csv").exists()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_killed_command_goes_on(material, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ("--start", "none", "--gru-units", 4, "-p", "dense_units=8", "--clip-length", 1)
    command = ("train", *material, "--epochs", 2, "--final-epochs", 0, *small, "--jobs", 1)
    out = rcrnn(*command, "-o", "model", "--json")
    assert out.exit_code == 0, out.stderr
    rows = [json.loads(line) for line in out.stderr.splitlines()]
    assert {"validation_loss", "f_score"} <= set(next(r for r in rows if r["event"] == "epoch"))
    assert any(row["event"] == "advice" for row in rows)
    settings = yaml.safe_load((tmp_path / "model" / "settings.yaml").read_text())
    assert (settings["epochs"], settings["param"]) == (2, ["dense_units=8"])
    again = [RCRNN, "train", "--config", "model/settings.yaml", "-o", "again"]
    process = subprocess.Popen(again, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("again.checkpoints/*.pt")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert not (tmp_path / "again").exists()
    out = rcrnn(*again[1:])
    assert out.exit_code == 0, out.stderr
    assert "going on after epoch 1\n" in out.stderr
    assert not (tmp_path / "again.checkpoints").exists()
    first, second = (load(tmp_path / name)["detector"] for name in ("model", "again"))
    for key, value in first.net_.module_.state_dict().items():
        assert value.equal(second.net_.module_.state_dict()[key]), key
    assert len(second.history_) == 2


def test_what_is_learnt_in_the_end_goes_on_in_the_history(tmp_path):
    X, y = make_rare_events(6, duration=4.0, random_state=0)

    class Recorded(ClipStream):
        labels = ("babycry", "glassbreak", "gunshot")

        def __len__(self):
            return len(X)

        def draw(self, epoch, index):
            return X[index], y[index]

    sizes = {"gru_units": 4, "dense_units": 8, "extractor": "cnn", "random_state": 0}
    pipe = make_rcrnn_pipeline(**sizes, max_epochs=2).fit(Recorded())
    pipe = go_on(pipe, Recorded(), 1, Callback(), None)
    rows = load(save(pipe, tmp_path / "model"))[-1].history_
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert all("train_loss" in row for row in rows)


def test_a_link_to_what_is_held_out_is_not_heard(tmp_path):
    """Its clips were in the group of the file, but nothing of it was held out."""
    paths = [tmp_path / name for name in ("a.wav", "b.wav", "link.wav", "hard.wav")]
    for path in paths[:2]:
        soundfile.write(path, np.zeros(4 * 8000), 8000)
    paths[2].symlink_to(paths[1])
    paths[3].hardlink_to(paths[1])
    y = [[Event(0.5, 1.0, "dog")]] * 4
    X, own, groups = cut_recordings(paths, y, clip_length=2.0)
    undecided = _of_same_files(paths, [[], [], [], [Event(3.0, 3.5, "cat")]])
    clips = Clips(X, own, groups, recordings=paths, events=y, undecided=undecided)
    parts = unheard(clips, np.flatnonzero(groups == 1))
    assert parts == [[], *[[(0.0, math.inf), (3.0, 3.5)]] * 3]


def test_a_label_whose_only_events_reach_into_what_is_held_out_is_not_held_out(tmp_path):
    """`fit` would refuse the validation clips: their label is none of those to learn."""
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(6 * 8000), 8000)
    y = [[Event(0.2, 0.6, "dog"), Event(1.2, 1.6, "dog"), Event(2.7, 3.3, "cat")]]
    X, own, groups = cut_recordings([path], y, clip_length=1.0, empty_ratio=0.0)
    clips = Clips(X, own, groups, recordings=[path], events=y, undecided=[[]])
    for seed in range(20):
        _, held, by_recording = _split(clips, 0.5, seed)
        stream = fresh_clips(clips, held, length=1.0, seed=0, jobs=1)
        assert not by_recording
        assert {event.label for i in held for event in own[i]} <= set(stream.labels)
