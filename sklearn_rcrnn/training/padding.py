"""Whether an extractor of the user's own hears what lies behind the end of a clip."""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ..nn.crnn import CRNN, Precomputed, extract

# Frames of a clip, and of padding behind it, that are tried at most.
_MOST_FRAMES = 500
# Part of the largest value by which feature maps may differ because of rounding.
_TOLERANCE = 1e-3


def warn_if_padding_is_heard(extractor: nn.Module, clips: Any) -> None:
    """Warn if the feature map of a clip depends on the padding behind it.

    The shortest clip goes through the extractor alone, and padded as beside the longest. Clips of
    one length are never padded, and the extractors of this package do not hear padding.

    Parameters
    ----------
    extractor : torch.nn.Module
    clips : sequence of float32 arrays of shape (n_frames_i, n_bands)
        Features of the training.
    """
    lengths = [len(clip) for clip in clips]
    shortest, longest = min(lengths), max(lengths)
    if shortest == longest or isinstance(extractor, (CRNN, Precomputed)):
        return
    n = min(shortest, _MOST_FRAMES)
    device = next(extractor.parameters(), torch.empty(0)).device
    clip = torch.tensor(clips[lengths.index(shortest)][None, :n], device=device)
    padded = F.pad(clip, (0, 0, 0, min(longest - n, _MOST_FRAMES)))
    was_training = extractor.training
    extractor.eval()
    with torch.no_grad():
        alone = extract(extractor, clip)
        beside = extract(extractor, padded, torch.tensor([n], device=device))
    extractor.train(was_training)
    difference = (beside[:, : alone.shape[1]] - alone).abs().max()
    if difference > _TOLERANCE * alone.abs().max():
        warnings.warn(
            f"The extractor {type(extractor).__name__} gives a clip another feature map where "
            "padding lies behind it, as in a batch with longer clips: its events depend on the "
            "other clips of the batch. Set to zero what lies behind the lengths that it is called "
            "with, before each layer that looks at neighboring frames",
            stacklevel=3,
        )
