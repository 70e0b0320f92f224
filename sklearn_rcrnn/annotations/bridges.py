"""Convert events from and to other libraries of the field, crowsetta and soundevent."""

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
    """Convert an annotation of crowsetta to the events of a recording.

    Parameters
    ----------
    annotation : crowsetta.Annotation
        Annotation in any format that crowsetta reads, for example Praat's TextGrid, evfuncs'
        ``.not.mat``, Yarden, Raven, Audacity or BirdSong Recognition.

    Returns
    -------
    list of Event
        The events, sorted by onset. Segments without a label are left out.

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
                "sample rate, as in to_annot(samplerate=...)"
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
        except Exception as error:  # of any type: the parser does not validate its input
            raise ValueError(f"it is no TextGrid: {type(error).__name__}: {error}") from error
    if '"TextTier"' in text:
        told = "they have no length, and events need an offset"
        if '"IntervalTier"' not in text:
            raise ValueError(f"it has only points: {told}")
        warnings.warn(f"the points of a TextGrid are left out: {told}", stacklevel=5)
    for i, event in enumerate(events_from_crowsetta(annotation), 1):
        # Praat writes a quote in a text twice, and crowsetta leaves it so.
        yield Row(i, None, (event.onset, event.offset, str(event.label).replace('""', '"')))


TEXTGRID = Format(
    *("textgrid", (".textgrid",), _read_textgrid),
    sniff=lambda name, text: name.lower().endswith(".textgrid") or "ooTextFile" in text[:60],
    many=False,
    has_columns=False,
)


def events_from_soundevent(
    annotations: soundevent.data.AnnotationSet | soundevent.data.PredictionSet,
    term: str | None = None,
) -> dict[str, list[Event]]:
    """Convert a set of annotations or predictions of soundevent to events of recordings.

    Parameters
    ----------
    annotations : soundevent.data.AnnotationSet or soundevent.data.PredictionSet
    term : str, default=None
        Name of the term whose value is the label; by default the term of the first tag. Of
        several tags of this term, the one with the highest score counts, or else the first.

    Returns
    -------
    dict of str to list of Event
        Events by the path of their recording. A shape in the spectrogram becomes the time
        that it spans, and a clip without sound events a recording without events.

    Warns
    -----
    UserWarning
        If sound events are left out because they have no tag or no duration.

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
    """Convert events to a set of predictions of soundevent, which its ``io.save`` writes.

    Parameters
    ----------
    events : dict of str to list of Event
    recordings : sequence of paths
        Files of the recordings; :func:`match_files` matches the names in `events` to them.
    term : str, default="event"
        Name of the term under which the labels are stored.

    Returns
    -------
    soundevent.data.PredictionSet
        One clip for each recording.

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
    """Describe a file for soundevent, which itself reads fewer formats than this package."""
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
    """Find the label among the tags, and its score; (None, 0) if there is none.

    A prediction has a tag for each label that it may be of: the one with the highest score counts.
    """
    best: tuple[str | None, float] = None, 0.0
    for tag in tags:
        inner = getattr(tag, "tag", tag)
        if term is None:
            term = inner.term.name
        score = float(getattr(tag, "score", 1.0))
        if term in (inner.term.name, inner.term.label) and (best[0] is None or score > best[1]):
            best = inner.value, score
    return best


def _span(geometry: Any) -> tuple[float, float] | None:
    """Return the begin and end of the time that a shape spans; None for a point."""
    if geometry is None:
        return None
    if geometry.type in ("TimeInterval", "BoundingBox"):
        begin, end = geometry.coordinates[0], geometry.coordinates[len(geometry.coordinates) // 2]
    else:
        times = list(_times(geometry.coordinates))
        begin, end = min(times), max(times)
    return (max(0.0, begin), end) if end > begin else None


def _times(coordinates: Any) -> Iterator[float]:
    """Yield the time of each corner of a shape, however deeply its coordinates are nested."""
    if not isinstance(coordinates, (list, tuple)):
        yield coordinates
    elif coordinates and not isinstance(coordinates[0], (list, tuple)):
        yield coordinates[0]
    else:
        for part in coordinates:
            yield from _times(part)
