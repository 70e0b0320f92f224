"""Options of a training that contradict each other, or the weights that it starts from."""

from __future__ import annotations

import pytest
from small_runs import rcrnn

from sklearn_rcrnn import make_rcrnn_pipeline
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


class TestWeightsOfAStart:
    @pytest.mark.parametrize("command", ["train", "tune"])
    @pytest.mark.parametrize("param", ["lfbe__n_fft=4096", "lfbe__hop_length=512", "gru_units=8"])
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
        set_params(pipe, ["lfbe__n_fft=2048", "lfbe__n_jobs=3", "dense_units=8"], None, "general")
        assert (pipe[0].n_jobs, pipe[-1].dense_units) == (3, 8)

    def test_none_lets_the_clock_follow_the_features(self):
        pipe = make_rcrnn_pipeline()
        set_params(pipe, ["lfbe__hop_length=441"], None)
        assert pipe[-1].frame_shift == 0.01
        with pytest.raises(ValueError, match="hop_length"):
            set_params(pipe, ["lfbe__hop_length=0"], None)
