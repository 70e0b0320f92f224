"""Random changes of the features of training batches."""

from __future__ import annotations

import math
from numbers import Real

import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor

from .._utils.settings import Settings
from ..datasets.augmentation import _N_KNOTS

_DB_TO_LOG_POWER = math.log(10) / 10


class FeatureAugmentation(Settings):
    """Change log filter bank energies of training batches: level, color, masked bands.

    Parameters
    ----------
    gain : float, default=6.0
        Level of a clip, up to so many dB up or down.
    equalization : float, default=3.0
        Standard deviation in dB of a random equalizer for each clip.
    band_mask : float, default=0.15
        Widest part of the bands that is masked by their mean, in half of the clips.

    Notes
    -----
    Level and color reach a network with ``normalization="training"`` only; masks do always.

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

    def __call__(self, features: Tensor) -> Tensor:
        """The changed features, drawn with PyTorch's generator.

        Parameters
        ----------
        features : Tensor of shape (n_clips, n_frames, n_bands)

        Returns
        -------
        Tensor of shape (n_clips, n_frames, n_bands)
        """
        self.check()
        n_clips, _, n_bands = features.shape
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
        return torch.where(inside, changed.mean(1, keepdim=True), changed)
