"""What recorders and codecs do to a clip, drawn by chance for a plan of mixtures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

N_KNOTS = 6
# Upper edges of bandwidths in Hz: half the sample rates of telephones, dictaphones and old sound
# cards.
_BANDWIDTHS = (4000, 4000, 5512, 6000, 8000, 8000, 11025, 12000, 16000)


def draw_recorder(rng: np.random.Generator, seconds: float) -> dict[str, Any]:
    """Draw what the recorder does to a clip of this length: microphone, band, gain and bits."""
    band = np.array([log_uniform(rng, 5, 250) if rng.random() < 0.4 else 0.0, 1e6])
    kind = rng.random()
    if kind < 0.27:
        band[1] = rng.choice(_BANDWIDTHS) * rng.uniform(0.88, 1.0)
    elif kind < 0.39:
        band[1] = rng.uniform(9000, 20000)
    elif kind < 0.43:
        band = np.array([rng.uniform(200, 350), rng.uniform(3200, 3600)])
    gain, drive, clipping = rng.uniform(-8, 8), 0.0, 0
    kind = rng.random()
    if kind < 0.22:
        gain = rng.uniform(-38, -8)
    elif kind < 0.36:
        drive, clipping = linear(rng.uniform(0, 15)), int(rng.integers(1, 3))
    bits = rng.choice([0, 16, 12, 8], p=[0.35, 0.55, 0.06, 0.04])
    if bits == 8 and gain < -6:
        bits = 16
    fades = np.zeros(2)
    if rng.random() < 0.08:
        fades = 0.05 * 30 ** rng.random(2) * (rng.random(2) < 0.7)
    return {
        "microphone": draw_knots(rng, 1, 5.0)[0],
        "band": band,
        "gain": linear(gain),
        "drive": drive,
        "clipping": np.array(clipping),
        "steps": float(2 ** (bits - 1)) if bits else 0.0,
        "dither": float(rng.random() < 0.3),
        "fades": np.minimum(fades, seconds / 2),
    }


def draw_codecs(rng: np.random.Generator, n_clips: int) -> dict[str, NDArray[Any]]:
    """Draw which clips go through a lossy codec, and how coarse it is."""
    n = int(rng.binomial(n_clips, 0.25))
    return {
        "codec_clip": rng.permutation(n_clips)[:n],
        "codec_mask": rng.uniform(4, 18, n),
        "codec_floor": rng.uniform(45, 75, n),
        "codec_cut": np.where(rng.random(n) < 0.7, rng.uniform(5000, 17000, n), 1e6),
    }


def draw_knots(rng: np.random.Generator, n: int, deviation: float) -> NDArray[np.float64]:
    """Draw the gains of `n` equalizers at their knots in dB, with at most this deviation."""
    return rng.normal(0, rng.uniform(0, deviation), (n, N_KNOTS))


def draw_cut(rng: np.random.Generator, probability: float) -> float:
    """Draw the upper edge of a bandwidth in Hz, which is far above all sounds if nothing is cut."""
    if rng.random() >= probability:
        return 1e6
    return float(4000 * 5 ** rng.random())


def linear(decibels: float) -> float:
    """Convert decibels to a factor of the amplitude."""
    return float(10 ** (decibels / 20))


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number between two others, uniformly in its logarithm."""
    return float(low * (high / low) ** rng.random())
