"""What a command does not need it does not import: each takes seconds."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

# What training, evaluation and export need, and detection does not.
UNUSED = {
    *("skorch", "librosa", "numba", "pandas", "matplotlib", "onnx", "torch.onnx", "torch._dynamo"),
    *("scipy.stats", "scipy.signal", "scipy.ndimage", "scipy.cluster", "sed_eval", "dcase_util"),
    *("scipy.interpolate", "scipy.optimize", "sklearn.preprocessing"),
    *(
        "sklearn.model_selection",
        "sklearn.metrics",
        "sklearn.linear_model",
        "sklearn_rcrnn.datasets",
    ),
    *("sklearn_rcrnn.training.nets", "sklearn_rcrnn.metrics", "sklearn_rcrnn.evaluation"),
}

PROBE = """
import json, sys
from sklearn_rcrnn.cli import main
sys.argv = ["rcrnn", *json.loads(sys.argv[1])]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted({name for name in sys.modules})), file=sys.stderr)
"""


def imported(*arguments):
    """Modules that a command has imported at its end."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [["models"], ["--help"], ["detect", "--help"]])
def test_commands_without_a_network(arguments):
    modules = imported(*arguments)
    for heavy in ("torch", "sklearn", "scipy", "librosa", "skorch"):
        assert heavy not in modules, heavy


def test_detection(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.random.default_rng(0).normal(size=48000) / 10, 48000)
    modules = imported("detect", str(path), "--quiet")
    assert "torch" in modules
    assert not modules & {*UNUSED, "torch._meta_registrations"}


def test_every_network_is_restored_and_predicts_in_a_command():
    """PyTorch lacks parts there: what they did must not be missed."""
    code = """if True:
        import itertools, sys
        from sklearn_rcrnn._utils import spared_imports
        spared_imports.is_command = True
        spared_imports.import_for_detection()
        assert "torch._meta_registrations" not in sys.modules
        import torch
        from sklearn_rcrnn.nn.crnn import EXTRACTORS
        from sklearn_rcrnn.nn.frame_networks import NETWORKS, FrameNetwork
        from sklearn_rcrnn.nn.heads import HEADS
        from sklearn_rcrnn.nn.rcrnn import RCRNN
        from sklearn_rcrnn.training.restoring import restore
        x = torch.randn(1, 64, 40)
        kinds = [(RCRNN, {"n_inputs": 40, "extractor": name, "head": head})
                 for name, head in itertools.product(EXTRACTORS, HEADS)]
        kinds += [(FrameNetwork, {"n_bands": 40, "network": name}) for name in NETWORKS]
        for kind, settings in kinds:
            settings |= {"n_classes": 2, "context": 20}
            network = kind(**settings).eval()
            loaded = restore(kind, settings, network.state_dict(), "cpu").module_
            for bfloat16 in (False, True):
                with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, bfloat16):
                    out, same = loaded(x), network(x)
                pairs = zip(out, same) if isinstance(out, tuple) else [(out, same)]
                assert all(torch.equal(*pair) for pair in pairs)
        """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_worker_process(tmp_path):
    """Where several processes detect, each has to start."""
    import joblib

    from sklearn_rcrnn import load_pretrained
    from sklearn_rcrnn.inference.transport import packed

    (tmp_path / "model").write_bytes(packed(load_pretrained()))
    code = (
        "import os, sys, json; from pathlib import Path\n"
        "from sklearn_rcrnn.inference.worker_process import become_worker\n"
        "become_worker(Path(sys.argv[1]), 0, 1, os.getppid())\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "model")]
    modules = set(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))
    assert "sklearn_rcrnn.detector" in modules
    assert not modules & UNUSED
    assert joblib.__name__ in modules  # scikit-learn's own part of it


def test_what_scikit_learn_spared_is_there_when_it_is_needed():
    code = """if True:
        import sys
        from sklearn_rcrnn._utils.spared_imports import import_for_detection
        import_for_detection()
        assert not {"pandas", "scipy.stats", "sklearn.preprocessing"} & set(sys.modules)
        import numpy as np
        import sklearn.pipeline
        import sklearn.preprocessing
        from sklearn.preprocessing import FunctionTransformer, QuantileTransformer
        assert FunctionTransformer is sklearn.pipeline.FunctionTransformer
        assert sklearn.preprocessing.SplineTransformer().fit_transform([[1.0], [2.0]]).any()
        from sklearn.utils.fixes import _mode
        assert _mode(np.array([1, 2, 2]))[0] == 2
        X = np.random.default_rng(0).normal(size=(50, 1)) ** 3
        quantiles = QuantileTransformer(n_quantiles=50, output_distribution="normal")
        assert abs(quantiles.fit_transform(X)).max() < 6  # by scipy.stats
        import pandas, scipy.stats
        assert pandas.DataFrame({"a": [1]}).sum().a == 1
        assert scipy.stats.norm.cdf(0) == 0.5
        """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_python_imports_no_training_for_a_prediction():
    code = (
        "import sys, numpy as np; from sklearn_rcrnn import load_pretrained\n"
        "pipe = load_pretrained(); pipe.predict([np.zeros(44100)])\n"
        "assert 'skorch' not in sys.modules\n"
        "assert pipe[-1].net_.module_ is pipe[-1]._net.module_; assert 'skorch' in sys.modules\n"
        "assert pipe[-1].history_ is pipe[-1].net_.history\n"
        "assert pipe.predict([np.zeros(44100)]) == [[]]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
