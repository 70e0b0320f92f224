"""The networks of detectors, as :func:`.recordings.detect_recording` needs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..events import Event, Label
from ..nn.crnn import CRNN, FRAMES_PER_STEP, RECEPTIVE_FIELD, n_steps
from ..nn.rcrnn import RCRNN
from .detections import to_events
from .recordings import Chunk

# Frames of context for the convolutions. They are whole steps, so that the steps of a chunk are
# those of the recording.
_LEAD = -(-RECEPTIVE_FIELD // FRAMES_PER_STEP) * FRAMES_PER_STEP


class WindowedNetwork:
    """A network that hears windows of features as clips: nothing is shared between windows.

    Parameters
    ----------
    network : RCRNN
        A network in evaluation mode, or a folded one.
    inference : callable
        Called for a context in which a thread may use the network for prediction.
    device : str
        The device that the network is on.
    labels : sequence of str or int
    step : float
        Seconds in a step of the feature map.
    nms_threshold : float
        IoU above which the weaker of two events of a label is dropped.
    n_threads : int
        Number of threads that may work on chunks side by side.
    at_once : int
        Number of windows that go through the recurrence together.
    """

    before = after = 0
    frames_per_row = 1

    def __init__(
        self,
        network: RCRNN,
        *,
        inference: Callable[[], AbstractContextManager[Any]],
        device: str,
        labels: Sequence[Label],
        step: float,
        nms_threshold: float,
        n_threads: int,
        at_once: int,
    ):
        self.network = network
        self.inference = inference
        self.device = device
        self.labels = labels
        self.step = step
        self.nms_threshold = nms_threshold
        self.n_threads = n_threads
        self.at_once = at_once

    def rows(self, chunk: Chunk) -> Tensor:
        """The features themselves."""
        return torch.from_numpy(chunk.features[chunk.start :][: chunk.n_frames])

    def events(self, rows: Tensor, n_frames: Sequence[int]) -> list[list[Event]]:
        """Scored events of windows (n_windows, max_frames, n_bands) of so many frames."""
        batch = {"features": rows.to(self.device)}
        if min(n_frames) < rows.shape[1]:
            batch["lengths"] = torch.tensor(n_frames, device=self.device)
        return self.events_of_batch(batch)

    def events_of_clip(self, features: NDArray[np.float32]) -> list[Event]:
        """Scored events of a clip (n_frames, n_bands)."""
        return self.events_of_batch({"features": torch.from_numpy(features)[None].to(self.device)})[
            0
        ]

    def events_of_batch(self, batch: dict[str, Tensor]) -> list[list[Event]]:
        """Scored events of the clips of a batch, as the network takes it."""
        with self.inference():
            return self._to_events(self.network(**batch))

    def _to_events(self, found: Any) -> list[list[Event]]:
        return to_events(found, self.labels, self.step, self.nms_threshold)


class SharedConvolutions(WindowedNetwork):
    """A network that computes normalization and convolutions once for all windows.

    Parameters
    ----------
    longest : int
        Number of frames of the longest clip that goes through in one piece.
    network, **params : as for :class:`WindowedNetwork`
    """

    frames_per_row = FRAMES_PER_STEP

    def __init__(self, network: RCRNN, longest: int, **params: Any):
        super().__init__(network, **params)
        self.crnn: CRNN = network.extractor
        self.reach = self.crnn.normalization.reach(longest)
        self.before = self.reach.before + _LEAD
        self.after = self.reach.after + _LEAD

    def rows(self, chunk: Chunk) -> Tensor:
        """The output of the convolutions for a chunk (n_steps, n)."""
        features = torch.from_numpy(chunk.features)[None].to(self.device)
        first = max(0, chunk.start - _LEAD)
        with self.inference():
            normalized = self.crnn.normalization(features, reach=self.reach)
            heard = normalized[:, first : chunk.start + chunk.n_frames + _LEAD]
            maps, _ = self.crnn.convolve(heard)
        skipped = (chunk.start - first) // FRAMES_PER_STEP
        # A copy, so that the memory of the surrounding steps is freed.
        return maps[0, skipped : skipped + n_steps(chunk.n_frames)].clone()

    def events(self, rows: Tensor, n_frames: Sequence[int]) -> list[list[Event]]:
        """Scored events of windows (n_windows, max_steps, n) of the convolutions' output."""
        lengths = torch.tensor(n_frames, device=rows.device)
        steps = n_steps(lengths) if min(n_frames) < max(n_frames) else None
        with self.inference():
            feature_map = self.crnn.recur(rows, steps)
            return self._to_events(self.network.detect(feature_map, lengths))
