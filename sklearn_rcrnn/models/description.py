"""The content of ``model.json``: estimators as JSON, and checked JSON as estimators."""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np

FORMAT = "sklearn_rcrnn"
FORMAT_VERSION = 3
# The second name is used when a model replaces another, whose weights stay until the end.
WEIGHTS = ("weights.safetensors", "weights-2.safetensors")
# New names of parameters that version 2 of the format knew under other names.
_RENAMED_IN_3 = {
    "normalisation": "normalization",
    "equalisation": "equalization",
    ".crnn.": ".extractor.",
    ".frames.": ".step_classifier.",
    "frame_weight": "step_weight",
}

_PACKAGE = __package__.split(".")[0]
# Modules of the classes that a file may name; nothing else is ever imported by name.
ESTIMATORS = {
    "LFBETransformer": ".features",
    "CRNNPretrainer": ".pretraining",
    "RCRNNDetector": ".detector",
    "FrameDetector": ".frame_level",
}
# Type in a description for an extractor that is a module of the user's own. The name of its class
# is shown to people, compared with that of the module that is given, and never looked up.
OWN_MODULE = "own module"
_VALUES = {
    "Recipe": ".nn.recipe",
    "FeatureAugmentation": ".training.augmentation",
}
# Parameters that only training needs and that JSON cannot hold; a loaded estimator has their
# default values.
DROPPED = ("pretrainer", "memory", "callbacks", "net_params", "random_state")
# Limit of sizes in a file, larger than any real model needs, so that a file cannot demand all the
# memory of the machine.
_LARGEST = {
    "sample_rate": 10**7,
    "n_fft": 2**20,
    "hop_length": 2**24,
    "n_mels": 2**14,
    "n_jobs": 2**10,
    "n_proposals": 10**5,
    "batch_size": 10**5,
    "anchor_sizes": 10**6,
    "normalization": 10**6,
    "frame_shift": 10**3,
}
_MOST_VALUES = 1000
_MOST_STAGES = 16


def parse(text: str) -> dict[str, Any]:
    """The description in a text, with the names of this version; ValueError if it is none."""
    try:
        description = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ValueError("it is no model of sklearn_rcrnn")
    version = description.get("format_version")
    if version not in (2, FORMAT_VERSION) or isinstance(version, bool):
        raise ValueError(
            f"it has format version {version!r}; this version of sklearn_rcrnn reads 2 and "
            f"{FORMAT_VERSION}. Install the version that wrote it: "
            f"{description.get('package_version')}"
        )
    if version == 2:
        description["steps"] = json.loads(renamed(json.dumps(description.get("steps"))))
    _check(description)
    return description


def renamed(text: str) -> str:
    """The text of version 2 with the names of version 3."""
    for old, new in _RENAMED_IN_3.items():
        text = text.replace(old, new)
    return text.replace('"centre"', '"center"')


def describe_params(name: str, estimator: Any) -> dict[str, Any]:
    """The parameters of a step that are kept, as JSON has them; TypeError for what cannot be."""
    return {
        parameter: to_json(value, f"{name}__{parameter}")
        for parameter, value in estimator.get_params(deep=False).items()
        if (parameter not in DROPPED or isinstance(value, int))
        # An augmentation of the user's own is code, and only needed in training.
        and (parameter != "augmentation" or type(value).__name__ in _VALUES)
    }


def describe_settings(settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """What decided on the features of ``fit``, as far as JSON has it and it can be compared."""
    values = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in (settings or {}).items()
    }
    return {name: value for name, value in values.items() if _is_setting(value)}


def _is_setting(value: Any) -> bool:
    finite = not isinstance(value, float) or math.isfinite(value)
    return value is None or (isinstance(value, (bool, int, float, str)) and finite)


def has_own_extractor(step: Mapping[str, Any]) -> bool:
    """Whether the estimator of a step had a module of the user's own as its extractor."""
    value = step["params"].get("extractor")
    return isinstance(value, dict) and value.get("type") == OWN_MODULE


def restore_estimator(step: Mapping[str, Any], extractor: Any = None) -> Any:
    """The estimator of a step that was checked, not fitted yet; ValueError names what is wrong.

    `extractor` is the module that takes the place of the one that the estimator had.
    """
    name, kind = step["name"], step["class"]
    described = dict(step["params"])
    own_extractor = has_own_extractor(step)
    if own_extractor:
        theirs = described.pop("extractor")
        was = theirs.get("value")
        if extractor is None:
            raise ValueError(
                f"{name} was trained with an extractor of its own, {was!r:.200}, and code is "
                "never loaded from a file: give a module of that class, as load(path, "
                "extractor=...)"
            )
        _compare_class(name, str(was), extractor)
        steps = theirs.get("frames_per_step"), getattr(extractor, "frames_per_step", None)
        if steps[0] not in (None, steps[1]):  # earlier versions did not write it
            raise ValueError(
                f"{name} was trained with an extractor of {steps[0]!r:.20} frames a step, and is "
                f"given one of {steps[1]}: all times would be wrong"
            )
    params = {own: from_json(value, f"{name}.params.{own}") for own, value in described.items()}
    if own_extractor:
        params["extractor"] = extractor
    estimator = getattr(import_module(ESTIMATORS[kind], _PACKAGE), kind)()
    known = estimator.get_params(deep=False)
    for own, value in params.items():
        where = f"{name}.params.{own}"
        if own not in known:
            raise ValueError(f"{where}: {kind} has no such parameter")
        if own in DROPPED and value is not None and not (own == "random_state"):
            raise ValueError(f"{where} belongs to a training and cannot come from a file")
        if isinstance(known[own], tuple):
            _check_numbers(value, where, _MOST_VALUES)
        _check_size(own, value, where)
    if "device" in params:
        params["device"] = _device_here(params["device"], f"{name}.params.device")
    estimator.set_params(**params)
    try:
        estimator._validate_params()
    except TypeError as error:  # not an array-like after all
        raise ValueError(f"{name}.params: {error}") from error
    return estimator


def _compare_class(name: str, was: str, extractor: Any) -> None:
    """Warn of a module of another class, whose weights may fit without meaning the same."""
    given = type(extractor).__name__
    if was.rpartition(".")[2] != given:
        warnings.warn(
            f"{name} was trained with an extractor of the class {was!r:.200}, and is given a "
            f"{given}: unless that computes the same from the same weights, all events are wrong",
            stacklevel=2,
        )


def _check(description: Mapping[str, Any]) -> None:
    """Raise a ValueError that names what is missing or invalid."""
    _need(description, "pipeline", bool, "")
    if not re.fullmatch("[0-9a-f]{64}", _need(description, "weights_sha256", str, "")):
        raise ValueError(f"weights_sha256 is no SHA-256: {description['weights_sha256']!r:.80}")
    if weights_name(description) not in WEIGHTS:
        raise ValueError(f"weights names no file of a model: {description['weights']!r:.80}")
    steps = _need(description, "steps", list, "")
    if not steps or (len(steps) > 1 and not description["pipeline"]):
        raise ValueError(f"steps has {len(steps)} entries; without pipeline there must be one")
    names = [_check_step(step, f"steps[{i}]") for i, step in enumerate(steps)]
    if len(set(names)) < len(names):
        raise ValueError(f"steps: a name occurs twice: {names}")
    for step in steps[:-1]:
        if step["class"] not in ("LFBETransformer", "CRNNPretrainer"):
            raise ValueError(f"{step['name']}: a {step['class']} can only be the last step")


def _check_step(step: Any, where: str) -> str:
    if not isinstance(step, dict):
        raise ValueError(f"{where} must be an object; got {step!r:.80}")
    name = _need(step, "name", str, where)
    if not name or "__" in name or name in ("steps", "memory", "verbose", "transform_input"):
        raise ValueError(f"{where}.name cannot be the name of a step: {name!r:.80}")
    kind = _need(step, "class", str, where)
    if kind not in ESTIMATORS:
        raise ValueError(f"{name}.class: unknown class {kind!r:.80}")
    _need(step, "params", dict, name)
    if kind == "LFBETransformer":
        return name
    n_features = _need(step, "n_features_in", int, name)
    if not 1 <= n_features < 2**31:
        raise ValueError(f"{name}.n_features_in must be at least 1; got {n_features}")
    classes = _need(step, "classes", list, name)
    kinds = {type(label) for label in classes}
    if kinds not in ({str}, {int}) or len(set(classes)) < len(classes):
        raise ValueError(
            f"{name}.classes must be labels that differ, all strings or all integers; "
            f"got {classes!r:.80}"
        )
    if kinds == {int} and any(abs(label) >= 2**63 for label in classes):
        raise ValueError(f"{name}.classes has an integer that is too large")
    settings = step.get("feature_settings", {})
    if not isinstance(settings, dict) or not all(map(_is_setting, settings.values())):
        raise ValueError(
            f"{name}.feature_settings must be an object of numbers and text; got {settings!r:.80}"
        )
    return name


def weights_name(description: Mapping[str, Any]) -> str:
    """Name of the file of weights that belongs to a description."""
    return str(description.get("weights", WEIGHTS[0]))


def _need(mapping: Mapping[str, Any], key: str, kind: type, where: str) -> Any:
    """Return the value of a key; raise ValueError if it is missing or of a wrong type."""
    place = f"{where}.{key}" if where else key
    if key not in mapping:
        raise ValueError(f"{place} is missing")
    value = mapping[key]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{place} must be of type {kind.__name__}; got {value!r:.80}")
    return value


def _check_size(name: str, value: Any, where: str) -> None:
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, (int, float)) and abs(number) > _LARGEST.get(name, math.inf):
            raise ValueError(f"{where} must not be larger than {_LARGEST[name]}; got {number!r}")


def _device_here(device: Any, where: str) -> str:
    """Return the device, or ``"auto"`` if this machine does not have it."""
    import torch

    if not isinstance(device, str):
        raise ValueError(f"{where} must be a name of PyTorch's; got {device!r:.80}")
    if device in ("auto", "cpu"):
        return device
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise ValueError(f"{where} must be a name of PyTorch's; got {device!r:.80}") from error
    try:
        torch.empty(0, device=device)
    except Exception:  # each kind of device reports in another way that it is absent
        return "auto"
    return "auto" if kind == "meta" else device


def to_json(value: Any, where: str) -> Any:
    """A parameter as JSON has it; TypeError, which `where` begins, for one that it cannot have."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple, np.ndarray)):
        return [to_json(item, where) for item in value]
    if isinstance(value, Mapping):
        pairs = [[to_json(key, where), to_json(item, where)] for key, item in value.items()]
        return {"type": "dict", "value": pairs}
    kind = type(value).__name__
    if where.endswith("__extractor"):
        name, per_step = f"{type(value).__module__}.{kind}", int(value.frames_per_step)
        return {"type": OWN_MODULE, "value": name, "frames_per_step": per_step}
    if kind in _VALUES:
        own = value.get_params(deep=False).items()
        return {"type": kind, "value": {k: to_json(v, where) for k, v in own}}
    raise TypeError(f"{where} is a {kind}, which cannot be written without pickle")


def from_json(value: Any, where: str) -> Any:
    """What :func:`to_json` was given; `where` begins the errors."""
    if isinstance(value, list):
        if len(value) > _MOST_VALUES:
            raise ValueError(f"{where} has {len(value)} values; {_MOST_VALUES} are the most")
        return tuple(from_json(item, where) for item in value)
    if not isinstance(value, dict):
        return value
    if set(value) != {"type", "value"}:
        raise ValueError(f"{where} must have a type and a value; got {value!r:.80}")
    kind, content = value["type"], value["value"]
    if kind == "dict":
        pairs = content if isinstance(content, list) else [content]
        for pair in pairs:
            if (
                not isinstance(pair, list)
                or len(pair) != 2
                or isinstance(pair[0], bool)
                or not isinstance(pair[0], (str, int))
            ):
                raise ValueError(f"{where} must be pairs of label and value; got {pair!r:.80}")
        return {key: from_json(item, f"{where}[{key!r}]") for key, item in pairs}
    if not isinstance(kind, str) or kind not in _VALUES:
        raise ValueError(f"{where}: unknown type {kind!r:.80}")
    if not isinstance(content, dict):
        raise ValueError(f"{where}: the value of a {kind} must be an object; got {content!r:.80}")
    made = getattr(import_module(_VALUES[kind], _PACKAGE), kind)()
    known = made.get_params(deep=False)
    for name, item in content.items():
        if name not in known:
            raise ValueError(f"{where}.{name}: a {kind} has no such value")
        own = from_json(item, f"{where}.{name}")
        if isinstance(known[name], tuple):
            _check_numbers(own, f"{where}.{name}")
        made.set_params(**{name: own})
    try:
        made.check()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error
    return made


def _check_numbers(value: Any, where: str, most: int = _MOST_STAGES) -> None:
    numbers = value if isinstance(value, tuple) and len(value) <= most else (None,)
    if not all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in numbers):
        raise ValueError(f"{where} must be at most {most} numbers; got {value!r:.80}")


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no number that a model may have")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def check_chain(steps: Sequence[tuple[str, Any]]) -> None:
    """Raise ValueError unless each step takes what the one before it gives."""
    for (before, first), (name, second) in pairwise(steps):
        if not hasattr(second, "n_features_in_"):
            raise ValueError(f"{name}: a {type(second).__name__} can only be the first step")
        if hasattr(first, "n_mels") and first.n_mels != second.n_features_in_:
            raise ValueError(
                f"{before}.params.n_mels is {first.n_mels}, but {name}.n_features_in is "
                f"{second.n_features_in_}"
            )
