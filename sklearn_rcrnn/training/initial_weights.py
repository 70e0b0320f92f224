"""Initial weights of a detector: from a pre-trainer, or from an estimator fitted before."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
from filelock import FileLock
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted, check_memory
from torch import nn

from .._utils.clock import differing, spelled
from .._utils.text import some
from ..events import Label
from ..nn.losses import LabelLinear
from ..nn.presence import PresenceNetwork
from ..nn.processes import n_processes
from ..nn.rcrnn import RCRNN
from .identity import identity

if TYPE_CHECKING:
    from .._base import NetworkEstimator
    from ..pretraining import CRNNPretrainer
    from .fit_arguments import TrainingData

# Parameters that a pre-trainer and the detector that continues from it must share.
_SHARED = ("gru_units", "extractor", "normalization", "frame_shift")


def shared_params(estimator: Any) -> dict[str, Any]:
    """Parameters in which a detector and the estimator that it starts from must agree."""
    return {name: getattr(estimator, name) for name in _SHARED}


def fit_pretrainer(detector: Any, data: TrainingData) -> NetworkEstimator | None:
    """The fitted pre-trainer or detector that the first weights are taken from, or None.

    Parameters
    ----------
    detector : RCRNNDetector
        Its `pretrainer` is fitted here unless it is frozen, with the extractor of the
        detector, and kept in its `memory`.
    data : TrainingData
        What the detector learns from. A pre-trainer without a random state takes its seed, and
        writes its checkpoint into the same folder.

    Raises
    ------
    TypeError, ValueError
        If the frozen estimator has no extractor, or one that differs from the detector's, or if
        it was fitted to other features.
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
            fitted.set_params(random_state=data.seed)
        for name in ("device", "precision"):
            if getattr(fitted, name) == "auto":
                fitted.set_params(**{name: getattr(detector, name)})
        folder = None if data.checkpoint is None else data.checkpoint.folder
        fitted = cached_fit(fitted, _divided(data), detector.memory, folder)
    theirs = getattr(fitted, "_feature_settings", None)  # an estimator of the user's own has none
    _check_features(theirs, detector._feature_settings)
    for name in (*_SHARED, "n_features_in_"):
        # Its parameters may have been set to others since its network was built.
        theirs = getattr(fitted, "_built_from", {}).get(name, getattr(fitted, name))
        ours = getattr(detector, name)
        if isinstance(theirs, nn.Module) and type(theirs) is type(ours):
            continue  # whether their weights fit is checked when they are copied
        if theirs != ours and not (name == "gru_units" and detector.extractor == "cnn"):
            raise ValueError(
                f"The pretrainer was fitted with {name}={theirs!r}, the detector has "
                f"{name}={ours!r}: they must agree"
            )
    return fitted


def _check_features(theirs: dict[str, Any] | None, ours: dict[str, Any] | None) -> None:
    """Raise ValueError for weights of other features, as far as is known how both were computed."""
    if other := differing(theirs, ours):
        before, now = spelled(theirs, other), spelled(ours, other)
        raise ValueError(
            f"The pretrainer was fitted to features with {before}, and X has features with {now}, "
            "for which its weights mean nothing: compute them as it knows them, or begin with "
            'random weights, pretrainer=None or make_rcrnn_pipeline(start="none")'
        )


def _divided(data: TrainingData) -> dict[str, Any]:
    """Arguments of the pre-trainer's ``fit``, which must not learn from validation clips."""
    from .data import ClipDataset

    train, valid = data.train_set, data.valid_set
    if valid is None or data.arguments["X_val"] is not None or not isinstance(train, ClipDataset):
        return data.arguments
    events = [data.arguments["y"][i] for i in train.indices]
    # The pre-trainer learns the labels of the training clips alone.
    known = {event.label for clip in events for event in clip}
    watched = [
        [event for event in data.arguments["y"][i] if event.label in known] for i in valid.indices
    ]
    weights = None if train.weights is None else train.weights[train.indices]
    return {
        "X": train.X,
        "y": events,
        "X_val": valid.X,
        "y_val": watched,
        "sample_weight": weights,
    }


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

    From a pre-trainer, these are the weights of the extractor. From a detector, they are also those
    of all other layers of the same sizes whose outputs mean the same; if the labels differ, each
    :class:`~sklearn_rcrnn.nn.losses.LabelLinear` keeps its random weights. A warning names other
    layers that keep theirs.
    """
    try:
        network.extractor.load_state_dict(source.net_.module_.extractor.state_dict())
    except RuntimeError as error:  # the sizes of modules of the user's own may differ
        raise ValueError(
            f"The weights of the pretrainer's extractor do not fit that of the detector: {error}"
        ) from error
    taken = _taken(network, source, labels)
    _warn_of_lost(network, source, labels, set(taken))
    network.load_state_dict(taken, strict=False)


def _warn_of_lost(
    network: RCRNN, source: NetworkEstimator, labels: list[Label], taken: set[str]
) -> None:
    """Warn of layers that could have begun with weights of a detector, if they were as there."""
    if isinstance(source.net_.module_, PresenceNetwork):
        return
    has_labels = source.classes_.tolist() == labels
    lost = [
        name
        for name, layer in network.named_modules()
        if any(f"{name}.{own}" not in taken for own, _ in layer.named_parameters(recurse=False))
        and not getattr(layer, "training_only", False)
        and (has_labels or not isinstance(layer, LabelLinear))
    ]
    if lost:
        warnings.warn(
            f"The layers {some(lost, 6)} begin with random weights: those of the pretrainer have "
            "another size, or mean something else. To begin with its weights, give the "
            "dense_units, head, anchor_sizes and coding of the recipe that it has",
            stacklevel=2,
        )


def draw_back(network: RCRNN, source: NetworkEstimator, labels: list[Label], share: float) -> None:
    """Replace trained weights by their mean with those that :func:`copy_weights` had given.

    Parameters
    ----------
    network : RCRNN
        After its training.
    source, labels
        As for :func:`copy_weights`.
    share : float
        Weight of the source in the mean, from 0 to 1. Layers that began at random stay as they
        are.

    Notes
    -----
    The mean keeps more of what the start knows and the training clips do not show (Wortsman et al.,
    Robust fine-tuning of zero-shot models, 2022).
    """
    own = network.state_dict()
    for name, theirs in _taken(network, source, labels).items():
        if theirs.is_floating_point():
            own[name].lerp_(theirs.to(own[name]), share)


def _taken(network: RCRNN, source: NetworkEstimator, labels: list[Label]) -> dict[str, Any]:
    """The weights of a fitted estimator that fit into a network and mean the same there."""
    theirs = source.net_.module_
    if isinstance(theirs, PresenceNetwork):
        weights = theirs.extractor.state_dict()
        return {f"extractor.{name}": value for name, value in weights.items()}
    own = network.state_dict()
    dropped = of_another_meaning(network, theirs)
    if source.classes_.tolist() != labels:
        layers = network.named_modules()
        dropped += tuple(f"{name}." for name, layer in layers if isinstance(layer, LabelLinear))
    return {
        name: weights
        for name, weights in theirs.state_dict().items()
        if name in own and own[name].shape == weights.shape and not name.startswith(dropped)
    }


def of_another_meaning(network: RCRNN, theirs: Any) -> tuple[str, ...]:
    """The layers, as beginnings of names, whose outputs are coded in another way."""
    ours, other = network.head.recipe, theirs.head.recipe
    layers: tuple[str, ...] = ()
    if network.rpn.anchor_sizes != theirs.rpn.anchor_sizes:
        layers += ("rpn.objectness.", "rpn.regression.")
    if tuple(ours.anchor_weights) != tuple(other.anchor_weights):
        layers += ("rpn.regression.",)
    codings = [(recipe.roi_coding, tuple(recipe.roi_weights)) for recipe in (ours, other)]
    if codings[0] != codings[1]:
        layers += ("head.regression.", "head.maps.")
    return layers


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
        # One process would wait for the lock, whose holder waits for that process to train along.
        raise ValueError(
            "memory cannot be shared by processes that train together: fit the pre-trainer first, "
            "and give pretrainer=FrozenEstimator(it)"
        )
    folder = Path(memory.location)
    folder.mkdir(parents=True, exist_ok=True)
    name = joblib.hash((identity(pretrainer), arguments))
    kept = memory.cache(_fit, ignore=["pretrainer", "arguments", "checkpoint"])
    with FileLock(folder / f"pretrainer-{name}.lock"):
        return kept(name, pretrainer, arguments, checkpoint)


def _fit(
    name: str, pretrainer: CRNNPretrainer, arguments: dict[str, Any], checkpoint: Any
) -> CRNNPretrainer:
    """Fit an estimator; `name` stands for all other arguments, so they are not hashed again."""
    return pretrainer.fit(**arguments, checkpoint=checkpoint)
