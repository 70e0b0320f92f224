"""The batches that ``train_weights.py`` learns from: rendered ones, and plain mixtures."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from mixtures import STEP_SECONDS, Batch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from sklearn_rcrnn import LFBETransformer
from sklearn_rcrnn.datasets import FreshMixtures
from sklearn_rcrnn.nn.losses import Targets

N_PLAIN_CLIPS, PLAIN_SECONDS = 16, 10.0


class Pool:
    """A pool of the latest rendered batches, each of which is drawn a few times on average.

    Parameters
    ----------
    render : callable
        Makes a new batch.
    size : int
        Number of batches that are kept.
    reuse : int
        Number of draws for each new batch.
    seed : int
    plain : iterator, default=None
        New batches, of which some of the batches are drawn.
    plain_share : float, default=0.0
        Share of these batches.
    """

    def __init__(
        self,
        render: Callable[[], Batch],
        *,
        size: int,
        reuse: int,
        seed: int,
        plain: Iterator[Batch] | None = None,
        plain_share: float = 0.0,
    ):
        self.render, self.size, self.reuse = render, size, reuse
        self.batches: deque[Batch] = deque(maxlen=size)
        self.rng = np.random.default_rng([seed, 4])
        self.drawn = 0
        self.plain, self.plain_share = plain, plain_share

    def fill(self, n: int) -> None:
        """Render until there are `n` batches, or as many as are kept."""
        while len(self.batches) < min(n, self.size):
            self.batches.append(self.render())

    def draw(self, device: torch.device) -> Batch:
        if self.plain is not None and self.rng.random() < self.plain_share:
            batch = next(self.plain)
            return Batch(batch.features.to(device), Targets(*(t.to(device) for t in batch.targets)))
        if self.drawn % self.reuse == 0:
            self.batches.append(self.render())
        self.drawn += 1
        return self.batches[int(self.rng.integers(len(self.batches)))]


class PlainBatches(IterableDataset):
    """Mixtures of 10 s as the challenge mixes them, new in each batch.

    Parameters
    ----------
    root : Path
        The corpus.
    work : Path
        Folder for the description of a subset that lacks the recordings of `without`.
    subsets : sequence of str
        Subsets of the corpus whose events are heard, with the backgrounds of the first.
    without : set of Path
        Recordings of events and backgrounds that must not be heard.
    labels : list of str
        In the order of the network's classes.
    seed : int
    made : sequence of float32 array, default=()
        Backgrounds at 44.1 kHz beside those of the corpus.
    """

    def __init__(
        self,
        root: Path,
        work: Path,
        subsets: Sequence[str],
        without: set[Path],
        labels: list[str],
        *,
        seed: int,
        made: Sequence[NDArray[np.float32]] = (),
    ):
        self.labels = labels
        self.lfbe = LFBETransformer()
        self.mixtures = FreshMixtures(
            fit_subset(root, work / "plain", subsets, without),
            "fit",
            n_mixtures=10**6,
            mixture_length=PLAIN_SECONDS,
            event_counts=(0.35, 0.5, 0.15),
            ebr=(-9.0, 9.0),
            distractors=0.15,
            random_state=seed,
        )
        self.mixtures._backgrounds += made
        self.drawn = 0

    def __iter__(self) -> Iterator[Batch]:
        """Make batches without end; each worker process makes mixtures of its own."""
        worker = torch.utils.data.get_worker_info()
        self.drawn += 0 if worker is None else worker.id * (self.mixtures.n_mixtures // 64)
        while True:
            yield self.draw()

    def draw(self) -> Batch:
        """Make the next batch."""
        clips = [self.mixtures.draw(1, self.drawn + i) for i in range(N_PLAIN_CLIPS)]
        self.drawn += N_PLAIN_CLIPS
        features = np.stack([self.lfbe.transform([samples])[0] for samples, _ in clips])
        most = max(1, *(len(events) for _, events in clips))
        intervals = torch.zeros(N_PLAIN_CLIPS, most, 2)
        classes = torch.zeros(N_PLAIN_CLIPS, most, dtype=torch.long)
        mask = torch.zeros(N_PLAIN_CLIPS, most, dtype=torch.bool)
        for i, (_, events) in enumerate(clips):
            for j, (onset, offset, label) in enumerate(events):
                intervals[i, j] = torch.tensor([onset, offset]) / STEP_SECONDS
                classes[i, j], mask[i, j] = self.labels.index(label), True
        return Batch(torch.from_numpy(features), Targets(intervals, classes, mask))


def fit_subset(root: Path, target_root: Path, subsets: Sequence[str], without: set[Path]) -> Path:
    """Write a folder in the challenge's layout whose subset "fit" lacks some files of others."""
    source, target = root / "source_data", target_root / "source_data"
    (target / "cv_setup").mkdir(parents=True, exist_ok=True)
    for part in ("bgs", "events"):
        if not (target / part).exists():
            os.symlink((source / part).resolve(), target / part)
    names = {path.name for path in without}

    def listed(kind: str, subset: str) -> Any:
        return yaml.safe_load((source / "cv_setup" / f"{kind}_{subset}.yaml").read_text())

    kept: dict[str, list[dict[str, Any]]] = {}
    for subset in subsets:
        for label, own in listed("events", subset).items():
            heard = [e for e in own if Path(e["audio_filename"]).name not in names]
            # What does not fit into a mixture cannot be an event of one.
            kept.setdefault(label, []).extend(
                e for e in heard if e["segment"][1] - e["segment"][0] < PLAIN_SECONDS
            )
    backgrounds = [b for b in listed("bgs", subsets[0]) if Path(b["filepath"]).name not in names]
    kept = {label: own for label, own in kept.items() if own}
    (target / "cv_setup" / "events_fit.yaml").write_text(yaml.safe_dump(kept))
    (target / "cv_setup" / "bgs_fit.yaml").write_text(yaml.safe_dump(backgrounds))
    return target_root
