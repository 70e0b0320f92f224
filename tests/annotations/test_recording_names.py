"""Recordings and the names that tables have for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sklearn_rcrnn import Event
from sklearn_rcrnn.annotations import match_files, read_events, write_events
from sklearn_rcrnn.annotations.recording_names import matching_names

PART = st.sampled_from(["a", "b", "0.wav", "1.flac"])
PATHS = st.lists(st.lists(PART, min_size=1, max_size=4).map("/".join), min_size=1, unique=True)


@pytest.mark.parametrize(
    ("names", "paths", "expected"),
    [
        (["deep/a.wav", "b"], ["other/a.wav", "b.flac", "c.wav"], ["deep/a.wav", "b", None]),
        # Folders decide where names are shared, also those of a table of another place.
        (["a/0.wav", "b/0.wav"], ["/n/b/0.wav", "/n/c/0.wav"], ["b/0.wav", None]),
        (["/old/a/0.wav", "/old/a/1.wav"], ["/n/a/0.wav", "/n/c/0.wav"], ["/old/a/0.wav", None]),
        (["C:\\x\\a\\0.wav", "C:\\x\\b\\1.wav"], ["a/0.wav"], ["C:\\x\\a\\0.wav"]),
        (["a/0", "b/0"], ["/n/b/0.flac", "/n/a/0.flac"], ["b/0", "a/0"]),
        (["3/01/0.wav", "1/02/0.wav"], ["1/01/0.wav", "2/01/0.wav"], [None, None]),
        # What is named exactly is not another of the same stem.
        (["a.wav"], ["a.flac", "a.wav"], [None, "a.wav"]),
        (["0.wav"], ["c/0.wav", "0.wav"], [None, "0.wav"]),
        (["a.wav"], ["a.wav", "a.wav"], ["a.wav", "a.wav"]),
        ([""], ["a.wav", ""], [None, None]),
    ],
)
def test_names_of_recordings(names, paths, expected):
    assert matching_names(names, paths) == expected
    assert matching_names(names, map(Path, paths)) == expected


@pytest.mark.parametrize(
    ("names", "paths", "message"),
    [
        (["0.wav"], ["/n/a/0.wav", "/n/b/0.wav"], "0.wav in the table may mean /n/a/0.wav, /n/b"),
        (["a/0.wav", "b/0.wav"], ["0.wav"], "a/0.wav, b/0.wav in the table may mean 0.wav"),
        (["0"], ["n/0.wav", "n/0.flac", "m/1.wav"], "mean n/0.flac, n/0.wav: name .* endings"),
        (["a/0", "b/0"], ["b/0.mp3", "b/0.wav", "a/0.wav"], "b/0 in the table may mean b/0.mp3"),
        (["0.wav", "0.flac"], ["0.mp3"], "0.flac, 0.wav in the table may mean 0.mp3"),
    ],
)
def test_a_table_that_leaves_open_what_it_means(names, paths, message):
    with pytest.raises(ValueError, match=message):
        matching_names(names, paths)


@given(PATHS)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # of a busy machine
def test_the_same_files_at_another_place(paths):
    assert matching_names(paths, paths) == paths
    moved = [f"/new/place/{path}" for path in paths]
    former = [f"/old/{path}" for path in paths]
    assert matching_names(paths, moved) == paths
    assert matching_names(moved, paths) == moved
    assert matching_names(former, moved) == former


def test_folders_of_tables_are_folders_of_recordings(tmp_path):
    for folder in ("mon", "tue"):
        (tmp_path / folder).mkdir()
        write_events({"0.wav": [Event(1.0, 2.0, folder)]}, tmp_path / folder / "0.wav.csv")
    write_events({"0": [Event(1.0, 2.0, "tue")]}, tmp_path / "tue" / "1.txt", "audacity")
    (tmp_path / "tue" / "._1.txt").write_bytes(b"\0\5\x16\7")  # as macOS leaves them
    found = read_events(tmp_path)
    assert list(found) == ["mon/0.wav", "tue/0.wav", "tue/1"]
    paths = [Path("nights") / name for name in ("tue/0.wav", "mon/0.wav", "wed/0.wav", "tue/1.wav")]
    labels = [[event.label for event in own] for own in match_files(found, paths)]
    assert labels == [["tue"], ["mon"], [], ["tue"]]


def test_events_without_a_path_are_told_of():
    events = {"a.wav": [Event(0, 1, "x")], "b.WAV": [Event(0, 1, "x")], "c.mp3": []}
    with pytest.warns(UserWarning, match=r"left out the events of b\.WAV: no path"):
        assert match_files(events, ["in/a.wav"]) == [[Event(0, 1, "x")]]
