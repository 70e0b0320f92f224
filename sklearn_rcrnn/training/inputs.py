"""Checks on features and on the weights of clips and labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from ..clip_stream import ClipStream
from ..events import Event, Label, misnamed_labels

# An (n_clips, n_frames, n_bands) array, or a list of (n_frames_i, n_bands) arrays.
Clips = Any


def check_features(X: Any, estimator: str, name: str = "X") -> Clips:
    """Check features and return them as float32 arrays, without a copy where they are that.

    Parameters
    ----------
    X : array of shape (n_clips, n_frames, n_bands) or sequence of (n_frames_i, n_bands)
    estimator : str
        The class that the features are for; errors name it.
    name : str, default="X"
        The argument that the features came in; errors name it.

    Returns
    -------
    float32 array of shape (n_clips, n_frames, n_bands), or list of (n_frames_i, n_bands)

    Raises
    ------
    TypeError, ValueError
        If the clips are not features, are empty, differ in their number of bands, or hold NaN.
    """
    clips: Clips
    if isinstance(X, ClipStream):
        raise TypeError(
            f"{name} is a ClipStream: fit learns from one, and transform maps it, but events are "
            "found in clips. Draw some: [stream.draw(1, i)[0] for i in range(len(stream))]"
        )
    if scipy.sparse.issparse(X):
        raise TypeError(f"Sparse data was passed as {name}, but {estimator} needs dense features")
    if isinstance(X, np.ndarray) and X.dtype != object:
        clips = _check_array(X, estimator, name)
    elif isinstance(X, (str, bytes)) or not hasattr(X, "__len__"):
        raise TypeError(
            f"{estimator} expects features, an (n_clips, n_frames, n_bands) array or a list of "
            f"(n_frames, n_bands) arrays; {name} is {type(X).__name__}"
        )
    else:
        clips = [
            _check_clip(clip, f"Clip {i} of {name}", _from_audio(estimator, name))
            for i, clip in enumerate(X)
        ]
    if len(clips) == 0:
        raise ValueError(
            f"Found array with 0 sample(s): {name} is empty, while a minimum of 1 clip is required"
        )
    bands = {clip.shape[1] for clip in clips} if isinstance(clips, list) else {clips.shape[2]}
    if len(bands) > 1:
        raise ValueError(f"The clips of {name} have different numbers of bands: {sorted(bands)}")
    for i, clip in enumerate(clips):
        _check_finite(clip, f"clip {i} of {name}")
    return clips


def check_drawn_clip(clip: Any, n_bands: int, where: str) -> NDArray[np.float32]:
    """Check features of a clip that a stream made, and return them as a float32 array.

    Parameters
    ----------
    clip : array of shape (n_frames, n_bands)
    n_bands : int
        Bands of the first clips of the stream.
    where : str
        The place of the clip in the stream; errors name it.

    Raises
    ------
    ValueError
        If the clip is no features, has other bands, or holds NaN.
    """
    checked = _check_clip(clip, f"Clip {where}", "map the stream by a transformer")
    if checked.shape[1] != n_bands:
        raise ValueError(
            f"Clip {where} has {checked.shape[1]} bands; the first clips of it have {n_bands}"
        )
    _check_finite(checked, f"clip {where}")
    return checked


def n_bands(clips: Clips) -> int:
    """Bands of features that were checked."""
    return clips[0].shape[1]


def check_weights(sample_weight: Any, n_clips: int) -> NDArray[np.float64]:
    """Check weights of clips and return them as an array of shape (n_clips,).

    Raises
    ------
    ValueError
        If there is not one finite weight for each clip, one is negative, or all are 0.
    """
    if isinstance(sample_weight, Iterator):
        sample_weight = list(sample_weight)
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != (n_clips,):
        raise ValueError(
            f"sample_weight must have one weight for each of the {n_clips} clips, the shape "
            f"({n_clips},); got the shape {weights.shape}"
        )
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise ValueError("sample_weight must be finite, not negative, and not 0 for all clips")
    return weights


def label_weights(
    class_weight: Mapping[Label, float] | str | None,
    labels: Sequence[Label],
    events: Sequence[Sequence[Event]] | None,
) -> list[float] | None:
    """The weight of each label from the parameter `class_weight`; None if that is None.

    Raises
    ------
    ValueError
        For labels that are not to be learnt, for weights that are not positive, and for
        ``"balanced"`` if the events are not known beforehand (`events` is None).
    """
    if class_weight is None:
        return None
    if isinstance(class_weight, str):
        if events is None:
            raise ValueError(
                'class_weight="balanced" counts the events of each label, and a ClipStream has no '
                "fixed number of them: give a dict of label to weight"
            )
        counts = Counter(event.label for clip in events for event in clip)
        return [counts.total() / (len(labels) * counts[label]) for label in labels]
    if unknown := misnamed_labels(class_weight, labels):
        raise ValueError(f"class_weight has the labels {unknown}; those to learn are {labels}")
    weights = [float(class_weight.get(label, 1.0)) for label in labels]
    if not all(0 < weight < np.inf for weight in weights):
        raise ValueError(f"class_weight must hold positive numbers; got {dict(class_weight)}")
    return weights


def _check_array(X: NDArray[Any], estimator: str, name: str) -> NDArray[np.float32]:
    if X.dtype.kind not in "fiub":
        raise ValueError(
            f"Features must be real numbers; complex or other data not supported, got {X.dtype}"
        )
    if X.ndim != 3:
        raise ValueError(
            f"{estimator} expects features of shape (n_clips, n_frames, n_bands); {name} is "
            f"an array of {X.ndim} dimension(s), {X.shape}. Reshape your data, or "
            f"{_from_audio(estimator, name)}"
        )
    if not X.shape[1]:
        raise ValueError(f"The clips of {name} have no frames")
    return np.asarray(X, np.float32)


def _check_clip(clip: Any, where: str, from_audio: str) -> NDArray[np.float32]:
    array = np.asarray(clip)
    if array.ndim != 2 or array.dtype.kind not in "fiub" or not len(array):
        what = f"shape {array.shape}" if array.dtype.kind in "fiub" else f"{clip!r:.80}"
        raise ValueError(
            f"{where} must be features of shape (n_frames, n_bands), at least one frame; got "
            f"{what}. To start from audio, {from_audio}"
        )
    return array.astype(np.float32, copy=False)


def _check_finite(clip: NDArray[np.float32], where: str) -> None:
    # The sum is finite only if all values are, and testing it needs no array of flags.
    if not np.isfinite(clip.sum(dtype=np.float64)):
        raise ValueError(f"The features of {where} contain NaN or infinity")


def _from_audio(estimator: str, name: str) -> str:
    if name == "X":
        return f"put an LFBETransformer before {estimator} in a Pipeline"
    return (
        f"turn the recordings of {name} into features yourself, because a Pipeline passes "
        f"{name} on as it is: {name}=pipe[:-1].transform({name}). With scikit-learn's metadata "
        f'routing on, Pipeline(steps, transform_input=["{name}"]) does it'
    )
