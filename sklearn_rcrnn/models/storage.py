"""Fitted estimators in files without pickle: weights in safetensors, the rest in JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import import_module
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .._utils.files import clear, complete, is_partial, locked
from .._utils.pipelines import advice_on_wrapped, check_known_features, split_pipeline
from ..events import check_named_thresholds
from . import DESCRIPTION
from .description import (
    ESTIMATORS,
    FORMAT,
    FORMAT_VERSION,
    WEIGHTS,
    check_chain,
    describe_params,
    describe_settings,
    from_json,
    has_own_extractor,
    parse,
    renamed,
    restore_estimator,
    to_json,
    weights_name,
)
from .history import check_history, describe_history
from .provenance import OF_THE_FOLDER, check_provenance, provenance_of

# Limit in bytes, which is much longer than any real description.
_LARGEST_DESCRIPTION = 10**7
# If a model is replaced while it is read, reading is repeated up to this many times.
_TRIES = 10


def save(estimator: BaseEstimator, path: str | PathLike[str]) -> Path:
    """Write a fitted estimator or pipeline to a folder, without pickle.

    If the process is interrupted, at whatever moment, the folder holds either the model that it
    held before or the new one.

    Parameters
    ----------
    estimator : LFBETransformer, CRNNPretrainer, RCRNNDetector, or Pipeline of them
    path : str or PathLike
        Folder of the model; created if it does not exist, overwritten if it holds a model.

    Returns
    -------
    pathlib.Path
        The folder, with ``model.json`` and ``weights.safetensors``. The weights of a model that
        replaces another have another name, which is written in ``model.json``.

    Raises
    ------
    TypeError
        For an estimator of another class, or for a parameter that cannot be written.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    FileExistsError
        If the folder holds something else.

    See Also
    --------
    load : Reads it again.

    Notes
    -----
    The parameters `pretrainer`, `memory`, `callbacks`, `net_params`, and a `random_state` that
    is no integer, belong to the training and are not kept. The loaded estimator predicts the
    same to the last bit.

    Examples
    --------
    >>> from sklearn_rcrnn import load, save
    >>> save(pipe, "barks")  # doctest: +SKIP
    >>> load("barks").predict(["garden.wav"])  # doctest: +SKIP
    """
    from safetensors.torch import save as to_bytes

    check_is_fitted(estimator)
    folder = Path(path)
    check_folder(folder)
    split_pipeline(estimator)  # raises if its steps do not fit together
    pipeline = isinstance(estimator, Pipeline)
    steps = estimator.steps if pipeline else [("estimator", estimator)]
    weights: dict[str, Any] = {}
    described = [_describe(name, step, weights) for name, step in steps]
    data = to_bytes(weights)
    description = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "package_version": import_module(__package__.split(".")[0]).__version__,
        "pipeline": pipeline,
        "steps": described,
        "weights_sha256": hashlib.sha256(data).hexdigest(),
    }
    if provenance := provenance_of(steps[-1][1]):
        description["provenance"] = {
            key: value for key, value in provenance.items() if key not in OF_THE_FOLDER
        }
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        _write(folder, description, data)
    return folder


def _write(folder: Path, description: dict[str, Any], data: bytes) -> None:
    """Write new weights beside the old ones, then the description, which switches to them."""
    free = [name for name in WEIGHTS if not (folder / name).exists()]
    if not free:  # an earlier save was killed
        free = [name for name in WEIGHTS if name != _weights_in_use(folder)]
    name = description["weights"] = free[0]
    with complete(folder / name) as partial:
        partial.write_bytes(data)
    text = json.dumps(description, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with complete(folder / DESCRIPTION) as partial:
        partial.write_bytes(text.encode())
    for other in {*WEIGHTS} - {name}:
        (folder / other).unlink(missing_ok=True)
    for path in (folder / DESCRIPTION, *(folder / name for name in WEIGHTS)):
        clear(path)


def _weights_in_use(folder: Path) -> str | None:
    """Name of the weights file that the model in a folder uses; None without a model."""
    try:
        return weights_name(json.loads((folder / DESCRIPTION).read_bytes()))
    except (OSError, ValueError, AttributeError):
        return None


def load(path: str | PathLike[str], *, extractor: Any = None) -> Any:
    """Read what :func:`save` wrote.

    Parameters
    ----------
    path : str or PathLike
        The folder.
    extractor : torch.nn.Module, default=None
        For a model whose extractor was a module of your own: a module of the same class and
        sizes, which receives the weights of the model. Its code never comes from the file.

    Returns
    -------
    estimator or Pipeline
        The fitted estimator; it predicts on the device that is available here.

    Raises
    ------
    FileNotFoundError
        If there is no model in the folder.
    ValueError
        If the files are cut short, were edited, are of a later version of the package, or
        name what this version does not know.

    Warns
    -----
    UserWarning
        If `extractor` is of a class of another name than that of the model.

    Examples
    --------
    >>> from sklearn_rcrnn import load
    >>> load("barks").predict(["garden.wav"])  # doctest: +SKIP
    """
    folder = Path(path)
    description, data = _read(folder)
    try:
        weights = _tensors(data)
        if description["format_version"] == 2:
            weights = {renamed(name): tensor for name, tensor in weights.items()}
        described = description["steps"]
        if extractor is not None and not any(map(has_own_extractor, described)):
            raise ValueError("it has an extractor of this package: give no other one")
        steps = [(step["name"], _restore(step, weights, extractor)) for step in described]
        if weights:
            raise ValueError(f"the weights have {sorted(weights)[0]}, which belongs to no step")
        check_chain(steps)
        for (_, first), (_, second) in pairwise(steps):
            # Earlier versions did not write what an estimator was fitted to.
            if hasattr(first, "_settings_of_features") and second._feature_settings is None:
                second._feature_settings = first._settings_of_features()
        check_known_features(steps)
    except ValueError as error:
        raise ValueError(
            f"{folder / DESCRIPTION} does not describe a model that this version of "
            f"sklearn_rcrnn knows: {error}"
        ) from error
    steps[-1][1].provenance_ = {
        **description.get("provenance", {}),
        "name": folder.resolve().name,
        "weights_sha256": description["weights_sha256"],
    }
    return Pipeline(steps) if description["pipeline"] else steps[0][1]


def _read(folder: Path) -> tuple[dict[str, Any], bytes]:
    """Read a description and its weights, even if another process replaces them meanwhile."""
    for _ in range(_TRIES):
        missing = [name for name in (DESCRIPTION,) if not (folder / name).is_file()]
        if missing:
            raise FileNotFoundError(f"{folder} is no model: it has no {DESCRIPTION}")
        text = _read_text(folder / DESCRIPTION)
        try:
            description = parse(text)
            check_provenance(description.get("provenance", {}))
        except ValueError as error:
            raise ValueError(
                f"{folder / DESCRIPTION} cannot be read as the description of a model: {error}"
            ) from error
        name = weights_name(description)
        data = (folder / name).read_bytes() if (folder / name).is_file() else None
        if data and hashlib.sha256(data).hexdigest() == description["weights_sha256"]:
            return description, data
        if _read_text(folder / DESCRIPTION) == text:
            break
    if data is None:
        raise FileNotFoundError(f"{folder} is no model: it has no {name}")
    raise ValueError(
        f"{folder / name} is not what {DESCRIPTION} was written with: it was cut short "
        "or changed. Save or copy the model again"
    )


def _read_text(path: Path) -> str:
    size = path.stat().st_size
    if size > _LARGEST_DESCRIPTION:
        raise ValueError(f"{path} cannot be the description of a model: it has {size} bytes")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} cannot be read as the description of a model: {error}") from error


def _tensors(data: bytes) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load as from_bytes

    try:
        return from_bytes(data)
    except (SafetensorError, KeyError, TypeError, RuntimeError, ValueError) as error:
        raise ValueError(f"the weights are no safetensors: {error}") from error


def _describe(name: str, estimator: Any, weights: dict[str, Any]) -> dict[str, Any]:
    """Describe a step; its tensors go into `weights` under its name."""
    kind = type(estimator).__name__
    if kind not in ESTIMATORS:
        raise TypeError(
            f"Step {name!r} is a {kind}; only {', '.join(ESTIMATORS)} and pipelines of them "
            f"can be saved. joblib.dump takes any estimator{advice_on_wrapped(estimator)}"
        )
    described: dict[str, Any] = {
        "name": name,
        "class": kind,
        "params": describe_params(name, estimator),
    }
    if hasattr(estimator, "_net"):
        # They may have been set to others since, with which the weights would mean something else.
        for own, value in getattr(estimator, "_built_from", {}).items():
            described["params"][own] = to_json(value, f"{name}__{own}")
        described["classes"] = estimator.classes_.tolist()
        described["n_features_in"] = estimator.n_features_in_
        if known := describe_settings(estimator._feature_settings):
            described["feature_settings"] = known
        if named := getattr(estimator, "thresholds_", None):
            described["thresholds"] = to_json(named, f"{name}__thresholds")
        described["history"] = describe_history(estimator._net.history)
        for key, tensor in estimator._net.module_.state_dict().items():
            # A copy, as layers of the user's own may share weights, which the format cannot have.
            weights[f"{name}.{key}"] = tensor.detach().cpu().contiguous().clone()
    return described


def _restore(step: Mapping[str, Any], weights: dict[str, Any], extractor: Any) -> Any:
    """Make the fitted estimator of a step, and remove its tensors from `weights`."""
    estimator = restore_estimator(step, extractor)
    if hasattr(estimator, "_restore_net"):
        prefix = step["name"] + "."
        own = {
            name.removeprefix(prefix): weights.pop(name)
            for name in list(weights)
            if name.startswith(prefix)
        }
        try:
            estimator._restore_net(np.asarray(step["classes"]), step["n_features_in"], own)
            estimator._feature_settings = step.get("feature_settings")
            estimator._net.history.extend(check_history(step.get("history", [])))
            if "thresholds" in step:
                named = from_json(step["thresholds"], "thresholds")
                estimator.thresholds_ = check_named_thresholds(named, step["classes"])
            if hasattr(estimator, "_thresholds"):
                estimator._thresholds()
                estimator._rules()
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"{step['name']}: {error}") from error
    return estimator


def check_folder(folder: Path) -> None:
    """Raise FileExistsError where :func:`save` would not write a model, over another or not."""
    if folder.exists() and (not folder.is_dir() or _holds_something_else(folder)):
        raise FileExistsError(f"{folder} is there already and is no model: give another path")


def _holds_something_else(folder: Path) -> bool:
    """Tell whether a folder has files that are neither a model nor the remains of one."""
    there = {path.name for path in folder.iterdir() if not is_partial(path)}
    return DESCRIPTION not in there and not there <= set(WEIGHTS)
