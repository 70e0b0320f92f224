"""Sections of the report: what is shown of a recording, as picture, sound and times."""

from __future__ import annotations

import base64
import io
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..audio import audio_duration, load_clip, read_audio
from ..events import Event
from ..features import LFBETransformer
from .drawing import mp3_text

_PIXELS_A_SECOND = 30
_WIDEST = 16000
_MOST_TICKS = 30
# With around="auto", recordings longer than this many seconds show only the parts around events.
_LONG = 600.0
_AROUND = 5.0
ENDED = "The recording ends before this event: is the table of another recording?"


class Part(NamedTuple):
    """The part of a recording that a section shows, from `start` to `stop` in seconds.

    The times of the events are relative to the start of the recording. A `stop` of None is its
    end.
    """

    name: str
    file: str
    clip: Any
    lanes: Mapping[str, Sequence[Event]]
    start: float = 0.0
    stop: float | None = None


def parts_of(
    name: str, clip: Any, lanes: Mapping[str, Sequence[Event]], around: float | str | None
) -> Iterator[Part]:
    """The whole recording, or parts around its events; events close together share a part."""
    duration = _duration(clip)
    if around == "auto":
        around = _AROUND if duration is not None and duration > _LONG else None
    if around is None or duration is None:
        yield Part(name, name, clip, lanes)
        return
    spans: list[tuple[float, float]] = []
    for event in sorted(event for own in lanes.values() for event in own):
        first, last = max(0.0, event.onset - float(around)), event.offset + float(around)
        if spans and first <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(spans[-1][1], last)
        else:
            spans.append((first, last))
    for first, last in spans:
        inside = {
            lane: [event for event in own if first <= event.onset <= last]
            for lane, own in lanes.items()
        }
        where = f"{name}, {clock(int(first))} to {clock(math.ceil(last))}"
        yield Part(where, name, clip, inside, start=first, stop=last)


def section_of(part: Part, audio: bool) -> dict[str, Any]:
    """The picture, sound and time axis of a part, or the reason why it cannot be read."""
    lfbe = LFBETransformer()
    try:
        samples = _samples(part, lfbe.sample_rate)
    except (OSError, ValueError) as error:
        return {"name": part.name, "error": str(error), "duration": 0}
    duration = len(samples) / lfbe.sample_rate
    width = int(np.clip(duration * _PIXELS_A_SECOND, 300, _WIDEST))
    return {
        "name": part.name,
        "duration": duration,
        "width": width,
        "picture": _picture(np.asarray(lfbe.transform([samples]))[0], width),
        "audio": mp3_text(samples, lfbe.sample_rate) if audio else "",
        "lanes": list(part.lanes),
        "ticks": _ticks(part.start, duration),
    }


def clock(seconds: int) -> str:
    """A time as ``m:ss``, or ``h:mm:ss`` from an hour on."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _duration(clip: Any) -> float | None:
    """Duration of a recording; None for a file that the page must list as failed."""
    try:
        if not isinstance(clip, (str, os.PathLike)):
            rate = LFBETransformer().sample_rate
            return len(load_clip(clip, rate, "a recording")) / rate
        return audio_duration(Path(clip)) or None
    except (OSError, ValueError):
        return None


def _samples(part: Part, rate: int) -> NDArray[np.floating]:
    if isinstance(part.clip, (str, os.PathLike)):
        if part.start and part.start >= audio_duration(part.clip):
            raise ValueError(ENDED)
        return read_audio(part.clip, rate, start=part.start, stop=part.stop)
    stop = None if part.stop is None else round(part.stop * rate)
    samples = load_clip(part.clip, rate, part.name)[round(part.start * rate) : stop]
    if not len(samples):
        raise ValueError(ENDED)
    return samples


def _ticks(start: float, duration: float) -> list[dict[str, Any]]:
    steps = (1, 2, 5, 10, 30, 60, 300, 600, 1800, 3600)
    step = next((s for s in steps if duration / s <= _MOST_TICKS), 3600 * 6)
    times = np.arange(math.ceil(start / step) * step, start + duration, step)
    return [{"left": round(100 * (t - start) / duration, 4), "text": clock(int(t))} for t in times]


def _picture(features: NDArray[np.float32], width: int) -> str:
    """PNG of the spectrogram; a pixel that stands for several frames shows their maximum."""
    import matplotlib.image

    if len(features) > width:
        edges = np.linspace(0, len(features), width + 1).astype(int)[:-1]
        features = np.maximum.reduceat(features, edges, axis=0)
    low, high = np.percentile(features, [5, 99.8])
    buffer = io.BytesIO()
    matplotlib.image.imsave(
        buffer,
        features.T,
        origin="lower",
        cmap="magma",
        vmin=low,
        vmax=max(high, low + 1),
        format="png",
    )
    return base64.b64encode(buffer.getvalue()).decode()
