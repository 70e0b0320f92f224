"""Initial weights of a detector: from a pre-trainer, or from an estimator fitted before."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
from filelock import FileLock
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted, check_memory
from torch import nn

from ..events import Label
from ..nn.losses import LabelLinear
from ..nn.presence import PresenceNetwork
from ..nn.processes import n_processes
from ..nn.rcrnn import RCRNN

if TYPE_CHECKING:
    from .._base import NetworkEstimator
    from ..pretraining import CRNNPretrainer
    from .checkpoints import TrainingCheckpoint

# Parameters that a pre-trainer and the detector that continues from it must share.
_SHARED = ("gru_units", "extractor", "normalization", "frame_shift")


def shared_params(estimator: Any) -> dict[str, Any]:
    """Parameters in which a detector and the estimator that it starts from must agree."""
    return {name: getattr(estimator, name) for name in _SHARED}


def fit_pretrainer(
    detector: Any,
    arguments: dict[str, Any],
    seed: int,
    checkpoint: TrainingCheckpoint | None = None,
) -> NetworkEstimator | None:
    """The fitted pre-trainer or detector that the first weights are taken from, or None.

    Parameters
    ----------
    detector : RCRNNDetector
        Its `pretrainer` is fitted here unless it is frozen, with the extractor of the
        detector, and kept in its `memory`.
    arguments : dict
        Arguments of :meth:`CRNNPretrainer.fit` by name.
    seed : int
        Random state of a pre-trainer that has none of its own.
    checkpoint : TrainingCheckpoint, default=None
        Checkpoint of the detector; the pre-trainer's goes into the same folder.

    Raises
    ------
    TypeError, ValueError
        If the frozen estimator has no extractor, or one that differs from the detector's.
    """
    pretrainer = detector.pretrainer
    if pretrainer is None:
        return None
    if isinstance(pretrainer, FrozenEstimator):
        fitted = pretrainer.estimator
        check_is_fitted(fitted)
        network = getattr(getattr(fitted, "net_", None), "module_", None)
        if not hasattr(network, "extractor"):
            raise TypeError(
                "pretrainer must freeze a CRNNPretrainer or an RCRNNDetector; got "
                f"{type(fitted).__name__}"
            )
    else:
        fitted = clone(pretrainer)
        fitted.set_params(**shared_params(detector))
        if fitted.random_state is None:
            fitted.set_params(random_state=seed)
        fitted = cached_fit(
            fitted, arguments, detector.memory, None if checkpoint is None else checkpoint.folder
        )
    for name in (*_SHARED, "n_features_in_"):
        theirs, ours = getattr(fitted, name), getattr(detector, name)
        if isinstance(theirs, nn.Module) and type(theirs) is type(ours):
            continue  # whether their weights fit is checked when they are copied
        if theirs != ours and not (name == "gru_units" and detector.extractor == "cnn"):
            raise ValueError(
                f"The pretrainer was fitted with {name}={theirs!r}, the detector has "
                f"{name}={ours!r}: they must agree"
            )
    return fitted


def has_other_labels(pretrainer: Any, labels: list[Label]) -> bool:
    """Tell whether a warm start comes from a fitted detector of other labels.

    The layers that tell labels apart then start anew behind layers that know other sounds.
    """
    fitted: Any = pretrainer.estimator if isinstance(pretrainer, FrozenEstimator) else None
    # A pre-trainer gives the extractor alone: everything behind it starts anew.
    known = hasattr(fitted, "predict_candidates") and hasattr(fitted, "classes_")
    return known and fitted.classes_.tolist() != labels


def copy_weights(network: RCRNN, source: NetworkEstimator, labels: list[Label]) -> None:
    """Copy the weights of a fitted estimator into a network, as far as they fit.

    From a pre-trainer, these are the weights of the extractor. From a detector, they are those
    of all layers of the same sizes; if the labels differ, each
    :class:`~sklearn_rcrnn.nn.losses.LabelLinear` keeps its random weights.
    """
    theirs = source.net_.module_
    if isinstance(theirs, PresenceNetwork):
        network.extractor.load_state_dict(theirs.extractor.state_dict())
        return
    own = network.state_dict()
    dropped: tuple[str, ...] = ()
    if source.classes_.tolist() != labels:
        layers = network.named_modules()
        dropped = tuple(f"{name}." for name, layer in layers if isinstance(layer, LabelLinear))
    taken = {
        name: weights
        for name, weights in theirs.state_dict().items()
        if name in own and own[name].shape == weights.shape and not name.startswith(dropped)
    }
    network.load_state_dict(taken, strict=False)


def cached_fit(
    pretrainer: CRNNPretrainer, arguments: dict[str, Any], memory: Any, checkpoint: Any = None
) -> CRNNPretrainer:
    """Fit a pre-trainer, unless `memory` has one with the same parameters and data.

    A lock keeps workers of a grid search that need the same pre-training at the same time
    from doing it twice.
    """
    memory = check_memory(os.fspath(memory) if isinstance(memory, os.PathLike) else memory)
    if memory.location is None:
        return _fit("", pretrainer, arguments, checkpoint)
    if n_processes() > 1:
        # One would wait for the lock, and the other, inside, for the one.
        raise ValueError(
            "memory cannot be shared by processes that train together: fit the pre-trainer first, "
            "and give pretrainer=FrozenEstimator(it)"
        )
    folder = Path(memory.location)
    folder.mkdir(parents=True, exist_ok=True)
    params = pretrainer.get_params(deep=False)
    name = joblib.hash(({key: _content(value) for key, value in params.items()}, arguments))
    kept = memory.cache(_fit, ignore=["pretrainer", "arguments", "checkpoint"])
    with FileLock(folder / f"pretrainer-{name}.lock"):
        return kept(name, pretrainer, arguments, checkpoint)


def _content(value: Any) -> Any:
    """Convert a parameter so that its hash is the same in all processes, unlike a module's."""
    if not isinstance(value, nn.Module):
        return value
    weights = {name: tensor.cpu().numpy() for name, tensor in value.state_dict().items()}
    return type(value), repr(value), vars(value).get("n_channels"), weights


def _fit(
    name: str, pretrainer: CRNNPretrainer, arguments: dict[str, Any], checkpoint: Any
) -> CRNNPretrainer:
    """Fit an estimator; `name` stands for all other arguments, so they are not hashed again."""
    return pretrainer.fit(**arguments, checkpoint=checkpoint)
