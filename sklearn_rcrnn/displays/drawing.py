"""Helpers that the displays share: axes, colors, and the parts of a pipeline."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from .._utils.interrupts import interrupts_wait
from .._utils.optional import need
from .._utils.pipelines import advice_on_wrapped, split_pipeline
from ..events import Label

_ROUND_HERTZ = (500, 1000, 2000, 4000, 8000, 16000, 32000, 64000)
# For features whose bands all lie below 500 Hz, as for the calls of whales.
_LOW_HERTZ = (10, 20, 50, 100, 200)


def new_axes(ax: Any, n_rows: int = 1, **settings: Any) -> tuple[Any, Any]:
    """The axes given, or new ones with their figure."""
    if ax is not None:
        return (ax if n_rows == 1 else list(ax)), np.ravel(ax)[0].figure
    need("Pictures need", "plot", "matplotlib")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(n_rows, 1, layout="constrained", **settings)
    return axes, figure


def colors_of(labels: Sequence[Label]) -> dict[Label, Any]:
    import matplotlib.pyplot as plt

    colors = plt.colormaps["tab20" if len(labels) > 8 else "Set2"]
    return {label: colors(i % colors.N) for i, label in enumerate(labels)}


def parts_of(estimator: Any) -> tuple[Pipeline, Any]:
    """Feature steps and detector of a pipeline, whose clocks agree."""
    if not isinstance(estimator, Pipeline):
        raise TypeError(
            f"estimator must be a Pipeline from recordings to events; got "
            f"{type(estimator).__name__}"
            + (advice_on_wrapped(estimator) or ". Use from_predictions for a detector alone")
        )
    split_pipeline(estimator)  # raises if its steps do not fit together
    return estimator[:-1], estimator[-1]


def hertz_ticks(band_frequencies: NDArray[np.floating]) -> list[tuple[float, str]]:
    """Choose round frequencies for the axis of a spectrogram, with their heights and names.

    Parameters
    ----------
    band_frequencies : float array of shape (n_bands,)
        Center of each band in Hz, rising; band ``i`` is drawn from height ``i`` to ``i + 1``.

    Examples
    --------
    >>> hertz_ticks(np.array([300.0, 500.0, 1500.0]))
    [(1.5, '500 Hz'), (2.0, '1 kHz')]
    """
    low, high = band_frequencies[0], band_frequencies[-1]
    shown = [f for f in _ROUND_HERTZ if low <= f <= high] or [
        f for f in _LOW_HERTZ if low <= f <= high
    ]
    heights = np.interp(shown, band_frequencies, np.arange(len(band_frequencies)) + 0.5)
    texts = [f"{f:g} Hz" if f < 1000 else f"{f / 1000:g} kHz" for f in shown]
    return [(float(y), text) for y, text in zip(heights, texts, strict=True)]


def mp3_text(samples: NDArray[np.float32], rate: int) -> str:
    """Encode samples as MP3 in base64, for the source of a player."""
    import soundfile

    # MP3 would clip samples beyond full scale.
    peak = float(np.abs(samples).max())
    scaled = samples / peak if peak > 1 else samples
    buffer = io.BytesIO()
    with (
        interrupts_wait(),
        soundfile.SoundFile(buffer, "w", rate, 1, format="MP3") as file,
    ):
        for start in range(0, len(scaled), 10 * rate):
            file.write(scaled[start : start + 10 * rate])
    return base64.b64encode(buffer.getvalue()).decode()
