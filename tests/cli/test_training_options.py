"""Options of a training that contradict each other, or the weights that it starts from."""

from __future__ import annotations

import pytest
from small_runs import rcrnn

from sklearn_rcrnn import load_pretrained, make_rcrnn_pipeline
from sklearn_rcrnn.cli._common import set_threshold
from sklearn_rcrnn.cli._training_run import set_params


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("train", "--final-epochs", 3, "--held-out", 0), "--held-out 0 holds out nothing"),
        (("train", "--start", "none", "--gru-units", 4, "-p", "gru_units=8"), "gives it, too"),
        (("tune", "--lr", 0.1, "-p", "lr=0.1,0.2"), "--lr has no effect beside"),
        (("tune", "--epochs", 3, "-p", "max_epochs=1,2"), "--epochs has no effect beside"),
    ],
)
def test_options_that_would_have_no_effect(options, message, tmp_path):
    """They gave way to others without a word."""
    command, *given = options
    output = ["-o", tmp_path / "model"] if command == "train" else []
    out = rcrnn(command, tmp_path, tmp_path / "x.csv", *output, *given)
    assert out.exit_code == 2
    assert message in " ".join(out.stderr.split())


PARAMS = ["lfbe__n_fft=4096", "lfbe__hop_length=512", "gru_units=8", "dense_units=8"]


class TestWeightsOfAStart:
    @pytest.mark.parametrize("command", ["train", "tune"])
    @pytest.mark.parametrize("param", PARAMS)
    def test_belong_to_their_own_features(self, command, param, tmp_path):
        """They were given others without a word, or with an error after the recordings."""
        (tmp_path / "settings.yaml").write_text(f"param: [{param}]\n")
        output = ["-o", tmp_path / "model"] if command == "train" else []
        for given in (["-p", param], ["--config", tmp_path / "settings.yaml"]):
            out = rcrnn(command, tmp_path, tmp_path / "x.csv", *output, *given)
            assert out.exit_code == 2
            told = " ".join(out.stderr.split())
            assert f"{param.partition('=')[0]} cannot be changed with --start general" in told
            assert "give --start none" in told

    def test_let_pass_what_they_have_themselves(self):
        pipe = make_rcrnn_pipeline(start="general")
        set_params(
            pipe, ["lfbe__n_fft=2048", "lfbe__n_jobs=3", "head=dense", "lr=1"], None, "general"
        )
        assert (pipe[0].n_jobs, pipe[-1].lr) == (3, 1)

    def test_none_lets_the_clock_follow_the_features(self):
        pipe = make_rcrnn_pipeline()
        set_params(pipe, ["lfbe__hop_length=441"], None)
        assert pipe[-1].frame_shift == 0.01
        with pytest.raises(ValueError, match="hop_length"):
            set_params(pipe, ["lfbe__hop_length=0"], None)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("detect", "x.wav", "-m", "a", "--model", "b"), "--model"),
        (("detect", "x.wav", "--overwrite", "--threshold", 1, "--threshold", 0), "--threshold"),
        (("detect", "x.wav", "--threshold", "gunshot=1,gunshot=0"), "--threshold gunshot=..."),
        (("detect", "x.wav", "--threshold", "balanced", "--threshold", 0.5), "--threshold for all"),
        (("detect", "x.wav", "--merge-gap", 1, "--merge-gap", 2), "--merge-gap for all labels"),
        (("train", "x", "y", "-o", "z", "--epochs", 1, "--epochs", 2), "--epochs"),
        (("train", "x", "y", "-o", "z", "--resume", "--no-resume"), "--resume"),
        (("train", "x", "y", "-o", "z", "--config", "a", "--config", "b"), "--config"),
        (("evaluate", "x", "y", "--label-column", "a", "--label-column", "b"), "--label-column"),
    ],
)
def test_options_given_twice(options, told):
    """The last one counted, without a word; only --param was an error."""
    out = rcrnn(*options)
    assert out.exit_code == 2
    text = " ".join(out.stderr.replace("│", " ").split())
    assert told in text
    assert "given twice, and only one of them would count" in text


def test_options_that_may_be_given_again():
    pipe = load_pretrained()
    set_threshold(pipe, ["0.25", "gunshot=0.5", "babycry=0.75"])
    by_label = {"babycry": 0.75, "glassbreak": 0.25, "gunshot": 0.5}
    assert pipe[-1].score_threshold == by_label
    out = rcrnn("clips", "x.csv", "-o", "y", "-r", "a", "-r", "b", "--label", "c", "--label", "d")
    assert "no recordings in a, b" in out.stderr or "x.csv" in out.stderr
    assert "twice" not in rcrnn("detect", "x.wav", "-q", "-q").stderr
