"""Tables of events: round trips, guesses, and errors that name the row."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sklearn_rcrnn import Event, LFBETransformer
from sklearn_rcrnn.annotations import match_files
from sklearn_rcrnn.annotations.formats import FORMATS
from sklearn_rcrnn.annotations.frames import events_from_frame, events_to_frame
from sklearn_rcrnn.annotations.tables import (
    read_events,
    suffix_of,
    write_events,
)
from sklearn_rcrnn.events import check_event_lists

TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\t\r\n\x85\x0b\x0c\x1c\x1d\x1e\u2028\u2029\0"),
    min_size=1,
    max_size=12,
).filter(lambda text: text.strip() == text and not text.startswith("\\") and text != "nocall")
TIMES = st.tuples(st.integers(0, 10**6), st.integers(1, 10**5))


def event(times, label, score):
    return Event(times[0] / 1000, (times[0] + times[1]) / 1000, label, score / 1000)


EVENTS = st.builds(event, TIMES, TEXT, st.integers(0, 1000))


WRITTEN = [name for name, format in FORMATS.items() if format.write is not None]


@pytest.mark.filterwarnings("ignore:times in the table count from the start of each")
@pytest.mark.parametrize("name", [name for name in WRITTEN if name != "safe-csv"])
@given(data=st.data())
@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_round_trip(name, data, tmp_path):
    single = not FORMATS[name].many
    # Raven's tables have the absolute path of a recording that is there, such as "README.md".
    files = st.just("a b é") if single else TEXT.filter(lambda text: not Path(text).exists())
    own = st.lists(EVENTS, min_size=1 if name == "raven" else 0, max_size=4)
    events = data.draw(st.dictionaries(files, own, min_size=1))
    path = tmp_path / "a b é.txt"
    write_events(events, path, name)
    again = read_events(path, name)
    if name in ("audacity", "dcase"):  # no scores
        events = {file: [e._replace(score=1.0) for e in own] for file, own in events.items()}
    assert list(again) == list(events)
    for file, own in events.items():
        assert [e[2:] for e in again[file]] == [e[2:] for e in sorted(own)]
        for found, written in zip(again[file], sorted(own), strict=True):
            assert found[:2] == pytest.approx(written[:2], abs=1e-9)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("name", WRITTEN)
def test_formats_are_told_apart(name, tmp_path):
    events = {"x": [Event(1.0, 2.0, "dog", 0.5), Event(3.0, 4.5, "cat", 0.25)]}
    path = tmp_path / f"x{suffix_of(name)}"
    write_events(events, path, name)
    assert [e[:3] for e in read_events(path)["x"]] == [e[:3] for e in events["x"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,onset,offset,label\na.wav,1,2,dog\na.wav,3,2,dog\n", r"row 3: the onset 3 s"),
        ("file,onset,offset,label\na.wav,one,2,dog\n", r"row 2: onset, offset and score must"),
        ("file,onset,offset,label\na.wav,1,2,\n", r"row 2: the label is missing"),
        ("a.wav\t1.0\t2.0\n", r"row 1: the label is missing"),
        ("1.0\t0.5\tdog\n", r"row 1: the onset 1 s must be before"),
        ('{"file": "a", "onset": -1, "offset": 2, "label": "x"}\n', r"row 1 has the negative"),
        ('{"file": \n', r"row 1: it is no JSON"),
    ],
)
def test_malformed_rows_are_named(text, message, tmp_path):
    path = tmp_path / "events.table"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_events(path)


@pytest.mark.parametrize(
    "text",
    [
        "filename\tonset\toffset\tevent_label\na.wav\t1.0\t2.0\tdog\nb.wav\t\t\t\n",  # DESED
        "segment_id\tstart_time_seconds\tend_time_seconds\tlabel\na\t1\t2\tdog\nb\t\t\t\n",
        "File; Onset; Offset; Label\na.wav; 1; 2; dog\nb.wav;;;\n",  # of a spreadsheet
        "file, onset, offset, label, score\na.wav, 1, 2, dog , 1\nb.wav, , , , \n",
        "a.wav\t1.0\t2.0\tdog \nb.wav\n",
        "Start (s),End (s),Scientific name,Common name,Confidence\n1,2,canis,dog,1\n",  # BirdNET
    ],
)
def test_columns_as_others_call_them(text, tmp_path):
    (tmp_path / "a.table").write_text(text)
    events = {Path(name).stem: own for name, own in read_events(tmp_path / "a.table").items()}
    assert events.pop("a") == [Event(1.0, 2.0, "dog")]
    assert events in ({}, {"b": []})


def test_missing_column(tmp_path):
    path = tmp_path / "events.csv"
    path.write_text("file,onset,label\n")
    with pytest.raises(ValueError, match=r"lacks offset\. Its columns are file, onset, label\. "):
        read_events(path, "csv")


def test_skipping_says_how_many(tmp_path):
    path = tmp_path / "events.csv"
    path.write_text("file,onset,offset,label\na,1,2,dog\na,x,2,dog\na,5,4,dog\n")
    with pytest.warns(UserWarning, match=r"skipped 2 malformed"):
        assert read_events(path, errors="skip") == {"a": [Event(1.0, 2.0, "dog")]}


def test_wrong_use(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.csv"):
        read_events(tmp_path / "nothing.csv")
    with pytest.raises(ValueError, match="format must be one of"):
        write_events({}, tmp_path / "x", "xls")
    with pytest.raises(ValueError, match="is about one recording"):
        write_events({"a": [], "b": []}, tmp_path / "x", "audacity")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not UTF-8"):
        read_events(tmp_path / "binary")
    with pytest.raises(ValueError, match="errors must be"):
        read_events(tmp_path / "binary", errors="ignore")


def test_a_spectral_selection_of_audacity(tmp_path):
    path = tmp_path / "garden.txt"
    path.write_text("1.0\t2.0\tdog\n\\\t100\t200\n3.0\t4.0\tcat\n")
    assert [e.label for e in read_events(path)["garden"]] == ["dog", "cat"]


def test_files_are_matched_by_name_then_stem():
    events = {"deep/a.wav": [Event(1.0, 2.0, "x")], "b": [Event(3.0, 4.0, "y")]}
    found = match_files(events, ["other/a.wav", "b.flac", "c.wav"])
    assert [[e.label for e in own] for own in found] == [["x"], ["y"], []]


def test_a_table_that_joins_the_others_counts_once(tmp_path):
    """As BirdNET leaves them, with its settings beside."""
    header = "Start (s),End (s),Scientific name,Common name,Confidence,File\n"
    a = "0,3,Turdus merula,Eurasian Blackbird,0.9,rec/a.wav\n"
    b = "3,6,Turdus merula,Eurasian Blackbird,0.8,rec/b.wav\n"
    (tmp_path / "a.BirdNET.results.csv").write_text(header + a)
    (tmp_path / "b.BirdNET.results.csv").write_text(header + b)
    (tmp_path / "BirdNET_CombinedTable.csv").write_text(header + a + b)
    (tmp_path / "BirdNET_analysis_params.csv").write_text("Sensitivity,Overlap\n1.0,0.0\n")
    with (
        pytest.warns(UserWarning, match=r"2 event\(s\) stand in several tables"),
        pytest.warns(UserWarning, match=r"BirdNET_analysis_params\.csv is passed over"),
    ):
        events = read_events(tmp_path)
    assert {name: len(own) for name, own in events.items()} == {"rec/a.wav": 1, "rec/b.wav": 1}


def test_tables_in_two_formats_count_once(tmp_path):
    """Their times have three and six digits, and each event was there twice."""
    events = {"a.wav": [Event(1.0004, 2.4996, "dog", 0.9), Event(3.0, 4.0, "cat", 0.5)]}
    write_events(events, tmp_path / "a.wav.csv")
    write_events(events, tmp_path / "a.wav.selections.txt", "raven")
    write_events(events, tmp_path / "a.wav.txt", "audacity")  # has no scores
    with pytest.warns(UserWarning, match=r"4 event\(s\) stand in several tables"):
        (found,) = read_events(tmp_path).values()
    assert [(event.label, event.score) for event in found] == [("dog", 0.9), ("cat", 0.5)]


@pytest.mark.parametrize("times", [(math.nan, 2.0), (1.0, math.inf), (2.0, 1.0)])
def test_events_that_cannot_be_are_not_written(times, tmp_path):
    with pytest.raises(ValueError, match=r"a\.wav"):
        write_events({"a.wav": [Event(*times, "dog")]}, tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())


def test_a_label_that_means_no_event_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a\.wav: the label 'nocall' means"):
        write_events({"a.wav": [Event(0, 1, "nocall")]}, tmp_path / "a.txt", "raven")


def test_a_point_label_says_that_it_has_no_length(tmp_path):
    (tmp_path / "a.txt").write_text("2.000000\t2.000000\tdoor\n")
    with pytest.raises(ValueError, match="row 1: the event at 2 s has no length"):
        read_events(tmp_path / "a.txt")


def test_a_folder_of_tables(tmp_path):
    (tmp_path / "a.txt").write_text("1.0\t2.0\tdog\n")
    (tmp_path / "b.Table.1.selections.txt").write_text(
        "Selection\tBegin Time (s)\tEnd Time (s)\tAnnotation\n1\t3\t4\tcat\n"
    )
    (tmp_path / "c.csv").write_text("file,onset,offset,label\na,5,6,cat\nc,,,\n")
    (tmp_path / "notes.md").write_text("no table")
    found = read_events(tmp_path)
    assert {name: [e.label for e in own] for name, own in found.items()} == {
        "a": ["dog", "cat"],
        "b": ["cat"],
        "c": [],
    }
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "part.parquet").touch()
    with pytest.raises(FileNotFoundError, match=r"No tables of events in .* holds Parquet files"):
        read_events(tmp_path / "empty")


def test_jams_of_what_is_no_event(tmp_path):
    """The parts of a song were a recording without events."""
    jams = pytest.importorskip("jams")
    content = jams.JAMS()
    parts = jams.Annotation("segment_salami_function")
    parts.append(time=1, duration=2, value="verse", confidence=1)
    content.annotations.append(parts)
    (tmp_path / "a.jams").write_text(content.dumps())
    with pytest.raises(ValueError, match=r"a\.jams .* of the namespace segment_salami_function"):
        read_events(tmp_path / "a.jams")


def test_foregrounds_of_scaper(tmp_path):
    jams = pytest.importorskip("jams")
    content = jams.JAMS()
    content.file_metadata.duration = 10.0
    annotation = jams.Annotation("scaper")
    for role, label in (("background", "street"), ("foreground", "dog")):
        value = {"label": label, "role": role}
        annotation.append(time=1.0, duration=2.0, value=value, confidence=1.0)
    content.annotations.append(annotation)
    (tmp_path / "scene.jams").write_text(content.dumps())
    assert read_events(tmp_path / "scene.jams") == {"scene": [Event(1.0, 3.0, "dog")]}
    (tmp_path / "cut.jams").write_text(content.dumps()[:100])
    with pytest.raises(ValueError, match=r"cut\.jams cannot be read"):
        read_events(tmp_path / "cut.jams")


@given(events=st.dictionaries(TEXT, st.lists(EVENTS, max_size=4)))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_data_frames(events):
    again = events_from_frame(events_to_frame(events))
    assert again == {file: sorted(own) for file, own in events.items()}


def test_a_frame_of_desed():
    pandas = pytest.importorskip("pandas")
    rows = [("a.wav", 1.0, 2.0, "dog"), ("b.wav", None, None, None)]
    frame = pandas.DataFrame(rows, columns=["filename", "onset", "offset", "event_label"])
    assert events_from_frame(frame) == {"a.wav": [Event(1.0, 2.0, "dog")], "b.wav": []}


def test_malformed_frames():
    frame = events_to_frame({"a": [Event(1.0, 2.0, "dog")], "b": [Event(3.0, 4.0, "cat")]})
    with pytest.raises(ValueError, match=r"lacks the column.*offset"):
        events_from_frame(frame.drop(columns="offset"))
    frame.loc[1, "offset"] = 2.5
    with pytest.raises(ValueError, match="row 1 of the frame: the onset 3 s must be before"):
        events_from_frame(frame)
    frame.loc[0, "file"] = None
    with pytest.raises(ValueError, match="row 0 of the frame: the file is missing"):
        events_from_frame(frame)


def test_frames_of_paths_and_of_events(tmp_path):
    pandas = pytest.importorskip("pandas")
    paths = pandas.DataFrame({"path": [f"{tmp_path}/{name}.wav" for name in "ab"]})
    soundfile.write(tmp_path / "a.wav", np.zeros(44100), 44100)
    soundfile.write(tmp_path / "b.wav", np.zeros(44100), 44100)
    assert LFBETransformer().transform(paths).shape == (2, 44, 64)
    rows = [("b.wav", 0.5, 0.9, "dog"), ("a.wav", None, None, None)]
    frame = pandas.DataFrame(rows, columns=["file", "onset", "offset", "label"])
    y = match_files(frame, paths)
    assert y == [[], [Event(0.5, 0.9, "dog")]]
    with pytest.raises(TypeError, match=r"y = sklearn_rcrnn\.annotations\.match_files\(y, paths"):
        check_event_lists(frame)
    with pytest.raises(ValueError, match="X is a frame with the columns 'path', 'scene'"):
        LFBETransformer().transform(paths.assign(scene="home"))


class TestRavenOfSeveralRecordings:
    DOG, CAT = Event(1.0, 2.5, "dog"), Event(10.0, 11.0, "cat")

    def test_times_are_those_of_the_sequence(self, tmp_path, monkeypatch):
        for name, seconds in (("a.wav", 20), ("silence.wav", 5), ("b.wav", 12)):
            soundfile.write(tmp_path / name, np.zeros(seconds * 4000), 4000)
        monkeypatch.chdir(tmp_path)
        events = {"a.wav": [self.DOG], "silence.wav": [], "b.wav": [self.CAT]}
        write_events(events, "all.txt", "raven")
        header, *rows = [
            line.split("\t") for line in (tmp_path / "all.txt").read_text().split("\n")
        ]
        dog, cat = (dict(zip(header, row, strict=True)) for row in rows[:2])
        assert [float(dog[f"{name} Time (s)"]) for name in ("Begin", "End")] == [1.0, 2.5]
        assert [float(cat[f"{name} Time (s)"]) for name in ("Begin", "End")] == [35.0, 36.0]
        assert float(cat["File Offset (s)"]) == 10.0
        assert (cat["Begin File"], cat["Begin Path"]) == ("b.wav", str(tmp_path / "b.wav"))
        assert match_files(read_events("all.txt"), events) == list(events.values())

    def test_recordings_that_are_not_there(self, tmp_path):
        events = {"a.wav": [self.DOG], "b.wav": [self.CAT]}
        with pytest.warns(UserWarning, match=r"start of each recording.*No such .*'a\.wav'"):
            write_events(events, tmp_path / "all.txt", "raven")
        assert read_events(tmp_path / "all.txt") == events
