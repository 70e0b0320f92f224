"""Networks that tell the labels of each frame: the other systems of the paper's Table 4.

Their reports leave details open. Each network here is of the kind that a report describes,
and works on any number of bands and frames. None of them pools along time, so that their
outputs have the time resolution of the features.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .intervals import cover
from .losses import LabelLinear, Targets, Weights, masked_mean
from .normalization import Normalization, batch_normalized


class Masked(nn.Sequential):
    """Layers along time (n_clips, n_channels, n_frames, ...); padding is zeroed before each."""

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:  # type: ignore[override]
        mask = valid[:, None] if x.dim() == 3 else valid[:, None, :, None]
        padded = valid if self.training and not bool(valid.all()) else None
        for layer in self:
            x = x * mask
            is_norm = isinstance(layer, nn.BatchNorm2d)
            x = batch_normalized(layer, x, padded) if is_norm else layer(x)
        return x * mask


class MLP(nn.Module):
    """The baseline of the challenge of 2017: two dense layers of 50 units over five frames."""

    def __init__(self, n_bands: int, units: int = 50, n_layers: int = 2, dropout: float = 0.2):
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(n_layers):
            # A dense layer on five frames at once is the same as a convolution over five frames.
            width = 5 if i == 0 else 1
            layers += [
                nn.Conv1d(n_bands if i == 0 else units, units, width, padding=width // 2),
                nn.ReLU(),
                nn.Dropout(dropout),
            ]
        self.layers = Masked(*layers)
        self.n_channels = units

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        return self.layers(x.transpose(1, 2), valid).transpose(1, 2)


class ContextCNN(nn.Module):
    """CNN of Phan et al.: filters of several widths, and their maxima around each frame.

    There are 96 filters of 3, of 5 and of 7 frames over all bands. Their maximum over 41
    frames, about a second, which is the length of the patches that Phan et al. classify,
    goes into a dense layer of 512 units.
    """

    def __init__(self, n_bands: int, context: int = 41):
        super().__init__()
        self.filters = nn.ModuleList(
            Masked(nn.Conv1d(n_bands, 96, width, padding=width // 2), nn.ReLU())
            for width in (3, 5, 7)
        )
        self.context = nn.MaxPool1d(context, stride=1, padding=context // 2)
        self.dense = Masked(nn.Conv1d(3 * 96, 512, 1), nn.ReLU(), nn.Dropout(0.2))
        self.n_channels = 512

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        x = x.transpose(1, 2)
        # After ReLU no value is below the zeros of the padding, so padding never changes a maximum.
        answers = torch.cat([layer(x, valid) for layer in self.filters], 1)
        return self.dense(self.context(answers), valid).transpose(1, 2)


class BandCRNN(nn.Module):
    """1D-CRNN of Lim et al., first in the challenge: a convolution along frequency.

    Within each frame there are 128 filters of 32 bands, a batch-norm, the maximum over
    frequency and a dropout of 0.3; two forward LSTM layers of 128 units follow.
    """

    def __init__(self, n_bands: int, n_filters: int = 128, units: int = 128):
        super().__init__()
        self.width = min(32, n_bands)
        # A dense layer on each range of bands equals a convolution, in 0.6 of the time.
        self.bands = nn.Sequential(nn.Linear(self.width, n_filters), nn.BatchNorm1d(n_filters))
        self.dropout = nn.Dropout(0.3)
        self.lstm = nn.LSTM(n_filters, units, num_layers=2, batch_first=True, dropout=0.3)
        self.n_channels = units

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        ranges = x[valid].unfold(1, self.width, 1)
        answers = self.bands(ranges.flatten(0, 1)).unflatten(0, ranges.shape[:2])
        largest = x.new_zeros(*valid.shape, answers.shape[2])
        largest[valid] = F.relu(answers.max(1).values).to(x.dtype)  # may be bfloat16
        # Forward in time: padding behind a clip cannot reach back into it.
        return self.lstm(self.dropout(largest))[0]


class SpectrogramCRNN(nn.Module):
    """CRNN of Çakır and Virtanen, second in the challenge: 2-D convolutions and a GRU.

    Three layers have 64 filters of 3 x 3, a batch-norm, ReLU, pooling over 4, 2 and 2 bands
    and a dropout of 0.25; a forward GRU of 64 units follows.
    """

    def __init__(self, n_bands: int, n_filters: int = 64, units: int = 64):
        super().__init__()
        layers: list[nn.Module] = []
        left = n_bands
        for i, pool in enumerate((4, 2, 2)):
            layers += [
                nn.Conv2d(1 if i == 0 else n_filters, n_filters, 3, padding=1),
                nn.BatchNorm2d(n_filters),
                nn.ReLU(),
                nn.MaxPool2d((1, min(pool, left))),
                nn.Dropout(0.25),
            ]
            left = max(left // pool, 1)
        self.layers = Masked(*layers)
        self.layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.gru = nn.GRU(left * n_filters, units, batch_first=True)
        self.n_channels = units

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        x = x[:, None].contiguous(memory_format=torch.channels_last)
        maps = self.layers(x, valid)
        return self.gru(maps.permute(0, 2, 1, 3).flatten(2))[0]


# Networks by name: functions of the number of bands. Each has ``n_channels``, and maps
# features and a mask of valid frames to (n_clips, n_frames, n_channels).
NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "mlp": MLP,
    "dnn": partial(MLP, units=512, n_layers=3),
    "cnn": ContextCNN,
    "crnn": SpectrogramCRNN,
    "crnn_1d": BandCRNN,
}


class FrameNetwork(nn.Module):
    """One or more frame-level networks: :meth:`forward` detects, :meth:`losses` trains.

    Parameters
    ----------
    n_bands, n_classes : int
    network : {"mlp", "dnn", "cnn", "crnn", "crnn_1d"}
    n_members : int
        Number of networks, each with weights of its own, whose probabilities are averaged.
    foreground_weight : float
        Weight of the loss at frames with an event; 1 elsewhere.
    distance_weight : float
        Weight of a second task, which is to tell the distances of a frame with an event to
        its onset and its offset. 0 leaves the task out.
    context : int, default=None
        Length of the surroundings, in frames, by which each frame is normalized. None: the
        features are normalized by the training clips only.
    """

    def __init__(
        self,
        n_bands: int,
        n_classes: int,
        network: str,
        n_members: int = 1,
        foreground_weight: float = 1.0,
        distance_weight: float = 0.0,
        context: int | None = None,
    ):
        super().__init__()
        self.normalization = Normalization(n_bands, context)
        self.bodies = nn.ModuleList(NETWORKS[network](n_bands) for _ in range(n_members))
        n_channels: Any = self.bodies[0].n_channels
        self.classes = nn.ModuleList(LabelLinear(n_channels, n_classes) for _ in self.bodies)
        self.distances = nn.ModuleList(
            nn.Linear(n_channels, 2) for _ in self.bodies if distance_weight
        )
        self.n_classes = n_classes
        self.foreground_weight = foreground_weight
        self.distance_weight = distance_weight

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Probabilities, a float32 Tensor of shape (n_clips, n_frames, n_classes).

        Parameters
        ----------
        features : float32 Tensor of shape (n_clips, n_frames, n_bands)
        lengths : int64 Tensor of shape (n_clips,), default=None
            Valid frames of each clip; None when all are.
        """
        _, logits, _ = self._compute(features, lengths)
        return torch.stack([member.sigmoid() for member in logits]).mean(0)

    def losses(
        self,
        features: Tensor,
        lengths: Tensor | None,
        targets: Targets,
        weights: Weights | None = None,
    ) -> dict[str, Tensor]:
        """The parts of the loss, whose sum is minimized; each has a name in the history.

        Both are sums over the members: each learns by itself, only side by side. ``frames``
        is the binary cross entropy, averaged over valid frames and labels; ``distances`` is
        the smooth L1 distance of the edges, summed over onset and offset and averaged over
        the frames with an event.

        Parameters
        ----------
        features, lengths : as for :meth:`forward`
        targets : Targets
            In frames.
        weights : Weights, default=None
            How much each clip and each label counts; all count alike by default.
            Distances, which belong to no label, are weighted by the clips only.

        Returns
        -------
        dict of scalar Tensors "frames" and, with a `distance_weight`, "distances"
        """
        targets = Targets(*targets)
        hidden, logits, valid = self._compute(features, lengths)
        target = cover(*targets, valid.shape[1], self.n_classes)
        weight = torch.where(target, self.foreground_weight, 1.0)
        entropies = torch.stack(
            [
                F.binary_cross_entropy_with_logits(m, target.float(), weight, reduction="none")
                for m in logits
            ]
        )
        used = valid[..., None].expand_as(target)
        weighted = None
        if weights is not None:
            weighted = weights.of_classes(target).expand_as(entropies)
        frames = masked_mean(entropies, used.expand_as(entropies), weight=weighted)
        losses = {"frames": frames * len(logits)}
        if self.distance_weight:
            to_edges, inside = _distances(targets, valid.shape[1])
            errors = torch.stack(
                [
                    F.smooth_l1_loss(layer(h).float(), to_edges, reduction="none").sum(-1)
                    for layer, h in zip(self.distances, hidden, strict=True)
                ]
            )
            where = (inside & valid).expand_as(errors)
            weighted = None if weights is None else weights.clips[:, None].expand_as(errors)
            distances = masked_mean(errors, where, weight=weighted)
            losses["distances"] = self.distance_weight * distances * len(logits)
        return losses

    def _compute(
        self, features: Tensor, lengths: Tensor | None
    ) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Compute the last hidden layer and the logits of each member, and the valid frames."""
        frames = torch.arange(features.shape[1], device=features.device)
        valid = frames >= 0 if lengths is None else frames < lengths[:, None]
        valid = valid.expand(features.shape[:2])
        x = self.normalization(features, lengths)
        hidden = [body(x, valid) for body in self.bodies]
        logits = [layer(h).float() for layer, h in zip(self.classes, hidden, strict=True)]
        return hidden, logits, valid


def _distances(targets: Targets, n_frames: int) -> tuple[Tensor, Tensor]:
    """Compute the distances of frames to the edges of their event, and which have an event.

    The distances (n_clips, n_frames, 2) to onset and offset are divided by the length of
    the event. Frames of several events belong to the one that began last.
    """
    time = torch.arange(n_frames, device=targets.mask.device)
    start, end = targets.intervals[..., 0, None], targets.intervals[..., 1, None]
    inside = (time >= start - 0.5) & (time <= end + 0.5) & targets.mask[..., None]
    latest = torch.where(inside, start, -torch.inf).argmax(1, keepdim=True)
    length = (end - start).clamp(min=1.0)
    both = torch.stack([(time - start) / length, (end - time) / length], -1)
    own = both.gather(1, latest[..., None].expand(-1, -1, -1, 2)).squeeze(1)
    return own, inside.any(1)
