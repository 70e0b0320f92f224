"""Checkpoints: a training that was killed goes on after its last complete epoch."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from sklearn.base import BaseEstimator
from skorch import NeuralNet
from skorch.callbacks import Callback, LRScheduler
from skorch.history import History
from torch import Tensor

from .._utils.files import complete
from ..nn.processes import of_all_processes, process_rank
from .identity import identity


class TrainingCheckpoint(Callback):
    """The state of one training in a file, written after each epoch and at the end.

    The file is named after the parameters and the data, so that each training of a grid
    search has its own in one folder, and a training with other parameters or data starts
    anew. It holds weights, optimizer, learning rate schedule, history, callbacks and the
    state of PyTorch's generators: the weights of a training that goes on are those of one
    that was never interrupted. Of a callback it holds what its ``state_dict`` gives, or else
    the attributes that end in ``_`` and are numbers, texts, tensors, or lists or dicts of
    these.

    Parameters
    ----------
    folder : str or PathLike
        Created if it does not exist.
    key : str
        Names the training; from :func:`training_key`.

    Attributes
    ----------
    path : pathlib.Path
    state : dict or None
        The state that an earlier process left in the file.
    """

    def __init__(self, folder: str | os.PathLike[str], key: str):
        self.folder = folder
        self.key = key
        self.path = Path(folder) / f"{key}.pt"
        self.state = self._read()
        self.seed: int | None = None if self.state is None else self.state["seed"]

    @property
    def is_finished(self) -> bool:
        """Whether the training had come to its end."""
        return self.state is not None and self.state["finished"]

    def random_state(self, given: np.random.RandomState) -> np.random.RandomState:
        """A generator for a training whose random state is no integer.

        Its seed is kept in the file, so that a training that goes on has the same one.
        """
        if self.seed is None:
            self.seed = int(given.randint(np.iinfo(np.int32).max))
        return np.random.RandomState(self.seed)

    def restore(self, net: NeuralNet) -> None:
        """Bring a net to the state of the earlier training; without one, do nothing."""
        state, self.state = self.state, None
        if state is None:
            return
        net.module_.load_state_dict(state["module"])
        net.optimizer_.load_state_dict(state["optimizer"])
        net.history = History(state["history"])
        for name, callback in net.callbacks_:
            if name in state["callbacks"]:
                _load(callback, state["callbacks"][name])
        torch.set_rng_state(
            [state["generator"], *state.get("other_generators", ())][process_rank()]
        )
        if state["cuda_generators"]:
            torch.cuda.set_rng_state_all(state["cuda_generators"])
        if net.verbose and not state["finished"]:
            print(f"Going on after epoch {len(net.history)}: {self.path}")

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        self._write(net, finished=False)

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        self._write(net, finished=True)

    def _write(self, net: NeuralNet, finished: bool) -> None:
        own_generator, *other_generators = of_all_processes(torch.get_rng_state())
        if process_rank():
            return
        callbacks = {name: _state_of(callback) for name, callback in net.callbacks_}
        state = {
            "finished": finished,
            "seed": self.seed,
            "module": dict(net.module_.state_dict()),
            "optimizer": _kept(net.optimizer_.state_dict(), net.optimizer_),
            "history": [_plain_part(row) for row in net.history],
            "callbacks": {name: own for name, own in callbacks.items() if own},
            "generator": own_generator,
            "other_generators": other_generators,
            "cuda_generators": torch.cuda.get_rng_state_all(),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # When the disk is full, PyTorch only raises an assertion of its own.
        content = io.BytesIO()
        torch.save(state, content)
        with complete(self.path) as partial:
            partial.write_bytes(content.getbuffer())

    def _read(self) -> dict[str, Any] | None:
        if not self.path.exists():
            return None
        try:
            return torch.load(self.path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError, KeyError) as error:
            raise ValueError(
                f"{self.path} cannot be read as the checkpoint of a training "
                f"({type(error).__name__}). Delete it to start anew"
            ) from error


def training_key(estimator: BaseEstimator, data: Any) -> str:
    """A name for a training: by the estimator's class and parameters, and by its data.

    Parameters
    ----------
    estimator : estimator
    data : any structure of arrays, events, numbers and texts
    """
    return joblib.hash((identity(estimator), data))[:16]


def _state_of(callback: Any) -> Any:
    if hasattr(callback, "state_dict"):
        return _kept(callback.state_dict(), callback)
    own = {}
    for name, value in vars(callback).items():
        if name.endswith("_") and (plain := _plain(value)) is not _NOT_PLAIN:
            own[name] = plain
    if isinstance(callback, LRScheduler):
        scheduler = callback.lr_scheduler_
        own["lr_scheduler_"] = _kept(scheduler.state_dict(), scheduler)
    return own


def _load(callback: Any, state: Any) -> None:
    if hasattr(callback, "load_state_dict"):
        callback.load_state_dict(state)
        return
    if isinstance(callback, LRScheduler):
        state = dict(state)
        callback.lr_scheduler_.load_state_dict(state.pop("lr_scheduler_"))
    vars(callback).update(state)


_NOT_PLAIN = object()


def _kept(state: Any, owner: Any) -> Any:
    """Reduce a state to what a file without code can hold; TypeError if that is impossible."""
    plain = _plain(state)
    if plain is _NOT_PLAIN:
        raise TypeError(
            f"The state_dict of {type(owner).__name__} cannot be kept in a checkpoint: it may hold "
            "numbers, texts, tensors, and lists or dicts of these"
        )
    return plain


def _plain_part(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a file without code can hold of a row of a history, and of those of its batches."""
    parts = {
        key: [_plain_part(batch) for batch in own] if key == "batches" else _plain(own)
        for key, own in row.items()
    }
    return {key: own for key, own in parts.items() if own is not _NOT_PLAIN}


def _plain(value: Any) -> Any:
    """Reduce a value to what a file without code can hold; `_NOT_PLAIN` if that is impossible."""
    if isinstance(value, np.generic):  # this comes first, because float64 is also a float
        return value.item()
    if isinstance(value, Tensor) or type(value) in (type(None), bool, int, float, str):
        return value
    if isinstance(value, Mapping):
        items: Any = {_plain(key): _plain(own) for key, own in value.items()}
        return _NOT_PLAIN if _NOT_PLAIN in items or _any_not_plain(items.values()) else items
    if isinstance(value, (list, tuple)):  # of a class of its own, only the values are kept
        items = [_plain(own) for own in value]
        if _any_not_plain(items):
            return _NOT_PLAIN
        return tuple(items) if isinstance(value, tuple) else items
    return _NOT_PLAIN


def _any_not_plain(values: Iterable[Any]) -> bool:
    return any(own is _NOT_PLAIN for own in values)
