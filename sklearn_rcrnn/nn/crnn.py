"""The convolutional recurrent feature extractor (section 2.1 of the paper).

Step ``i`` of the feature map is centered at feature frame ``8 i``: every convolution and
pooling is padded symmetrically along time, so no half step of delay builds up.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .normalization import Normalization, batch_normalized

# The stem, its pooling and stage 2 each halve the time resolution.
FRAMES_PER_STEP = 8
# Number of frames to either side of its center that a step sees through the convolutions: 3
# through the stem, 2 through the pooling, 4 through each of the four convolutions of stage 1 and
# the first of stage 2, and 8 through each of the other three of stage 2.
RECEPTIVE_FIELD = 3 + 2 + 5 * 4 + 3 * 8
# Fewer bands would leave nothing after the stem, which is unpadded along frequency.
MIN_BANDS = 11
# Largest number of frames that go through the convolutions together at prediction on a CPU.
_FRAMES_AT_ONCE = 4000


_Count = TypeVar("_Count", int, Tensor)


def n_steps(n_frames: _Count, per_step: int = FRAMES_PER_STEP) -> _Count:
    """Number of steps that clips of `n_frames` frames have: the quotient, rounded up."""
    return -(-n_frames // per_step)


def full_precision(device: torch.device) -> AbstractContextManager[Any]:
    """A context in which everything is computed in float32, whatever autocast is around it."""
    # The exporter fails on autocast, which exported graphs do not have anyway.
    exporting = torch.compiler.is_compiling()
    return nullcontext() if exporting else torch.autocast(device.type, enabled=False)


class CRNN(nn.Module):
    """The extractor of the paper: residual convolutions and a recurrent layer (Figure 2).

    Parameters
    ----------
    n_bands : int
        Mel bands of the input, at least 11.
    gru_units : int, default=50
        The paper's U: units of the recurrent layer in each direction.
    context : int, default=None
        Length of the surroundings, in frames, by which each frame is normalized. None: the
        features are normalized by the training clips only.
    n_directions : {2, 1, 0}, default=2
        Directions of the recurrent layer: both, forward only, or no such layer. These are
        the three rows of Table 1.

    Attributes
    ----------
    n_channels : int
        Channels of the feature map: 2U, U or, without recurrence, 128 times the bands
        that are left (7 for 64 bands).
    frames_per_step : int
        8.
    """

    frames_per_step = FRAMES_PER_STEP

    def __init__(
        self,
        n_bands: int,
        gru_units: int = 50,
        context: int | None = None,
        n_directions: int = 2,
    ):
        super().__init__()
        self.normalization = Normalization(n_bands, context)
        # Unpadded along frequency, 64 bands become 29, 14 and, in stage 2, 7.
        self.stem = nn.Conv2d(1, 64, 7, stride=2, padding=(3, 0))
        self.stem_norm = nn.BatchNorm2d(64)
        self.pool = nn.MaxPool2d(3, stride=2, padding=(1, 0))
        self.blocks = nn.ModuleList(
            [
                ResidualBlock(64, 64, first=True),
                ResidualBlock(64, 64),
                ResidualBlock(64, 128, stride=2),
                ResidualBlock(128, 128),
            ]
        )
        self.norm = nn.BatchNorm2d(128)
        bands_left = (((n_bands - 7) // 2 + 1 - 3) // 2 + 2) // 2
        self.n_channels = 128 * bands_left
        self.gru = None
        gru_units = int(gru_units)  # an integer of NumPy, as a search may give, is none to PyTorch
        if n_directions:
            both = n_directions == 2
            self.gru = nn.GRU(self.n_channels, gru_units, batch_first=True, bidirectional=both)
            self.n_channels = gru_units * n_directions
        _initialize(self)
        # A CPU needs a third less time with this memory layout.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Compute the feature map.

        Parameters
        ----------
        features : float Tensor of shape (n_clips, n_frames, n_bands)
        lengths : int64 Tensor of shape (n_clips,), default=None
            Valid frames of each clip; None when all are. What is computed for a clip
            does not depend on the padding behind it.

        Returns
        -------
        float32 Tensor of shape (n_clips, ceil(n_frames / 8), n_channels)
        """
        maps, steps = self.convolve(self.normalization(features, lengths), lengths)
        return self.recur(maps, steps)

    def convolve(
        self, normalized: Tensor, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """The convolutional part: each step depends on `RECEPTIVE_FIELD` frames to both sides.

        Parameters
        ----------
        normalized : float Tensor of shape (n_clips, n_frames, n_bands)
            Features after :attr:`normalization`.
        lengths : int64 Tensor of shape (n_clips,), default=None
            Valid frames of each clip; None when all are.

        Returns
        -------
        maps : float32 Tensor of shape (n_clips, ceil(n_frames / 8), n_channels)
        steps : int64 Tensor of shape (n_clips,), or None
            Valid steps of each clip; None when all are.
        """
        steps = None if lengths is None else n_steps(lengths)
        if not self._in_groups(normalized):
            return self._convolve(normalized, lengths), steps
        # With only a few clips at a time, their maps stay in the processor's cache from layer to
        # layer.
        size = max(1, _FRAMES_AT_ONCE // normalized.shape[1])
        parts = normalized.split(size)
        ends = [None] * len(parts) if lengths is None else lengths.split(size)
        return torch.cat([self._convolve(*pair) for pair in zip(parts, ends, strict=True)]), steps

    def _in_groups(self, normalized: Tensor) -> bool:
        """Tell whether to compute in groups: not in training, which needs the statistics of the
        whole batch, and not in an exported graph."""
        if self.training or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return False
        return normalized.device.type == "cpu" and len(normalized) > 1

    def _convolve(self, normalized: Tensor, lengths: Tensor | None) -> Tensor:
        valid = _Validity(lengths)
        x = normalized[:, None].contiguous(memory_format=torch.channels_last)
        x = self.stem(valid.mask(x))
        x = valid.halve().normalize(self.stem_norm, x)
        x = self.pool(valid.mask(x))
        # After the pooling the map has a quarter of the size; ReLU and maxima can be exchanged.
        x = F.relu(x, inplace=True)
        valid.halve()
        for block in self.blocks:
            x = block(x, valid)
        x = F.relu(valid.normalize(self.norm, x), inplace=True)
        return x.permute(0, 2, 1, 3).flatten(2).float()

    def recur(self, maps: Tensor, steps: Tensor | None = None) -> Tensor:
        """The recurrent layer, which hears the whole clip.

        Parameters
        ----------
        maps, steps : as :meth:`convolve` gives them

        Returns
        -------
        float32 Tensor of shape (n_clips, n_steps, n_channels)
        """
        if self.gru is None:
            return without_padding(maps, steps)
        # The recurrence stays in float32: it is a small part of the time, and rounding
        # would build up along the clip.
        with full_precision(maps.device):
            return self._recur(maps, steps)

    def _recur(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        assert self.gru is not None
        if lengths is None:
            return self.gru(x)[0]
        packed = nn.utils.rnn.pack_padded_sequence(
            x, lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        out, _ = self.gru(packed)
        return nn.utils.rnn.pad_packed_sequence(out, batch_first=True, total_length=x.shape[1])[0]


class ResidualBlock(nn.Module):
    """Basic pre-activation block: (norm, ReLU, 3x3 convolution) twice, plus a shortcut."""

    def __init__(self, n_in: int, n_out: int, stride: int = 1, first: bool = False):
        super().__init__()
        # The stem has already normalized the input of the very first block.
        self.norm1 = None if first else nn.BatchNorm2d(n_in)
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1)
        self.norm2 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1)
        self.stride = stride
        self.shortcut = nn.Conv2d(n_in, n_out, 1, stride=stride) if stride > 1 else None

    def forward(self, x: Tensor, valid: _Validity) -> Tensor:
        h = x if self.norm1 is None else F.relu(valid.normalize(self.norm1, x), inplace=True)
        h = self.conv1(valid.mask(h))
        if self.stride > 1:
            valid.halve()
        h = self.conv2(valid.mask(F.relu(valid.normalize(self.norm2, h), inplace=True)))
        return h + (x if self.shortcut is None else self.shortcut(x))


class _Validity:
    """The valid lengths of the clips at the current time resolution.

    Without lengths, all clips are valid to their end and nothing is done.
    """

    def __init__(self, lengths: Tensor | None):
        self.lengths = lengths

    def halve(self) -> _Validity:
        if self.lengths is not None:
            self.lengths = (self.lengths + 1) // 2
        return self

    def mask(self, x: Tensor) -> Tensor:
        """Set to zero what lies behind the end of each clip, as a padding layer would."""
        places = self._places(x)
        return x if places is None else x * places[:, None, :, None]

    def normalize(self, norm: nn.Module, x: Tensor) -> Tensor:
        return batch_normalized(norm, x, self._places(x))

    def _places(self, x: Tensor) -> Tensor | None:
        ends = self.lengths
        return None if ends is None else torch.arange(x.shape[2], device=x.device) < ends[:, None]


def without_padding(maps: Tensor, steps: Tensor | None) -> Tensor:
    """Feature maps (n_clips, n_steps, n_channels) that are 0 behind the end of each clip.

    `steps` (n_clips,) are the valid steps; None when all are.
    """
    if steps is None:
        return maps
    places = torch.arange(maps.shape[1], device=maps.device)
    return maps.masked_fill((places >= steps[:, None])[..., None], 0.0)


def _initialize(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight)
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]
        elif isinstance(part, nn.GRU):
            for name, weight in part.named_parameters():
                if "weight_hh" in name:
                    for gate in weight.chunk(3):
                        nn.init.orthogonal_(gate)
                elif "weight_ih" in name:
                    nn.init.xavier_uniform_(weight)
                else:
                    nn.init.zeros_(weight)


class Precomputed(nn.Module):
    """Stands where an extractor would, when the features are feature maps already.

    Parameters
    ----------
    n_channels : int
    """

    frames_per_step = 1

    def __init__(self, n_channels: int):
        super().__init__()
        self.n_channels = n_channels

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        return features


# The extractors of this package by name: functions of the number of bands, the units of the
# recurrent layer, and the context of the normalization.
EXTRACTORS: dict[str, Callable[..., CRNN]] = {
    "cnn": partial(CRNN, n_directions=0),
    "crnn_gru": partial(CRNN, n_directions=1),
    "crnn_bigru": partial(CRNN, n_directions=2),
}
PRECOMPUTED = "precomputed"


def make_extractor(
    extractor: str | nn.Module, n_inputs: int, gru_units: int = 50, context: int | None = None
) -> Any:
    """The module that turns features into a feature map.

    Parameters
    ----------
    extractor : {"cnn", "crnn_gru", "crnn_bigru", "precomputed"} or torch.nn.Module
        A module is copied. It must have the integers ``n_channels`` and
        ``frames_per_step``; called with features, a Tensor of shape (n_clips, n_frames,
        n_inputs), and lengths, None or an int64 Tensor of shape (n_clips,), it must return
        a Tensor of shape (n_clips, ceil(n_frames / frames_per_step), n_channels), whose
        step ``i`` is centered at frame ``i * frames_per_step``.
    n_inputs : int
        Bands of the features.
    gru_units, context : as for :class:`CRNN`

    Raises
    ------
    TypeError
        If a module lacks ``n_channels`` or ``frames_per_step``.
    """
    if isinstance(extractor, str):
        if extractor == PRECOMPUTED:
            return Precomputed(n_inputs)
        return EXTRACTORS[extractor](n_inputs, gru_units, context)
    check_extractor(extractor)
    return copy.deepcopy(extractor)


def check_extractor(extractor: nn.Module) -> None:
    """Raise TypeError if a module has not the attributes that an extractor must have."""
    for name in ("n_channels", "frames_per_step"):
        value = getattr(extractor, name, None)
        if not isinstance(value, int) or value < 1:
            raise TypeError(
                f"An extractor must have a positive integer {name}; that of "
                f"{type(extractor).__name__} is {value!r}"
            )


def frames_per_step(extractor: str | nn.Module) -> int:
    """Frames of the features in a step of the feature map of an extractor."""
    if isinstance(extractor, str):
        return Precomputed.frames_per_step if extractor == PRECOMPUTED else FRAMES_PER_STEP
    check_extractor(extractor)
    return int(extractor.frames_per_step)  # type: ignore[arg-type]


def takes_feature_maps(extractor: str | nn.Module) -> bool:
    """Whether there is no extractor to run, because clips come as feature maps already."""
    return isinstance(extractor, Precomputed) or extractor == PRECOMPUTED


def extract(extractor: Any, features: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Call an extractor, which may be a module of the user's, and check what it gives.

    Parameters
    ----------
    extractor : torch.nn.Module
    features : float32 Tensor of shape (n_clips, n_frames, n_bands)
    lengths : int64 Tensor of shape (n_clips,), default=None
        Valid frames of each clip; None when all are.

    Returns
    -------
    float32 Tensor of shape (n_clips, n_steps, n_channels)
        0 behind the end of each clip.
    """
    feature_map = extractor(features, lengths)
    # The check is left out of exported graphs, where shapes depend on the input.
    if not torch.compiler.is_compiling():
        check_feature_map(feature_map, features, extractor)
    if lengths is not None:
        # The last step of a clip must not hear what a module of the user's makes of padding.
        feature_map = without_padding(feature_map, n_steps(lengths, extractor.frames_per_step))
    return feature_map.float()


def check_feature_map(feature_map: Tensor, features: Tensor, extractor: Any) -> None:
    """Raise ValueError if a feature map is none of the shape that the extractor has to give."""
    per_step, n_channels = extractor.frames_per_step, extractor.n_channels
    n_clips, n_frames = features.shape[:2]
    expected = (n_clips, n_steps(n_frames, per_step), n_channels)
    is_tensor = isinstance(feature_map, Tensor)
    if not is_tensor or tuple(feature_map.shape) != expected:
        given = f"a feature map of shape {tuple(feature_map.shape)}" if is_tensor else "no Tensor"
        raise ValueError(
            f"The extractor {type(extractor).__name__} gave {given} for features of shape "
            f"{tuple(features.shape)}; with frames_per_step={per_step} and "
            f"n_channels={n_channels} it must be {expected}"
        )
