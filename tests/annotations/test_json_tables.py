"""Events in JSON are understood, or the object that is not is named in an error."""

from __future__ import annotations

import json

import pytest

from sklearn_rcrnn import Event
from sklearn_rcrnn.annotations import events_from_frame, read_events

DOG = Event(1.0, 2.5, "dog")


def read(tmp_path, text, name="a.csv", **options):
    (tmp_path / name).write_text(text)
    return read_events(tmp_path / name, **options)


class TestJSON:
    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ({"file": ["a"], "onset": 1, "offset": 2, "label": "x"}, "the file must be a name"),
            ({"file": "a", "onset": 1, "offset": 2, "label": ["x"]}, "the label must be text"),
            ({"file": "a", "onset": 1, "offset": 2, "label": True}, "the label must be text"),
            ({"file": "a", "onset": True, "offset": 2, "label": "x"}, "True is no number"),
            ({"file": "a", "onset": 1, "offset": 10**400, "label": "x"}, "is no number"),
            ("text", "an object"),
        ],
    )
    def test_rows_are_named_and_skipped(self, row, message, tmp_path):
        good = {"file": "a", "onset": 1, "offset": 2.5, "label": "dog"}
        text = f"{json.dumps(good)}\n{json.dumps(row)}\n"
        with pytest.raises(ValueError, match=rf"a\.jsonl, row 2: .*{message}"):
            read(tmp_path, text, "a.jsonl")
        with pytest.warns(UserWarning, match="skipped 1 malformed"):
            assert read(tmp_path, text, "a.jsonl", errors="skip") == {"a": [DOG]}

    def test_objects_are_read_as_rows_are(self, tmp_path):
        """The times of a sequence counted from its start, and each view was an event."""
        names = ("Selection", "View", "Begin Time (s)", "End Time (s)", "Begin File")
        rows = [
            dict(zip(names, values, strict=True)) | {"File Offset (s)": offset, "Species": label}
            for *values, offset, label in (
                (1, "Waveform 1", 1, 2.5, "a.wav", 1, "dog"),
                (1, "Spectrogram 1", 1, 2.5, "a.wav", 1, "dog"),
                (2, "Waveform 1", 30, 31, "b.wav", 10, "cat"),
            )
        ]
        expected = {"a.wav": [DOG], "b.wav": [Event(10.0, 11.0, "cat")]}
        assert read(tmp_path, json.dumps(rows), "a.json") == expected
        rows = [{k: v for k, v in row.items() if "Offset" not in k} for row in rows]
        with pytest.warns(UserWarning, match=r"times of a\.wav, b\.wav .* File Offset \(s\)"):
            read(tmp_path, json.dumps(rows), "a.json")
        pandas = pytest.importorskip("pandas")
        with pytest.warns(UserWarning, match=r"times of a\.wav, b\.wav .* File Offset \(s\)"):
            events_from_frame(pandas.DataFrame(rows))

    def test_a_list_of_events_in_an_object_is_not_passed_over(self, tmp_path):
        """Such a recording was one without events."""
        event = {"onset": 1, "offset": 2.5, "label": "dog"}
        for events in ([event], event):
            text = json.dumps([{"file": "a.wav", "events": events}])
            with pytest.raises(ValueError, match="row 1: an object for each event was expected"):
                read(tmp_path, text, "a.json")
        assert read(tmp_path, '{"file": "a.wav", "n": 0}', "a.json") == {"a.wav": []}

    @pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"onset": 1' + "0" * 9000])
    def test_what_no_parser_takes(self, text, tmp_path):
        for name in ("a.jsonl", "a.jams"):
            with pytest.raises(ValueError, match=r"a\.(jsonl|jams)"):
                read(tmp_path, text, name)

    @pytest.mark.parametrize("value", [["x"], True])
    def test_jams_labels(self, value, tmp_path):
        jams = pytest.importorskip("jams")
        content = jams.JAMS()
        content.file_metadata.duration = 10.0
        annotation = jams.Annotation("tag_open")
        annotation.append(time=1.0, duration=1.5, value="dog", confidence=1.0)
        annotation.append(time=3.0, duration=1.0, value=value, confidence=1.0)
        content.annotations.append(annotation)
        with pytest.raises(ValueError, match=r"a\.jams, row 2: the label must be text"):
            read(tmp_path, content.dumps(), "a.jams")
        with pytest.warns(UserWarning, match="skipped 1 malformed"):
            assert read(tmp_path, content.dumps(), "a.jams", errors="skip") == {"a": [DOG]}

    def test_jams_of_two_people(self, tmp_path):
        jams = pytest.importorskip("jams")
        content = jams.JAMS()
        content.file_metadata.duration = 4.0
        for _ in range(2):
            annotation = jams.Annotation("tag_open")
            annotation.append(time=1.0, duration=1.5, value="dog", confidence=1.0)
            content.annotations.append(annotation)
        with pytest.warns(UserWarning, match="events of all 2 annotations"):
            assert read(tmp_path, content.dumps(), "a.jams") == {"a": [DOG, DOG]}
