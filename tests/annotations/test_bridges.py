"""Events from and for crowsetta and soundevent."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from sklearn_rcrnn import Event
from sklearn_rcrnn.annotations import (
    events_from_crowsetta,
    events_from_soundevent,
    events_to_soundevent,
    read_events,
)

DOG = Event(1.0, 2.5, "dog")
TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 5
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "birds"
        xmin = 0
        xmax = 5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 1
            text = ""
        intervals [2]:
            xmin = 1
            xmax = 2.5
            text = "dog"
        intervals [3]:
            xmin = 2.5
            xmax = 5
            text = ""
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_textgrid(encoding, tmp_path):
    pytest.importorskip("crowsetta")
    (tmp_path / "a.TextGrid").write_bytes(TEXTGRID.encode(encoding))
    assert read_events(tmp_path / "a.TextGrid") == read_events(tmp_path) == {"a": [DOG]}
    quoted = TEXTGRID.replace('"dog"', '"the ""dog"""')
    (tmp_path / "a.TextGrid").write_bytes(quoted.encode(encoding))
    assert read_events(tmp_path / "a.TextGrid")["a"][0].label == 'the "dog"'
    (tmp_path / "a.TextGrid").write_text(TEXTGRID[:200])
    with pytest.raises(ValueError, match=r"a\.TextGrid cannot be read .* it is no TextGrid"):
        read_events(tmp_path / "a.TextGrid")


def test_textgrid_without_crowsetta_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr("sklearn_rcrnn._utils.optional.find_spec", lambda name: None)
    (tmp_path / "a.TextGrid").write_text(TEXTGRID)
    with pytest.raises(ImportError, match=r"TextGrid files need crowsetta .*pip install crowsetta"):
        read_events(tmp_path / "a.TextGrid")


def test_points_of_a_textgrid(tmp_path):
    """They were a recording without events."""
    pytest.importorskip("crowsetta")
    points = 'class = "TextTier"\nname = "clicks"\nxmin = 0\nxmax = 5\npoints: size = 1\n'
    points += 'points [1]:\nnumber = 1.5\nmark = "click"\n'
    calls = 'class = "IntervalTier"\nname = "calls"\nxmin = 0\nxmax = 5\nintervals: size = 1\n'
    calls += 'intervals [1]:\nxmin = 1\nxmax = 2.5\ntext = "dog"\n'
    head = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 5\n'
    head += "tiers? <exists>\nsize = {}\nitem []:\nitem [1]:\n"
    path = tmp_path / "a.TextGrid"
    path.write_text(head.format(1) + points)
    with pytest.raises(ValueError, match="it has only points: they have no length"):
        read_events(path)
    path.write_text(f"{head.format(2)}{calls}item [2]:\n{points}")
    with pytest.warns(UserWarning, match=r"points of a TextGrid are left out"):
        assert read_events(path) == {"a": [DOG]}


@pytest.mark.parametrize(
    "name", ["spinetail.txt", "marron1", "Recording1", "AVO-maea-basic", "bird1.csv", "gy6or6"]
)
def test_examples_of_crowsetta(name):
    """Its own example files: by its reader and by ours, where that knows the format."""
    crowsetta = pytest.importorskip("crowsetta")
    annotations = crowsetta.example(name).to_annot()
    annotations = annotations if isinstance(annotations, list) else [annotations]
    events = [event for own in annotations for event in events_from_crowsetta(own)]
    assert len(events) > 5
    assert all(0 <= event.onset < event.offset and event.label for event in events)
    path = crowsetta.example(name, return_path=True)
    if str(path).endswith(".mat"):
        with pytest.raises(ValueError, match="not UTF-8"):
            read_events(path)
        return
    ours = read_events(path)
    assert len(ours) == len(annotations)
    found = sorted(event for own in ours.values() for event in own)
    for own, other in zip(found, sorted(events), strict=True):
        assert own.label == other.label
        assert own[:2] == pytest.approx(other[:2], abs=2e-3)  # it rounds


@pytest.mark.filterwarnings("ignore")
def test_places_in_samples_are_named():
    crowsetta = pytest.importorskip("crowsetta")
    annotation = crowsetta.example("Annotation.xml").to_annot()
    with pytest.raises(ValueError, match="places in samples"):
        events_from_crowsetta(annotation[0] if isinstance(annotation, list) else annotation)


def test_soundevent_and_back(tmp_path):
    data = pytest.importorskip("soundevent.data")
    from soundevent import io

    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(8000 * 5), 8000)
    events = {"a.wav": [DOG._replace(score=0.5)]}
    predicted = events_to_soundevent(events, [path])
    io.save(predicted, tmp_path / "found.json")
    again = io.load(tmp_path / "found.json", type="prediction_set")
    assert events_from_soundevent(again) == {str(path): events["a.wav"]}

    recording = data.Recording(path=path, duration=5, channels=1, samplerate=8000)
    kind, other = (data.Term(name=n, label=n, definition=n) for n in ("species", "quality"))
    shapes = [
        data.TimeInterval(coordinates=[1, 2.5]),
        data.BoundingBox(coordinates=[1, 300, 2.5, 4000]),
        data.LineString(coordinates=[[1, 300], [2, 500], [2.5, 400]]),
        data.TimeStamp(coordinates=1),
    ]
    tags = [data.Tag(term=other, value="good"), data.Tag(term=kind, value="dog")]
    annotated = data.ClipAnnotation(
        clip=data.Clip(recording=recording, start_time=0, end_time=5),
        sound_events=[
            data.SoundEventAnnotation(
                sound_event=data.SoundEvent(recording=recording, geometry=shape), tags=tags
            )
            for shape in shapes
        ],
    )
    with pytest.warns(UserWarning, match="1 sound event"):
        found = events_from_soundevent(
            data.AnnotationSet(clip_annotations=[annotated]), term="species"
        )
    assert found == {str(path): [DOG] * 3}

    scores = {"cat": 0.2, "dog": 0.7, "fox": 0.1}
    event = data.SoundEvent(recording=recording, geometry=shapes[0])
    of_each = [
        data.PredictedTag(tag=data.Tag(term=kind, value=value), score=score)
        for value, score in scores.items()
    ]
    predicted = data.ClipPrediction(
        clip=annotated.clip,
        sound_events=[data.SoundEventPrediction(sound_event=event, score=1, tags=of_each)],
    )
    found = events_from_soundevent(data.PredictionSet(clip_predictions=[predicted]))
    assert found == {str(path): [DOG._replace(score=0.7)]}
