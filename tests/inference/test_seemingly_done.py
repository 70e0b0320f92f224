"""Recordings that only seem to be done, and tables that are no longer as they were written."""

from __future__ import annotations

import os

import pytest
import soundfile
from small_runs import RATE, paths_in, tiny_pipeline

from sklearn_rcrnn import detect_files
from sklearn_rcrnn.inference.output import Found, Recording, Tables
from sklearn_rcrnn.inference.parquet import ParquetDataset


@pytest.fixture(scope="module")
def pipe():
    return tiny_pipeline()


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_a_recording_is_not_that_of_a_recorder_on_the_same_schedule(pipe, folder, format):
    """Its files have the same names, sizes and times, and were passed over as done."""
    first, second = (folder / site / "20240501_050000.WAV" for site in ("north", "south"))
    for path, source in zip((first, second), paths_in(folder), strict=False):
        path.parent.mkdir()
        samples, _ = soundfile.read(source)
        soundfile.write(path, samples[:RATE], RATE)
        os.utime(path, (1714539900, 1714539900))
    options = {"output_dir": folder / "out", "format": format}
    list(detect_files(pipe, [first], root=first.parent, **options))
    with pytest.raises(ValueError, match=r"is another recording of|about another recording of"):
        detect_files(pipe, [second], root=second.parent, **options)
    (again,) = detect_files(pipe, [first], root=first.parent, **options)
    assert again.events is None


def test_a_table_is_not_written_over_where_a_person_corrected_it(pipe, folder):
    """A recording that was merely copied back took the corrections with it."""
    paths, out = paths_in(folder)[:1], folder / "out"
    for _ in range(2):  # a table that nobody changed is written anew
        os.utime(paths[0])
        list(detect_files(pipe, paths, output_dir=out))
    table = out / "00.wav.csv"
    table.write_text("file,onset,offset,label,score\n00.wav,1,2,corrected,1\n")
    assert [o.events for o in detect_files(pipe, paths, output_dir=out)] == [None]
    os.utime(paths[0])
    with pytest.raises(ValueError, match="was changed after it was written"):
        detect_files(pipe, paths, output_dir=out)
    assert "corrected" in table.read_text()
    assert next(detect_files(pipe, paths, output_dir=out, overwrite=True)).events


def test_a_table_that_another_process_writes_meanwhile_is_no_conflict(folder):
    """Its line was not read yet, so the process refused to begin: what is there is of nobody."""
    path = paths_in(folder)[0]
    state = path.stat()
    recording = Recording(path, "00.wav", state.st_size, state.st_mtime_ns)
    late, other = (Tables(folder / "out", "csv", {"weights": "a"}, False) for _ in range(2))
    other.put(Found(recording, [], 4.0))
    late.check([recording])
    assert late.is_done(recording)
    (folder / "out" / "01.wav.csv").write_text("onset,offset,label\n")
    with pytest.raises(ValueError, match="nothing says by which model"):
        late.check([recording._replace(path=path.with_name("01.wav"), key="01.wav")])


def recording_in(folder, name="00.wav", key=None):
    state = (folder / "in" / name).stat()
    return Recording(folder / "in" / name, key or name, state.st_size, state.st_mtime_ns)


@pytest.mark.parametrize("overwrite", [False, True])
class TestTablesOfTwoFormatsInOneFolder:
    """A folder is read as one table: it had the events of two models, or of two settings."""

    def test_by_another_model(self, folder, overwrite):
        recording, out = recording_in(folder), folder / "out"
        Tables(out, "csv", {"weights": "a"}, False).put(Found(recording, [], 4.0))
        with pytest.raises(
            ValueError, match=r"00\.wav\.csv is there, by another model .*weights a"
        ):
            Tables(out, "tsv", {"weights": "b"}, overwrite).check([recording])
        same = Tables(out, "tsv", {"weights": "a"}, overwrite)
        same.check([recording])
        same.put(Found(recording, [], 4.0))
        again = Tables(out, "csv", {"weights": "a"}, False)
        assert again.is_done(recording)  # by the first run, although another format came later

    def test_of_a_recording_that_changed(self, folder, overwrite):
        recording, out = recording_in(folder), folder / "out"
        Tables(out, "csv", {}, False).put(Found(recording, [], 4.0))
        os.utime(recording.path)
        with pytest.raises(ValueError, match="recording as it was before it changed"):
            Tables(out, "jsonl", {}, overwrite).check([recording_in(folder)])

    def test_under_another_name(self, folder, overwrite):
        recording, out = recording_in(folder), folder / "out"
        Tables(out, "csv", {}, False).put(Found(recording, [], 4.0))
        with pytest.raises(ValueError, match=r"under the name '00\.wav'"):
            Tables(out, "tsv", {}, overwrite).check([recording_in(folder, key="in/00.wav")])


def test_another_format_with_the_same_ending_is_not_done(folder):
    """--safe-csv, or dcase after audacity, found nothing to do, and the old tables stayed."""
    recording, out = recording_in(folder), folder / "out"
    Tables(out, "csv", {}, False).put(Found(recording, [], 4.0))
    safe = Tables(out, "safe-csv", {}, False)
    assert not safe.is_done(recording)
    with pytest.raises(ValueError, match="in the format csv and not safe-csv"):
        safe.check([recording])
    Tables(out, "safe-csv", {}, True).check([recording])
    assert Tables(out, "csv", {}, False).is_done(recording)


def test_overwriting_a_data_set_costs_no_events_of_other_recordings(folder):
    """With some of the recordings, or a shard, --overwrite deleted the events of all others."""
    pytest.importorskip("pyarrow")

    def data_set(overwrite):
        return ParquetDataset(folder / "out", {"weights": "a"}, "model", overwrite)

    first, second = (recording_in(folder, name) for name in ("00.wav", "01.wav"))
    old = data_set(False)
    for recording in (first, second):
        old.put(Found(recording, [], 4.0))
    old.flush()
    with pytest.raises(ValueError, match=r"also has events of 01\.wav, which overwriting would"):
        data_set(True).check([first])
    assert data_set(False).is_done(second)
    # Under other names, as with another folder given, they are the same recordings.
    data_set(True).check(
        [recording_in(folder, name, f"in/{name}") for name in ("00.wav", "01.wav")]
    )
    assert not data_set(False).is_done(second)
