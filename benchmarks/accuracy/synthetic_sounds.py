"""Synthesized sounds: further labels to learn from, and negatives that bang, click and ring.

Nothing here was recorded, so it may be used under any license. Each kind is a function of a
random generator that returns one sound at 44.1 kHz; what it draws differs widely from call to
call, since variety is all that they are for.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

RATE = 44100
Samples = NDArray[np.float32]


def _time(seconds: float) -> NDArray[np.float64]:
    return np.arange(max(round(seconds * RATE), 1)) / RATE


def _band_noise(rng: np.random.Generator, n: int, low: float, high: float) -> NDArray[np.float64]:
    """Noise between two frequencies with soft edges."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    f = np.fft.rfftfreq(n, 1 / RATE) + 1.0
    spectrum *= 1 / np.sqrt(1 + (low / f) ** 4) / np.sqrt(1 + (f / high) ** 4)
    noise = np.fft.irfft(spectrum, n)
    return noise / (np.abs(noise).max() + 1e-9)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(low * (high / low) ** rng.random())


def _place(parts: list[tuple[float, NDArray[np.float64]]]) -> NDArray[np.float64]:
    """Add sounds, each from its start in seconds."""
    out = np.zeros(max(int(start * RATE) + len(part) for start, part in parts))
    for start, part in parts:
        first = int(start * RATE)
        out[first : first + len(part)] += part
    return out


def click(rng: np.random.Generator) -> NDArray[np.float64]:
    """A click of a switch or of a faulty cable."""
    t = _time(rng.uniform(0.08, 0.15))
    decay = np.exp(-t * _log_uniform(rng, 150, 1500))
    return _band_noise(rng, len(t), _log_uniform(rng, 50, 3000), 16000) * decay


def thud(rng: np.random.Generator) -> NDArray[np.float64]:
    """Something soft and heavy falls."""
    t = _time(rng.uniform(0.15, 0.5))
    f = rng.uniform(40, 140) * np.exp(-t * rng.uniform(0, 4))
    boom = np.sin(2 * np.pi * np.cumsum(f) / RATE) * np.exp(-t * rng.uniform(8, 30))
    noise = _band_noise(rng, len(t), 30, _log_uniform(rng, 150, 900))
    return boom + rng.uniform(0.1, 1) * noise * np.exp(-t * rng.uniform(12, 60))


def slam(rng: np.random.Generator) -> NDArray[np.float64]:
    """A door falls shut: a thud, a rattle and the latch."""
    parts = [(rng.uniform(0, 0.06), thud(rng)), (0.0, 0.6 * click(rng))]
    for _ in range(rng.integers(1, 5)):
        parts.append((rng.uniform(0.02, 0.3), rng.uniform(0.1, 0.5) * _modes(rng, 120, 1200, 0.2)))
    return _place(parts)


def _modes(
    rng: np.random.Generator, low: float, high: float, seconds: float, n: int = 0
) -> NDArray[np.float64]:
    """A struck body: partials that decay."""
    t = _time(seconds)
    sound = np.zeros(len(t))
    for _ in range(n or int(rng.integers(3, 9))):
        f = _log_uniform(rng, low, high)
        decay = rng.uniform(2, 8) / seconds * (0.5 + f / high)
        sound += rng.random() * np.sin(2 * np.pi * f * t + rng.uniform(0, 6)) * np.exp(-decay * t)
    return sound / (np.abs(sound).max() + 1e-9)


def knock(rng: np.random.Generator) -> NDArray[np.float64]:
    """Knuckles on wood, two to six times."""
    gap = rng.uniform(0.12, 0.4)
    low = _log_uniform(rng, 90, 400)
    one = _modes(rng, low, 8 * low, rng.uniform(0.05, 0.14))
    n = int(rng.integers(2, 7))
    one = one + 0.4 * np.resize(click(rng), len(one)) * np.exp(-np.arange(len(one)) / RATE * 300)
    starts = np.arange(n) * gap + rng.uniform(0, 0.03, n)
    return _place([(float(s), rng.uniform(0.5, 1) * one) for s in starts])


def jingle(rng: np.random.Generator) -> NDArray[np.float64]:
    """Keys or coins: many small metal hits."""
    duration = rng.uniform(0.3, 1.6)
    return _place(
        [
            (
                duration * rng.beta(1, 2),
                rng.random() * _modes(rng, 2500, 14000, rng.uniform(0.05, 0.4)),
            )
            for _ in range(rng.integers(6, 40))
        ]
    )


def clang(rng: np.random.Generator) -> NDArray[np.float64]:
    """A pan, a pipe or a bell is struck."""
    low = _log_uniform(rng, 150, 2000)
    return _modes(rng, low, low * rng.uniform(4, 12), rng.uniform(0.4, 2.5), 12)


def beep(rng: np.random.Generator) -> NDArray[np.float64]:
    """Signals of appliances: one to six tones."""
    f, length = _log_uniform(rng, 400, 4500), rng.uniform(0.06, 0.4)
    t = _time(length)
    parts = []
    for i in range(rng.integers(1, 7)):
        tone = np.sin(2 * np.pi * f * rng.choice([1, 1, 1.25, 1.5]) * t)
        if rng.random() < 0.4:
            tone = np.sign(tone) * 0.5
        tone *= np.minimum(1, np.minimum(t, t[-1] - t) / 0.005)
        parts.append((i * length * 1.7, tone))
    return _place(parts)


def ring(rng: np.random.Generator) -> NDArray[np.float64]:
    """Telephones: two tones or a bell, switched on and off."""
    t = _time(rng.uniform(0.6, 2.5))
    f = _log_uniform(rng, 380, 2400)
    rate = rng.uniform(8, 30)
    tone = np.where(
        (t * rate) % 1 < 0.5,
        np.sin(2 * np.pi * f * t),
        np.sin(2 * np.pi * f * rng.uniform(1.05, 1.5) * t),
    )
    for k in range(2, int(rng.integers(2, 5))):
        tone = tone + np.sin(2 * np.pi * f * k * rng.uniform(0.98, 1.02) * t) / k
    return tone * np.minimum(1, np.minimum(t, t[-1] - t) / 0.02)


def chirp(rng: np.random.Generator) -> NDArray[np.float64]:
    """Birds and whistles: gliding tones."""
    parts = []
    f = _log_uniform(rng, 1200, 7000)
    for i in range(rng.integers(1, 6)):
        t = _time(rng.uniform(0.05, 0.4))
        glide = f * (1 + rng.uniform(-0.4, 0.4) * np.sin(np.pi * t / t[-1] * rng.uniform(0.5, 3)))
        tone = np.sin(2 * np.pi * np.cumsum(glide) / RATE) * np.sin(np.pi * t / t[-1])
        parts.append((i * rng.uniform(0.1, 0.3), tone))
    return _place(parts)


def _voice(
    rng: np.random.Generator, seconds: float, pitch: float, breath: float
) -> NDArray[np.float64]:
    """Pulses or breath through three formants."""
    n = len(_time(seconds))
    t = _time(seconds)
    f0 = pitch * (1 + 0.15 * np.sin(np.pi * t / t[-1]) + 0.02 * np.sin(2 * np.pi * 5 * t))
    source = (1 - breath) * np.diff(np.floor(np.cumsum(f0) / RATE), prepend=0)
    source = source * 6 + breath * rng.standard_normal(n)
    spectrum = np.fft.rfft(source)
    f = np.fft.rfftfreq(n, 1 / RATE)
    shape = np.full(len(f), 0.01)
    for low, high in ((300, 900), (900, 2300), (2300, 3600)):
        center, width = rng.uniform(low, high), rng.uniform(60, 250)
        shape += 1 / (1 + ((f - center) / width) ** 2) * (400 / center)
    return np.fft.irfft(spectrum * shape, n) * np.sin(np.pi * np.minimum(t / t[-1], 1)) ** 0.5


def cough(rng: np.random.Generator) -> NDArray[np.float64]:
    """A burst of breath and a voiced end, one to three times."""
    parts, start = [], 0.0
    for _ in range(rng.integers(1, 4)):
        t = _time(rng.uniform(0.1, 0.3))
        burst = _voice(rng, len(t) / RATE, rng.uniform(90, 300), 0.9)
        burst = burst[: len(t)] * np.exp(-t * rng.uniform(5, 20))
        tail = _voice(rng, rng.uniform(0.08, 0.25), rng.uniform(90, 300), 0.5)
        parts += [(start, burst / np.abs(burst).max())]
        parts += [(start + len(t) / RATE * 0.7, 0.4 * tail / np.abs(tail).max())]
        start += rng.uniform(0.3, 0.6)
    return _place(parts)


def laugh(rng: np.random.Generator) -> NDArray[np.float64]:
    """Voiced bursts at four to six a second."""
    pitch, gap = rng.uniform(110, 420), rng.uniform(0.15, 0.27)
    n = int(rng.integers(3, 11))
    return _place(
        [
            (
                i * gap,
                _voice(rng, gap * rng.uniform(0.4, 0.7), pitch * (1.1 - 0.3 * i / n), 0.35)
                * rng.uniform(0.5, 1)
                * (1.1 - i / n),
            )
            for i in range(n)
        ]
    )


def rustle(rng: np.random.Generator) -> NDArray[np.float64]:
    """Paper is turned or crumpled: crackles under a slow swell."""
    t = _time(rng.uniform(0.3, 1.5))
    crackle = rng.standard_normal(len(t)) * (rng.random(len(t)) < rng.uniform(0.002, 0.05))
    noise = _band_noise(rng, len(t), _log_uniform(rng, 800, 3000), 14000)
    swell = np.interp(t, np.linspace(0, t[-1], 6), rng.random(6)) * np.sin(np.pi * t / t[-1])
    kernel = np.exp(-np.arange(200) / rng.uniform(5, 60))
    return (np.convolve(crackle, kernel)[: len(t)] + noise * rng.uniform(0.2, 1)) * swell


def slide(rng: np.random.Generator) -> NDArray[np.float64]:
    """A drawer or a curtain: friction, and a bump at its end."""
    t = _time(rng.uniform(0.3, 1.2))
    low = _log_uniform(rng, 100, 1500)
    noise = _band_noise(rng, len(t), low, low * rng.uniform(4, 15))
    rough = 1 + rng.uniform(0, 0.9) * np.sin(2 * np.pi * rng.uniform(15, 80) * t)
    swell = np.minimum(t / 0.08, 1) * rng.uniform(0.3, 1)
    return _place([(0.0, noise * rough * swell), (t[-1], thud(rng) * rng.uniform(0.3, 1.5))])


def buzz(rng: np.random.Generator) -> NDArray[np.float64]:
    """Motors and buzzers: many harmonics that waver."""
    t = _time(rng.uniform(0.4, 2.5))
    f = rng.uniform(40, 300) * (1 + 0.1 * np.sin(2 * np.pi * rng.uniform(0.3, 6) * t))
    phase = 2 * np.pi * np.cumsum(f) / RATE
    tone = sum(np.sin(k * phase) / k ** rng.uniform(0.3, 1.5) for k in range(1, 16))
    noise = rng.uniform(0, 0.5) * _band_noise(rng, len(t), 200, 8000)
    return (tone / 4 + noise) * np.minimum(1, np.minimum(t, t[-1] - t) / 0.05)


def splash(rng: np.random.Generator) -> NDArray[np.float64]:
    """Water is poured or drips: short rising tones."""
    parts = []
    for _ in range(rng.integers(3, 30)):
        t = _time(rng.uniform(0.02, 0.1))
        f = _log_uniform(rng, 400, 3500) * (1 + t / t[-1] * rng.uniform(0, 0.8))
        tone = np.sin(2 * np.pi * np.cumsum(f) / RATE) * np.exp(-t * rng.uniform(20, 90))
        parts.append((rng.uniform(0, 1.2), rng.random() * tone))
    return _place(parts)


KINDS: dict[str, Callable[[np.random.Generator], NDArray[np.float64]]] = {
    kind.__name__: kind
    for kind in (
        click, thud, slam, knock, jingle, clang, beep, ring, chirp, cough, laugh, rustle, slide,
        buzz, splash,
    )
}  # fmt: skip


def synthesize(kind: str, n: int, seed: int) -> list[Samples]:
    """Synthesize `n` sounds of a kind with a peak of 0.9, the same for the same seed."""
    rng = np.random.default_rng([seed, sorted(KINDS).index(kind)])
    sounds = []
    for _ in range(n):
        sound = KINDS[kind](rng)
        sounds.append((0.9 * sound / (np.abs(sound).max() + 1e-9)).astype(np.float32))
    return sounds
