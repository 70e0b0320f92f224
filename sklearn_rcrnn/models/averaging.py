"""One detector out of several that were trained from the same start."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import joblib
import torch
from sklearn.utils.validation import check_is_fitted

from .._utils.clock import differing
from ..detector import RCRNNDetector
from ..training.identity import identity
from ..training.initial_weights import of_another_meaning
from .provenance import OF_THE_FOLDER, Provenance, provenance_of

# The frames that normalize a frame. Each training with normalization="auto" makes them no more
# than its clips have, so that a mean with more would see what one of the trainings has not seen.
_CONTEXT = "extractor.normalization.context"


def average_weights(detectors: Sequence[RCRNNDetector]) -> RCRNNDetector:
    """Average the weights of detectors that were tuned from the same weights.

    Trainings that start from the same weights, on other clips or with other seeds, end in the
    same valley of the loss, and their mean lies nearer to its middle than each of them. At
    ``predict`` it costs no more than one of them, and the trainings can run side by side.

    Parameters
    ----------
    detectors : sequence of RCRNNDetector
        Fitted detectors with the same labels, the same network, and the same ``pretrainer``, a
        FrozenEstimator of a fitted detector; one may also be the start of the other. Without a
        common start the mean is worthless.

    Returns
    -------
    RCRNNDetector
        A detector with the parameters of the first one. It has no ``thresholds_``: those of the
        detectors were chosen for other weights. Where ``normalization="auto"`` came to unequal
        lengths, because the clips of the trainings had them, it has the shortest, as a detector
        has that starts from another one.

    Raises
    ------
    ValueError
        If labels, networks or licenses differ; if networks of the same sizes code intervals
        differently, or have another `frame_shift` or `normalization`, or were fitted to other
        features; if detectors that were trained in this process have no common start; or if there
        is no detector.

    References
    ----------
    Wortsman et al.: Model soups: averaging weights of multiple fine-tuned models improves
    accuracy without increasing inference time, ICML 2022.

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn_rcrnn import RCRNNDetector, average_weights
    >>> start = FrozenEstimator(detector)  # doctest: +SKIP
    >>> average_weights(
    ...     [RCRNNDetector(pretrainer=start, random_state=i).fit(X, y) for i in range(2)]
    ... )  # doctest: +SKIP
    """
    if not detectors:
        raise ValueError("detectors is empty: there is nothing to average")
    for detector in detectors:
        check_is_fitted(detector)
    first = detectors[0]
    weights = [detector.net_.module_.state_dict() for detector in detectors]
    _check_networks(detectors, weights)
    origins = [_origin(detector) for detector in detectors]
    for i, origin in enumerate(origins):
        if origin != origins[0]:
            raise ValueError(
                f"Detector {i} does not come from the weights that detector 0 comes from: "
                f"{origin} and {origins[0]}"
            )
    lines = {i: _line(own) for i, own in enumerate(detectors) if "pretrainer_" in vars(own)}
    for i, line in lines.items():
        j = next(iter(lines))
        if not line & lines[j]:
            raise ValueError(
                f"Detector {i} did not start from the weights that detector {j} started from: the "
                "mean of their weights would be worthless. Train all of them with the same "
                "pretrainer, a FrozenEstimator of a fitted detector, or one from the other"
            )
    averaged = copy.deepcopy(first)
    averaged.__dict__.pop("thresholds_", None)
    if hasattr(averaged, "provenance_"):
        averaged.provenance_ = origins[0]
    averaged.net_.module_.load_state_dict(
        {name: mean_of(name, [own[name] for own in weights]) for name in weights[0]}
    )
    return averaged


def mean_of(name: str, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """The mean of the weights of one name.

    Of whole numbers, which count something, it is the first, and of the frames that normalize a
    frame the fewest.
    """
    if tensors[0].is_floating_point():
        return torch.stack(list(tensors)).mean(0)
    if name == _CONTEXT:
        return torch.stack(list(tensors)).amin(0)
    return tensors[0]


def _check_networks(detectors: Sequence[RCRNNDetector], weights: Sequence[dict[str, Any]]) -> None:
    """Raise ValueError if networks differ in labels, sizes, or in what their weights mean."""
    kinds = [
        (detector.classes_.tolist(), {name: tensor.shape for name, tensor in own.items()})
        for detector, own in zip(detectors, weights, strict=True)
    ]
    for i, kind in enumerate(kinds):
        if kind != kinds[0]:
            raise ValueError(
                f"Detector {i} has other labels or another network than detector 0: "
                f"{kind[0]} and {kinds[0][0]}"
            )
        if differing := _differing(detectors[i], detectors[0]):
            raise ValueError(
                f"Detector {i} has another {differing} than detector 0: the same weights mean "
                "something else"
            )


def _differing(detector: RCRNNDetector, first: RCRNNDetector) -> str:
    """The parameter by which weights of the same shapes mean something else; empty if none does."""
    ours, theirs = first._feature_settings, detector._feature_settings
    if other := differing(ours, theirs):
        return f"{' and '.join(other)} of the features"
    if of_another_meaning(detector.net_.module_, first.net_.module_):
        return "coding of intervals, by anchor_sizes or recipe,"
    meaningful = ("frame_shift", "normalization")
    names = [name for name in meaningful if getattr(detector, name) != getattr(first, name)]
    return " and ".join(names)


def _line(detector: RCRNNDetector) -> set[str]:
    """What stands for the weights of a detector, and of those that it descends from.

    A detector that started from none, or only with its extractor, begins a line of its own.
    """
    line: set[str] = set()
    own: object = detector
    while isinstance(own, RCRNNDetector):
        line.add(str(joblib.hash(identity(dict(own._net.module_.state_dict())))))
        own = getattr(own, "pretrainer_", None)
    return line


def _origin(detector: RCRNNDetector) -> Provenance:
    """What is known of the start of a detector, without its own name and checksum."""
    return {
        key: value for key, value in provenance_of(detector).items() if key not in OF_THE_FOLDER
    }
