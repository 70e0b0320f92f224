"""Fitted estimators in files without pickle: weights in safetensors, the rest in JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .._utils.files import complete
from ..events import check_named_thresholds
from .provenance import check_provenance, provenance_of

FORMAT_VERSION = 3
# What names of version 2 are called now: some were British, some said something else.
_RENAMED_IN_3 = {
    "normalisation": "normalization",
    "equalisation": "equalization",
    ".crnn.": ".extractor.",
    ".frames.": ".step_classifier.",
    "frame_weight": "step_weight",
}
DESCRIPTION = "model.json"
# Parts of the provenance that a model has by where it lies, not by what is written in it.
_OF_THE_FOLDER = ("name", "weights_sha256")
WEIGHTS = "weights.safetensors"

_PACKAGE = __package__.split(".")[0]
# Where each class that may occur in a file lives: nothing else is ever imported by name.
_ESTIMATORS = {
    "LFBETransformer": ".features",
    "CRNNPretrainer": ".pretraining",
    "RCRNNDetector": ".detector",
    "FrameDetector": ".frame_level",
}
_VALUES = {
    "Recipe": ".nn.recipe",
    "FeatureAugmentation": ".training.augmentation",
}
# Parameters that only a training needs and that JSON cannot hold; a loaded estimator has
# their defaults.
_DROPPED = ("pretrainer", "memory", "callbacks", "net_params", "random_state")


def save(estimator: BaseEstimator, path: str | PathLike[str]) -> Path:
    """Write a fitted estimator or pipeline to a folder, without pickle.

    Parameters
    ----------
    estimator : LFBETransformer, CRNNPretrainer, RCRNNDetector, or Pipeline of them
    path : str or PathLike
        Folder; made if it is not there, overwritten if it holds a model.

    Returns
    -------
    pathlib.Path
        The folder, with ``model.json`` and ``weights.safetensors``.

    Raises
    ------
    TypeError
        For an estimator of another class, or a parameter that cannot be written.
    sklearn.exceptions.NotFittedError
        If it was not fitted.
    FileExistsError
        If the folder holds something else.

    See Also
    --------
    load : Reads it again.

    Notes
    -----
    `pretrainer`, `memory`, `callbacks`, `net_params` and a `random_state` that is no
    integer belong to the training and are not kept. What `predict` returns is kept to the
    last bit.

    Examples
    --------
    >>> from sklearn_rcrnn import load, save
    >>> save(pipe, "barks")  # doctest: +SKIP
    >>> load("barks").predict(["garden.wav"])  # doctest: +SKIP
    """
    from safetensors.torch import save as to_bytes

    check_is_fitted(estimator)
    folder = Path(path)
    if folder.exists() and (not folder.is_dir() or _holds_something_else(folder)):
        raise FileExistsError(f"{folder} is there already and is no model: give another path")
    pipeline = isinstance(estimator, Pipeline)
    steps = estimator.steps if pipeline else [("estimator", estimator)]
    weights: dict[str, Any] = {}
    described = [_describe(name, step, weights) for name, step in steps]
    data = to_bytes(weights)
    description = {
        "format": "sklearn_rcrnn",
        "format_version": FORMAT_VERSION,
        "package_version": import_module(_PACKAGE).__version__,
        "pipeline": pipeline,
        "steps": described,
        "weights_sha256": hashlib.sha256(data).hexdigest(),
    }
    if provenance := provenance_of(steps[-1][1]):
        description["provenance"] = {
            key: value for key, value in provenance.items() if key not in _OF_THE_FOLDER
        }
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
    # Weights first: a description whose weights are not there yet would not load.
    for name, content in ((WEIGHTS, data), (DESCRIPTION, text.encode())):
        with complete(folder / name) as partial:
            partial.write_bytes(content)
    return folder


def load(path: str | PathLike[str]) -> Any:
    """Read what :func:`save` wrote.

    Parameters
    ----------
    path : str or PathLike
        The folder.

    Returns
    -------
    estimator or Pipeline
        Fitted; it predicts on the device that there is.

    Raises
    ------
    FileNotFoundError
        If there is no model in the folder.
    ValueError
        If the files are cut short, were edited, are of a later version of the package, or
        name what this version does not know.

    Examples
    --------
    >>> from sklearn_rcrnn import load
    >>> load("barks").predict(["garden.wav"])  # doctest: +SKIP
    """
    from safetensors.torch import load as from_bytes

    folder = Path(path)
    missing = [name for name in (DESCRIPTION, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} is no model: it has no {' and no '.join(missing)}")
    description = _read_description(folder / DESCRIPTION)
    data = (folder / WEIGHTS).read_bytes()
    if hashlib.sha256(data).hexdigest() != description["weights_sha256"]:
        raise ValueError(
            f"{folder / WEIGHTS} is not what {DESCRIPTION} was written with: it was cut short "
            "or changed. Save or copy the model again"
        )
    weights = from_bytes(data)
    if description["format_version"] == 2:
        weights = {_renamed(name): tensor for name, tensor in weights.items()}
    try:
        steps = [(step["name"], _restore(step, weights)) for step in description["steps"]]
        steps[-1][1].provenance_ = {
            **check_provenance(description.get("provenance", {})),
            "name": folder.resolve().name,
            "weights_sha256": description["weights_sha256"],
        }
    except (KeyError, TypeError, AttributeError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"{folder / DESCRIPTION} does not describe a model that this version of "
            f"sklearn_rcrnn knows: {error}"
        ) from error
    return Pipeline(steps) if description["pipeline"] else steps[0][1]


def _describe(name: str, estimator: Any, weights: dict[str, Any]) -> dict[str, Any]:
    """A step for the description; its tensors go into `weights` under its name."""
    kind = type(estimator).__name__
    if kind not in _ESTIMATORS:
        raise TypeError(
            f"Step {name!r} is a {kind}; only {', '.join(_ESTIMATORS)} and pipelines of them "
            "can be saved. joblib.dump takes any estimator"
        )
    described: dict[str, Any] = {"name": name, "class": kind, "params": {}}
    for parameter, value in estimator.get_params(deep=False).items():
        if parameter in _DROPPED and not isinstance(value, int):
            continue
        described["params"][parameter] = _to_json(value, f"{name}__{parameter}")
    if hasattr(estimator, "net_"):
        described["classes"] = estimator.classes_.tolist()
        described["n_features_in"] = estimator.n_features_in_
        if named := getattr(estimator, "thresholds_", None):
            described["thresholds"] = _to_json(named, f"{name}__thresholds")
        for key, tensor in estimator.net_.module_.state_dict().items():
            weights[f"{name}.{key}"] = tensor.detach().cpu().contiguous()
    return described


def _restore(step: Mapping[str, Any], weights: Mapping[str, Any]) -> Any:
    kind = step["class"]
    if kind not in _ESTIMATORS:
        raise ValueError(f"unknown class {kind!r}")
    params = {name: _from_json(value) for name, value in step["params"].items()}
    estimator = getattr(import_module(_ESTIMATORS[kind], _PACKAGE), kind)(**params)
    if "classes" in step:
        prefix = step["name"] + "."
        own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
        estimator._restore_net(np.asarray(step["classes"]), step["n_features_in"], own)
        if "thresholds" in step:
            named = _from_json(step["thresholds"])
            estimator.thresholds_ = check_named_thresholds(named, step["classes"])
    return estimator


def _read_description(path: Path) -> dict[str, Any]:
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        if description["format"] != "sklearn_rcrnn":
            raise ValueError("no model of sklearn_rcrnn")
        version = description["format_version"]
        needed = {"pipeline", "steps", "weights_sha256"} - set(description)
        if needed:
            raise ValueError(f"it lacks {sorted(needed)}")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} cannot be read as the description of a model: {error}") from error
    if version == 2:
        description["steps"] = json.loads(_renamed(json.dumps(description["steps"])))
    elif version != FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {version!r}; this version of sklearn_rcrnn reads "
            f"2 and {FORMAT_VERSION}. Install the version that wrote it: "
            f"{description.get('package_version')}"
        )
    return description


def _renamed(text: str) -> str:
    """The text of version 2 with the names of version 3."""
    for old, new in _RENAMED_IN_3.items():
        text = text.replace(old, new)
    return text.replace('"centre"', '"center"')


def _to_json(value: Any, where: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_to_json(item, where) for item in value]
    if isinstance(value, Mapping):
        pairs = [[key, _to_json(item, where)] for key, item in value.items()]
        return {"type": "dict", "value": pairs}
    kind = type(value).__name__
    if kind in _VALUES:
        params = value.get_params(deep=False)
        return {"type": kind, "value": {k: _to_json(v, where) for k, v in params.items()}}
    raise TypeError(f"{where} is a {kind}, which cannot be written without pickle")


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_from_json(item) for item in value)
    if not isinstance(value, dict):
        return value
    kind, content = value["type"], value["value"]
    if kind == "dict":
        return {key: _from_json(item) for key, item in content}
    if kind not in _VALUES:
        raise ValueError(f"unknown type {kind!r}")
    fields = {name: _from_json(item) for name, item in content.items()}
    return getattr(import_module(_VALUES[kind], _PACKAGE), kind)(**fields)


def _holds_something_else(folder: Path) -> bool:
    there = {path.name for path in folder.iterdir()}
    return bool(there) and DESCRIPTION not in there
