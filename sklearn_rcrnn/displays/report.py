"""A self-contained HTML page to listen to the events found in recordings and correct them."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from .._utils.files import complete, printable
from .._utils.optional import need
from .._utils.text import counted, some
from ..events import Event, Label, check_event_lists, labels_of
from ..features import LFBETransformer
from .drawing import hertz_ticks
from .report_sections import ENDED, Part, parts_of, section_of

_TEMPLATES = Path(__file__).with_name("templates")
# Colors on which black text is readable, and which color-blind people can distinguish.
_COLORS = ("#8dd3c7", "#fdb462", "#80b1d3", "#fb8072", "#bebada", "#b3de69", "#fccde5", "#ffed6f")


def write_report(
    recordings: Sequence[Any],
    y_pred: Sequence[Any],
    path: str | os.PathLike[str],
    *,
    y_true: Sequence[Any] | None = None,
    names: Sequence[str] | None = None,
    around: float | Literal["auto"] | None = "auto",
    audio: bool = True,
    title: str = "Sound events",
    subtitle: str = "",
    threshold: float | Mapping[Label, float] = 0.5,
) -> Path:
    """Write a page to listen to the events of recordings and to correct them.

    Each recording has a player, a spectrogram and its events. Events play when they are
    clicked, can be filtered and sorted, kept, rejected, given another label, moved at their
    borders or added, by keyboard and mouse. Decisions stay in the browser until they are
    exported as a table, which ``rcrnn train ... --corrections`` learns from. The page needs no
    server and no other file. Pictures and sound reach up to 22 kHz, whatever the recordings have.

    Parameters
    ----------
    recordings : sequence of n_clips paths or arrays of shape (n_samples,)
        Arrays are taken to be at 44.1 kHz. A file that cannot be read is named on the page
        with the reason.
    y_pred : list of n_clips lists of Event
        Events from ``predict`` or :func:`~sklearn_rcrnn.annotations.read_events`.
    path : str or PathLike
        File to write; it appears when it is complete.
    y_true : list of n_clips lists of (onset, offset, label), default=None
        The true events, which get a lane of their own. Hits, misses and false alarms are
        marked and can be filtered; a hit has the right label, and an onset within 0.5 s. The
        marks follow what a person does to labels and onsets, and which events are added or
        rejected. A rejected event has no mark and is always shown, whatever is filtered.
    names : sequence of n_clips str, default=None
        Names of the recordings on the page and in the exported table; by default the paths, or
        numbers for arrays.
    around : float, "auto" or None, default="auto"
        Seconds around each event that are shown; None shows whole recordings. ``"auto"`` shows
        5 s around the events of recordings of more than ten minutes, and others whole.
    audio : bool, default=True
        Include the sound of what is shown as MP3, about a megabyte per minute. Without it the
        page has no player.
    title : str, default="Sound events"
        Heading of the page.
    subtitle : str, default=""
        Line under it, for example the name of the model and its thresholds.
    threshold : float or dict of label to float, default=0.5
        The thresholds of the model. The page can sort events by the distance of their score to
        them: the closest ones are the least certain.

    Returns
    -------
    pathlib.Path
        `path`.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If the numbers of recordings, event lists and names differ, two names are the same, or
        `around` is negative.

    Warns
    -----
    UserWarning
        If events begin after the end of their recording.

    Examples
    --------
    >>> from sklearn_rcrnn import write_report
    >>> write_report(paths, pipe.predict(paths), "events.html")  # doctest: +SKIP
    >>> write_report(nights, found, "found.html", around=5.0)  # doctest: +SKIP
    """
    import jinja2

    need("Pictures need", "plot", "matplotlib")
    found = check_event_lists(y_pred, n_clips=len(recordings), name="y_pred")
    true = None
    if y_true is not None:
        true = check_event_lists(y_true, n_clips=len(recordings), name="y_true")
    names = _names(recordings, names)
    if isinstance(around, (int, float)) and around < 0:
        raise ValueError(f"around must not be negative; got {around!r}")
    if isinstance(threshold, str):
        raise ValueError(
            "threshold must be a number, or a dict of numbers by label, such as "
            f"thresholds_[{threshold!r}] of a detector; got the name {threshold!r}"
        )
    labels = labels_of([*found, *(true or [])])
    sections, events = _contents(recordings, names, found, true=true, around=around, audio=audio)
    busy_numbers = {event["section"] for event in events}
    busy = [s for s in sections if s["number"] in busy_numbers or "error" in s]
    quiet = [s for s in sections if s["number"] not in busy_numbers and "error" not in s]
    n_events = sum(map(len, found))
    environment = jinja2.Environment(autoescape=True)
    template = environment.from_string((_TEMPLATES / "report.html").read_text(encoding="utf-8"))
    page = template.render(
        title=title,
        subtitle=subtitle,
        summary=_summary(len(recordings), n_events, sections, around),
        colors={label: _COLORS[i % len(_COLORS)] for i, label in enumerate(labels)},
        verdicts=["hit", "false alarm", "miss"] if true is not None else [],
        n_events=n_events,
        busy=busy,
        quiet=quiet,
        # Events may be added to them, so this says what was found, and not what there is.
        quiet_text=f"{counted(len(quiet), 'recording')} in which nothing was found",
        hertz=_hertz(),
        data=_json(sections, events, labels, threshold, true is not None),
        style=(_TEMPLATES / "report.css").read_text(encoding="utf-8"),
        script=(_TEMPLATES / "report.js").read_text(encoding="utf-8"),
    )
    path = Path(path)
    with complete(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def _hertz() -> list[dict[str, Any]]:
    """Positions of the frequency marks, in percent from the bottom of the picture."""
    centers = LFBETransformer().band_frequencies
    return [
        {"bottom": round(100 * height / len(centers), 2), "text": text}
        for height, text in hertz_ticks(centers)
    ]


def _names(recordings: Sequence[Any], names: Sequence[str] | None) -> Sequence[str]:
    if names is None:
        return [
            # Names that are not UTF-8 are written as in tables.
            printable(clip) if isinstance(clip, (str, os.PathLike)) else f"recording {i}"
            for i, clip in enumerate(recordings)
        ]
    if len(names) != len(recordings):
        raise ValueError(f"names has {len(names)} entries for {len(recordings)} recordings")
    if twice := [name for name, n in Counter(names).items() if n > 1]:
        raise ValueError(
            f"names has {some(twice)} more than once: corrections could not be told apart. Give "
            "names with as many of their folders as it takes"
        )
    return names


def _contents(
    recordings: Sequence[Any],
    names: Sequence[str],
    found: Sequence[Sequence[Event]],
    *,
    true: Sequence[Sequence[Event]] | None,
    around: float | str | None,
    audio: bool,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Make the sections of the page, and all events with the section of each."""
    sections: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    for i, (name, clip) in enumerate(zip(names, recordings, strict=True)):
        lanes = {"found": found[i]} | ({"true": true[i]} if true is not None else {})
        verdicts = {} if true is None else _verdicts(true[i], found[i])
        n_behind_end = 0
        for part in parts_of(name, clip, lanes, around):
            number = len(sections)
            section = section_of(part, audio) | {"number": number}
            n_behind_end += _n_behind_end(part, section)
            sections.append(section | {"file": part.file, "start": part.start})
            for lane, own in part.lanes.items():
                for event in own:
                    verdict = verdicts[lane, event].popleft() if verdicts else None
                    row = {"id": f"e{len(events)}", "section": number, "lane": lane}
                    events.append(row | _plain(event) | {"verdict": verdict})
        if n_behind_end:
            warnings.warn(
                f"{name} ends before {counted(n_behind_end, 'event')} would begin: is the table "
                "of another recording?",
                stacklevel=3,
            )
    return sections, events


def _n_behind_end(part: Part, section: Mapping[str, Any]) -> int:
    """Count the events behind the end of a recording, which have no place in its picture."""
    onsets = [event.onset for own in part.lanes.values() for event in own]
    if "error" in section:
        return len(onsets) if section["error"] == ENDED else 0
    end = part.start + section["duration"]
    return sum(onset >= end for onset in onsets)


def _plain(event: Event) -> dict[str, Any]:
    return event._asdict() | {"label": str(event.label)}


def _verdicts(true: Sequence[Event], found: Sequence[Event]) -> dict[tuple[str, Event], deque[str]]:
    """Classify events as hits, misses and false alarms, by lane and event.

    Of the same event twice in a lane, one may be a hit and the other none: each has its own.
    """
    from ..metrics import match_events

    pairs = match_events([true], [found])[0]
    hits = {"true": {i for i, _ in pairs}, "found": {j for _, j in pairs}}
    verdicts: dict[tuple[str, Event], deque[str]] = defaultdict(deque)
    for lane, own, other in (("true", true, "miss"), ("found", found, "false alarm")):
        for i, event in enumerate(own):
            verdicts[lane, event].append("hit" if i in hits[lane] else other)
    return verdicts


def _json(
    sections: Sequence[Mapping[str, Any]],
    events: Sequence[Mapping[str, Any]],
    labels: Sequence[Label],
    threshold: float | Mapping[Label, float],
    with_truth: bool,
) -> str:
    """Data for the script of the page as JSON, safe inside a script element."""
    by_label = threshold if isinstance(threshold, Mapping) else {}
    content = {
        "events": events,
        "sections": [
            {"file": s.get("file"), "start": s.get("start"), "duration": s["duration"]}
            for s in sections
        ],
        "labels": [str(label) for label in labels],
        "colors": _COLORS,
        "thresholds": {str(label): float(value) for label, value in by_label.items()},
        "threshold": 0.5 if by_label else float(threshold),  # type: ignore[arg-type]
        "verdicts": ["hit", "false alarm", "miss"] if with_truth else [],
    }
    text = json.dumps(content, ensure_ascii=False)
    # The key under which the browser stores decisions; it belongs to exactly these events.
    content["key"] = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
    return json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")


def _summary(
    n_recordings: int,
    n_events: int,
    sections: Sequence[Mapping[str, Any]],
    around: float | str | None,
) -> str:
    minutes = sum(section["duration"] for section in sections) / 60
    failed = sum("error" in section for section in sections)
    counts = f"{counted(n_events, 'event')} found in {counted(n_recordings, 'recording')}"
    text = f"{counts}, {minutes:.1f} minutes"
    text += f" with {around:g} s around each." if isinstance(around, (int, float)) else "."
    return text + (f" {failed} could not be read." if failed else "")
