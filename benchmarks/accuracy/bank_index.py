"""Where the sounds of a bank lie in one row of samples, and how often each is drawn."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from bank import Bank
from numpy.typing import NDArray


@dataclass
class Index:
    """Positions and probabilities of the sounds of a bank: all that a plan needs to know of it."""

    labels: list[str]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    classes: NDArray[np.int64]
    background_starts: NDArray[np.int64]
    background_lengths: NDArray[np.int64]
    background_rms: NDArray[np.float32]
    event_weights: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    other_weights: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))


def index_bank(bank: Bank) -> Index:
    """Lay the bank out in one row of samples, sounds first, and weight its sounds.

    Labels are equally likely. The sources of a label are weighted by the square root of their
    number of recordings, so that none dominates. Recordings of a source, and segments of a
    recording, are equally likely.
    """
    lengths = np.array([len(s.samples) for s in bank.sounds])
    bg_lengths = np.array([len(b) for b in bank.backgrounds])
    starts = np.concatenate([[0], np.cumsum(np.concatenate([lengths, bg_lengths]))])
    classes = np.array(
        [bank.labels.index(s.label) if s.label in bank.labels else -1 for s in bank.sounds]
    )
    weights = np.zeros(len(bank.sounds))
    by_label: dict[str, dict[str, dict[str, list[int]]]] = {}
    for i, s in enumerate(bank.sounds):
        by_label.setdefault(s.label, {}).setdefault(s.source, {}).setdefault(
            s.recording, []
        ).append(i)
    for label, sources in by_label.items():
        size = sum(len(recordings) for recordings in sources.values())
        # A negative label is weighted by the amount of its material.
        share = 1.0 if label in bank.labels else np.sqrt(size)
        total = sum(np.sqrt(len(r)) for r in sources.values())
        for recordings in sources.values():
            for own in recordings.values():
                weights[own] = share / np.sqrt(len(recordings)) / total / len(own)
    events = np.where(classes >= 0, weights, 0)
    others = np.where(classes < 0, weights, 0)
    return Index(
        labels=bank.labels,
        starts=starts[: len(lengths)],
        lengths=lengths,
        classes=classes,
        background_starts=starts[len(lengths) : -1],
        background_lengths=bg_lengths,
        background_rms=np.array(
            [np.sqrt(np.mean(b**2)) + 1e-6 for b in bank.backgrounds], np.float32
        ),
        event_weights=events / events.sum(),
        other_weights=others / max(others.sum(), 1e-12),
    )


def joined_samples(bank: Bank) -> NDArray[np.float32]:
    """The row of samples that :func:`index_bank` describes."""
    return np.concatenate([*(s.samples for s in bank.sounds), *bank.backgrounds])
