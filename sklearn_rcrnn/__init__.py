"""Sound-event detection with scikit-learn's habits: R-CRNN (Kao et al., Interspeech 2018).

Recordings and lists of ``(onset, offset, label)`` in, events out::

    pipe = make_rcrnn_pipeline().fit(X, y)
    pipe.predict(X)  # [[Event(onset, offset, label, score), ...], ...]
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import datasets, displays, evaluation, metrics
    from .clip_stream import ClipStream
    from .datasets.augmentation import EventAugmentation
    from .detector import RCRNNDetector
    from .events import Event
    from .features import LFBETransformer
    from .frame_level import FrameDetector
    from .inference.stream import detect_file, detect_stream
    from .models.averaging import average_weights
    from .models.onnx import export_onnx
    from .models.shipped import list_pretrained, load_pretrained
    from .models.storage import load, save
    from .pipeline import make_rcrnn_pipeline
    from .pretraining import CRNNPretrainer
    from .training.augmentation import FeatureAugmentation
    from .tuning import TunedThresholdDetectorCV

__version__ = "0.1.0"

# Torch and scikit-learn take seconds to import: a module is loaded when first asked for.
_HOMES = {
    "RCRNNDetector": "detector",
    "average_weights": "models.averaging",
    "CRNNPretrainer": "pretraining",
    "LFBETransformer": "features",
    "Event": "events",
    "export_onnx": "models.onnx",
    "ClipStream": "clip_stream",
    "EventAugmentation": "datasets.augmentation",
    "FeatureAugmentation": "training.augmentation",
    "FrameDetector": "frame_level",
    "make_rcrnn_pipeline": "pipeline",
    "TunedThresholdDetectorCV": "tuning",
    "load": "models.storage",
    "save": "models.storage",
    "detect_file": "inference.stream",
    "detect_stream": "inference.stream",
    "list_pretrained": "models.shipped",
    "load_pretrained": "models.shipped",
}
_MODULES = ("datasets", "displays", "evaluation", "metrics")

__all__ = [
    "CRNNPretrainer",
    "ClipStream",
    "Event",
    "EventAugmentation",
    "FeatureAugmentation",
    "FrameDetector",
    "LFBETransformer",
    "RCRNNDetector",
    "TunedThresholdDetectorCV",
    "average_weights",
    "datasets",
    "detect_file",
    "detect_stream",
    "displays",
    "evaluation",
    "export_onnx",
    "list_pretrained",
    "load",
    "load_pretrained",
    "make_rcrnn_pipeline",
    "metrics",
    "save",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
