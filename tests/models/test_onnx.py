"""ONNX: the graph gives what PyTorch gives, at any length, and the example needs no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from sklearn.pipeline import Pipeline

from sklearn_rcrnn import LFBETransformer, RCRNNDetector, export_onnx, load_pretrained
from sklearn_rcrnn.datasets import make_rare_events

onnxruntime = pytest.importorskip("onnxruntime")
EXAMPLE = Path(__file__).parents[2] / "examples" / "onnx_without_torch.py"


def run(path, features):
    session = onnxruntime.InferenceSession(path)
    return session.run(None, {"features": features})


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    pipe = load_pretrained()
    return pipe, export_onnx(pipe, tmp_path_factory.mktemp("onnx") / "rare-events.onnx")


@pytest.fixture(scope="module")
def clips():
    X, _ = make_rare_events(3, duration=20.0, random_state=0)
    return [X[0], X[1][: 7 * 44100], X[2][:20000]]


def test_parity_at_any_length(shipped, clips):
    pipe, path = shipped
    for features in pipe[:-1].transform(clips):
        intervals, labels, scores = run(path, features)
        expected = sorted(pipe[-1].predict_candidates([features])[0], key=lambda e: -e.score)
        assert len(expected) == np.sum(scores > 0) > 0
        assert (np.diff(scores) <= 0).all()
        for event, times, label, score in zip(expected, intervals, labels, scores, strict=False):
            assert score == pytest.approx(event.score, abs=1e-4)
            assert times == pytest.approx(event[:2], abs=1e-4)
            assert pipe[-1].classes_[label] == event.label


def test_suppression_outside(clips, tmp_path):
    lfbe = LFBETransformer(n_mels=24)
    X, y = make_rare_events(6, duration=4.0, random_state=0)
    detector = RCRNNDetector(
        extractor="crnn_gru", gru_units=6, dense_units=8, max_epochs=1, random_state=0
    ).fit(lfbe.transform(X), y)
    features = lfbe.transform(clips[:1])[0]
    outside = run(export_onnx(detector, tmp_path / "outside.onnx", nms=False), features)
    # Inside leaves what `predict_candidates` does: see above.
    inside = detector.predict_candidates([features])[0]
    assert np.sum(outside[2] > 0) > len(inside) > 0
    assert outside[2][0] == pytest.approx(max(event.score for event in inside), abs=1e-4)


def test_what_a_program_must_know_is_in_the_file(shipped):
    pipe, path = shipped
    meta = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    known = json.loads(meta["sklearn_rcrnn"])
    assert known["labels"] == pipe[-1].classes_.tolist()
    assert known["score_threshold"] == [pipe[-1].score_threshold[x] for x in known["labels"]]
    assert known["frame_shift"] == pipe[-1].frame_shift
    rebuilt = LFBETransformer(**known["features"])
    assert rebuilt.frame_shift == pytest.approx(known["frame_shift"])


def test_the_example_runs_without_torch(shipped, clips, tmp_path):
    pipe, path = shipped
    soundfile.write(tmp_path / "clip.wav", clips[0], 44100, subtype="FLOAT")
    code = (
        "import sys, runpy; from importlib.abc import MetaPathFinder\n"
        "class NoTorch(MetaPathFinder):\n"
        "    def find_spec(self, name, *args):\n"
        "        if name.split('.')[0] in ('torch', 'sklearn_rcrnn'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, NoTorch())\n"
        f"sys.argv = ['x', {str(path)!r}, {str(tmp_path / 'clip.wav')!r}]; "
        f"runpy.run_path({str(EXAMPLE)!r}, run_name='__main__')"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    found = [line.split()[2] for line in out.stdout.splitlines()]
    expected = pipe.predict([clips[0]])[0]
    assert sorted(found) == sorted(str(event.label) for event in expected)


def test_wrong_estimator(tmp_path):
    with pytest.raises(TypeError, match="must be an RCRNNDetector"):
        export_onnx(LFBETransformer(), tmp_path / "x.onnx")


class Louder(LFBETransformer):
    def transform(self, X):
        return [clip + 1 for clip in super().transform(X)]


class Every4(torch.nn.Module):
    frames_per_step = 4
    n_channels = 12

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv1d(24, 12, 5, stride=4, padding=2)

    def forward(self, features, lengths=None):
        return self.layer(features.transpose(1, 2)).transpose(1, 2)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A pipeline with features and an extractor of one's own, and its graph."""
    detector = RCRNNDetector(
        extractor=Every4(), anchor_sizes=(2, 8), dense_units=8, max_epochs=1, random_state=0
    )
    pipe = Pipeline([("features", Louder(n_mels=24)), ("detector", detector)])
    pipe.fit(*make_rare_events(6, duration=4.0, random_state=0))
    with pytest.warns(UserWarning, match="What Louder does is left out"):
        return pipe, export_onnx(pipe, tmp_path_factory.mktemp("own") / "own.onnx")


def test_own_features_are_left_out_and_that_is_said(own):
    session = onnxruntime.InferenceSession(own[1])
    known = json.loads(session.get_modelmeta().custom_metadata_map["sklearn_rcrnn"])
    assert "features" not in known
    assert "Louder" in known["left_out"]


def test_own_features_and_extractor(own, clips):
    pipe, path = own
    for features in pipe[:-1].transform(clips):
        scores = run(path, np.asarray(features))[2]
        expected = [event.score for event in pipe[-1].predict_candidates([features])[0]]
        np.testing.assert_allclose(scores[scores > 0], sorted(expected)[::-1], atol=1e-4)
