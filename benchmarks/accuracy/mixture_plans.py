"""What a batch of mixtures consists of, drawn before a sample is computed.

A plan says for every clip of a batch what surrounds it, which sounds lie where, and what the
recorder does to the whole. It is a dictionary of small arrays, so that processes can draw plans
ahead while the device renders the last one (``mixtures.py``). Clips of a batch have one length;
that length differs from batch to batch, from files that are hardly more than an event up to half
a minute.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from bank_index import Index
from numpy.typing import NDArray
from recorders import N_KNOTS, draw_codecs, draw_cut, draw_knots, draw_recorder, linear
from synthetic_sounds import RATE

Plan = dict[str, NDArray[Any]]

# Features of the shipped weights: number of bands, and seconds that normalize each frame.
N_BANDS = 64
CONTEXT_SECONDS = 30.0

# Length of clips in seconds, probability of a batch with this length, and probability that a clip
# of such a batch is a file with an event and almost nothing around it.
LENGTHS = (0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 30.0)
_HOW_OFTEN = np.array(
    [0.025, 0.03, 0.035, 0.035, 0.05, 0.06, 0.06, 0.13, 0.2, 0.12, 0.11, 0.085, 0.06]
)
_OWN_FILE = (0.95, 0.9, 0.9, 0.8, 0.75, 0.6, 0.5, 0.1, 0.06, 0.03, 0.03, 0.02, 0.02)
# Probabilities of each number of events: in a file of its own, in a short and in a longer clip.
_COUNTS = (
    np.array([0.2, 0.76, 0.04]),
    np.array([0.35, 0.45, 0.17, 0.03]),
    np.array([0.33, 0.3, 0.2, 0.11, 0.06]),
)
_DISTRACTORS = np.array([0.42, 0.3, 0.17, 0.11])
MOST_PIECES = 8
N_ECHOES = 6
N_ROOMS = 16
# Bangs that are less than this many seconds apart are one event, like a burst of fire.
_ONE_EVENT = 0.25
_IN_BURSTS = ("gunshot",)
_OF_ANY_SIZE = ("gunshot", "glassbreak")
# Part of the events in which another sound of the same label is heard, too, and how many dB it is
# below; usually and in wide mixtures.
_BLENDED, _BLENDED_WIDE = (0.15, -12, -2), (0.4, -10, 0)
# An event counts only if at least this many seconds of it can be heard.
_SHORTEST = 0.1


def draw_plan(index: Index, rng: np.random.Generator, seconds: float, wide: bool = False) -> Plan:
    """Draw the plan of a batch.

    Parameters
    ----------
    index : Index
    rng : numpy.random.Generator
    seconds : float
        Length of all clips of the batch together.
    wide : bool, default=False
        Whether guns and panes may be of any size, and more events are blends of two sounds.
    """
    kind = rng.choice(len(LENGTHS), p=_HOW_OFTEN / _HOW_OFTEN.sum())
    length = LENGTHS[kind]
    n_clips = int(np.clip(seconds / length, 4, 0.16 * seconds))
    return _Batch(index, rng, length, n_clips, own_file=_OWN_FILE[kind], wide=wide).plan()


class _Batch:
    """A plan in the making."""

    def __init__(
        self,
        index: Index,
        rng: np.random.Generator,
        length: float,
        n_clips: int,
        *,
        own_file: float,
        wide: bool,
    ):
        self.index = index
        self.rng = rng
        self.n_clips = n_clips
        self.n_samples = round(length * RATE)
        self.length = length
        self.own_file = own_file
        self.wide = wide
        self.blended, *self.blended_below = _BLENDED_WIDE if wide else _BLENDED
        self.rows: list[dict[str, Any]] = []
        self.events: list[list[tuple[float, float, int]]] = []
        self.clips: list[dict[str, Any]] = []

    def plan(self) -> Plan:
        for clip in range(self.n_clips):
            own = self.rng.random() < self.own_file
            surroundings, level = self._surroundings(own)
            self.clips.append({**surroundings, **draw_recorder(self.rng, self.length)})
            self._sounds(clip, own, level)
        plan = {name: np.stack([c[name] for c in self.clips]) for name in self.clips[0]}
        if self.rows:
            plan |= {f"row_{k}": np.stack([r[k] for r in self.rows]) for k in self.rows[0]}
        plan |= draw_codecs(self.rng, self.n_clips) | self._truth()
        return {
            name: values.astype(np.float32) if values.dtype == np.float64 else values
            for name, values in plan.items()
        } | {"n_samples": np.array(self.n_samples)}

    # What is around the events

    def _surroundings(self, own: bool) -> tuple[dict[str, Any], float | None]:
        """Draw background, noise and hum of a clip, and the level of its events if it is quiet."""
        rng = self.rng
        quiet: float | None = float(rng.uniform(-34, -6))
        if own:
            kind = rng.choice(4, p=[0.35, 0.4, 0.25, 0])
            noise = rng.uniform(-85, -45)
        else:
            kind = rng.choice(4, p=[0.1, 0.12, 0.56, 0.22])
            noise = rng.uniform(-80, -30) if kind == 1 else rng.uniform(-90, -55)
        has_noise = kind == 1 or (kind >= 2 and rng.random() < 0.3)
        n_pieces = 1
        if kind == 3:
            n_pieces = int(np.clip(round(self.length / rng.uniform(2, 8)) + 1, 2, MOST_PIECES))
        if (kind >= 2 and not own) or (kind == 1 and rng.random() < 0.4):
            quiet = None
        pieces = self._pieces(n_pieces if kind >= 2 else 0, quiet is None or not own)
        return {
            **pieces,
            "noise_level": linear(noise) if has_noise else 0.0,
            "noise_slope": rng.uniform(0, 1.2) * (rng.random() < 0.7),
            "hum_level": linear(rng.uniform(-75, -35)) if rng.random() < 0.08 else 0.0,
            "hum_pitch": rng.choice([50.0, 60.0, 100.0, 120.0]),
        }, quiet

    def _pieces(self, n: int, loud: bool) -> dict[str, Any]:
        """Draw a sequence of backgrounds, and perhaps another one below all of them."""
        rng, index = self.rng, self.index
        breaks = np.full(MOST_PIECES, self.n_samples, np.int64)
        starts = np.zeros(MOST_PIECES, np.int64)
        sources = np.zeros((MOST_PIECES, 2), np.int64)
        gains = np.zeros(MOST_PIECES)
        breaks[0] = 0
        if n > 1:
            cuts = np.sort(rng.integers(1, self.n_samples, n - 1))
            breaks[1:n] = cuts
        base = rng.uniform(-36, -18) if loud else rng.uniform(-70, -40)
        same = rng.random() < 0.2
        for i in range(n):
            which = int(rng.integers(len(index.background_starts)))
            if same and i:
                sources[i] = sources[0]
                gains[i] = gains[0] * linear(rng.uniform(-10, 10))
            else:
                sources[i] = index.background_starts[which], index.background_lengths[which]
                step = rng.normal(0, 5) if n > 1 else 0.0
                gains[i] = linear(base + step) / index.background_rms[which]
            if n > 1 and rng.random() < 0.08:
                gains[i] = 0.0  # digital silence between two recordings
            starts[i] = rng.integers(sources[i, 1])
        second = int(rng.integers(len(index.background_starts)))
        under = linear(base + rng.uniform(-12, 0)) / index.background_rms[second]
        return {
            "piece_break": breaks,
            "piece_first": starts,
            "piece_source": sources,
            "piece_gain": gains,
            "piece_color": rng.random(MOST_PIECES) < 0.5,
            "under_source": np.array(
                [index.background_starts[second], index.background_lengths[second]]
            ),
            "under_first": rng.integers(index.background_lengths[second]),
            "under_gain": under if n and rng.random() < 0.22 else 0.0,
            "joined": n > 1,
            "color_knots": draw_knots(self.rng, 2, 4.0),
            "color_cut": np.array([draw_cut(self.rng, 0.12), draw_cut(self.rng, 0.12)]),
        }

    # What lies in a clip

    def _sounds(self, clip: int, own: bool, level: float | None) -> None:
        rng = self.rng
        counts = _COUNTS[0 if own else 1 if self.length < 8 else 2]
        taken: list[tuple[float, float]] = []
        events: list[tuple[float, float, int]] = []
        for _ in range(rng.choice(len(counts), p=counts)):
            events += self._event(clip, own, level, taken)
        self.events.append(_merged(events))
        n = rng.choice(4, p=_DISTRACTORS)
        if own:  # files of their own may also hold something that is not an event
            n = int(rng.random() < (0.1 if events else 0.8))
        elif self.length < 8:
            n = min(n, 1)
        for _ in range(n):
            self._distractor(clip, level)

    def _event(
        self, clip: int, own: bool, level: float | None, taken: list[tuple[float, float]]
    ) -> list[tuple[float, float, int]]:
        """Put an event into a clip; return its interval, or None if there was no room."""
        rng, index = self.rng, self.index
        which = self._draw_event(own)
        row = self._row(clip, which, level)
        duration = row["length"] / RATE / row["speed"]
        times = [0.0]
        in_bursts = index.labels[index.classes[which]] in _IN_BURSTS
        if in_bursts and duration < 1.3 and not own and rng.random() < 0.35:
            gap = 0.08 * 14 ** rng.random()
            n = int(rng.integers(2, 7))
            times = np.cumsum(
                np.r_[0, np.maximum(gap * rng.uniform(0.7, 1.3, n - 1), 0.06)]
            ).tolist()
        span = times[-1] + duration
        start = self._start(own, span, duration, taken)
        if start is None:
            return []
        taken.append((start, start + span))
        found = []
        for time in times:
            self.rows.append({**row, "start": round((start + time) * RATE)})
            onset, offset = start + time, start + time + duration
            visible = min(offset, self.length) - max(onset, 0)
            if visible >= _SHORTEST:
                onset, offset = max(onset, 0.0), min(offset, self.length)
                found.append((onset, offset, int(index.classes[which])))
        if len(times) == 1 and rng.random() < self.blended:
            self._blend(row, which, start, duration)
        return found

    def _draw_event(self, own: bool) -> int:
        """Draw a sound; in a file of its own, one that fills the file."""
        weights = self.index.event_weights
        if own:
            seconds = self.index.lengths / RATE
            fits = (seconds <= self.length) & (seconds >= self.length - 0.8)
            weights = weights * np.where(fits, 1.0, np.where(seconds > self.length, 0.1, 0.03))
            # Labels remain equally likely, as long as they have sounds of such a length.
            totals = np.bincount(np.maximum(self.index.classes, 0), weights, len(self.index.labels))
            weights = weights / totals[np.maximum(self.index.classes, 0)] ** 0.7
            weights = weights / weights.sum()
        return int(self.rng.choice(len(weights), p=weights))

    def _start(
        self, own: bool, span: float, duration: float, taken: list[tuple[float, float]]
    ) -> float | None:
        """Draw the start of a sound in seconds, negative if the clip begins within the sound."""
        rng, length = self.rng, self.length
        for _ in range(8):
            if own and span <= length:
                start = rng.uniform(0, min(0.5, length - span))
            elif own:
                start = rng.uniform(0, 0.3) if rng.random() < 0.6 else rng.uniform(length - span, 0)
            elif span > length or rng.random() < 0.12:
                low = max(-0.5 * duration, length - span) if span > length else -0.5 * duration
                start = rng.uniform(min(low, 0), max(length - 0.15, 0))
            else:
                start = rng.uniform(0, length - span)
            if all(start > end + 0.3 or start + span < begin - 0.3 for begin, end in taken):
                return float(start)
        return None

    def _row(self, clip: int, which: int, level: float | None) -> dict[str, Any]:
        """Describe a sound of the bank and how it is changed."""
        index = self.index
        return {
            "clip": np.array(clip),
            "source": index.starts[which],
            "length": index.lengths[which],
            "fade": 0.0,
            **self._change(level),
            **(self._size(which) if self.wide else {}),
        }

    def _size(self, which: int) -> dict[str, Any]:
        """Change the pitch of sounds whose sources differ much in size: guns and panes."""
        index, rng = self.index, self.rng
        # Sounds that are no event have the class -1.
        label = index.labels[index.classes[which]] if index.classes[which] >= 0 else None
        if label not in _OF_ANY_SIZE or rng.random() >= 0.6:
            return {}
        return {"speed": 0.62 * 2.6 ** rng.random()}

    def _change(self, level: float | None) -> dict[str, Any]:
        rng = self.rng
        place = rng.choice(3, p=[0.55, 0.3, 0.15])
        echoes = np.zeros((2, N_ECHOES))
        if place == 2:
            echoes[0] = np.sort(0.02 * 20 ** rng.random(N_ECHOES))
            echoes[1] = [linear(rng.uniform(-26, -8)) * rng.choice([-1, 1]) for _ in echoes[0]]
        kind = rng.random()
        ratio = rng.uniform(-9, 9) if kind < 0.65 else rng.uniform(-12, -6)
        if kind > 0.75:
            ratio = rng.uniform(6, 25)
        return {
            "speed": rng.uniform(0.83, 1.22) if rng.random() < 0.8 else 1.0,
            "ratio": ratio,
            "level": linear(-58.0 if level is None else level + rng.normal(0, 3)),
            "knots": rng.normal(0, rng.uniform(0, 7), N_KNOTS),
            "cut": draw_cut(self.rng, 0.25),
            "room": np.array(rng.integers(N_ROOMS)),
            "room_decay": 6.9 / (rng.uniform(0.12, 0.9) if place == 1 else rng.uniform(0.6, 1.5)),
            "room_level": linear(rng.uniform(-16, 2)) if place == 1
            else linear(rng.uniform(-30, -14)) if place == 2 else 0.0,
            "echoes": echoes,
        }  # fmt: skip

    def _blend(self, row: dict[str, Any], which: int, start: float, duration: float) -> None:
        """Add another, weaker sound of the same label within an event."""
        rng, index = self.rng, self.index
        own = np.flatnonzero(index.classes == index.classes[which])
        other = self._row(int(row["clip"]), int(rng.choice(own)), None)
        seconds = other["length"] / RATE / other["speed"]
        if seconds > duration:
            return
        down = rng.uniform(*self.blended_below)
        other["ratio"] = row["ratio"] + down
        other["level"] = row["level"] * linear(down)
        other["start"] = round((start + rng.uniform(0, duration - seconds)) * RATE)
        self.rows.append(other)

    def _distractor(self, clip: int, level: float | None) -> None:
        """Add a passing sound that is not an event: another sound, or a piece of a background."""
        rng, index = self.rng, self.index
        if index.other_weights.sum() > 0 and rng.random() < 0.78:
            which = int(rng.choice(len(index.other_weights), p=index.other_weights))
            row = self._row(clip, which, level)
        else:
            which = int(rng.integers(len(index.background_starts)))
            size = int(min(0.1 * 30 ** rng.random(), self.length) * RATE)
            row = {
                "clip": np.array(clip),
                "source": index.background_starts[which]
                + rng.integers(index.background_lengths[which] - size),
                "length": np.array(size),
                "fade": 0.004 * 60 ** rng.random(),
                **self._change(level),
            }
        duration = row["length"] / RATE / row["speed"]
        row["start"] = round(rng.uniform(-0.3 * duration, self.length - 0.05) * RATE)
        self.rows.append(row)

    def _truth(self) -> Plan:
        most = max(1, max(len(own) for own in self.events))
        intervals = np.zeros((self.n_clips, most, 2))
        labels = np.zeros((self.n_clips, most), np.int64)
        mask = np.zeros((self.n_clips, most), bool)
        for clip, own in enumerate(self.events):
            for i, (onset, offset, label) in enumerate(own):
                intervals[clip, i], labels[clip, i], mask[clip, i] = (onset, offset), label, True
        return {"events": intervals, "event_labels": labels, "event_mask": mask}


def _merged(events: list[tuple[float, float, int]]) -> list[tuple[float, float, int]]:
    """Join events of a label that have almost nothing between them."""
    merged: list[tuple[float, float, int]] = []
    for onset, offset, label in sorted(events):
        for i, (first, last, other) in enumerate(merged):
            if other == label and onset < last + _ONE_EVENT:
                merged[i] = (first, max(last, offset), label)
                break
        else:
            merged.append((onset, offset, label))
    return merged
