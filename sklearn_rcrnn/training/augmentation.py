"""Random changes of the features of training batches."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor

from .._utils.settings import Settings
from ..nn.losses import Targets

_DB_TO_LOG_POWER = math.log(10) / 10
# Number of knots of the random equalizer, which lie evenly over the bands.
_N_KNOTS = 6


# A callable that changes a batch of the training.
#
# It is called as ``augmentation(features, lengths, targets)``:
#
# - features : float32 Tensor of shape (n_clips, n_frames, n_bands), padded at the end
# - lengths : int64 Tensor of shape (n_clips,), the valid frames; None when all are
# - targets : sklearn_rcrnn.nn.losses.Targets, the events of each clip; ``intervals`` are in
#   frames of the features, and ``mask`` is False for places without an event
#
# and returns the changed features alone, or all three. The number of clips and of bands must
# stay. Frames may be more or fewer if it returns all three, and so may the events. What is random
# in it comes from PyTorch's generator, which ``fit`` seeds. It may change its arguments in place.
Augmentation = Callable[[Tensor, "Tensor | None", Targets], "Tensor | tuple[Any, Any, Any]"]


class FeatureAugmentation(Settings):
    """Change log filter bank energies of training batches: level, color, masked bands.

    Parameters
    ----------
    gain : float, default=6.0
        Largest change of the level of a clip in dB, up or down.
    equalization : float, default=3.0
        Standard deviation in dB of a random equalizer for each clip.
    band_mask : float, default=0.15
        Largest part of the bands that is masked. In half of the clips, a range of neighboring
        bands is replaced by the mean of each over the clip.

    Notes
    -----
    Changes of level and color reach the network only with ``normalization="training"``: the
    other normalizations take them out again. Masks always do.

    Examples
    --------
    >>> import torch
    >>> FeatureAugmentation()(torch.zeros(4, 100, 64)).shape
    torch.Size([4, 100, 64])
    """

    _parameter_constraints: dict = {
        "gain": [Interval(Real, 0, None, closed="left")],
        "equalization": [Interval(Real, 0, None, closed="left")],
        "band_mask": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(self, gain: float = 6.0, equalization: float = 3.0, band_mask: float = 0.15):
        self.gain = gain
        self.equalization = equalization
        self.band_mask = band_mask

    def __call__(
        self, features: Tensor, lengths: Tensor | None = None, targets: Targets | None = None
    ) -> Tensor:
        """Change a batch by random numbers of PyTorch's generator.

        Parameters
        ----------
        features : Tensor of shape (n_clips, n_frames, n_bands)
        lengths : int64 Tensor of shape (n_clips,), default=None
            The valid frames; None when all are.
        targets : ignored

        Returns
        -------
        Tensor of shape (n_clips, n_frames, n_bands)
        """
        self.check()
        n_clips, n_frames, n_bands = features.shape
        knots = torch.randn(n_clips, 1, _N_KNOTS, device=features.device) * self.equalization
        level = (2 * torch.rand(n_clips, 1, 1, device=features.device) - 1) * self.gain
        curve = torch.nn.functional.interpolate(knots, n_bands, mode="linear", align_corners=True)
        changed = features + _DB_TO_LOG_POWER * (curve + level)
        if not self.band_mask:
            return changed
        width = torch.rand(n_clips, 1, 1, device=features.device) * self.band_mask * n_bands
        masked = torch.rand(n_clips, 1, 1, device=features.device) < 0.5
        start = torch.rand(n_clips, 1, 1, device=features.device) * (n_bands - width)
        bands = torch.arange(n_bands, device=features.device)
        inside = masked & (bands >= start) & (bands < start + width)
        if lengths is None:
            mean = changed.mean(1, keepdim=True)
        else:
            padding = torch.arange(n_frames, device=features.device) >= lengths[:, None]
            sums = changed.masked_fill(padding[..., None], 0).sum(1, keepdim=True)
            mean = sums / lengths[:, None, None]
        return torch.where(inside, mean, changed)


def augment(
    augmentation: Augmentation, batch: dict[str, Any], frames_per_step: float
) -> dict[str, Any]:
    """Apply an augmentation to a batch.

    Augmentations see the times of events in frames; the targets of the batch are in steps, of
    `frames_per_step` frames each.

    Raises
    ------
    ValueError
        If what the augmentation returns is not a batch of as many clips and bands, or if it returns
        features with another number of frames and does not say where their events are.
    """
    features, lengths, targets = batch["features"], batch.get("lengths"), batch["targets"]
    in_frames = targets._replace(intervals=targets.intervals * frames_per_step)
    shape = features.shape
    changed = augmentation(features, lengths, in_frames)
    if isinstance(changed, Tensor):
        if changed.dim() == 3 and changed.shape[1] != shape[1]:
            raise ValueError(
                f"augmentation returned {changed.shape[1]} frames for {shape[1]}: where the number "
                "of frames changes, it must return (features, lengths, targets)"
            )
        features = changed
    else:
        features, lengths, in_frames = changed
    targets = Targets(*in_frames)
    targets = targets._replace(intervals=targets.intervals / frames_per_step)
    sizes = {len(part) for part in (features, *targets) if part is not None}
    if features.dim() != 3 or features.shape[2] != shape[2] or sizes != {shape[0]}:
        raise ValueError(
            f"augmentation must return features of {shape[0]} clips and {shape[2]} bands, or "
            f"those with lengths and targets of as many clips; got features of the shape "
            f"{tuple(features.shape)} and targets of {len(targets.intervals)} clips"
        )
    given = {"features": features, "targets": targets}
    if lengths is not None:
        given["lengths"] = lengths
    return {**{key: batch[key] for key in batch if key not in ("lengths", *given)}, **given}
