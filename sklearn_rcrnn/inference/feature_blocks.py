"""Features of a recording that arrives in blocks, from any transformer.

The door for own features, such as PCEN, a constant-Q transform or other filters: any
transformer whose ``transform`` takes a list of clips and gives an array (n_frames, n_bands)
for each, with two attributes,

- ``sample_rate``: Hz of the samples that it takes,
- ``frame_shift``: seconds between its frames, a whole number of samples.

If it has a method ``transform_blocks(blocks)``, which takes an iterable of 1-D float32
arrays, the recording cut anywhere, and yields arrays (n_frames_i, n_bands), long recordings
and streams go through that. Joined, these must be the features of the whole recording. A
transformer without it, or whose class overrides ``transform`` below the class that has
``transform_blocks``, transforms half a minute at a time, with five seconds more on either
side. That gives the features of the whole where frames do not depend on what is further
away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .recordings import Frames, chunks_with_context

# Seconds that are transformed at a time, and seconds of context on either side of them.
_CHUNK = 30.0
_LEAD = 5.0


def check_block_features(features: Any) -> None:
    """Raise TypeError unless features can be computed of a recording in blocks."""
    missing = [
        name
        for name in ("transform", "sample_rate", "frame_shift")
        if getattr(features, name, None) is None
    ]
    if missing:
        raise TypeError(
            f"The features, {type(features).__name__}, have no {' and no '.join(missing)}: to "
            "detect events in files and streams, they must say at how many Hz they take samples "
            "(sample_rate) and how many seconds their frames are apart (frame_shift)"
        )


def feature_blocks(features: Any, blocks: Iterable[NDArray[Any]]) -> Iterator[NDArray[np.float32]]:
    """Compute the features of one recording that arrives in blocks.

    Parameters
    ----------
    features : transformer
        One that keeps the contract in the docstring of this module.
    blocks : iterable of float32 arrays of shape (n_samples_i,)

    Yields
    ------
    float32 array of shape (n_frames_i, n_bands)

    Raises
    ------
    ValueError
        If the recording is empty, if samples are not finite, or if the number of frames is not
        what ``frame_shift`` promises.
    """
    method = _block_method(features)
    if method is None:
        method = _Chunked(features)
    for block in method(blocks):
        yield np.asarray(block, np.float32)


def _block_method(
    features: Any,
) -> Callable[[Iterable[NDArray[Any]]], Iterator[NDArray[Any]]] | None:
    """The method ``transform_blocks``; None if a subclass overrides only ``transform``."""
    for kind in type(features).__mro__:
        if "transform_blocks" in vars(kind):
            return features.transform_blocks
        if "transform" in vars(kind):
            return None
    return None


class _Chunked:
    """Compute features by ``transform``, chunk by chunk."""

    def __init__(self, features: Any):
        self.features = features
        self.rate = features.sample_rate
        hop = features.frame_shift * self.rate
        self.hop = round(hop)
        if self.hop < 1 or abs(hop - self.hop) > 1e-3:
            raise ValueError(
                f"frame_shift={features.frame_shift:.6g} s of {type(features).__name__} is no "
                f"whole number of samples at {self.rate} Hz: it needs a method transform_blocks "
                "to detect events in files and streams"
            )

    def __call__(self, blocks: Iterable[NDArray[Any]]) -> Iterator[NDArray[np.float32]]:
        length, lead = (round(t * self.rate / self.hop) * self.hop for t in (_CHUNK, _LEAD))
        samples = Frames(self._finite(blocks))
        if not samples.read_to(1):
            raise ValueError("The recording is empty: it has 0 samples")
        for chunk in chunks_with_context(
            samples, length, length, before=lead, after=lead, unit=self.hop
        ):
            rows = np.asarray(self.features.transform([chunk.features])[0])
            first = chunk.start // self.hop
            n_frames = len(rows) - first if chunk.is_last else chunk.n_frames // self.hop
            if rows.ndim != 2 or len(rows) < first + n_frames or n_frames < 0:
                raise ValueError(
                    f"{type(self.features).__name__} gives features of shape {rows.shape} for "
                    f"{len(chunk.features)} samples, where frames that are {self.hop} samples "
                    f"apart must be an array (about {len(chunk.features) // self.hop}, n_bands)"
                )
            if n_frames:
                yield rows[first : first + n_frames]

    def _finite(self, blocks: Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
        n_samples = 0
        for block in blocks:
            n_samples += len(block)
            if not np.isfinite(block).all():
                raise ValueError(
                    f"There are samples before {n_samples / self.rate:.2f} s that are NaN or "
                    "infinite; samples must be finite, and are usually between -1 and 1"
                )
            if len(block):
                yield block
