"""Train the weights that come with the package.

    python benchmarks/accuracy/train_weights.py rare-events --root ../shared/corpus --minutes 60
    python benchmarks/accuracy/train_weights.py rare-events --plain 0.5 --wide --mix-styles 0.5 \\
        --start work/rare-events.pt --work work/refined
    python benchmarks/accuracy/train_weights.py rare-events --judge --root ../shared/corpus
    python benchmarks/accuracy/train_weights.py general --root ../shared/corpus

A plan of each batch (``mixture_plans.py``) is drawn from the material (``bank.py``) and rendered
on the device (``mixtures.py``): all kinds of surroundings and recorders. Rendered batches stay for
a while in a pool, from which the network learns each a few times (``batch_pool.py``). With
``--plain``, a part of the batches are new mixtures of 10 s as the challenge mixes them; with
``--mix-styles``, ``--drop-channels`` and more ``--weight-decay``, less is learnt by heart
(``mixed_styles.py``); with ``--made-backgrounds``, there are more surroundings than were recorded
(``made_backgrounds.py``). The training ends after so many minutes, whatever the machine, and the
learning rate follows it. The weights are the moving average of those of the steps.

A judge is trained in the same way without whole sources and some recordings, which it writes as
subsets "foreign" and "hold" into its folder: thresholds and choices hang on these. `general` is
made of permissively licensed material alone.

A training that was broken off goes on from its last checkpoint when the command is repeated
with the same ``--work``; one that ended is the ``--start`` of another.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bank import (
    Bank,
    divide,
    general_bank,
    kept_out_of_general,
    rare_events_bank,
    write_split,
)
from bank_index import Index, index_bank, joined_samples
from batch_pool import PlainBatches, Pool
from export_weights import average, export, taken_over
from made_backgrounds import made_backgrounds
from mixed_styles import MixedStyles, drop_channels
from mixture_plans import CONTEXT_SECONDS, N_BANDS, Plan, draw_plan
from mixtures import HOP, RATE, Batch, Mixer, lfbe_filters
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from sklearn_rcrnn.nn.rcrnn import RCRNN
from sklearn_rcrnn.nn.recipe import RECIPES
from sklearn_rcrnn.training.device import bfloat16_supported

# The first batches, from which the normalization is measured and training begins.
_FIRST = 24
_GRADIENT_CLIP = 5.0
_AVERAGED = 0.999


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("weights", choices=["rare-events", "general"])
    parser.add_argument("--root", type=Path, default=Path("../shared/corpus"))
    parser.add_argument("--judge", action="store_true", help="leave out what thresholds need")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--gru-units", type=int, default=100)
    parser.add_argument("--dense-units", type=int, default=256)
    parser.add_argument("--lr", type=float, default=1.5e-3, help="highest of the cycle")
    parser.add_argument("--batch-seconds", type=float, default=640.0, help="of audio in a batch")
    parser.add_argument("--plain", type=float, default=0.0, help="part of plain mixtures")
    parser.add_argument("--wide", action="store_true", help="guns and panes of any size")
    parser.add_argument("--made-backgrounds", type=int, default=0, help="made from recorded ones")
    parser.add_argument("--mix-styles", type=float, default=0.0, help="part of steps with MixStyle")
    parser.add_argument("--drop-channels", type=float, default=0.0, help="part of the feature map")
    parser.add_argument("--weight-decay", type=float, default=0.02)
    parser.add_argument("--start", type=Path, nargs="+", help="earlier weights, or a mean of some")
    parser.add_argument("--reuse", type=int, default=2, help="steps for each rendered batch")
    parser.add_argument("--pool", type=int, default=48, help="batches kept")
    parser.add_argument("--prior-frames", type=float, default=64.0, help="of the normalization")
    parser.add_argument("--workers", type=int, default=0, help="processes for a kind of batch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split-seed", type=int, default=0, help="of a judge's split")
    parser.add_argument("--save-seconds", type=float, default=60.0, help="between checkpoints")
    parser.add_argument("--work", type=Path, default=Path("work"), help="checkpoints and models")
    return parser.parse_args(argv)


def read_material(args: argparse.Namespace) -> tuple[Bank, PlainBatches | None]:
    """What a training learns from; for a judge, also write the split that it does not hear."""
    subsets, without = ["devtrain2"], set[Path]()
    if args.weights == "general":
        subsets, without = ["devtrain2", "other"], kept_out_of_general(args.root)
        bank = general_bank(args.root, seed=args.seed)
    else:
        if args.judge:
            parts = divide(args.root, args.split_seed)
            write_split(args.root, args.work / "judge-split", parts)
            without = {Path(entry.path) for entries in parts.values() for entry in entries}
        bank = rare_events_bank(args.root, without=without, seed=args.split_seed)
    made = made_backgrounds(bank.backgrounds, args.made_backgrounds, args.seed)
    bank.backgrounds += made
    heard = (args.root, args.work, subsets, without, bank.labels)
    return bank, PlainBatches(*heard, seed=args.seed, made=made) if args.plain else None


class Plans(IterableDataset):
    """An endless stream of plans; each worker process draws from a seed of its own."""

    def __init__(self, index: Index, seconds: float, seed: int, wide: bool):
        self.index, self.seconds, self.seed, self.wide = index, seconds, seed, wide

    def __iter__(self) -> Iterator[Plan]:
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, 0 if worker is None else worker.id])
        while True:
            yield draw_plan(self.index, rng, self.seconds, self.wide)


def stream(dataset: IterableDataset, workers: int) -> Iterator[Any]:
    """The items of an endless dataset, made ahead by so many processes."""
    loader = DataLoader(
        dataset,
        batch_size=None,
        num_workers=workers,
        collate_fn=lambda item: item,  # plans stay arrays
        prefetch_factor=8 if workers else None,
        multiprocessing_context="fork" if workers else None,
    )
    return iter(loader)


def measure(network: RCRNN, batches: list[Batch], prior_frames: float) -> None:
    """Set the mean, scale and prior of the normalization from the first batches."""
    norm = network.extractor.normalization
    means, variances = [], []
    for features, _ in batches:
        if features.shape[1] < 8 * RATE / HOP:
            continue
        heard = (features.amax(2) > features.amin(2))[..., None]
        n = heard.sum(1).clamp(min=1)
        mean = torch.where(heard, features, 0).sum(1) / n
        deviation = torch.where(heard, features - mean[:, None], 0)
        usable = heard.sum((1, 2)) > 4 * RATE / HOP
        means.append((mean - mean.mean(1, keepdim=True))[usable])
        variances.append((deviation.square().sum(1) / n)[usable])
    # The median, because some clips have no high bands and others are little more than an event.
    norm.prior_mean.copy_(torch.cat(means).median(0).values)
    norm.prior_variance.copy_(torch.cat(variances).median(0).values)
    norm.prior_frames.fill_(prior_frames)
    total = torch.zeros(N_BANDS, dtype=torch.float64, device=norm.mean.device)
    squares, n_frames = torch.zeros_like(total), 0
    for features, _ in batches:
        wide = norm._around(features, None).double()
        total += wide.sum((0, 1))
        squares += wide.square().sum((0, 1))
        n_frames += wide.shape[0] * wide.shape[1]
    norm.mean.copy_(total / n_frames)
    norm.scale.copy_((squares / n_frames - (total / n_frames) ** 2).clamp(min=1e-6).sqrt())


def masked_bands(features: Tensor) -> Tensor:
    """Replace up to a sixth of the bands by their mean over time, in a third of the clips."""
    n_clips, _, n_bands = features.shape
    draw = torch.rand(3, n_clips, 1, 1, device=features.device)
    width = draw[0] * n_bands / 6
    start = draw[1] * (n_bands - width)
    bands = torch.arange(n_bands, device=features.device)
    inside = (draw[2] < 1 / 3) & (bands >= start) & (bands < start + width)
    return torch.where(inside, features.mean(1, keepdim=True), features)


class Average:
    """A moving average of the parameters and of the statistics of batch normalization."""

    def __init__(self, network: torch.nn.Module):
        self.tensors = [t for t in network.state_dict().values() if t.is_floating_point()]
        self.values = [t.detach().clone() for t in self.tensors]
        self.n = 0

    @torch.no_grad()
    def update(self) -> None:
        self.n += 1
        keep = min(_AVERAGED, (1 + self.n) / (10 + self.n))
        torch._foreach_lerp_(self.values, self.tensors, 1 - keep)

    def state_dict(self, network: torch.nn.Module) -> dict[str, Tensor]:
        """The averaged weights under the names of the network's own."""
        averaged = iter(self.values)
        return {
            name: (next(averaged) if t.is_floating_point() else t).detach().cpu().contiguous()
            for name, t in network.state_dict().items()
        }


def rate(done: float, highest: float) -> float:
    """The learning rate when a part of the time is over: it rises and falls as cosines do."""
    warm = 0.06
    if done < warm:
        return highest * (0.05 + 0.95 * (1 - math.cos(math.pi * done / warm)) / 2)
    along = min((done - warm) / (1 - warm), 1.0)
    return highest * (1e-3 + (1 - 1e-3) * (1 + math.cos(math.pi * along)) / 2)


def build(args: argparse.Namespace, n_classes: int) -> RCRNN:
    return RCRNN(
        N_BANDS,
        n_classes,
        gru_units=args.gru_units,
        dense_units=args.dense_units,
        recipe=RECIPES["refined"],
        context=round(CONTEXT_SECONDS * RATE / HOP),
    )


def rendered_batches(
    args: argparse.Namespace, bank: Bank, plain: PlainBatches | None, seed: int
) -> Pool:
    """Make an empty pool, and start the processes that draw plans and plain mixtures."""
    plans = Plans(index_bank(bank), args.batch_seconds, seed, args.wide)
    drawn = stream(plans, args.workers)
    first_plan = next(drawn)  # start worker processes before the device is used
    plain_batches = None if plain is None else stream(plain, args.workers)
    mel, window = lfbe_filters()
    samples = torch.from_numpy(joined_samples(bank)).to(args.device)
    mixer = Mixer(samples, mel, window, seed)
    mixer(first_plan)
    return Pool(
        lambda: mixer(next(drawn)),
        size=args.pool,
        reuse=args.reuse,
        seed=seed,
        plain=plain_batches,
        plain_share=args.plain,
    )


class Training:
    """The network, its optimizer and the average of its weights, as files keep them.

    Parameters
    ----------
    args : Namespace
    labels : list of str
    """

    network: RCRNN
    styles: MixedStyles
    optimizer: torch.optim.Optimizer
    average: Average

    def __init__(self, args: argparse.Namespace, labels: list[str]):
        self.args, self.labels = args, labels
        self.name = f"{args.weights}{'-judge' if args.judge else ''}"
        self.target = args.work / f"{self.name}.pt"
        self.checkpoint = args.work / f"{self.name}.checkpoint"
        self.last: dict[str, Any] | None = None
        if self.checkpoint.exists():
            self.last = torch.load(self.checkpoint, map_location=args.device)
        self.steps: int = 0 if self.last is None else self.last["steps"]
        self.spent: float = 0.0 if self.last is None else self.last["spent"]
        self.begun = time.time()

    def begin(self, network: RCRNN) -> None:
        """Take the network, and restore the state of an earlier process if there is one."""
        self.network = network.train()
        self.styles = MixedStyles(network, self.args.mix_styles)
        drop_channels(network, self.args.drop_channels)
        self.optimizer = torch.optim.AdamW(
            network.parameters(),
            weight_decay=self.args.weight_decay,
            fused=torch.device(self.args.device).type == "cuda",
        )
        self.average = Average(network)
        if self.last is not None:
            network.load_state_dict(self.last["network"])
            self.optimizer.load_state_dict(self.last["optimizer"])
            self.average.values = [v.to(self.args.device) for v in self.last["average"]]
            self.average.n = self.steps
        self.begun = time.time()

    @property
    def seconds(self) -> float:
        """Seconds that the training has taken so far, including earlier processes."""
        return self.spent + time.time() - self.begun

    def learn(self, batch: Batch, lr: float) -> dict[str, Tensor]:
        """Do one step and update the average; returns the parts of the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.styles.draw()
        parts = step(self.network, self.optimizer, batch)
        self.average.update()
        self.steps += 1
        return parts

    def save(self) -> None:
        """Write the averaged weights, and a checkpoint from which to go on."""
        weights = {
            "weights": self.average.state_dict(self.network),
            "labels": self.labels,
            "gru_units": self.args.gru_units,
            "dense_units": self.args.dense_units,
            "steps": self.steps,
            "minutes": self.seconds / 60,
            "arguments": {k: str(v) for k, v in vars(self.args).items()},
        }
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.values,
            "steps": self.steps,
            "spent": self.seconds,
        }
        _write(self.target, weights)
        _write(self.checkpoint, state)


def train(
    args: argparse.Namespace, bank: Bank, plain: PlainBatches | None, say: Callable[[str], None]
) -> Path:
    """Train for the given number of minutes; returns the file of the averaged weights."""
    torch.manual_seed(args.seed)
    training = Training(args, bank.labels)
    pool = rendered_batches(args, bank, plain, args.seed + training.steps)
    device = torch.device(args.device)
    network = build(args, len(bank.labels)).to(device)
    pool.fill(_FIRST)
    if args.start is None:
        measure(network, list(pool.batches), args.prior_frames)
    else:
        start = average([torch.load(file, map_location=device) for file in args.start])
        network.load_state_dict(taken_over(network.state_dict(), bank.labels, start))
    training.begin(network)
    saved = told = time.time()
    losses: dict[str, Tensor] = {}
    counted = 0
    while (done := training.seconds / (60 * args.minutes)) < 1:
        parts = training.learn(pool.draw(device), rate(done, args.lr))
        counted += 1
        losses = {k: losses.get(k, 0) + v for k, v in parts.items()}
        if time.time() - told > 15:
            shown = {k: round(float(v) / counted, 3) for k, v in losses.items()}
            say(f"{training.name} {100 * done:.0f} %, step {training.steps}: {shown}")
            losses, counted, told = {}, 0, time.time()
        if time.time() - saved > args.save_seconds:
            training.save()
            saved = time.time()
    training.save()
    say(f"{training.name}: {training.steps} steps in {training.seconds:.0f} s")
    return training.target


def _write(path: Path, content: dict[str, Any]) -> None:
    """Replace a file only when the new one is complete, so that none is ever half written."""
    part = path.with_suffix(".part")
    torch.save(content, part)
    part.replace(path)


def step(network: RCRNN, optimizer: torch.optim.Optimizer, batch: Batch) -> dict[str, Tensor]:
    """Do one step of the optimizer; returns the parts of the loss."""
    kind = batch.features.device.type
    with torch.autocast(kind, torch.bfloat16, enabled=bfloat16_supported(kind)):
        parts = network.losses(masked_bands(batch.features), None, batch.targets)
    first, *others = parts.values()
    optimizer.zero_grad(set_to_none=True)
    sum(others, first).backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), _GRADIENT_CLIP, foreach=True)
    optimizer.step()
    return {name: part.detach() for name, part in parts.items()}


def main() -> None:
    args = parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    begun = time.time()

    def say(text: str) -> None:
        print(f"[{time.time() - begun:6.0f} s] {text}", flush=True)

    bank, plain = read_material(args)
    say(bank.describe())
    weights = train(args, bank, plain, say)
    folder = args.work / weights.stem
    export(weights, folder)
    (args.work / f"{weights.stem}.json").write_text(
        json.dumps({"labels": bank.labels, "material": bank.describe()}, indent=2)
    )
    say(f"saved {folder}")


if __name__ == "__main__":
    main()
