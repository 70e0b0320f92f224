"""Each event as an audio file of its own, to listen to, sort or share."""

from __future__ import annotations

import os
import re
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._utils.text import counted, some
from ..audio import audio_duration, open_audio, read_audio
from ..events import Event, check_event_lists
from ._writing import complete_audio

_FORMATS = {"wav": "PCM_16", "flac": "PCM_16", "ogg": "VORBIS", "mp3": "MPEG_LAYER_III"}
# How the names of clips end: with the time of the event, and a number if another has the same.
_NAME = re.compile(rf"_\d+-\d\d-\d\d\.\d\d(-\d+)?\.({'|'.join(_FORMATS)})$")
# Labels and names of recordings are cut to this many characters in file names.
_LONGEST = 60


class EventClip(NamedTuple):
    """The result for one event: the file that was written, or the error that prevented it."""

    recording: str
    event: Event
    path: Path | None
    error: str | None = None


def write_event_clips(
    recordings: Sequence[str | os.PathLike[str]],
    events: Sequence[Any],
    folder: str | os.PathLike[str],
    *,
    context: float = 1.0,
    format: str = "wav",
) -> Iterator[EventClip]:
    """Write each event with its surroundings as an audio file.

    Files are named by label, score, recording and time, as in
    ``gunshot_0.97_street_0-01-02.35.wav``, so that a file manager sorts them by label and
    score. If no event has a score other than 1, as in tables of true events, names have none.
    They have the sample rate of the recording, and one channel. Events of a
    recording that cannot be read are given back with the error, and the rest goes on.

    Parameters
    ----------
    recordings : sequence of n_recordings paths
    events : list of n_recordings lists of (onset, offset, label) or Event
        In seconds.
    folder : str or PathLike
        Folder to write to; created if it does not exist.
    context : float, default=1.0
        Seconds before and after each event that are written, too, if the recording has them.
    format : {"wav", "flac", "ogg", "mp3"}, default="wav"

    Yields
    ------
    EventClip
        ``(recording, event, path, error)`` of each event, as soon as it is written.

    Raises
    ------
    ValueError
        If the format is unknown, `context` is negative, or there are not as many event
        lists as recordings.

    Warns
    -----
    UserWarning
        If the folder has clips of other events already, as of an earlier run, which stay there.
        In the end, if clips of an earlier run had the same names but other sound, as those of
        another recording of the same name: they were replaced.

    Examples
    --------
    >>> import soundfile, tempfile
    >>> from sklearn_rcrnn.datasets import write_event_clips
    >>> folder = Path(tempfile.mkdtemp())
    >>> soundfile.write(folder / "street.wav", np.zeros(5 * 8000), 8000)
    >>> written = list(write_event_clips([folder / "street.wav"], [[(1.0, 2.0, "dog")]], folder))
    >>> written[0].path.name
    'dog_street_0-00-01.00.wav'
    """
    if format not in _FORMATS:
        raise ValueError(f"format must be one of {', '.join(_FORMATS)}; got {format!r}")
    if not context >= 0:
        raise ValueError(f"context must be 0 or more seconds; got {context!r}")
    clips = check_event_lists(events, n_clips=len(recordings), name="events")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # Tables of true events have no scores, and their events a score of 1.
    scored = any(event.score != 1.0 for own in clips for event in own)
    taken: set[str] = set()
    named = [
        (
            os.fspath(recording),
            event,
            folder / _free_name(_name_of(os.fspath(recording), event, scored), format, taken),
        )
        for recording, own in zip(recordings, clips, strict=True)
        for event in own
    ]
    _warn_of_others(folder, taken)
    return _written(named, context, format)


def _warn_of_others(folder: Path, ours: set[str]) -> None:
    """Warn of clips that are in the folder already and that are not among ours."""
    others = sorted(
        path.name
        for path in folder.iterdir()
        if _NAME.search(path.name) and path.name.casefold() not in ours
    )
    if others:
        warnings.warn(
            f"{folder} also has {counted(len(others), 'clip')} of other events, as of an earlier "
            f"run: {some(others)}. Delete what you do not want among the new ones, or give "
            "another folder",
            stacklevel=3,
        )


def _written(
    named: Sequence[tuple[str, Event, Path]], context: float, format: str
) -> Iterator[EventClip]:
    replaced: list[str] = []
    for recording, event, path in named:
        try:
            if _write(recording, event, path, context, format):
                replaced.append(path.name)
            yield EventClip(recording, event, path)
        except (OSError, ValueError) as error:
            yield EventClip(recording, event, None, str(error))
    if replaced:
        warnings.warn(
            f"{counted(len(replaced), 'clip')} of an earlier run had the same names but other "
            f"sound, and were replaced: {some(replaced)}. Clips of several recordings of one name "
            "need a folder for each run",
            stacklevel=2,
        )


def _write(recording: str, event: Event, path: Path, context: float, format: str) -> bool:
    """Write a clip; return whether it replaced one that sounds otherwise."""
    import soundfile

    if event.onset >= audio_duration(recording):
        raise ValueError(
            f"{recording!r} ends before the event at {event.onset:g} s: is the table of another "
            "recording?"
        )
    with open_audio(recording) as opened:
        rate = opened.sample_rate
    start = max(0.0, event.onset - context)
    samples = read_audio(recording, rate, start=start, stop=event.offset + context)
    with complete_audio(path) as partial:
        with soundfile.SoundFile(
            partial, "w", rate, 1, subtype=_FORMATS[format], format=format.upper()
        ) as file:
            # Integer formats would wrap or clip samples beyond full scale.
            for begin in range(0, len(samples), 10 * rate):
                file.write(np.clip(samples[begin : begin + 10 * rate], -1, 1))
        return path.exists() and not _sound_alike(path, partial, rate)


def _sound_alike(path: Path, other: Path, rate: int) -> bool:
    try:
        return np.array_equal(read_audio(path, rate), read_audio(other, rate))
    except (OSError, ValueError):  # one of them cannot be read
        return False


def _name_of(recording: str, event: Event, scored: bool) -> str:
    hours, seconds = divmod(round(event.onset, 2), 3600)
    minutes, seconds = divmod(seconds, 60)
    score = [f"{event.score:.2f}"] if scored else []
    parts = (str(event.label), *score, Path(recording).stem)
    composed = (unicodedata.normalize("NFC", part) for part in parts)
    safe = (re.sub(r"[^\w.+-]+", "-", part)[:_LONGEST] for part in composed)
    return f"{'_'.join(safe)}_{hours:.0f}-{minutes:02.0f}-{seconds:05.2f}"


def _free_name(name: str, format: str, taken: set[str]) -> str:
    """Add a number to the name if an earlier event has the same."""
    free, number = f"{name}.{format}", 2
    while free.casefold() in taken:  # for some systems, names that differ by case are the same
        free, number = f"{name}-{number}.{format}", number + 1
    taken.add(free.casefold())
    return free
