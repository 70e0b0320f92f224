"""The weights and parameters that events depend on, besides the recording."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import joblib
import numpy as np
from sklearn.pipeline import Pipeline

from .._utils.text import some
from ..training.parameters import TrainingParameters

# Parameters that only training uses, or that do not change which events are found.
_WITHOUT_EFFECT = set(TrainingParameters._training_constraints) - {"precision"} | {
    "n_jobs",
    "memory",
    "pretrainer",
    "freeze_extractor",
}
# Where a function or an object lies in memory, in its `repr`: another place in each process.
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def settings_of(estimator: Pipeline) -> dict[str, Any]:
    """The settings of a fitted pipeline that its events depend on, as values of JSON.

    Parameters
    ----------
    estimator : Pipeline
        A fitted pipeline, as for :func:`detect_file`.

    Returns
    -------
    dict
        ``weights``, the beginning of a hash, and parameters of the steps by name. Two
        pipelines with the same settings find the same events.
    """
    settings: dict[str, Any] = {"steps": [type(step).__name__ for step in estimator]}
    weights = hashlib.sha256()
    for step in estimator:
        for name, value in step.get_params(deep=False).items():
            if name not in _WITHOUT_EFFECT:
                settings[name] = value
        if hasattr(step, "_thresholds"):  # a preset may be given by its name
            settings["score_threshold"] = step._thresholds()
        if hasattr(step, "_net"):
            weights.update(json.dumps([str(label) for label in step.classes_]).encode())
            for key, tensor in sorted(step._net.module_.state_dict().items()):
                weights.update(key.encode())
                weights.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    settings["weights"] = weights.hexdigest()[:16]
    # JSON has texts as keys, and knows no integers of NumPy there.
    settings = {
        name: {str(key): own for key, own in value.items()} if isinstance(value, Mapping) else value
        for name, value in settings.items()
    }
    # The form in which a JSON file returns them, with lists for tuples and strings as keys.
    return json.loads(json.dumps(settings, default=_as_json, sort_keys=True))


def _as_json(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    text = str(value)
    if _ADDRESS.search(text):
        from ..training.identity import identity

        return f"{_ADDRESS.sub('', text)} {joblib.hash(identity(value))}"
    return text


def settings_id(settings: Mapping[str, Any]) -> str:
    """A short name of settings, the same for the same ones."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """The differences between two settings, as a text for people."""
    names = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
    # Other weights are told of first: labels, and with them thresholds, may follow from them.
    names.sort(key=lambda name: name != "weights")
    parts = [
        f"{name} {_shortly(theirs.get(name))} there, {_shortly(ours.get(name))} here"
        for name in names
    ]
    return "; ".join(parts) if parts else "nothing that is known"


def _shortly(value: Any) -> str:
    """A value for people; of a value by label, the first few labels."""
    if not isinstance(value, Mapping):
        return str(value)
    return f"({some([f'{label}: {own}' for label, own in value.items()])})"
