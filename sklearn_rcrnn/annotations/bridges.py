"""Events from and for other libraries of the field: crowsetta, soundevent."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._utils.optional import need
from ..events import Event, check_event
from .columns import Given
from .recording_names import match_files
from .rows import Format, Row

if TYPE_CHECKING:
    import crowsetta
    import soundevent.data


def events_from_crowsetta(annotation: crowsetta.Annotation) -> list[Event]:
    """Events of a recording from an annotation of crowsetta.

    Parameters
    ----------
    annotation : crowsetta.Annotation
        Of any of the formats that crowsetta reads: Praat's TextGrid, evfuncs' ``.not.mat``,
        Yarden, Raven, Audacity, BirdSong Recognition ....

    Returns
    -------
    list of Event
        By onset. Segments without a label are no events.

    Examples
    --------
    >>> transcriber = crowsetta.Transcriber("notmat")  # doctest: +SKIP
    >>> annotation = transcriber.from_file("gy6or6.not.mat").to_annot()  # doctest: +SKIP
    >>> events = events_from_crowsetta(annotation)  # doctest: +SKIP
    """
    boxes = getattr(annotation, "bboxes", None)
    if boxes:
        parts = [(box.onset, box.offset, box.label) for box in boxes]
    else:
        sequences = annotation.seq if isinstance(annotation.seq, list) else [annotation.seq]
        parts = [
            (segment.onset_s, segment.offset_s, segment.label)
            for sequence in sequences
            for segment in sequence.segments
        ]
    events = []
    for i, (onset, offset, label) in enumerate(parts):
        if onset is None or offset is None:
            raise ValueError(
                f"segment {i} of the annotation has places in samples and no times: give the "
                "sample rate, to_annot(samplerate=...)"
            )
        if str(label).strip():
            times = float(onset), float(offset)
            events.append(check_event((*times, str(label)), f"segment {i} of the annotation"))
    return sorted(events)


def _read_textgrid(text: str, columns: Given) -> Iterator[Row]:
    need("TextGrid files need", "crowsetta", "crowsetta")
    import crowsetta

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.TextGrid"
        path.write_text(text, encoding="utf-8")
        try:
            grid = crowsetta.formats.by_name("textgrid").from_file(path)
            annotation = grid.to_annot(round_times=False)
        except Exception as error:  # of many kinds: its parser does not check what it reads
            raise ValueError(f"it is no TextGrid: {type(error).__name__}: {error}") from error
    for i, event in enumerate(events_from_crowsetta(annotation), 1):
        yield Row(i, None, event[:3])


TEXTGRID = Format(
    *("textgrid", (".textgrid",), _read_textgrid),
    sniff=lambda name, text: name.lower().endswith(".textgrid") or "ooTextFile" in text[:60],
    many=False,
)


def events_from_soundevent(
    annotations: soundevent.data.AnnotationSet | soundevent.data.PredictionSet,
    term: str | None = None,
) -> dict[str, list[Event]]:
    """Events of recordings from a set of annotations or predictions of soundevent.

    Parameters
    ----------
    annotations : soundevent.data.AnnotationSet or soundevent.data.PredictionSet
    term : str, default=None
        Name of the term whose value is the label; by default that of the first tag.

    Returns
    -------
    dict of str to list of Event
        By the path of the recording. Of shapes in the spectrogram, the time that they
        span; a clip without sound events gives a recording without events.

    Warns
    -----
    UserWarning
        Of sound events without a tag, or that last no time, which are left out.

    Examples
    --------
    >>> from soundevent import io  # doctest: +SKIP
    >>> y = events_from_soundevent(io.load("annotations.json"))  # doctest: +SKIP
    """
    clips = getattr(annotations, "clip_annotations", None)
    if clips is None:
        clips = annotations.clip_predictions  # type: ignore[union-attr]
    events: dict[str, list[Event]] = {}
    n_left_out = 0
    for clip in clips:
        own = events.setdefault(str(clip.clip.recording.path), [])
        for found in clip.sound_events:
            label, score = _label(found.tags, term)
            times = _span(found.sound_event.geometry)
            if label is None or times is None:
                n_left_out += 1
                continue
            score *= getattr(found, "score", 1.0)
            own.append(check_event((*times, label, score), f"sound event {found.uuid}"))
    if n_left_out:
        warnings.warn(
            f"{n_left_out} sound event(s) without a tag or a duration are left out", stacklevel=2
        )
    return {name: sorted(own) for name, own in events.items()}


def events_to_soundevent(
    events: Mapping[str, Sequence[Event]],
    recordings: Sequence[str | os.PathLike[str]],
    term: str = "event",
) -> soundevent.data.PredictionSet:
    """Events as a set of predictions of soundevent, which its ``io.save`` writes.

    Parameters
    ----------
    events : dict of str to list of Event
    recordings : sequence of paths
        Files of the recordings; `events` names them as :func:`match_files` understands it.
    term : str, default="event"
        Name of the term of the labels.

    Returns
    -------
    soundevent.data.PredictionSet
        A clip for each recording.

    Examples
    --------
    >>> from soundevent import io  # doctest: +SKIP
    >>> io.save(events_to_soundevent(found, paths), "found.json")  # doctest: +SKIP
    """
    need("Sets of soundevent need", "soundevent", "soundevent")
    from soundevent import data

    kind = data.Term(name=term, label=term, definition="What a sound event is of.")
    clips = []
    for path, own in zip(recordings, match_files(events, recordings), strict=True):
        recording = _recording(path)
        found = [
            data.SoundEventPrediction(
                score=event.score,
                sound_event=data.SoundEvent(
                    recording=recording,
                    geometry=data.TimeInterval(coordinates=[event.onset, event.offset]),
                ),
                tags=[data.PredictedTag(tag=data.Tag(term=kind, value=str(event.label)), score=1)],
            )
            for event in own
        ]
        clip = data.Clip(recording=recording, start_time=0, end_time=recording.duration)
        clips.append(data.ClipPrediction(clip=clip, sound_events=found))
    return data.PredictionSet(clip_predictions=clips)


def _recording(path: str | os.PathLike[str]) -> soundevent.data.Recording:
    """What soundevent wants to know of a file; it reads fewer kinds of them itself."""
    from soundevent import data

    from ..audio import open_audio

    with open_audio(path) as file:
        return data.Recording(
            path=Path(path),
            duration=file.duration(),
            channels=file.n_channels,
            samplerate=file.sample_rate,
        )


def _label(tags: Sequence[Any], term: str | None) -> tuple[str | None, float]:
    """The label among the tags, and how certain it is."""
    for tag in tags:
        inner = getattr(tag, "tag", tag)
        if term is None or term in (inner.term.name, inner.term.label):
            return inner.value, float(getattr(tag, "score", 1.0))
    return None, 0.0


def _span(geometry: Any) -> tuple[float, float] | None:
    """The time that a shape spans; None for a point."""
    if geometry is None:
        return None
    if geometry.type in ("TimeInterval", "BoundingBox"):
        begin, end = geometry.coordinates[0], geometry.coordinates[len(geometry.coordinates) // 2]
    else:
        times = list(_times(geometry.coordinates))
        begin, end = min(times), max(times)
    return (max(0.0, begin), end) if end > begin else None


def _times(coordinates: Any) -> Iterator[float]:
    """The time of each corner of a shape, however nested its list is."""
    if not isinstance(coordinates, (list, tuple)):
        yield coordinates
    elif coordinates and not isinstance(coordinates[0], (list, tuple)):
        yield coordinates[0]
    else:
        for part in coordinates:
            yield from _times(part)
