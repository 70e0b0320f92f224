"""Tables as other programs and people write them are understood, or named in an error."""

from __future__ import annotations

import json

import pytest

from sklearn_rcrnn import Event
from sklearn_rcrnn.annotations import (
    Format,
    Row,
    events_from_frame,
    events_to_frame,
    format_events,
    match_files,
    read_events,
    register_format,
    write_events,
)
from sklearn_rcrnn.annotations.formats import FORMATS

DOG = Event(1.0, 2.5, "dog")


def read(tmp_path, text, name="a.csv", **options):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_events(path, **options)


class TestHeaders:
    @pytest.mark.parametrize(
        "text",
        [
            "file,start,end,label\na.wav,1,2.5,dog\n",
            "file,start,duration,label\na.wav,1,1.5,dog\n",
            "filename,begin,end,species\na.wav,1,2.5,dog\n",
            "path,start_time,end_time,class\na.wav,1,2.5,dog\n",
            "filepath,start,end,scientific_name,common_name,confidence,lat\na.wav,1,2.5,canis,dog,1,\n",
            "Audiofilename,Starttime,Endtime,Q\na.wav,1,2.5,dog\n",
            "sound.files,selec,start,end,label\na.wav,1,1,2.5,dog\n",
            "Start (s),End (s),Scientific name,Common name,Confidence,File\n1,2.5,c,dog,1,a.wav\n",
            "sep=;\r\nFile;Onset [s];Offset [s];Label\r\na.wav;1,0;2,5;dog\r\n",
            "filename\tonset\toffset\tevent_label\na.wav\t1\t2.5\tdog\n",
            "﻿file,onset,offset,label\na.wav,1,2.5,dog\n",
            "file,onset,offset,label\ra.wav,1,2.5,dog\r",
            '"file","onset","offset","label"\n"a.wav","1","2.5","dog"\n',
            "SPEAKER a.wav 1 1.000 1.500 <NA> <NA> dog <NA> <NA>\n",
            '[{"file": "a.wav", "start": 1, "end": 2.5, "label": "dog"}]',
            '{"filename": "a.wav", "onset": 1, "duration": 1.5, "species": "dog"}\n',
            "a.wav\toffice\t1.0\t2.5\tdog\n",
            "label,onset_s,offset_s,what we heard it in\ndog,1,2.5,a.wav\n",
        ],
    )
    def test_meaning_is_certain(self, text, tmp_path):
        assert read(tmp_path, text) == {"a.wav": [DOG]}

    def test_utf16_of_a_spreadsheet(self, tmp_path):
        text = "file\tonset\toffset\tlabel\r\na.wav\t1,0\t2,5\tdog\r\n"
        assert read(tmp_path, text.encode("utf-16")) == {"a.wav": [DOG]}

    def test_kaleidoscope(self, tmp_path):
        """Its OFFSET is where an event begins, its names are in two columns."""
        text = (
            "INDIR,FOLDER,IN FILE,CHANNEL,OFFSET,DURATION,Fmin,AUTO ID,MANUAL ID\n"
            "/data,site1,a.wav,0,1,1.5,300,NoID,dog\n/data,site1,a.wav,0,5,1,300,bat,\n"
        )
        assert read(tmp_path, text) == {"site1/a.wav": [DOG, Event(5.0, 6.0, "bat")]}

    def test_a_person_outdoes_the_machine_in_any_version_of_kaleidoscope(self, tmp_path):
        """Names with an asterisk were unknown: the guess of the program was taken."""
        text = (
            "FOLDER,IN FILE,OFFSET,DURATION,TOP1MATCH,AUTO ID*,MANUAL ID*\n"
            "site1,a.wav,1,1.5,bat,bat,dog\n"
        )
        assert read(tmp_path, text) == {"site1/a.wav": [DOG]}

    def test_columns_that_the_caller_names(self, tmp_path):
        text = "rec,t1,t2,what,certainty\na.wav,1,2.5,dog,99.5\n"
        names = {"file": "rec", "onset": "t1", "offset": "t2", "label": "what"}
        assert read(tmp_path, text, columns=names) == {"a.wav": [DOG]}
        text = '"rec";"t1";"t2";"what"\n"a.wav";"1,0";"2,5";"dog"\n'
        assert read(tmp_path, text, columns=names) == {"a.wav": [DOG]}
        # A duration that was named was passed over where there was an end, in other units perhaps.
        text = "file,start,end,seconds,label\na.wav,1,2500,1.5,dog\n"
        assert read(tmp_path, text, columns={"duration": "seconds"}) == {"a.wav": [DOG]}
        text = "file,onset,offset,label,kind\na.wav,1,2.5,x,dog\n"
        assert read(tmp_path, text, columns={"label": "kind"}) == {"a.wav": [DOG]}
        with pytest.raises(
            ValueError, match="no column 'sort' for the label; the columns are file"
        ):
            read(tmp_path, text, columns={"label": "sort"})

    @pytest.mark.parametrize(
        ("text", "columns"),
        [
            ("rec,t1,t2,what\na.wav,1,2.5,dog\n", "rec, t1, t2, what"),
            ("file,onset_ms,offset_ms,label\na.wav,1000,2500,dog\n", "file, onset_ms, offset_ms"),
            ("Read me first.\nThe tables are beside.\n", "Read me first."),
            ("1.0,2.5,dog\n", "1.0, 2.5, dog"),
            ('{"a.wav": [[1, 2.5, "dog"]]}', "onset"),
            ("file,start,end\na.wav,1,2.5\n", "file, start, end"),
        ],
    )
    def test_what_is_not_known_lists_columns_and_names(self, text, columns, tmp_path):
        with pytest.raises(ValueError, match=r"a\.csv") as error:
            read(tmp_path, text)
        assert columns in str(error.value)
        assert "label" in str(error.value)

    def test_two_columns_of_recordings(self, tmp_path):
        text = "label,onset,offset,left,right\ndog,1,2.5,a.wav,b.wav\n"
        with pytest.raises(ValueError, match="the columns left, right name recordings"):
            read(tmp_path, text)
        assert read(tmp_path, text, columns={"file": "right"}) == {"b.wav": [DOG]}

    def test_prose_beside_tables_is_passed_over_with_a_word(self, tmp_path):
        (tmp_path / "README.txt").write_text("These are tables.\n")
        (tmp_path / "a.txt").write_text("1\t2.5\tdog\n")
        with pytest.warns(UserWarning, match=r"README\.txt is passed over"):
            assert read_events(tmp_path) == {"a": [DOG]}
        (tmp_path / "settings.json").write_text("{}")
        with pytest.warns(UserWarning, match=r"settings\.json is passed over"):
            assert read_events(tmp_path) == {"a": [DOG]}
        (tmp_path / "notes.txt").write_text("It rained.\n")
        with (
            pytest.warns(UserWarning, match="README"),
            pytest.raises(ValueError, match=r"notes\.txt"),
        ):
            read_events(tmp_path)


RAVEN = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)"


class TestRaven:
    def test_sequences_of_recordings(self, tmp_path):
        text = (
            f"{RAVEN}\tBegin File\tFile Offset (s)\tSpecies\n"
            "1\tSpectrogram 1\t1\t1\t2.5\t0\t9000\ta.wav\t1\tdog\n"
            "2\tSpectrogram 1\t1\t30\t31\t0\t9000\tb.wav\t10\tcat\n"
        )
        expected = {"a.wav": [DOG], "b.wav": [Event(10.0, 11.0, "cat")]}
        assert read(tmp_path, text, "all.Table.1.selections.txt") == expected

    def test_views_of_one_selection_are_one_event(self, tmp_path):
        row = "\t1\t1.0\t2.5\t0\t9000\tdog\n"
        text = f"{RAVEN}\tAnnotation\n1\tWaveform 1{row}1\tSpectrogram 1{row}2\tWaveform 1{row}"
        assert read(tmp_path, text, "a.Table.1.selections.txt") == {"a": [DOG, DOG]}

    def test_selections_of_two_people_are_two_events(self, tmp_path):
        """Their tables were joined, and both begin with selection 1."""
        rows = [f"1\tSpectrogram 1\t1\t1.0\t2.5\t0\t9000\t{name}\n" for name in ("dog", "fox")]
        text = f"{RAVEN}\tAnnotation\n{''.join(rows)}"
        assert read(tmp_path, text, "a.txt") == {"a": [DOG, Event(1.0, 2.5, "fox")]}

    def test_a_sequence_without_the_times_in_each_file(self, tmp_path):
        """Times counted from the start of the first recording, without a word."""
        row = "\tSpectrogram 1\t1\t{}\t{}\t0\t9000\t{}\tdog\n"
        rows = ("1" + row.format(1, 2.5, "a.wav"), "2" + row.format(61, 62.5, "b.wav"))
        text = f"{RAVEN}\tBegin File\tAnnotation\n{''.join(rows)}"
        with pytest.warns(UserWarning, match=r"times of a\.wav, b\.wav .* File Offset \(s\)"):
            read(tmp_path, text, "all.txt")
        more = text + "3" + row.format(1, 2.5, "b.wav")  # joined tables of single recordings
        assert read(tmp_path, more, "all.txt")["a.wav"] == [DOG]
        # One event in each of several short clips, which begin at different times.
        rows = ("1" + row.format(1, 2.5, "a.wav"), "2" + row.format(1.2, 2.7, "b.wav"))
        text = f"{RAVEN}\tBegin File\tAnnotation\n{''.join(rows)}"
        assert len(read(tmp_path, text, "all.txt")) == 2

    @pytest.mark.parametrize("blank", ["", "NA"])
    def test_a_blank_file_offset_among_others(self, tmp_path, blank):
        """Such an event began at its time in the sequence, without a word."""
        names = (*RAVEN.split("\t")[:5], "Begin File", "File Offset (s)", "Species")
        rows = [
            ("1", "Spectrogram 1", "1", "30", "31", "b.wav", blank, "cat"),
            ("2", "Spectrogram 1", "1", "41", "42.5", "b.wav", "21", "dog"),
        ]
        tabs = "\n".join(map("\t".join, (names, *rows)))
        json_rows = [dict(zip(names, row, strict=True)) for row in rows]
        if not blank:
            del json_rows[0]["File Offset (s)"]
        told = "row {}: it has no file offset, but other rows have one"
        doors = [("a.txt", tabs, 2), ("a.csv", tabs.replace("\t", ","), 2)]
        for name, text, line in [*doors, ("a.json", json.dumps(json_rows), 1)]:
            with pytest.raises(ValueError, match=rf"{name}, {told.format(line)}"):
                read(tmp_path, text, name)
            with pytest.warns(UserWarning, match="skipped 1 malformed"):
                assert read(tmp_path, text, name, errors="skip") == {
                    "b.wav": [Event(21.0, 22.5, "dog")]
                }
            events = read(tmp_path, text, name, columns={"onset": "Begin Time (s)"})
            assert [event.onset for event in events["b.wav"]] == [30.0, 41.0]
        pandas = pytest.importorskip("pandas")
        with pytest.raises(ValueError, match="row 0 of the frame: it has no file offset"):
            events_from_frame(pandas.DataFrame(json_rows))

    def test_labels_in_a_column_of_its_own(self, tmp_path):
        text = f"{RAVEN}\tCall\n1\tWaveform 1\t1\t1\t2.5\t0\t9000\tdog\n"
        assert read(tmp_path, text, "a.txt", columns={"label": "Call"}) == {"a": [DOG]}
        with pytest.raises(ValueError, match=r"lacks label\. Its columns are Selection.*Call\."):
            read(tmp_path, text, "a.txt")


class TestBirdNET:
    HEADER = f"{RAVEN}\tCommon Name\tSpecies Code\tConfidence\tBegin Path\tFile Offset (s)\n"

    def test_a_combined_table(self, tmp_path):
        text = (
            f"{self.HEADER}1\tSpectrogram 1\t1\t0\t3\t0\t15000\tRobin\trob\t0.9\t/x/a.wav\t0\n"
            "2\tSpectrogram 1\t1\t63\t66\t0\t15000\tWren\twre\t0.5\t/x/b.wav\t3\n"
            "3\tSpectrogram 1\t1\t120\t123\t0\t15000\tnocall\tnocall\t1.0\t/x/c.wav\t0\n"
        )
        events = read(tmp_path, text, "BirdNET_SelectionTable.txt")
        robin, wren = Event(0.0, 3.0, "Robin", 0.9), Event(3.0, 6.0, "Wren", 0.5)
        assert match_files(events, ["y/a.wav", "y/b.wav", "y/c.wav"]) == [[robin], [wren], []]
        assert set(events) == {"/x/a.wav", "/x/b.wav", "/x/c.wav"}

    def test_tables_that_name_their_recording_in_their_own_name(self, tmp_path):
        (tmp_path / "a.BirdNET.selection.table.txt").write_text(self.HEADER)
        (tmp_path / "b.BirdNET.results.csv").write_text(
            "Start (s),End (s),Scientific name,Common name,Confidence\n1.0,2.5,canis,dog,1.0\n"
        )
        events = read_events(tmp_path)
        assert match_files(events, ["a.wav", "b.wav"]) == [[], [DOG]]
        assert set(events) == {"a", "b"}


class TestEmptyTables:
    @pytest.mark.parametrize("text", ["", "\n", "file,onset,offset,label,score\n"])
    def test_a_recording_without_events(self, text, tmp_path):
        (tmp_path / "a.csv").write_text(text)
        (tmp_path / "b.csv").write_text("file,onset,offset,label\nb.wav,1,2.5,dog\n")
        assert read_events(tmp_path) == {"a": [], "b.wav": [DOG]}


class TestQuotes:
    @pytest.mark.parametrize(
        ("header", "cells"),
        [
            ("file\tonset\toffset\tlabel\n", "a\t{}\t{}\t{}\n"),
            (f"{RAVEN}\tAnnotation\n", "1\tW\t1\t{}\t{}\t0\t9\t{}\n"),
        ],
    )
    def test_are_part_of_labels_between_tabs(self, header, cells, tmp_path):
        labels = ['"big', 'a "cat"', "cow"]
        rows = (cells.format(i, i + 1, label) for i, label in enumerate(labels))
        events = read(tmp_path, header + "".join(rows), "a.txt")
        assert [event.label for event in events["a"]] == labels

    def test_around_a_label_are_told_of(self, tmp_path):
        """As spreadsheets write a label with a comma in text that is separated by tabs."""
        text = 'onset\toffset\tlabel\n1\t2.5\t"bark, loud"\n'
        with pytest.warns(UserWarning, match=r'quotes around labels .*: "bark, loud"'):
            assert read(tmp_path, text, "a.txt") == {"a": [Event(1, 2.5, '"bark, loud"')]}

    def test_one_that_is_not_closed_in_csv_is_an_error_with_its_row(self, tmp_path):
        text = 'file,onset,offset,label\na,1,2.5,dog\na,3,4,"cat\na,5,6,cow\n'
        with pytest.raises(ValueError, match=r"a\.csv, row 3: a quote is not closed"):
            read(tmp_path, text)
        with pytest.warns(UserWarning, match="skipped 1 malformed"):
            events = read(tmp_path, text, errors="skip")
        assert [event.label for event in events["a"]] == ["dog", "cow"]

    def test_survive_in_every_format(self, tmp_path):
        for name in ("csv", "tsv", "raven", "audacity", "dcase", "jsonl"):
            events = {"a": [Event(1.0, 2.0, 'say "hi", twice'), Event(3.0, 4.0, '"')]}
            write_events(events, tmp_path / "a.txt", name)
            assert read_events(tmp_path / "a.txt", name) == events

    def test_line_breaks_are_quoted_or_refused(self, tmp_path):
        for label in ("a\nb", "a\tb", "a\rb"):
            events = {"a": [Event(1.0, 2.0, label)]}
            for name in ("csv", "jsonl"):
                write_events(events, tmp_path / "a.txt", name)
                assert read_events(tmp_path / "a.txt", name) == events
            for name in ("tsv", "raven", "audacity", "dcase"):
                with pytest.raises(ValueError, match=f"{name} cannot hold the label"):
                    format_events(events, name)


class TestNumbers:
    def test_audacity_with_a_score_and_decimal_commas(self, tmp_path):
        text = "1.0\t2.5\tdog\t0.5\n3,0\t4,5\tcat\n"
        expected = [Event(1.0, 2.5, "dog", 0.5), Event(3.0, 4.5, "cat")]
        assert read(tmp_path, text, "a.txt") == {"a": expected}

    @pytest.mark.parametrize("score", ["99.5", "-0.1", "1e3"])
    def test_scores_are_probabilities(self, score, tmp_path):
        text = f"file,onset,offset,label,score\na,1,2.5,dog,{score}\n"
        with pytest.raises(ValueError, match="row 2: the score must be between 0 and 1"):
            read(tmp_path, text)
        assert read(tmp_path, text, columns={"score": None}) == {"a": [DOG]}

    @pytest.mark.parametrize("onset", ["1_0", "nan", "inf", "0x1", "1.0.0", "１", "true"])
    def test_what_is_no_number(self, onset, tmp_path):
        with pytest.raises(ValueError, match="row 2: onset, offset and score must be numbers"):
            read(tmp_path, f"file,onset,offset,label\na,{onset},20,dog\n")


def test_dots_in_names_of_recordings():
    song = Event(1.0, 2.0, "song")
    assert match_files({"Phae.long1": [song]}, ["Phae.long1.wav"]) == [[song]]
    assert match_files({"site_1.5": [song]}, ["site_1.wav", "site_1.5.wav"]) == [[], [song]]
    assert match_files({"site_1.5": [song]}, ["site_1.wav"]) == [[]]
    assert match_files({"a.mp4": [song]}, ["a.wav"]) == [[song]]


def test_safe_csv(tmp_path):
    events = {"=1.wav": [Event(1.0, 2.0, "=cmd()", 0.5), Event(3.0, 4.0, "dog", 0.5)]}
    assert format_events(events, "safe-csv").splitlines()[1:] == [
        "'=1.wav,1.000,2.000,'=cmd(),0.500",
        "'=1.wav,3.000,4.000,dog,0.500",
    ]
    assert format_events(events, "csv").splitlines()[1].startswith("=1.wav")


def test_labels_of_frames_keep_their_type():
    for label in (3, "3", "3.0"):
        events = {"a.wav": [Event(1.0, 2.0, label)], "b.wav": []}
        again = events_from_frame(events_to_frame(events))
        assert again == events
        assert type(again["a.wav"][0].label) is type(label)


def test_frames_are_read_as_tables_are():
    pandas = pytest.importorskip("pandas")
    sequence = pandas.DataFrame(
        {
            "Selection": [1, 1, 2],
            "View": ["Waveform 1", "Spectrogram 1", "Spectrogram 1"],
            "Begin Time (s)": [0.0, 0.0, 30.0],
            "End Time (s)": [1.5, 1.5, 31.0],
            "Begin File": ["a.wav", "a.wav", "b.wav"],
            "File Offset (s)": [1.0, 1.0, 10],
            "Species": ["dog", "dog", "cat"],
        }
    )
    assert events_from_frame(sequence) == {"a.wav": [DOG], "b.wav": [Event(10.0, 11.0, "cat")]}
    lasting = pandas.DataFrame(
        {
            "path": ["a.wav", "b.wav"],
            "start": [1, None],
            "duration": [1.5, None],
            "class": [3, None],
        }
    )
    assert events_from_frame(lasting) == {"a.wav": [Event(1.0, 2.5, 3)], "b.wav": []}
    lasting.loc[0, "start"] = 0
    assert events_from_frame(lasting)["a.wav"] == [Event(0.0, 1.5, 3)]


def test_a_format_of_ones_own(tmp_path):
    def rows(text, columns):
        for number, line in enumerate(text.splitlines()[1:], 2):
            label, onset, offset = line.split("|")
            yield Row(number, None, (onset, offset, label))

    def write(file, events):
        file.write("BARS\n")
        for own in events.values():
            file.writelines(f"{e.label}|{e.onset}|{e.offset}\n" for e in own)

    register_format(
        Format("bars", (".bars",), rows, write, lambda _, text: text.startswith("BARS"), many=False)
    )
    try:
        write_events({"a": [DOG]}, tmp_path / "a.bars", "bars")
        assert read_events(tmp_path / "a.bars") == read_events(tmp_path) == {"a": [DOG]}
        (tmp_path / "b.bars").write_text("BARS\ndog|x|2\n")
        with pytest.raises(ValueError, match=r"b\.bars, row 2: onset, offset and score must"):
            read_events(tmp_path / "b.bars")
    finally:
        del FORMATS["bars"]
