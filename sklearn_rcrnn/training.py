"""Training with skorch: batches of unequal clips, the nets, their callbacks, the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from skorch import NeuralNet
from skorch.callbacks import (
    Callback,
    EarlyStopping,
    GradientNormClipping,
    LRScheduler,
    PassthroughScoring,
    PrintLog,
    ProgressBar,
)
from skorch.dataset import unpack_data
from skorch.helper import predefined_split
from torch import Tensor
from torch.utils.data import Dataset

from .nn.losses import Truth
from .streams import ClipStream

LOSSES = ("rpn_cls", "rpn_reg", "head_cls", "head_reg", "frames", "distances")


class ClipDataset(Dataset):
    """Features of clips with what belongs to each, without a copy of either.

    Parameters
    ----------
    features : sequence of float32 arrays of shape (n_frames_i, n_bands)
    targets : sequence
        Of the same length.
    indices : int array, default=None
        The clips that belong to the set; all of them by default.
    """

    def __init__(self, features: Sequence[Any], targets: Sequence[Any], indices: Any = None):
        self.features = features
        self.targets = targets
        self.indices = np.arange(len(features)) if indices is None else indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        i = self.indices[index]
        return self.features[i], self.targets[i]


class StreamDataset(Dataset):
    """The clips that a stream makes in the epoch at hand.

    Parameters
    ----------
    stream : ClipStream
        Of features.
    convert : callable
        ``convert(clip, events)`` checks the events of a clip and gives its target.
    """

    def __init__(self, stream: ClipStream, convert: Callable[[Any, Any], Any]):
        self.stream = stream
        self.convert = convert
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.stream)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        clip, events = self.stream.draw(self.epoch, index)
        return clip, self.convert(clip, events)


class NextEpoch(Callback):
    """Tell a stream the epoch before its clips are drawn."""

    def on_epoch_begin(self, net: NeuralNet, dataset_train: Any = None, **kwargs: Any) -> None:
        if isinstance(dataset_train, StreamDataset):
            dataset_train.epoch = len(net.history)


def loader_params(data: Any) -> dict[str, Any]:
    """skorch parameters of the training's loader: the worker processes of a stream."""
    n_jobs = data.stream.n_jobs if isinstance(data, StreamDataset) else None
    return {"iterator_train__num_workers": n_jobs} if n_jobs else {}


def collate_features(clips: Sequence[NDArray[np.float32]]) -> dict[str, Tensor]:
    """Stack clips, padded with zeros at the end; ``lengths`` only where they differ."""
    lengths = [len(clip) for clip in clips]
    if len(set(lengths)) == 1:
        return {"features": torch.from_numpy(np.stack(clips))}
    padded = np.zeros((len(clips), max(lengths), clips[0].shape[1]), np.float32)
    for row, clip in zip(padded, clips, strict=True):
        row[: len(clip)] = clip
    return {"features": torch.from_numpy(padded), "lengths": torch.tensor(lengths)}


def collate_presence(batch: Sequence[tuple[Any, Any]]) -> tuple[dict[str, Tensor], Tensor]:
    """Batch for the pre-trainer: features and a row of 0 and 1 for each clip."""
    clips, presence = zip(*batch, strict=True)
    return collate_features(clips), torch.from_numpy(np.stack(presence))


def collate_detection(batch: Sequence[tuple[Any, Any]]) -> tuple[dict[str, Any], Tensor]:
    """Batch for the detector: features and true events, padded to the most of a clip.

    The network needs the truth to draw its samples, so it travels with the features; the
    second part is what skorch expects as target, the number of events.
    """
    clips, targets = zip(*batch, strict=True)
    counts = torch.tensor([len(labels) for _, labels in targets])
    most = max(int(counts.max()), 1)
    intervals = np.zeros((len(batch), most, 2), np.float32)
    classes = np.zeros((len(batch), most), np.int64)
    for row, (clip_intervals, labels) in enumerate(targets):
        intervals[row, : len(labels)] = clip_intervals
        classes[row, : len(labels)] = labels
    mask = torch.arange(most) < counts[:, None]
    truth = Truth(torch.from_numpy(intervals), torch.from_numpy(classes), mask)
    return {**collate_features(clips), "truth": truth}, counts


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
        kind = torch.device(self.device).type
        with torch.autocast(kind, torch.bfloat16, enabled=self.bfloat16):
            return super().infer(x, **fit_params)


class LossTable(PrintLog):
    """skorch's log of an epoch in columns that fit a terminal of 80."""

    def table(self, row: Any) -> str:
        cells = {
            key: f"{row[key]:.4f}" if isinstance(row[key], float) else str(row[key])
            for key in self._sorted_keys(row.keys())
        }
        widths = {key: max(len(key), 7) for key in cells}
        lines = (cells.keys(), ("-" * width for width in widths.values()), cells.values())
        return "\n".join(
            " ".join(f"{text:>{width}}" for text, width in zip(line, widths.values(), strict=True))
            for line in lines
        )


class DetectionNet(PresenceNet):
    """skorch net whose loss is equation (1) twice, each part recorded by name."""

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        train_parts = [f"train_{name}" for name in LOSSES]
        return [
            *(item for item in super()._default_callbacks if item[0] != "print_log"),
            *((name, PassthroughScoring(name, None)) for name in LOSSES),
            *((name, PassthroughScoring(name, None, on_train=True)) for name in train_parts),
            # Parts of the training loss are in the history; beside the others they clutter.
            ("print_log", LossTable(keys_ignored=train_parts)),
        ]

    def get_loss(
        self, y_pred: dict[str, Tensor], y_true: Any, X: Any = None, training: bool = False
    ) -> Tensor:
        for name, loss in y_pred.items():
            self.history.record_batch(f"train_{name}" if training else name, loss.item())
        return torch.stack(list(y_pred.values())).sum()


class StopOnDivergence(Callback):
    """Raise as soon as a loss is not finite: nothing good comes of training on."""

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        loss = net.history[-1, "train_loss"]
        if not np.isfinite(loss):
            raise ValueError(
                f"Training diverged: the loss of epoch {len(net.history)} is {loss}. Try a lower lr"
            )


def callbacks_for(
    patience: int | None,
    monitor: str,
    gradient_clip: float | None,
    verbose: int,
    schedule: tuple[float, int] | None,
) -> list[tuple[str, Callback]]:
    """The callbacks of a training besides those of the net itself.

    `schedule` is the highest learning rate and the number of steps of a cycle, or None.
    """
    chosen: list[tuple[str, Callback]] = [
        ("next_epoch", NextEpoch()),
        ("divergence", StopOnDivergence()),
    ]
    if schedule is not None:
        # PyTorch's cycle divides by zero where its first part is one step, and never rises
        # where it is less.
        n_steps = max(schedule[1], 3)
        cycle = LRScheduler(
            torch.optim.lr_scheduler.OneCycleLR,
            max_lr=schedule[0],
            total_steps=n_steps,
            pct_start=max(0.1, 2 / n_steps),
            cycle_momentum=False,
            step_every="batch",
        )
        chosen.append(("lr_schedule", cycle))
    if gradient_clip is not None:
        chosen.append(("gradient_clip", GradientNormClipping(gradient_clip)))
    if patience is not None:
        stop = EarlyStopping(monitor=monitor, patience=patience, load_best=True)
        chosen.append(("early_stopping", stop))
    if verbose:
        chosen.append(("progress", ProgressBar()))
    return chosen


def train(net: NeuralNet, train_set: Dataset, valid_set: ClipDataset | None) -> None:
    """Train an initialised net, then let go of the data that it held on to."""
    net.train_split = None if valid_set is None else predefined_split(valid_set)
    net.partial_fit(train_set, y=None)
    net.train_split = None


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """PyTorch's generator set to `seed` inside and as it was before afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def split_clips(
    groups: Sequence[Any], fraction: float, rng: np.random.RandomState
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices for training and validation, with each group in both in proportion.

    Parameters
    ----------
    groups : sequence of n_clips sortable values
        For example the first label of each clip.
    fraction : float
        Part for validation; at least one clip.
    rng : numpy.random.RandomState
    """
    n = len(groups)
    if n < 2:
        raise ValueError(
            "1 sample (n_samples=1) cannot be split into training and validation clips: give "
            "more clips, a validation set (X_val, y_val), or validation_fraction=None"
        )
    shuffled = rng.permutation(n)
    by_group = sorted(shuffled, key=lambda i: groups[i])
    count = min(max(round(n * fraction), 1), n - 1)
    # Evenly spaced places in a list sorted by group meet each group in proportion.
    places = ((np.arange(count) + rng.uniform()) * n / count).astype(int)
    chosen = np.zeros(n, bool)
    chosen[np.asarray(by_group)[places]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def resolve_device(device: str) -> str:
    """``"auto"`` is CUDA where there is one, else the processor."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise ValueError(
            f'device must be "auto" or a name of PyTorch\'s; got {device!r}'
        ) from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(f'device={device!r}, but PyTorch finds no CUDA here: use device="auto"')
    return device


def bfloat16_supported(device: str) -> bool:
    """Whether the device computes in bfloat16 itself, so that it pays."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if kind == "cpu":
        return "AVX512" in torch.backends.cpu.get_cpu_capability() and _cpu_flag("avx512_bf16")
    return False


def use_bfloat16(
    precision: Literal["auto", "float32", "bfloat16"], device: str, training: bool
) -> bool:
    """``"auto"`` trains in bfloat16 where it pays and always predicts in float32.

    Prediction in float32 keeps events the same on every machine and in every batch.
    """
    if precision == "auto":
        return training and bfloat16_supported(device)
    return precision == "bfloat16"


def _cpu_flag(flag: str) -> bool:
    try:
        with open("/proc/cpuinfo") as info:
            return any(flag in line.split() for line in info if line.startswith("flags"))
    except OSError:  # not Linux
        return False
