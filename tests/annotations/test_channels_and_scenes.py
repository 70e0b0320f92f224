"""Tables that list an event for each channel, and event lists with scenes."""

from __future__ import annotations

import warnings

import pytest

from sklearn_rcrnn import Event
from sklearn_rcrnn.annotations import events_from_frame, read_events

DOG = Event(1.0, 2.5, "dog")


def read(tmp_path, text, name="a.csv", **options):
    (tmp_path / name).write_text(text)
    return read_events(tmp_path / name, **options)


class TestChannels:
    """An event that is listed for both channels of a recording counted twice."""

    EVENTS = (DOG, DOG, Event(1.0, 2.5, "cat"), Event(1.0, 2.75, "dog"))

    def test_of_rttm(self, tmp_path):
        line = "SPEAKER a.wav {} 1.000 {} <NA> <NA> {} <NA> <NA>\n"
        rows = [(1, 1.5, "dog"), (2, 1.5, "dog"), (2, 1.5, "cat"), (2, 1.75, "dog")]
        text = "".join(line.format(*row) for row in rows)
        assert read(tmp_path, text, "a.rttm") == {"a.wav": sorted(self.EVENTS[1:])}
        with pytest.warns(UserWarning, match=r"1 row\(s\) repeat an earlier row"):
            twice = read(tmp_path, text + line.format(*rows[0]), "a.rttm")
        assert twice == {"a.wav": sorted(self.EVENTS)}

    def test_of_rttm_with_words(self, tmp_path):
        """Words were further events of the one who speaks them."""
        text = (
            "NO_RT_METADATA a.wav 1 9.0 1.0 <NA> <NA> <NA> <NA>\n"
            "SPEAKER a.wav 1 1.000 1.5 <NA> <NA> dog <NA> <NA>\n"
            "LEXEME a.wav 1 1.200 0.3 bark lex dog 0.9 <NA>\n"
        )
        with pytest.warns(UserWarning, match="other than SPEAKER are left out: LEXEME"):
            assert read(tmp_path, text, "a.rttm") == {"a.wav": [DOG]}
        noise = "NON-SPEECH a.wav 1 1.0 1.5 <NA> noise dog <NA>\n"
        assert read(tmp_path, noise, "a.rttm") == {"a.wav": [DOG]}

    @pytest.mark.parametrize("selection", ["", "Selection"])
    def test_of_tables_with_a_header(self, selection, tmp_path):
        rows = [
            (1, "a.wav", 1, 1.0, 2.5, "dog"),
            (2, "a.wav", 2, 1.0, 2.5, "dog"),
            (3, "b.wav", 2, 1.0, 2.5, "dog"),
            (4, "a.wav", 2, 1.0, 2.5, "cat"),
        ]
        header = [selection or "number", "File", "Channel", "Begin Time (s)", "End Time (s)", "Tag"]
        expected = {"a.wav": [Event(1.0, 2.5, "cat"), DOG], "b.wav": [DOG]}
        text = "\n".join(",".join(map(str, row)) for row in (header, *rows))
        assert read(tmp_path, text) == expected
        assert read(tmp_path, text.replace(",", "\t"), "a.txt") == expected
        pandas = pytest.importorskip("pandas")
        assert events_from_frame(pandas.DataFrame(rows, columns=header)) == expected


class TestScenes:
    """Event lists of the challenge with the scene of each recording, as in DCASE 2017 task 3."""

    TEXT = "audio/a.wav\tstreet\t1.0\t2.5\tdog\tm\naudio/b.wav\tstreet\naudio/c.wav\tstreet\t\t\t\n"

    def test_recordings_without_events(self, tmp_path):
        expected = {"audio/a.wav": [DOG], "audio/b.wav": [], "audio/c.wav": []}
        assert read(tmp_path, self.TEXT, "street.txt") == expected
        assert read(tmp_path, self.TEXT, "street.ann", format="dcase") == expected

    def test_numbers_as_scenes(self, tmp_path):
        """The scene was the onset, the onset the offset, and the offset the label."""
        text = "a.wav\t0\t1.0\t2.5\tdog\nb.wav\t1\n"
        assert read(tmp_path, text, "a.txt") == {"a.wav": [DOG], "b.wav": []}

    def test_where_no_row_has_a_scene_and_times_a_text_may_be_a_label(self, tmp_path):
        text = "a.wav\t1.0\t2.5\tdog\nb.wav\tdog\n"
        with pytest.raises(ValueError, match="row 2: there are no times after the name"):
            read(tmp_path, text, "a.txt", format="dcase")
        with pytest.raises(ValueError, match="cannot be read as a table of events"):
            read(tmp_path, "a.wav\tdog\nb.wav\tdog\n", "a.txt")

    def test_a_number_after_the_label_is_told_of(self, tmp_path):
        with pytest.warns(UserWarning, match=r"after the labels, such as 0\.83, is left out"):
            found = read(tmp_path, "a.wav\t1.0\t2.5\tdog\t0.83\n", "a.txt")
        assert found == {"a.wav": [DOG]}
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert read(tmp_path, "a.wav\t1.0\t2.5\tdog\tm001\n", "a.txt") == found
