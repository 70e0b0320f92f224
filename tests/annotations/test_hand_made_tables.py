"""Tables that people typed, or that a spreadsheet saved: read right, or told what is wrong."""

from __future__ import annotations

import unicodedata
import warnings

import pytest

from sklearn_rcrnn import Event
from sklearn_rcrnn.annotations import (
    events_from_frame,
    format_events,
    match_files,
    read_corrections,
    read_events,
    write_events,
)

DOG = Event(1.0, 2.5, "dog")
COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))


def read(tmp_path, rows, header="file,onset,offset,label", encoding="utf-8", **options):
    (tmp_path / "t.csv").write_text("\n".join([header, *rows]), encoding=encoding)
    return read_events(tmp_path / "t.csv", **options)


@pytest.mark.parametrize(
    ("onset", "offset", "seconds"),
    [
        ("0:00:01", "0:00:02.5", (1, 2.5)),
        ("10:59:59.25", "11:00:00", (39599.25, 39600)),
        ("1", "0:00:09", (1, 9)),
    ],
)
def test_times_by_the_clock(onset, offset, seconds, tmp_path):
    (event,) = read(tmp_path, [f"a,{onset},{offset},dog"])["a"]
    assert event[:2] == seconds
    header = "file;onset;offset;label"
    by_comma = read(tmp_path, [f"a;{onset};{offset};dog".replace(".", ",")], header)
    assert by_comma == {"a": [event]}


TAB = "onset\toffset\tlabel"


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (["12.5\t13\tdog", "1,234\t1,240\tdog"], "'1,234' may mean 1.234 or 1234, .*point"),
        (["1,234\t1,234.5\tdog"], "'1,234' may mean 1.234 or 1234, .*point"),
        (["12,5\t13\tdog", "1.234\t1.240\tdog"], "'1.234' may mean .* comma: write 1,234 or 1234"),
        (["12.5\t1,234.5\tdog"], "'1,234.5' is no number: write it without signs between"),
        (["12.5\t1,234,567\tdog"], "'1,234,567' is no number: write it without"),
    ],
)
def test_signs_between_thousands_are_no_decimal_signs(rows, told, tmp_path):
    """Such a number was read as 1.234 without a word."""
    told = rf"row \d: onset, offset and score must be numbers.*{told}"
    with pytest.raises(ValueError, match=told):
        read(tmp_path, rows, TAB)
    by_semicolon = [row.replace("\t", ";") for row in rows]
    with pytest.raises(ValueError, match=told):
        read(tmp_path, by_semicolon, TAB.replace("\t", ";"))
    (tmp_path / "audacity.txt").write_text("\n".join(rows))
    with pytest.raises(ValueError, match=told):
        read_events(tmp_path / "audacity.txt", "audacity")
    (tmp_path / "dcase.txt").write_text("\n".join(f"a.wav\t{row}" for row in rows))
    with pytest.raises(ValueError, match=told):
        read_events(tmp_path / "dcase.txt", "dcase")


@pytest.mark.parametrize("other", ["0,5\t0,75", "12,25\t13", "1,5\t998", "0\t2,000", "1,2345\t2"])
def test_decimal_commas_of_three_digits(other, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        events = read(tmp_path, [f"{other}\tcat", "1,234\t1,500\tdog"], TAB)["t"]
    assert Event(1.234, 1.5, "dog") in events


def test_commas_that_nothing_explains_are_told_of(tmp_path):
    rows = ["998\t999\tdog", "1,234\t1,240\tdog"]
    with pytest.warns(UserWarning, match="such as 1,240 are read with a decimal comma, as 1.24"):
        events = read(tmp_path, rows, TAB)["t"]
    assert Event(1.234, 1.24, "dog") in events


def test_corrections_with_signs_between_thousands(tmp_path):
    rows = ["a;12.5;13;dog;add", "a;1,234;1,240;dog;add"]
    (tmp_path / "c.csv").write_text("\n".join(["file;onset;offset;label;decision", *rows]))
    with pytest.raises(ValueError, match=r"row 3: onset must be a number; .* may mean"):
        read_corrections(tmp_path / "c.csv")


@pytest.mark.parametrize("onset", ["0:01", "0:60:00", "0:00:60", "1:2:3", "-0:00:01"])
def test_what_is_no_time_for_certain(onset, tmp_path):
    with pytest.raises(ValueError, match=r"row 2: .* or times h:mm:ss; '-?\d:"):
        read(tmp_path, [f"a.wav,{onset},9:00:00,dog"])


@pytest.mark.parametrize("missing", ["NA", "NaN", "nan", "<NA>"])
def test_missing_values_as_r_and_pandas_write_them(missing, tmp_path):
    rows = ["a.wav,1,2.5,dog,NA", f"b.wav,{missing},{missing},{missing},{missing}"]
    events = read(tmp_path, rows, "file,onset,offset,label,score")
    assert events == {"a.wav": [DOG], "b.wav": []}
    with pytest.raises(ValueError, match="row 2: onset, offset and score must be numbers"):
        read(tmp_path, [f"a.wav,{missing},2,dog"])


def test_another_column_has_what_is_missing_in_one(tmp_path):
    """NA was the label of what nobody has labeled by hand."""
    header = "file,onset,offset,duration,manual_id,auto_id"
    rows = ["a.wav,1,NA,1.5,NA,dog", "b.wav,1,2.5,NA,dog,cat"]
    assert read(tmp_path, rows, header) == {"a.wav": [DOG], "b.wav": [DOG]}


def test_folders_in_a_column_of_their_own(tmp_path):
    """Recordings of one name in several folders were one recording."""
    rows = ["mon,a.wav,1,2.5,dog", "tue,a.wav,1,2.5,dog", "tue,wed/a.wav,1,2.5,dog"]
    events = read(tmp_path, rows, "folder,file,onset,offset,label")
    assert events == {"mon/a.wav": [DOG], "tue/a.wav": [DOG], "wed/a.wav": [DOG]}


def test_names_of_recordings_that_a_first_row_lacks(tmp_path):
    """All events were taken for those of a recording of the table's own name."""
    rows = ["a.wav,1,2.5,dog,good", ",1,2,cat,"]
    with pytest.raises(ValueError, match="row 2: the file is missing, which other rows name"):
        read(tmp_path, rows[::-1], "clip,onset,offset,label,notes")
    with pytest.raises(ValueError, match="row 3: the file is missing, which other rows name"):
        read(tmp_path, rows, "clip,onset,offset,label,-")
    # What stands in another column later on does not make it one of recordings.
    rows = ["1,2.5,dog,good", "3,4,x.wav,as in b.wav"]
    events = read(tmp_path, rows, "onset,offset,label,notes")
    assert events == {"t": [DOG, Event(3.0, 4.0, "x.wav")]}


def test_lengths_are_no_labels(tmp_path):
    """ELAN writes the tier, the speaker, onset, offset, length and label, without a header."""
    for speaker in ("", "\t"):
        text = f"birds{speaker}\t1.000\t2.500\t1.500\tdog\nbirds{speaker}\t3\t4.25\t1.250\tcat\n"
        (tmp_path / "t.txt").write_text(text)
        with pytest.raises(ValueError, match="its format is none of"):
            read_events(tmp_path / "t.txt")
    (tmp_path / "t.txt").write_text("a.wav\t1.0\t2.0\t1\n")
    assert read_events(tmp_path / "t.txt") == {"a.wav": [Event(1.0, 2.0, "1")]}


def test_a_comma_in_a_label_without_quotes(tmp_path):
    with pytest.raises(ValueError, match="row 3: it has 5 fields and the header 4"):
        read(tmp_path, ["a.wav,1,2.5,dog,,", "a.wav,1,2.5,dog, small"])
    (tmp_path / "c.csv").write_text("file,onset,offset,decision,label\na.wav,1,2,keep,dog, small\n")
    with pytest.raises(ValueError, match="row 2: it has 6 fields and the header 5"):
        read_corrections(tmp_path / "c.csv")


def test_two_columns_of_one_name(tmp_path):
    with pytest.raises(ValueError, match="the column 'label' is there 2 times"):
        read(tmp_path, ["a.wav,1,2.5,dog,cat"], "file,onset,offset,label,label")
    # Those that mean nothing do no harm.
    assert read(tmp_path, ["a.wav,1,2.5,dog,,"], "file,onset,offset,label,,") == {"a.wav": [DOG]}
    header = "file,onset,offset,Label,label"
    with pytest.raises(ValueError, match="the columns 'Label' and 'label' have one name"):
        read(tmp_path, ["a.wav,1,2.5,7,dog"], header)
    events = read_events(tmp_path / "t.csv", columns={"label": "label"})
    assert events == {"a.wav": [DOG]}


def test_another_encoding_is_named_with_its_row(tmp_path):
    with pytest.raises(ValueError, match=r"not UTF-8 text, row 3 has the byte 0xe9.*CSV UTF-8"):
        read(tmp_path, ["a.wav,1,2,dog", "a.wav,1,2,mésange"], encoding="latin-1")


def test_labels_that_look_alike(tmp_path):
    rows = ["a.wav,1,2,Dog", "a.wav,3,4,dog", f"a.wav,5,6,{COMPOSED}", f"a.wav,7,8,{DECOMPOSED}"]
    with pytest.warns(UserWarning, match="differ only by case or form.*: Dog, dog, "):
        assert len({event.label for event in read(tmp_path, rows)["a.wav"]}) == 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(tmp_path, ["a.wav,1,2,dog ", "a.wav,3,4,dog", "a.wav,5,6,1", "a.wav,7,8,1.0"])


def test_frames_alike():
    pandas = pytest.importorskip("pandas")
    columns = ["file", "onset", "offset", "label"]
    rows = [["a.wav", "0:00:01", 2.5, "dog"], ["a.wav", 3, 4, "Dog"]]
    with pytest.warns(UserWarning, match="differ only by case or form.*: Dog, dog"):
        assert events_from_frame(pandas.DataFrame(rows, columns=columns))["a.wav"][0] == DOG
    with pytest.raises(ValueError, match="the column 'label' is there 2 times"):
        events_from_frame(pandas.DataFrame([[*rows[0], "cat"]], columns=[*columns, "label"]))


def test_an_event_of_less_than_a_millisecond_is_still_one(tmp_path):
    event = Event(1.0001, 1.0004, "click")
    for format in ("csv", "tsv", "dcase", "audacity", "raven", "jsonl"):
        write_events({"t": [event]}, tmp_path / "t.txt", format)
        assert read_events(tmp_path / "t.txt", format) == {"t": [event]}
    assert format_events({"t": [(1.0, 2.0, "dog")]}).endswith("\nt,1.000,2.000,dog,1.000\n")


def test_a_name_that_is_written_once_for_several_rows(tmp_path):
    """Rows without it were taken for a recording of the table's own name."""
    rows = ["a.wav,1,2.5,dog", ",3,4,dog", "b.wav,,,"]
    with pytest.raises(ValueError, match=r"t\.csv, row 3: the file is missing"):
        read(tmp_path, rows)
    with pytest.warns(UserWarning, match="skipped 1 malformed"):
        assert read(tmp_path, rows, errors="skip") == {"a.wav": [DOG], "b.wav": []}


def test_repeated_rows(tmp_path):
    with pytest.warns(UserWarning, match=r"t\.csv: 1 row\(s\) repeat an earlier row"):
        assert read(tmp_path, ["a.wav,1,2.5,dog"] * 2) == {"a.wav": [DOG, DOG]}
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(tmp_path / "t.csv")
    with pytest.warns(UserWarning, match=r"1 row\(s\) of the frame repeat an earlier row"):
        assert events_from_frame(frame) == {"a.wav": [DOG, DOG]}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (f"{COMPOSED}.wav", f"/x/{DECOMPOSED}.wav"),
        (DECOMPOSED, f"/x/{COMPOSED}.WAV"),
        (f"{COMPOSED}/a.wav", f"/x/{DECOMPOSED}/a.wav"),
        ("a:b.wav", "/x/a:b.wav"),
        ("C:\\x\\a.wav", "/y/a.wav"),
        ("a.wav ", "/x/a.wav"),
    ],
)
def test_names_of_other_systems(name, path):
    other = {"b/b.wav": []}
    assert match_files({name: [DOG], **other}, [path, "/x/b/b.wav"]) == [[DOG], []]


def test_two_names_of_one_recording():
    with pytest.raises(ValueError, match=r"x/a\.wav, x\\a\.wav in the table are the same"):
        match_files({"x/a.wav": [DOG], "x\\a.wav": [DOG]}, ["x/a.wav"])


@pytest.mark.parametrize("path", ["/data/{}/a.wav", r"C:\data\{}\a.wav"])
def test_a_column_of_names_beside_one_of_paths(tmp_path, path):
    """The recordings of two folders were one."""
    rows = [f"a.wav,{path.format(day)},1,2,dog" for day in ("mon", "tue")]
    table = tmp_path / "events.csv"
    table.write_text("\n".join(["filename,path,onset,offset,label", *rows]))
    assert list(read_events(table)) == [path.format("mon"), path.format("tue")]
    assert list(read_events(table, columns={"file": "filename"})) == ["a.wav"]
    table.write_text("filename,path,onset,offset,label\na.wav,/data/mon,1,2,dog\n")
    assert list(read_events(table)) == ["a.wav"]


def test_named_columns_where_there_are_none(tmp_path):
    """The third column was taken for the labels, whatever was named, and a score for a score."""
    table = tmp_path / "a.txt"
    table.write_text("1.0\t2.5\tdog\t17\n")
    with pytest.raises(ValueError, match="score must be between 0 and 1"):
        read_events(table)
    assert read_events(table, columns={"score": None}) == {"a": [DOG]}
    with pytest.warns(UserWarning, match="audacity has no names of columns, so call has no effect"):
        read_events(table, columns={"label": "call", "score": None})
