"""One self-contained HTML page to listen to what was found in recordings."""

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

from .._utils.files import complete
from .._utils.optional import need
from .._utils.text import counted
from ..audio import audio_duration, load_clip, read_audio
from ..events import Event, Label, check_event_lists, labels_of
from ..features import LFBETransformer

_PIXELS_A_SECOND = 30
_WIDEST = 16000
_MOST_TICKS = 30
_ENDED = "The recording ends before this event: is the table of another recording?"
# Readable under black text, and apart for the color-blind.
_COLOURS = ("#8dd3c7", "#fdb462", "#80b1d3", "#fb8072", "#bebada", "#b3de69", "#fccde5", "#ffed6f")


def write_report(
    recordings: Sequence[Any],
    y_pred: Sequence[Any],
    path: str | os.PathLike[str],
    *,
    y_true: Sequence[Any] | None = None,
    names: Sequence[str] | None = None,
    around: float | None = None,
    audio: bool = True,
    title: str = "Sound events",
) -> Path:
    """Write a page with a player, a spectrogram and the events of each recording.

    Events play when they are clicked, can be gone through by keyboard, and filtered by label
    and score. The page needs nothing beside itself: no server, no other file.

    Parameters
    ----------
    recordings : sequence of n_clips paths or arrays of shape (n_samples,)
        Arrays are taken to be at 44.1 kHz. A file that cannot be read is named on the page
        with the reason.
    y_pred : list of n_clips lists of Event
        From ``predict`` or :func:`~sklearn_rcrnn.annotations.read_events`.
    path : str or PathLike
        The page appears when it is complete.
    y_true : list of n_clips lists of (onset, offset, label), default=None
        The true events, for a lane of their own.
    names : sequence of n_clips str, default=None
        Headings; by default the paths, or numbers for arrays.
    around : float, default=None
        Show only so many seconds around each event, which of long recordings is little.
        None: whole recordings.
    audio : bool, default=True
        Put what is shown into the page, as MP3: about a megabyte a minute. Without it there
        is no player.
    title : str, default="Sound events"

    Returns
    -------
    pathlib.Path
        `path`.

    Raises
    ------
    ImportError
        Without matplotlib.
    ValueError
        If the numbers of recordings, event lists and names differ, or `around` is negative.

    Examples
    --------
    >>> from sklearn_rcrnn.report import write_report
    >>> write_report(paths, pipe.predict(paths), "events.html")  # doctest: +SKIP
    >>> write_report(nights, found, "found.html", around=5.0)  # doctest: +SKIP
    """
    import jinja2

    need("Pictures need", "plot", "matplotlib")
    found = check_event_lists(y_pred, n_clips=len(recordings), name="y_pred")
    true = (
        None
        if y_true is None
        else check_event_lists(y_true, n_clips=len(recordings), name="y_true")
    )
    if names is None:
        names = [
            os.fspath(clip) if isinstance(clip, (str, os.PathLike)) else f"recording {i}"
            for i, clip in enumerate(recordings)
        ]
    if len(names) != len(recordings):
        raise ValueError(f"names has {len(names)} entries for {len(recordings)} recordings")
    if around is not None and around < 0:
        raise ValueError(f"around must not be negative; got {around!r}")
    labels = labels_of([*found, *(true or [])])
    style = {label: (i, _COLOURS[i % len(_COLOURS)]) for i, label in enumerate(labels)}
    sections: list[dict[str, Any]] = []
    for i, (name, clip) in enumerate(zip(names, recordings, strict=True)):
        lanes = {"found": found[i]} | ({"true": true[i]} if true else {})
        for part in _parts(name, clip, lanes, around):
            sections.append(_section(len(sections), part, style, audio))
    template = Path(__file__).with_name("templates") / "report.html"
    environment = jinja2.Environment(autoescape=True)
    n_events = sum(map(len, found))
    page = environment.from_string(template.read_text(encoding="utf-8")).render(
        title=title,
        summary=_summary(len(recordings), n_events, sections, around),
        colors={label: color for label, (_, color) in style.items()},
        n_events=n_events,
        recordings=sections,
    )
    path = Path(path)
    with complete(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


class _Part(NamedTuple):
    """A section of the page: of a recording, the samples from `start` to `stop`, in seconds.

    The times of the events count from the start of the recording.
    """

    name: str
    clip: Any
    lanes: Mapping[str, Sequence[Event]]
    start: float = 0.0
    stop: float | None = None


def _parts(
    name: str, clip: Any, lanes: Mapping[str, Sequence[Event]], around: float | None
) -> Iterator[_Part]:
    """The whole recording, or what lies around its events, neighbors in one."""
    if around is None or not _readable(clip):
        yield _Part(name, clip, lanes)
        return
    spans: list[tuple[float, float]] = []
    for event in sorted(event for own in lanes.values() for event in own):
        first, last = max(0.0, event.onset - around), event.offset + around
        if spans and first <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(spans[-1][1], last)
        else:
            spans.append((first, last))
    for first, last in spans:
        inside = {
            lane: [event for event in own if first <= event.onset <= last]
            for lane, own in lanes.items()
        }
        where = f"{name}, {_clock(int(first))} to {_clock(math.ceil(last))}"
        yield _Part(where, clip, inside, first, last)


def _readable(clip: Any) -> bool:
    """False for a file that the page must name with the reason, events or none."""
    try:
        return not isinstance(clip, (str, os.PathLike)) or audio_duration(clip) > 0
    except (OSError, ValueError):
        return False


def _samples(part: _Part, rate: int) -> NDArray[np.floating]:
    if isinstance(part.clip, (str, os.PathLike)):
        if part.start and part.start >= audio_duration(part.clip):
            raise ValueError(_ENDED)
        return read_audio(part.clip, rate, start=part.start, stop=part.stop)
    stop = None if part.stop is None else round(part.stop * rate)
    samples = load_clip(part.clip, rate, part.name)[round(part.start * rate) : stop]
    if not len(samples):
        raise ValueError(_ENDED)
    return samples


def _section(
    number: int, part: _Part, style: Mapping[Label, tuple[int, str]], audio: bool
) -> dict[str, Any]:
    """What the template shows of a part of a recording."""
    lfbe = LFBETransformer()
    try:
        samples = _samples(part, lfbe.sample_rate)
    except (OSError, ValueError) as error:
        return {"name": part.name, "error": str(error), "duration": 0}
    duration = len(samples) / lfbe.sample_rate
    width = int(np.clip(duration * _PIXELS_A_SECOND, 300, _WIDEST))
    shown = {
        lane: [
            _shown(event, part.start, duration, style, f"e{number}-{i}" if lane == "found" else "")
            for i, event in enumerate(events)
        ]
        for lane, events in part.lanes.items()
    }
    return {
        "name": part.name,
        "duration": duration,
        "width": width,
        "picture": _picture(np.asarray(lfbe.transform([samples]))[0], width),
        "audio": _mp3(samples, lfbe.sample_rate) if audio else "",
        "lanes": [{"name": lane, "events": events} for lane, events in shown.items()],
        "rows": shown["found"],
        "ticks": _ticks(part.start, duration),
    }


def _shown(
    event: Event,
    start: float,
    duration: float,
    style: Mapping[Label, tuple[int, str]],
    row: str,
) -> dict[str, Any]:
    number, color = style[event.label]
    return {
        **event._asdict(),
        "row": row,
        "label_number": number,
        "color": color,
        # To play: from the start of what is shown.
        "from": event.onset - start,
        "to": event.offset - start,
        "left": round(100 * (event.onset - start) / duration, 4),
        "width": round(100 * (event.offset - event.onset) / duration, 4),
        "text": f"{event.label} {event.onset:.2f} s to {event.offset:.2f} s, {event.score:.2f}",
    }


def _summary(
    n_recordings: int,
    n_events: int,
    sections: Sequence[Mapping[str, Any]],
    around: float | None,
) -> str:
    minutes = sum(section["duration"] for section in sections) / 60
    failed = sum("error" in section for section in sections)
    counts = f"{counted(n_events, 'event')} in {counted(n_recordings, 'recording')}"
    text = f"{counts}, {minutes:.1f} minutes"
    text += "." if around is None else f" with {around:g} s around each."
    return text + (f" {failed} could not be read." if failed else "")


def _ticks(start: float, duration: float) -> list[dict[str, Any]]:
    steps = (1, 2, 5, 10, 30, 60, 300, 600, 1800, 3600)
    step = next((s for s in steps if duration / s <= _MOST_TICKS), 3600 * 6)
    times = np.arange(math.ceil(start / step) * step, start + duration, step)
    return [{"left": round(100 * (t - start) / duration, 4), "text": _clock(int(t))} for t in times]


def _clock(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _picture(features: NDArray[np.float32], width: int) -> str:
    """PNG of the spectrogram; where frames are more than pixels, their maxima."""
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


def _mp3(samples: NDArray[np.float32], rate: int) -> str:
    import soundfile

    # MP3 would clip what is over full scale.
    peak = float(np.abs(samples).max())
    scaled = samples / peak if peak > 1 else samples
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", rate, 1, format="MP3") as file:
        for start in range(0, len(scaled), 10 * rate):
            file.write(scaled[start : start + 10 * rate])
    return base64.b64encode(buffer.getvalue()).decode()
