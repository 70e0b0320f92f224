"""Detect events without PyTorch: python onnx_without_torch.py rare-events.onnx street.wav"""

import json
import sys

import librosa
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1])
known = json.loads(session.get_modelmeta().custom_metadata_map["sklearn_rcrnn"])
settings = known["features"]

samples, rate = librosa.load(sys.argv[2], sr=settings["sample_rate"])
sizes = {name: settings[name] for name in ("n_fft", "hop_length", "n_mels")}
band = {"fmin": settings["f_min"], "fmax": settings["f_max"]}
mel = librosa.feature.melspectrogram(y=samples, sr=rate, **sizes, **band)
features = np.log(mel + settings["eps"]).T.astype(np.float32)

for (onset, offset), label, score in zip(*session.run(None, {"features": features}), strict=True):
    if score >= known["score_threshold"][label]:
        print(f"{onset:.2f} {offset:.2f} {known['labels'][label]} {score:.2f}")
