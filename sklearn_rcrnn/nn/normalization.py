"""Normalization of features: by the training clips, or by the frames around each frame."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

# Added to the deviation around a frame, in units of log energy, so that the noise of a band that
# hardly changes is not blown up.
_SOFTENING = 0.3
# Lowest normalized value. Without it, digital silence would be a huge negative number.
_FLOOR = -4.0
# Differences of log energy between bands over which their common level is averaged.
_LEVEL_SOFTNESS = 4.0


class Prior(NamedTuple):
    """An expectation of the bands, which counts like a number of frames.

    ``mean`` (n_bands,), up to a level that all bands share, and ``variance`` (n_bands,) of
    features as they come; ``frames`` scalar.
    """

    mean: Tensor
    variance: Tensor
    frames: Tensor


def normalized_around(
    features: Tensor,
    context: Tensor | int,
    lengths: Tensor | None = None,
    after: int | None = None,
    prior: Prior | None = None,
) -> Tensor:
    """Subtract from each band its mean over the frames around, and divide by their deviation.

    Frames of digital silence, in which all bands are equal, do not count: they would pull
    the mean far below the level of all sounds. With a single band, silence cannot be told.

    Parameters
    ----------
    features : float Tensor of shape (n_clips, n_frames, n_bands)
    context : int or int64 Tensor
        Number of frames, the frame itself included, that mean and deviation are taken over.
        Near an end of the clip they are its first or last frames; a shorter clip is taken
        whole.
    lengths : int64 Tensor of shape (n_clips,), default=None
        Valid frames of each clip; None when all are.
    after : int, default=None
        How many of them come after the frame. None takes half of them.
    prior : Prior, default=None
        Counted beside the frames around, at their level. In a long recording it hardly
        matters. A short file, in which an event would else be normalized by itself, keeps
        the color that tells what it is.
    """
    n_clips, n_frames, n_bands = features.shape
    places = torch.arange(n_frames, device=features.device)
    ends = torch.full_like(places[:1], n_frames) if lengths is None else lengths[:, None]
    if isinstance(context, Tensor):
        width = torch.minimum(ends, context)
    else:
        width = ends.clamp(max=context)
    before = width // 2 if after is None else (width - 1 - after).clamp(min=0)
    first = torch.minimum((places - before).clamp(min=0), ends - width)
    first = first.expand(n_clips, -1)[..., None]
    last = first + width.unsqueeze(-1)
    sounds = torch.ones_like(features[..., 0], dtype=torch.bool)
    if n_bands > 1:
        sounds = features.amax(2) > features.amin(2)
    counted = sounds & (places < ends)
    weights = counted.to(features.dtype)[..., None]

    def around(values: Tensor) -> Tensor:
        sums = F.pad(values.cumsum(1), (0, 0, 1, 0))
        shape = (-1, -1, values.shape[2])
        return sums.gather(1, last.expand(shape)) - sums.gather(1, first.expand(shape))

    # Differences from the mean of the clip are summed, because long sums of large values would lose
    # their last digits.
    usual = (features * weights).sum(1, keepdim=True) / weights.sum(1, keepdim=True).clamp(min=1)
    centered = (features - usual) * weights
    n = around(weights)
    total, squares = around(centered), around(centered**2)
    if prior is not None:
        expected = prior.mean - usual
        # The level of the surrounding frames, to which bands without any sound contribute little.
        above = (total / n.clamp(min=1) - expected) / _LEVEL_SOFTNESS
        level = _LEVEL_SOFTNESS * (above.logsumexp(2, keepdim=True) - math.log(above.shape[2]))
        expected = expected + level
        n = n + prior.frames
        total = total + prior.frames * expected
        squares = squares + prior.frames * (prior.variance + expected**2)
    n = n.clamp(min=1)
    mean = total / n
    deviation = (squares / n - mean**2).clamp(min=0).sqrt()
    return ((features - usual - mean) / (deviation + _SOFTENING)).clamp(min=_FLOOR)


def batch_normalized(norm: nn.Module, x: Tensor, valid: Tensor | None) -> Tensor:
    """What a batch-norm makes of feature maps; in training, padding is no part of its statistics.

    Otherwise the constant values of padding would make up most of the mean and variance of a batch
    in which one clip is much longer than the others.

    Parameters
    ----------
    norm : torch.nn.Module
        Any batch-norm of two-dimensional maps, or what takes its place at prediction.
    x : Tensor of shape (n_clips, n_channels, n_frames, n_bands)
    valid : bool Tensor of shape (n_clips, n_frames), or None
        False for padding, which in training is 0 in the result; None where all is valid.
    """
    if valid is None or not norm.training:
        return norm(x)
    frames = x.permute(0, 2, 3, 1)
    inside = norm(frames[valid].transpose(1, 2)[..., None])[..., 0].transpose(1, 2)
    normalized = inside.new_zeros(frames.shape)
    normalized[valid] = inside
    return normalized.permute(0, 3, 1, 2)


class Reach(NamedTuple):
    """How many frames before and after it a frame is normalized by."""

    before: int
    after: int


class Normalization(nn.Module):
    """Bring each band to a mean of about 0 and a deviation of about 1.

    Parameters
    ----------
    n_bands : int
    context : int, default=None
        Number of frames around each frame that normalize it, before the mean and scale
        that were measured in training do. None leaves the former out.

    Attributes
    ----------
    mean, scale : buffers of shape (n_bands,)
        Part of the ``state_dict``, so that they cannot be forgotten at prediction.
    context : int64 buffer, with a `context` only
        Frames.
    prior_mean, prior_variance, prior_frames : buffers, with a `context` only
        The :class:`Prior`; of no frames unless a training sets it, as those of the models
        that come with the package do.
    """

    # Buffers that may be missing in weights from before these buffers existed.
    later_buffers = ("prior_mean", "prior_variance", "prior_frames")

    mean: Tensor
    scale: Tensor
    context: Tensor | None
    prior_mean: Tensor
    prior_variance: Tensor
    prior_frames: Tensor

    def __init__(self, n_bands: int, context: int | None = None):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_bands))
        self.register_buffer("scale", torch.ones(n_bands))
        self.register_buffer("context", None if context is None else torch.tensor(context))
        if context is not None:
            self.register_buffer("prior_mean", torch.zeros(n_bands))
            self.register_buffer("prior_variance", torch.ones(n_bands))
            self.register_buffer("prior_frames", torch.tensor(0.0))

    def forward(
        self, features: Tensor, lengths: Tensor | None = None, reach: Reach | None = None
    ) -> Tensor:
        """Normalized features of the same shape; padding behind the end of a clip does not count.

        With a `reach`, a frame is normalized by these frames before and after it.
        """
        return (self._around(features, lengths, reach) - self.mean) / self.scale

    def reach(self, longest: int) -> Reach:
        """The frames that a frame of a recording of more than `longest` frames is normalized by.

        The context, but no more than `longest` frames of it, and no more than a quarter of
        `longest` after the frame, so that a stream is not waited for too long.
        """
        if self.context is None:
            return Reach(0, 0)
        width = min(int(self.context), longest)
        after = min((width - 1) // 2, longest // 4)
        return Reach(width - 1 - after, after)

    def narrow(self, clips: Sequence[NDArray[np.float32]]) -> None:
        """Make the context no longer than the median of the training clips.

        Otherwise a frame of a long recording would be normalized by more frames than in
        training, and events that fill much of a training clip would look different there.
        """
        if self.context is not None:
            self.context.clamp_(max=int(np.median([len(clip) for clip in clips])))

    def measure(self, clips: Sequence[NDArray[np.float32]]) -> None:
        """Set mean and scale to those of all frames of the training clips."""
        n_frames = 0
        total = torch.zeros_like(self.mean, dtype=torch.float64)
        squares = torch.zeros_like(total)
        for clip in clips:
            wide = self._around(torch.tensor(clip, device=self.mean.device)[None], None)[0].double()
            n_frames += len(clip)
            total += wide.sum(0)
            squares += (wide**2).sum(0)
        mean = total / n_frames
        variance = (squares / n_frames - mean**2).clamp(min=0)
        self.mean.copy_(mean)
        # A band that never changes carries no information; dividing it by 1 keeps it finite.
        self.scale.copy_(torch.where(variance > 1e-8, variance.sqrt(), 1.0))

    def _around(
        self, features: Tensor, lengths: Tensor | None, reach: Reach | None = None
    ) -> Tensor:
        if self.context is None:
            return features
        prior = Prior(self.prior_mean, self.prior_variance, self.prior_frames)
        if reach is None:
            return normalized_around(features, self.context, lengths, prior=prior)
        return normalized_around(features, sum(reach) + 1, lengths, reach.after, prior)

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *args: Any) -> None:
        for name, value in self.named_buffers():
            if name in self.later_buffers:
                state.setdefault(prefix + name, value)
        super()._load_from_state_dict(state, prefix, *args)


def with_prior(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a network, with a prior of no frames if they are from before there was one.

    Parameters
    ----------
    weights : mapping of names to Tensor
        A ``state_dict``.

    Returns
    -------
    dict of str to Tensor
    """
    complete = dict(weights)
    for name in weights:
        stem, found, rest = name.rpartition("normalization.")
        mean = weights.get(f"{stem}normalization.mean")
        if found and rest == "context" and mean is not None:
            complete.setdefault(f"{stem}{found}prior_mean", torch.zeros_like(mean))
            complete.setdefault(f"{stem}{found}prior_variance", torch.ones_like(mean))
            complete.setdefault(f"{stem}{found}prior_frames", torch.tensor(0.0))
    return complete
