"""What the estimators that train a network have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions
from skorch import NeuralNet

from .events import Event
from .nn.crnn import EXTRACTORS, MIN_BANDS
from .training import (
    ClipDataset,
    callbacks_for,
    collate_features,
    resolve_device,
    split_clips,
    use_bfloat16,
)

# An (n_clips, n_frames, n_bands) array, or a list of (n_frames_i, n_bands) arrays.
Clips = Any

# A batch at prediction holds no more frames than this for each of its clips, so that a
# few long recordings among short ones do not need memory for a batch of long ones.
_FRAMES_PER_CLIP = 1300


class NetworkEstimator(BaseEstimator):
    """Checks of features, training and batches; parameters are those of the subclasses."""

    _training_constraints: dict = {
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "patience": [Interval(Integral, 1, None, closed="left"), None],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither"), None],
        "gradient_clip": [Interval(Real, 0, None, closed="neither"), None],
        "callbacks": [list, tuple, None],
        "net_params": [dict, None],
        "device": [str],
        "precision": [StrOptions({"auto", "float32", "bfloat16"})],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "gru_units": [Interval(Integral, 1, None, closed="left")],
    }

    def _check_features(self, X: Any, *, reset: bool) -> Clips:
        """Features as an (n_clips, n_frames, n_bands) array or a list of such clips."""
        name = type(self).__name__
        clips: Clips
        if isinstance(X, np.ndarray) and X.dtype != object:
            clips = self._check_array(X)
        elif isinstance(X, (str, bytes)) or not hasattr(X, "__len__"):
            raise TypeError(
                f"{name} expects features, an (n_clips, n_frames, n_bands) array or a list of "
                f"(n_frames, n_bands) arrays; got {type(X).__name__}"
            )
        else:
            clips = [self._check_clip(clip, i) for i, clip in enumerate(X)]
        if len(clips) == 0:
            raise ValueError(
                "Found array with 0 sample(s): X is empty, while a minimum of 1 clip is required"
            )
        bands = {clip.shape[1] for clip in clips} if isinstance(clips, list) else {clips.shape[2]}
        if len(bands) > 1:
            raise ValueError(f"The clips have different numbers of bands: {sorted(bands)}")
        self._check_bands(bands.pop(), reset)
        for i, clip in enumerate(clips):
            # The sum is finite only if all are, and needs no array of flags.
            if not np.isfinite(clip.sum(dtype=np.float64)):
                raise ValueError(f"The features of clip {i} contain NaN or infinity")
        return clips

    def _check_array(self, X: NDArray) -> NDArray[np.float32]:
        if X.dtype.kind not in "fiub":
            raise ValueError(
                f"Features must be real numbers; complex or other data not supported, got {X.dtype}"
            )
        if X.ndim != 3:
            raise ValueError(
                f"{type(self).__name__} expects features of shape (n_clips, n_frames, n_bands); "
                f"got an array of {X.ndim} dimension(s), {X.shape}. Reshape your data, or put an "
                "LFBETransformer before the estimator in a Pipeline to start from audio"
            )
        if not X.shape[1]:
            raise ValueError("The clips have no frames")
        return X.astype(np.float32, copy=False)

    def _check_clip(self, clip: Any, index: int) -> NDArray[np.float32]:
        array = np.asarray(clip)
        if array.ndim != 2 or array.dtype.kind not in "fiub" or not len(array):
            what = f"shape {array.shape}" if array.dtype.kind in "fiub" else f"{clip!r:.80}"
            raise ValueError(
                f"Clip {index} must be features of shape (n_frames, n_bands), at least one "
                f"frame; got {what}. Put an LFBETransformer before {type(self).__name__} in a "
                "Pipeline to start from audio"
            )
        return array.astype(np.float32, copy=False)

    def _check_bands(self, n_bands: int, reset: bool) -> None:
        if reset:
            if getattr(self, "extractor", None) in EXTRACTORS and n_bands < MIN_BANDS:
                raise ValueError(f"At least {MIN_BANDS} bands are needed; got {n_bands}")
            self.n_features_in_ = n_bands
        elif n_bands != self.n_features_in_:
            raise ValueError(
                f"X has {n_bands} features (bands), but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input, as in fit"
            )

    def _seed(self, rng: np.random.RandomState) -> int:
        return int(rng.randint(np.iinfo(np.int32).max))

    def _make_net(
        self: Any, net_class: type[NeuralNet], has_validation: bool, **params: Any
    ) -> NeuralNet:
        """A skorch net, not initialised yet, from the estimator's own parameters."""
        device = resolve_device(self.device)
        monitor = "valid_loss" if has_validation else "train_loss"
        callbacks = callbacks_for(self.patience, monitor, self.gradient_clip, self.verbose)
        settings = {
            "optimizer": torch.optim.Adam,
            "lr": self.lr,
            "max_epochs": self.max_epochs,
            "batch_size": self.batch_size,
            "iterator_train__shuffle": True,
            "callbacks": [*callbacks, *(self.callbacks or [])],
            "device": device,
            "bfloat16": use_bfloat16(self.precision, device, training=True),
            "verbose": int(self.verbose),
            **params,
        }
        return net_class(**{**settings, **(self.net_params or {})})

    def _data_sets(
        self: Any,
        clips: Clips,
        events: Sequence[Sequence[Event]],
        targets: Sequence[Any],
        validation: tuple[Any, Any] | None,
        rng: np.random.RandomState,
    ) -> tuple[ClipDataset, ClipDataset | None]:
        """Training and validation set: the user's own, a part of the clips, or none."""
        if validation is not None:
            return ClipDataset(clips, targets), ClipDataset(*validation)
        if self.validation_fraction is None:
            return ClipDataset(clips, targets), None
        # Clips without event sort before all labels.
        groups = [(bool(clip), str(clip[0].label) if clip else "") for clip in events]
        train, valid = split_clips(groups, self.validation_fraction, rng)
        return ClipDataset(clips, targets, train), ClipDataset(clips, targets, valid)

    def _batches(
        self: Any, clips: Clips
    ) -> Iterator[tuple[NDArray[np.int64], dict[str, torch.Tensor]]]:
        """Batches for prediction: clips of like length together, with their places in X."""
        device = self.net_.device
        order = np.argsort([-len(clip) for clip in clips], kind="stable")
        start = 0
        while start < len(order):
            longest = len(clips[order[start]])
            size = max(1, min(self.batch_size, self.batch_size * _FRAMES_PER_CLIP // longest))
            places = order[start : start + size]
            batch = collate_features([clips[i] for i in places])
            yield places, {name: value.to(device) for name, value in batch.items()}
            start += size

    @contextmanager
    def _inference(self: Any) -> Iterator[Any]:
        """The network for prediction: no gradients, in the precision that was asked for."""
        device = self.net_.device
        bfloat16 = use_bfloat16(self.precision, device, training=False)
        kind = torch.device(device).type
        with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=bfloat16):
            yield self.net_.module_.eval()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        tags.target_tags.one_d_labels = False
        return tags
