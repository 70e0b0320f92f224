"""Decisions about found events, from the table that the report exports."""

from __future__ import annotations

import io
import json

import pytest

from sklearn_rcrnn import Event
from sklearn_rcrnn.annotations import (
    Correction,
    apply_corrections,
    events_from_frame,
    read_corrections,
    read_events,
)

HEADER = "file,onset,offset,label,score,decision,was_onset,was_offset,was_label"


def corrections(tmp_path, *rows):
    path = tmp_path / "corrections.csv"
    path.write_text("\r\n".join([HEADER, *rows]) + "\r\n", encoding="utf-8")
    return read_corrections(path)


def test_what_becomes_of_each_decision(tmp_path):
    found = corrections(
        tmp_path,
        "a.wav,1.1,2.0,dog,0.9,keep,1,2,dog",  # its onset was moved
        'a.wav,5,6,"big, cat",0.8,keep,5,6,dog',  # it got another label
        "a.wav,9,10,dog,0.7,reject,9,10,dog",
        "a.wav,12,13,dog,0.6,,12,13,dog",
        "a.wav,20,21,dog,0.6,,20,21,dog",
        "a.wav,30,31,cat,1,add,,,",
    )
    table = [
        Event(1.0, 2.0, "dog"),
        Event(5.0, 6.0, "dog"),
        Event(5.0, 6.0, "bird"),
        Event(9.1, 10.0, "dog"),
        Event(20.0, 21.1, "dog"),
        Event(40.0, 41.0, "dog"),
    ]
    events, undecided = apply_corrections(table, found["a.wav"])
    assert events == [
        Event(1.1, 2.0, "dog"),
        Event(5.0, 6.0, "big, cat"),
        Event(5.0, 6.0, "bird"),
        Event(20.0, 21.1, "dog"),
        Event(30.0, 31.0, "cat"),
        Event(40.0, 41.0, "dog"),
    ]
    # The one at 20 s is in the table, so that it is true is known.
    assert undecided == [Event(12.0, 13.0, "dog", 0.6)]


def test_as_people_type_them(tmp_path):
    (own,) = corrections(tmp_path, "a.wav,0:00:01,0:00:02.5,dog,1, Keep ,,,")["a.wav"]
    assert own == Correction(Event(1.0, 2.5, "dog"), "keep", None)


@pytest.mark.parametrize(
    ("decisions", "kept"),
    [(("keep", "keep"), True), (("keep", "reject"), False), (("reject", "", "keep", ""), True)],
)
def test_the_last_decision_counts(decisions, kept):
    found = Event(1.0, 2.0, "dog", 0.9)
    given = [Correction(found._replace(offset=2.1), decision, found) for decision in decisions]
    expected = [Event(1.0, 2.1, "dog")] if kept else []
    for table in ([], [Event(1.0, 2.0, "dog")]):
        assert apply_corrections(table, given) == (expected, [])


def dog(onset, offset):
    return Event(onset, offset, "dog")


@pytest.mark.parametrize(
    ("table", "rounds", "expected"),
    [
        # What a person added, the network that learnt it finds at almost the same time.
        ([], [("add", dog(1, 2), None), ("keep", dog(1.05, 2), dog(1.05, 2))], [dog(1.05, 2)]),
        ([], [("add", dog(1, 2), None), ("reject", dog(1.05, 2), dog(1.05, 2))], []),
        ([], [("add", dog(1, 2), None), ("", dog(1.05, 2), dog(1.05, 2))], [dog(1, 2)]),
        ([], [("keep", dog(5, 6), dog(1, 2)), ("reject", dog(5, 6), dog(5, 6))], []),
        # The second page was made of a table, which has fewer digits.
        ([], [("reject", dog(1.0004, 2), None), ("", dog(1, 2), None)], []),
        # Of three decisions, the last one is about the first event again.
        (
            [],
            [
                ("keep", dog(1, 2), dog(1, 2)),
                ("reject", dog(1.1, 2), dog(1.1, 2)),
                ("keep", dog(1, 2), dog(1, 2)),
            ],
            [dog(1, 2)],
        ),
        # Corrections that the table has already change nothing.
        ([dog(1.6, 2.6)], [("keep", dog(1.6, 2.6), dog(1, 2))], [dog(1.6, 2.6)]),
    ],
)
def test_rounds_of_corrections_leave_each_event_once(table, rounds, expected):
    given = [Correction(event, decision, was) for decision, event, was in rounds]
    assert apply_corrections(table, given) == (expected, [])


# Two dogs bark at once, so that their events overlap by more than half.
ONE, TWO = dog(1, 4), dog(2, 5)
NEAR_ONE = dog(1.1, 4)


@pytest.mark.parametrize(
    ("table", "given", "expected", "undecided"),
    [
        # Only the last of two events that were kept was left.
        ([], [("keep", ONE, ONE, "p-e0"), ("keep", TWO, TWO, "p-e1")], [ONE, TWO], []),
        ([], [("keep", ONE, ONE, "p-e0"), ("add", TWO, None, "p-a1")], [ONE, TWO], []),
        ([], [("keep", ONE, dog(6, 9), "p-e0"), ("keep", TWO, TWO, "p-e1")], [ONE, TWO], []),
        ([ONE, TWO], [("keep", ONE, ONE, "p-e0"), ("keep", TWO, TWO, "p-e1")], [ONE, TWO], []),
        # None was left where the other one, or one at the very same place, was rejected.
        ([], [("keep", ONE, ONE, "p-e0"), ("reject", TWO, TWO, "p-e1")], [ONE], []),
        ([ONE, TWO], [("keep", ONE, ONE, "p-e0"), ("reject", TWO, TWO, "p-e1")], [ONE], []),
        ([ONE, TWO], [("reject", TWO, TWO, "p-e1"), ("", ONE, ONE, "p-e0")], [ONE], []),
        ([], [("keep", ONE, ONE, "p-e0"), ("reject", ONE, ONE, "p-e1")], [ONE], []),
        ([], [("keep", ONE, ONE, "p-e0"), ("", ONE, ONE, "p-e1")], [ONE], []),
        # The one that nobody has decided on counted as decided on.
        ([], [("keep", ONE, ONE, "p-e0"), ("", TWO, TWO, "p-e1")], [ONE], [TWO]),
        ([ONE, TWO], [("keep", ONE, ONE, "p-e0"), ("", TWO, TWO, "p-e1")], [ONE, TWO], []),
        # The same page was exported twice; what was added has been moved in between.
        ([], [("add", ONE, None, "p-a1"), ("add", dog(3, 9), None, "p-a1")], [dog(3, 9)], []),
        # A later page has the first of the two at almost the same time.
        (
            [],
            [
                ("keep", ONE, ONE, "p-e0"),
                ("keep", TWO, TWO, "p-e1"),
                ("keep", NEAR_ONE, NEAR_ONE, "q-e0"),
            ],
            [NEAR_ONE, TWO],
            [],
        ),
        ([], [("keep", ONE, ONE, "p-e0"), ("reject", NEAR_ONE, NEAR_ONE, "q-e0")], [], []),
        ([], [("keep", ONE, ONE, "p-e0"), ("", NEAR_ONE, NEAR_ONE, "q-e0")], [ONE], []),
        ([], [("keep", dog(6, 9), ONE, "p-e0"), ("", ONE, ONE, "q-e0")], [dog(6, 9)], []),
        # A table without the numbers of events, and a later one with them.
        ([], [("add", ONE, None, ""), ("keep", NEAR_ONE, NEAR_ONE, "q-e0")], [NEAR_ONE], []),
    ],
)
def test_events_of_one_page_stay_apart(table, given, expected, undecided):
    corrections = [Correction(event, decision, was, i) for decision, event, was, i in given]
    assert apply_corrections(table, corrections) == (expected, undecided)


def test_events_that_overlap_in_tables(tmp_path):
    """As the page exports them."""
    pandas = pytest.importorskip("pandas")
    header = HEADER + ",event_id"
    rows = "a.wav,1,4,dog,0.9,keep,1,4,dog,p-e0", "a.wav,2,5,dog,0.8,keep,2,5,dog,p-e1"
    path = tmp_path / "corrections.csv"
    path.write_text("\n".join([header, *rows]))
    assert apply_corrections([], read_corrections(path)["a.wav"]).events == [ONE, TWO]
    expected = {"a.wav": [ONE._replace(score=0.9), TWO._replace(score=0.8)]}
    assert read_events(path) == expected
    frame = pandas.read_csv(path)
    assert events_from_frame(frame) == expected
    frame.to_json(tmp_path / "corrections.jsonl", orient="records", lines=True)
    assert read_events(tmp_path / "corrections.jsonl") == expected


def test_neighbors_of_an_event_are_not_the_event():
    found = Event(1.0, 2.0, "dog", 0.9)
    rejected = [Correction(found, "reject", found)]
    for other in (Event(1.6, 2.6, "dog"), Event(1.0, 2.0, "cat"), Event(0.0, 4.0, "dog")):
        assert apply_corrections([other], rejected).events == [other]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.wav,1,2,dog,0.9,perhaps,,,", "row 2: the decision is 'perhaps'"),
        ("a.wav,one,2,dog,0.9,keep,,,", "row 2: onset must be a number; 'one' is no number"),
        ("a.wav,1,2,dog,0.9,keep,1,,dog", "row 2: was_offset must be a number"),
        ("a.wav,2,1,dog,0.9,keep,,,", "row 2"),
        ("a.wav,1,2,dog,1.5,keep,,,", "row 2: the score must be between 0 and 1; got 1.5"),
    ],
)
def test_rows_that_cannot_be(tmp_path, row, message):
    with pytest.raises(ValueError, match=message):
        corrections(tmp_path, row)


def test_another_table(tmp_path):
    path = tmp_path / "events.csv"
    path.write_text("file,onset,offset,label\na.wav,1,2,dog\n")
    with pytest.raises(ValueError, match="lacks decision and has file, onset, offset, label"):
        read_corrections(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_as_a_spreadsheet_saves_it_again(tmp_path, encoding):
    path = tmp_path / "corrections.csv"
    rows = [HEADER.replace(",", ";"), "a.wav;1,5;2,25;dög;0,9;keep;1,25;2;dog", ";1;2;dog;;keep;;;"]
    path.write_text("\n".join(rows[:2]) + "\n\n", encoding=encoding)
    (found,) = read_corrections(path)["a.wav"]
    was = Event(1.25, 2.0, "dog", 0.9)
    assert found == Correction(Event(1.5, 2.25, "dög", 0.9), "keep", was)
    path.write_text("\n".join(rows), encoding=encoding)
    with pytest.raises(ValueError, match="row 3: the file is missing"):
        read_corrections(path)


class TestAsATableOfEvents:
    rows = (
        "a.wav,1,2,dog,0.9,keep,1,2,dog",
        "a.wav,5,6,dog,0.8,reject,5,6,dog",
        "a.wav,7,8,dog,0.4,,7,8,dog",
        "b.wav,1,2,cat,0.7,reject,1,2,cat",
        "b.wav,,,,,,,,",
    )
    left = {
        "a.wav": [Event(1, 2, "dog", 0.9), Event(7, 8, "dog", 0.4)],
        "b.wav": [],
    }

    def test_what_was_rejected_is_no_event(self, tmp_path):
        path = tmp_path / "corrections.csv"
        path.write_text("\n".join([HEADER, *self.rows]))
        with pytest.warns(UserWarning, match=r"corrections\.csv: left out 2 row\(s\) that were"):
            assert read_events(path) == self.left

    def test_a_rejected_row_without_a_recording_takes_nothing_away(self, tmp_path):
        """It was taken for a recording of the table's own name, whose events it replaced."""
        path = tmp_path / "a.csv"
        path.write_text("\n".join([HEADER, "a,1,2,dog,0.9,keep,,,", ",3,4,dog,0.8,reject,,,"]))
        with pytest.warns(UserWarning, match="left out 1 row"):
            assert read_events(path) == {"a": [Event(1, 2, "dog", 0.9)]}

    # Two rounds: what was kept is rejected, and what was left open is moved and kept.
    first = ("a.wav,1,2,dog,0.9,keep,1,2,dog", "a.wav,5,6,dog,0.8,,5,6,dog")
    second = (
        "a.wav,1.2,2,cat,0.9,reject,1,2,dog",
        "a.wav,5.1,6,dog,0.8,keep,5,6,dog",
        "a.wav,8,9,cat,1,add,,,",
    )
    last = {"a.wav": [Event(5.1, 6, "dog", 0.8), Event(8, 9, "cat", 1.0)]}

    @pytest.mark.filterwarnings("ignore:.*that were rejected")
    def test_the_last_decision_counts_in_joined_tables(self, tmp_path):
        """Both events of the first round were there, and the second of them twice."""
        pandas = pytest.importorskip("pandas")
        text = "\n".join([HEADER, *self.first, *self.second])
        (tmp_path / "joined.csv").write_text(text)
        assert read_events(tmp_path / "joined.csv") == self.last
        frame = pandas.read_csv(io.StringIO(text))
        assert events_from_frame(frame) == self.last
        frame.to_json(tmp_path / "joined.jsonl", orient="records", lines=True)
        assert read_events(tmp_path / "joined.jsonl") == self.last

    @pytest.mark.filterwarnings("ignore:.*that were rejected")
    def test_the_last_decision_counts_in_a_folder_of_tables(self, tmp_path):
        """A rejection in one table left the event of another one."""
        (tmp_path / "a.wav.csv").write_text(
            "file,onset,offset,label,score\na.wav,1,2,dog,0.9\na.wav,20,21,dog,0.7\n"
        )
        for name, rows in (("first", self.first), ("second", self.second)):
            (tmp_path / f"{name}.csv").write_text("\n".join([HEADER, *rows]))
        undecided = Event(20, 21, "dog", 0.7)
        assert read_events(tmp_path) == {"a.wav": [*self.last["a.wav"], undecided]}

    def test_in_a_frame(self, tmp_path):
        pandas = pytest.importorskip("pandas")
        text = "\n".join([HEADER, *self.rows])
        with pytest.warns(UserWarning, match=r"left out 2 row\(s\) of the frame"):
            assert events_from_frame(pandas.read_csv(io.StringIO(text))) == self.left

    def test_as_json(self, tmp_path):
        """As pandas writes the table; what was rejected was an event there."""
        path = tmp_path / "corrections.json"
        rows = [dict(zip(HEADER.split(","), row.split(","), strict=True)) for row in self.rows[:4]]
        path.write_text(json.dumps(rows))
        with pytest.warns(UserWarning, match=r"left out 2 row\(s\) that were rejected"):
            assert read_events(path) == self.left
