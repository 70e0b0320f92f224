"""The skorch nets that train the networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.dataset import unpack_data
from skorch.helper import predefined_split
from skorch.utils import to_tensor
from torch import Tensor
from torch.utils.data import Dataset

from .callbacks import LossParts, LossTable
from .data import ClipDataset


class PresenceNet(NeuralNet):
    """skorch net that may compute in bfloat16 and change features before it learns from them."""

    def __init__(
        self,
        *args: Any,
        bfloat16: bool = False,
        augmentation: Callable[[Tensor], Tensor] | None = None,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.bfloat16 = bfloat16
        self.augmentation = augmentation

    def train_step_single(self, batch: Any, **fit_params: Any) -> Any:
        if self.augmentation is not None:
            X, y = unpack_data(batch)
            batch = {**X, "features": self.augmentation(X["features"])}, y
        return super().train_step_single(batch, **fit_params)

    def infer(self, x: Any, **fit_params: Any) -> Any:
        with self._autocast():
            return super().infer(x, **fit_params)

    def _autocast(self) -> torch.autocast:
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self.bfloat16)


class DetectionNet(PresenceNet):
    """skorch net of a network that computes the parts of its loss itself, by name.

    The network has a method ``losses(features, lengths, targets)``. Whatever parts it
    returns are summed up, and recorded in the history under their names.
    """

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        return [
            *(item for item in super()._default_callbacks if item[0] != "print_log"),
            ("loss_parts", LossParts()),
            ("print_log", LossTable()),
        ]

    def infer(self, x: Any, **fit_params: Any) -> Any:
        if "targets" not in x:
            return super().infer(x, **fit_params)
        batch = to_tensor(x, device=self.device)
        with self._autocast():
            return self.module_.losses(batch["features"], batch.get("lengths"), batch["targets"])

    def get_loss(
        self, y_pred: dict[str, Tensor], y_true: Any, X: Any = None, training: bool = False
    ) -> Tensor:
        kind = "train" if training else "valid"
        parts = {name: loss.item() for name, loss in y_pred.items()}
        self.history.record_batch(f"{kind}_losses", parts)
        return torch.stack(list(y_pred.values())).sum()


def train(net: NeuralNet, train_set: Dataset, valid_set: ClipDataset | None) -> None:
    """Train an initialized net, then let go of the data that it held on to."""
    net.train_split = None if valid_set is None else predefined_split(valid_set)
    net.partial_fit(train_set, y=None)
    net.train_split = None


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """PyTorch's generator set to `seed` inside and as it was before afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
