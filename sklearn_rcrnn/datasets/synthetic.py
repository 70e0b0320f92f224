"""Synthesized recordings of rare events: no download, no license, the same every time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

Samples = NDArray[np.float64]


def make_rare_events(
    n_clips: int = 100,
    *,
    duration: float = 10.0,
    sample_rate: int = 44100,
    event_presence_prob: float = 0.8,
    max_events: int = 1,
    ebr: tuple[float, float] = (0.0, 12.0),
    labels: Sequence[str] = ("babycry", "glassbreak", "gunshot"),
    random_state: Any = None,
) -> tuple[NDArray[np.float32], list[list[tuple[float, float, str]]]]:
    """Synthesize clips of colored noise that contain events of three kinds.

    A cry is a gliding harmonic tone with vibrato (0.8 to 2.5 s), breaking glass a cloud of
    decaying high partials (0.3 to 1 s), a gunshot a burst of noise that decays (0.2 to
    0.6 s). Events of a clip do not overlap.

    Parameters
    ----------
    n_clips : int, default=100
    duration : float, default=10.0
        Duration of a clip in seconds; at least 3.
    sample_rate : int, default=44100
        Sample rate of the clips in Hz.
    event_presence_prob : float, default=0.8
        Probability that a clip has events.
    max_events : int, default=1
        Largest number of events in a clip that has any.
    ebr : (float, float), default=(0.0, 12.0)
        Range of the event-to-background ratio in dB.
    labels : sequence of str, default=("babycry", "glassbreak", "gunshot")
        Kinds of events, which are equally likely.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    X : float32 array of shape (n_clips, duration * sample_rate)
        Samples between -1 and 1.
    y : list of n_clips lists of (onset, offset, label)
        In seconds.

    Examples
    --------
    >>> from sklearn_rcrnn.datasets import make_rare_events
    >>> X, y = make_rare_events(2, duration=5.0, random_state=0)
    >>> X.shape
    (2, 220500)
    """
    unknown = [label for label in labels if label not in _KINDS]
    if unknown or not len(labels):
        raise ValueError(f"labels must be of {sorted(_KINDS)}; got {list(labels)}")
    if n_clips < 1 or max_events < 1 or not 0 <= event_presence_prob <= 1:
        raise ValueError(
            "n_clips and max_events must be at least 1 and event_presence_prob between 0 and 1; "
            f"got {n_clips}, {max_events} and {event_presence_prob}"
        )
    if duration < 3:
        raise ValueError(f"duration must be at least 3 s, to hold any event; got {duration}")
    rng = check_random_state(random_state)
    n_samples = round(duration * sample_rate)
    X = np.empty((n_clips, n_samples), np.float32)
    y = []
    for row in X:
        mixture = _colored_noise(n_samples, rng)
        events: list[tuple[float, float, str]] = []
        if rng.rand() < event_presence_prob:
            for _ in range(rng.randint(1, max_events + 1)):
                _add_event(mixture, events, sample_rate, ebr=ebr, labels=labels, rng=rng)
        row[:] = mixture / max(1.0, np.abs(mixture).max() * 1.001)
        y.append(sorted(events))
    return X, y


def _add_event(
    mixture: Samples,
    events: list[tuple[float, float, str]],
    sample_rate: int,
    *,
    ebr: tuple[float, float],
    labels: Sequence[str],
    rng: np.random.RandomState,
) -> None:
    """Add an event where it overlaps no other; leave it out if ten random places fail."""
    label = str(labels[rng.randint(len(labels))])
    event = _KINDS[label](sample_rate, rng)
    for _ in range(10):
        start = rng.randint(len(mixture) - len(event))
        onset, offset = start / sample_rate, (start + len(event)) / sample_rate
        if all(offset < other[0] or onset > other[1] for other in events):
            break
    else:
        return
    under = mixture[start : start + len(event)]
    gain = 10 ** (rng.uniform(*ebr) / 20) * np.sqrt(np.mean(under**2) / np.mean(event**2))
    under += gain * event
    events.append((onset, offset, label))


def _colored_noise(n_samples: int, rng: np.random.RandomState) -> Samples:
    """Draw noise at -40 to -20 dB, whose power falls by 0 to 6 dB per octave."""
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    slope = rng.uniform(0, 1)
    spectrum[1:] /= np.arange(1, len(spectrum)) ** slope
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, n_samples)
    return noise / np.sqrt(np.mean(noise**2)) * 10 ** (rng.uniform(-40, -20) / 20)


def _cry(sample_rate: int, rng: np.random.RandomState) -> Samples:
    time = np.arange(int(rng.uniform(0.8, 2.5) * sample_rate)) / sample_rate
    along = time / time[-1]
    arch = 1 + 0.3 * np.sin(np.pi * along)
    vibrato = 1 + 0.02 * np.sin(2 * np.pi * rng.uniform(4, 8) * time)
    phase = np.cumsum(rng.uniform(350, 550) * arch * vibrato) * 2 * np.pi / sample_rate
    tone = sum(np.sin(k * phase) / k for k in range(1, 9))
    return tone * np.minimum(1, np.minimum(along, 1 - along) * 15)


def _glass(sample_rate: int, rng: np.random.RandomState) -> Samples:
    time = np.arange(int(rng.uniform(0.3, 1.0) * sample_rate)) / sample_rate
    sound = rng.standard_normal(len(time)) * np.exp(-time * 60)
    for _ in range(30):
        start = time[-1] * rng.beta(1, 3)
        later = np.maximum(time - start, 0)
        partial = np.sin(2 * np.pi * rng.uniform(2500, 12000) * later)
        sound += (time >= start) * partial * np.exp(-later * rng.uniform(8, 30)) * rng.rand()
    return sound


def _shot(sample_rate: int, rng: np.random.RandomState) -> Samples:
    time = np.arange(int(rng.uniform(0.2, 0.6) * sample_rate)) / sample_rate
    noise = rng.standard_normal(len(time))
    boom = np.sin(2 * np.pi * rng.uniform(60, 150) * time)
    return (noise + 2 * boom) * np.exp(-time * 4 / time[-1])


_KINDS: dict[str, Callable[[int, np.random.RandomState], Samples]] = {
    "babycry": _cry,
    "glassbreak": _glass,
    "gunshot": _shot,
}
