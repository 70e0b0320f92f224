"""Prediction with a trained network: its batches, device and precision."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..clip_stream import ClipStream
from ..nn.crnn import n_steps
from ..nn.folding import folded
from ..training.batches import collate_features
from ..training.device import resolve_device, use_bfloat16
from ..training.inputs import Clips
from ..training.parameters import TrainingParameters
from ..training.restoring import LoadedNetwork
from .windows import frames_in_windows

# A prediction batch holds at most `batch_size` times this many frames, so that long
# recordings among short ones do not fill the memory.
_FRAMES_PER_CLIP = 1300


class TrainedNetwork(TrainingParameters):
    """Predicts with the network of ``net_``, the skorch net that ``fit`` has left.

    An estimator that was loaded has its network alone. It makes a net around it when it is
    asked for ``net_`` or ``history_``, so that detection need not wait for skorch.
    """

    _loaded: LoadedNetwork
    extractor: str | torch.nn.Module  # of estimators that have one

    @cached_property
    def net_(self) -> Any:
        """The trained skorch net; ``net_.module_`` is the network."""
        if "_loaded" not in vars(self):
            raise AttributeError(f"This {type(self).__name__} was not fitted: it has no net_")
        net = self._net_around(self._loaded.module_)
        net.history.extend(self._loaded.history)
        # From here on, only the net holds the network.
        self.__dict__["net_"] = net
        self.__dict__.pop("_loaded", None)
        return net

    @cached_property
    def history_(self) -> Any:
        """Losses of each epoch of the training."""
        return self.net_.history

    @abstractmethod
    def _net_around(self, network: torch.nn.Module) -> Any:
        """Make a skorch net around a trained network; the net cannot be trained further."""

    @property
    def _net(self) -> Any:
        """The holder of the network as ``module_``, with its ``device`` and its ``history``."""
        return vars(self).get("_loaded") or self.net_

    def _extractor_in_use(self) -> str | torch.nn.Module:
        """The extractor of the trained network; before there is one, the parameter.

        If the parameter is changed after ``fit``, the network keeps its extractor until the next
        ``fit``, and the times of its steps are those of the extractor that it has.
        """
        return self._net.module_.extractor if self.__sklearn_is_fitted__() else self.extractor

    def _rows(
        self, clips: Clips, compute: Callable[..., torch.Tensor], frames_per_row: int = 1
    ) -> list[NDArray[np.float32]]:
        """Rows along the time of each clip, from ``compute(network, **batch)``.

        Clips of more than a minute go through the network in overlapping windows.
        """

        def rows_of(parts: Clips) -> list[NDArray[np.float32]]:
            return self._rows_in_one_piece(parts, compute, frames_per_row)

        return frames_in_windows(rows_of, clips, self.frame_shift, frames_per_row=frames_per_row)

    def _rows_in_one_piece(
        self, clips: Clips, compute: Callable[..., torch.Tensor], frames_per_row: int
    ) -> list[NDArray[np.float32]]:
        rows: list[Any] = [None] * len(clips)
        with self._inference() as network:
            for places, batch in self._batches(clips):
                found = compute(network, **batch).cpu().numpy()
                for place, own in zip(places, found, strict=True):
                    rows[place] = own[: n_steps(len(clips[place]), frames_per_row)]
        return rows

    def _batches(self, clips: Clips) -> Iterator[tuple[NDArray[np.int64], dict[str, torch.Tensor]]]:
        """Yield batches of clips of similar length, with the indices of the clips in X."""
        for places in self._places_of_batches(clips):
            yield places, self._batch(clips, places)

    def _places_of_batches(self, clips: Clips) -> Iterator[NDArray[np.int64]]:
        order = np.argsort([-len(clip) for clip in clips], kind="stable")
        start = 0
        while start < len(order):
            size = self._batch_size(longest=len(clips[order[start]]))
            yield order[start : start + size]
            start += size

    def _batch_size(self, longest: int) -> int:
        """Number of clips in a batch whose longest clip has so many frames."""
        return max(1, min(self.batch_size, self.batch_size * _FRAMES_PER_CLIP // longest))

    def _batch(self, clips: Clips, places: NDArray[np.int64]) -> dict[str, torch.Tensor]:
        device = self._prediction_device()
        batch = collate_features([clips[i] for i in places])
        if torch.device(device).type == "cuda":
            # The graphics card copies pinned memory by itself, while the processor goes on.
            return {
                name: value.pin_memory().to(device, non_blocking=True)
                for name, value in batch.items()
            }
        return {name: value.to(device) for name, value in batch.items()}

    def _prediction_device(self) -> str:
        """The device that the network predicts on; the network is moved there if necessary."""
        device = resolve_device((self.net_params or {}).get("device", self.device))
        net = self._net
        if device != net.device:
            net.module_.to(device)
            net.device = device
        return device

    @contextmanager
    def _inference(self) -> Iterator[Any]:
        """Give the network for prediction, without gradients and in the chosen precision."""
        with self._precision():
            yield folded(self._net.module_.eval())

    @contextmanager
    def _precision(self) -> Iterator[None]:
        """Context in which the calling thread predicts in the chosen precision."""
        device = self._prediction_device()
        bfloat16 = use_bfloat16(self.precision, device, training=False)
        kind = torch.device(device).type
        with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=bfloat16):
            yield

    def __sklearn_is_fitted__(self) -> bool:
        return "net_" in vars(self) or "_loaded" in vars(self)


def mapped_stream(transformer: Any, stream: ClipStream) -> ClipStream:
    """The feature maps of a stream, made by the ``transform`` of a fitted estimator.

    On a graphics card they are made by the process that trains, as the processes that a stream
    may have are forks, which cannot use the card.
    """
    mapped = stream.map(partial(_feature_map, transformer))
    if torch.device(transformer._prediction_device()).type == "cuda":
        mapped.n_jobs = None
    return mapped


def _feature_map(transformer: Any, clip: Any) -> Any:
    return transformer.transform([clip])[0]


def stacked(rows: list[NDArray[np.float32]]) -> NDArray[np.float32] | list[NDArray[np.float32]]:
    """One array if all clips have the same number of rows, else the list."""
    return np.stack(rows) if len({len(own) for own in rows}) == 1 else rows
