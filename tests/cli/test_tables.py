"""Recordings and tables as the commands find them in folders."""

from __future__ import annotations

import importlib.util
import os
import socket

import numpy as np
import pytest
import soundfile
import typer
from small_runs import rcrnn

from sklearn_rcrnn.cli._common import recordings_in
from sklearn_rcrnn.cli._target import target_of


def write(path, seconds=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        soundfile.write(file, np.zeros(seconds * 8000), 8000, format="WAV")


def test_columns_are_named_on_the_command_line(tmp_path):
    (tmp_path / "true.csv").write_text("rec,t1,t2,what\na.wav,1,2.5,dog\n")
    (tmp_path / "found.csv").write_text("file,onset,offset,label\na.wav,1,2.5,dog\n")
    tables = tmp_path / "true.csv", tmp_path / "found.csv"
    names = ("--file-column", "rec", "--onset-column", "t1", "--offset-column", "t2")
    assert rcrnn("evaluate", *tables).exit_code == 2
    result = rcrnn("evaluate", *tables, *names, "--label-column", "what", "--json")
    assert result.exit_code == 0
    assert '"error_rate": 0.0' in result.stdout
    for command in ("train", "tune", "report", "clips"):
        text = rcrnn(command, "--help").stdout
        assert all(option in text for option in ("--label-column", "--quiet", "-q"))


class TestFoldersOfRecordings:
    @pytest.mark.skipif(os.name == "nt", reason="links need rights there")
    def test_links_are_followed_and_circles_do_no_harm(self, tmp_path):
        write(tmp_path / "elsewhere" / "b.wav")
        write(tmp_path / "in" / "a.wav")
        (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "in")
        found = recordings_in([tmp_path / "in"])
        assert [path.relative_to(tmp_path / "in").as_posix() for path in found] == [
            "a.wav",
            "linked/b.wav",
        ]

    def test_all_that_is_audio_or_video_is_named(self, tmp_path):
        names = ["a.m4a", "b.MP4", "c.mov", "d.webm", "e.3gp", "f.caf", "g.aac", "h.wma", "i.mkv"]
        for name in names:
            (tmp_path / name).write_bytes(b"")
        (tmp_path / "notes.txt").write_text("")
        (tmp_path / ".hidden.wav").write_bytes(b"")
        assert [path.name for path in recordings_in([tmp_path])] == names

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
    def test_what_is_no_file_is_reported_and_the_rest_goes_on(self, tmp_path):
        write(tmp_path / "in" / "a.wav")
        os.mkfifo(tmp_path / "in" / "pipe.wav")
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(tmp_path / "in" / "s.wav"))
            result = rcrnn("detect", tmp_path / "in", "-o", tmp_path / "found.csv", "-q")
            assert result.exit_code == 1
            page = rcrnn("report", tmp_path / "in", "-o", tmp_path / "page.html", "-q")
            assert page.exit_code == 1
        for out in (result, page):
            assert "pipe.wav' cannot be read as audio: it is a pipe" in out.stderr
            assert "s.wav' cannot be read as audio" in out.stderr
        assert (tmp_path / "found.csv").read_text().splitlines()[1] == (
            f"{tmp_path / 'in' / 'a.wav'},,,,"
        )

    @pytest.mark.skipif(os.name == "nt", reason="names are text there")
    def test_a_name_that_is_not_utf8(self, tmp_path):
        (tmp_path / "in").mkdir()
        path = tmp_path / "in" / os.fsdecode(b"\xe9t\xe9.wav")
        write(path)
        assert rcrnn("detect", tmp_path / "in", "-o", tmp_path / "found.csv", "-q").exit_code == 0
        table = (tmp_path / "found.csv").read_text(encoding="utf-8")
        assert table.splitlines()[1] == f"{tmp_path / 'in' / '%E9t%E9.wav'},,,,"
        assert rcrnn("detect", tmp_path / "in", "-o", tmp_path / "tables", "-q").exit_code == 0
        # A name of this kind cost all events of a run that wrote a summary or Parquet.
        bad = tmp_path / "in" / os.fsdecode(b"\xe9.wav")
        bad.write_text("no audio")
        told = ("--summary", tmp_path / "state.json")
        out = rcrnn("detect", tmp_path / "in", "-o", tmp_path / "again.csv", "-q", *told)
        assert out.exit_code == 1, out.output
        assert (tmp_path / "again.csv").read_text(encoding="utf-8") == table
        assert "%E9.wav" in (tmp_path / "state.json").read_text(encoding="utf-8")
        if importlib.util.find_spec("pyarrow"):
            out = rcrnn("detect", tmp_path / "in", "-o", tmp_path / "found.parquet", "-q")
            assert out.exit_code == 1, out.output
            assert list((tmp_path / "found.parquet").glob("model=*/*.parquet"))
        bad.unlink()
        page = rcrnn("report", tmp_path / "in", "-o", tmp_path / "page.html", "-q")
        assert page.exit_code == 0, page.output
        assert "%E9t%E9.wav" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_safe_csv(tmp_path, monkeypatch):
    write(tmp_path / "=1.wav")
    monkeypatch.chdir(tmp_path)
    out = rcrnn("detect", "=1.wav", "--safe-csv", "-q")
    assert out.stdout == "file,onset,offset,label,score\n'=1.wav,,,,\n"
    assert (
        "safe-csv is for tables of the format csv"
        in rcrnn("detect", "=1.wav", "--safe-csv", "--format", "tsv").stderr
    )


@pytest.mark.parametrize("command", ["report", "tune", "detect"])
def test_a_place_that_cannot_be_written_to_is_told_of_before_the_work(command, tmp_path):
    args = {
        "report": [tmp_path, "-o"],
        "tune": [tmp_path, tmp_path / "x.csv", "-p", "lr=1,2", "-o"],
        "detect": [tmp_path / "a.wav", "-o"],
    }[command]
    write(tmp_path / "a.wav")
    out = rcrnn(command, *args, tmp_path / "no" / "out.csv")
    assert out.exit_code == 2
    assert f"out.csv cannot be written: {tmp_path / 'no'} is no such folder" in out.stderr


@pytest.mark.parametrize(
    ("output", "format", "is_table"),
    [
        ("a.csv", "csv", True),
        ("a.txt", "csv", True),
        ("a.JSON", "jsonl", True),
        ("a.ndjson", "jsonl", True),
        ("a.jams", "jams", True),
        ("a.selections.txt", "raven", True),
        ("a.parquet", "parquet", False),
        ("nights", "csv", False),
        ("nights.csv/", "csv", False),
    ],
)
def test_the_name_of_the_output_says_where_events_go_and_how(output, format, is_table):
    target = target_of(output, None, safe_csv=False)
    assert (target.format, target.folder is None) == (format, is_table)


def test_a_format_that_can_only_be_read_is_refused_before_the_work(capsys):
    with pytest.raises(typer.Exit):
        target_of("a.rttm", None, safe_csv=False)
    assert "rttm can only be read" in capsys.readouterr().err
