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
    from .augmentation import EventAugmentation, FeatureAugmentation
    from .averaging import average_weights
    from .detector import RCRNNDetector
    from .events import Event
    from .exchange import export_onnx
    from .features import LFBETransformer
    from .frame_level import FrameDetector
    from .persistence import load, save
    from .pipeline import make_rcrnn_pipeline
    from .pretrained import list_pretrained, load_pretrained
    from .pretraining import CRNNPretrainer
    from .streaming import detect_file, detect_stream
    from .streams import ClipStream
    from .tuning import TunedThresholdDetectorCV

__version__ = "0.1.0"

# Torch and scikit-learn take seconds to import: a module is loaded when first asked for.
_HOMES = {
    "RCRNNDetector": "detector",
    "average_weights": "averaging",
    "CRNNPretrainer": "pretraining",
    "LFBETransformer": "features",
    "Event": "events",
    "export_onnx": "exchange",
    "ClipStream": "streams",
    "EventAugmentation": "augmentation",
    "FeatureAugmentation": "augmentation",
    "FrameDetector": "frame_level",
    "make_rcrnn_pipeline": "pipeline",
    "TunedThresholdDetectorCV": "tuning",
    "load": "persistence",
    "save": "persistence",
    "detect_file": "streaming",
    "detect_stream": "streaming",
    "list_pretrained": "pretrained",
    "load_pretrained": "pretrained",
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
