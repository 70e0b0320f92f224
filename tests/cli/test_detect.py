"""rcrnn detect: where events go, which recordings it takes, and what it says."""

from __future__ import annotations

import functools
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from small_runs import RATE, RCRNN, rcrnn, tiny_pipeline, write_recordings

from sklearn_rcrnn import RCRNNDetector, __version__, load, save
from sklearn_rcrnn.annotations import read_events
from sklearn_rcrnn.cli._common import recordings_in, set_rules, set_threshold
from sklearn_rcrnn.cli._target import Target, check_table
from sklearn_rcrnn.cli.detect import _listed, detect


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save(tiny_pipeline(), tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def recordings(tmp_path):
    """Three of twelve; the second is broken."""
    paths = write_recordings(tmp_path / "in")
    for path in paths[:4] + paths[7:]:
        path.unlink()
    return tmp_path / "in"


def said(out):
    return [json.loads(line) for line in out.stderr.splitlines()]


def test_version():
    assert rcrnn("--version").stdout == f"rcrnn {__version__}\n"


class TestOutput:
    @pytest.mark.parametrize(
        ("output", "made"),
        [
            ("found", "found/04.wav.csv"),
            ("found/", "found/04.wav.csv"),
            ("found.v2", "found.v2/04.wav.csv"),
            ("found.csv", "found.csv"),
            ("found.tsv", "found.tsv"),
            ("found.jsonl", "found.jsonl"),
        ],
    )
    def test_is_what_its_name_says(self, model, recordings, tmp_path, output, made):
        """A folder that was not there yet became a table, for want of a slash."""
        target = os.path.join(tmp_path, output)
        out = rcrnn("detect", recordings, "-m", model, "-o", target)
        assert out.exit_code == 1, out.output
        table = read_events(tmp_path / made, None)
        expected = load(model).predict([recordings / "04.wav"])[0]
        own = next(events for name, events in table.items() if name.endswith("04.wav"))
        assert len(own) == len(expected)

    def test_is_a_folder_if_there_is_one(self, model, recordings, tmp_path):
        (tmp_path / "found.csv").mkdir()
        rcrnn("detect", recordings, "-m", model, "-o", tmp_path / "found.csv")
        assert (tmp_path / "found.csv" / "04.wav.csv").is_file()

    def test_of_an_unknown_ending_is_no_folder(self, model, recordings, tmp_path):
        args = ("detect", recordings, "-m", model, "-o")
        out = rcrnn(*args, tmp_path / "found.xlsx")
        assert out.exit_code == 2
        assert "no tables end with .xlsx; take .csv .jams .jsonl .ndjson .sel" in out.stderr
        assert "found.xlsx/" in " ".join(out.stderr.split())
        assert not (tmp_path / "found.xlsx").exists()
        rcrnn(*args, f"{tmp_path / 'found.xlsx'}/")
        rcrnn(*args, tmp_path / "site.12")
        assert (tmp_path / "found.xlsx" / "04.wav.csv").is_file()
        assert (tmp_path / "site.12" / "04.wav.csv").is_file()

    def test_is_parquet_by_name(self, model, recordings, tmp_path):
        parquet = pytest.importorskip("pyarrow.parquet")
        rcrnn("detect", recordings, "-m", model, "-o", tmp_path / "all.parquet")
        table = parquet.read_table(tmp_path / "all.parquet")
        assert set(table["file"].to_pylist()) == {"04.wav", "06.wav"}
        assert rcrnn("detect", recordings, "-m", model, "--format", "parquet").exit_code == 2

    def test_of_another_threshold_is_not_mixed(self, model, recordings, tmp_path):
        args = ("detect", recordings, "-m", model, "-o", tmp_path / "found")
        rcrnn(*args)
        out = rcrnn(*args, "--threshold", 0.4)
        assert out.exit_code == 2
        assert "score_threshold 0.0 there, 0.4 here" in out.stderr
        assert rcrnn(*args, "--threshold", 0.4, "--overwrite").exit_code == 1


class TestRecordings:
    def test_from_a_list(self, model, recordings, tmp_path):
        names = [str(recordings / "04.wav"), str(recordings / "06.wav")]
        args = ("detect", "-m", model, "-o", tmp_path / "x.csv", "--files-from")
        for data in ("\n".join(names), "\0".join([*names, ""])):
            assert rcrnn(*args, "-", data=data).exit_code == 0
            assert list(read_events(tmp_path / "x.csv")) == names
        for encoding in ("utf-8-sig", "utf-16"):  # as PowerShell writes it
            (tmp_path / "list").write_text("\n".join(names), encoding=encoding)
            assert [str(path) for path in _listed(str(tmp_path / "list"))] == names
        (tmp_path / "list").write_text("\n")
        assert "the list is empty" in rcrnn(*args, tmp_path / "list").stderr
        (tmp_path / "list").write_text("\n".join([*names, str(recordings)]))
        out = rcrnn(*args, tmp_path / "list", "--json")
        assert out.exit_code == 1
        # Those that are named and lie in the folder, too, are detected once.
        assert sum(row["event"] == "detected" for row in said(out)) == 2
        assert rcrnn(*args, tmp_path / "nothing").exit_code == 2

    def test_in_shards(self, model, recordings, tmp_path):
        """Each recording is in one of the shards, and their tables lie in one folder."""
        args = ("detect", recordings, "-m", model, "-o", tmp_path / "found", "--json", "--shard")
        done = []
        for i in (1, 2):
            rows = said(rcrnn(*args, f"{i}/2"))
            done += [
                Path(row["file"]).name for row in rows if row["event"] in ("detected", "error")
            ]
        assert sorted(done) == ["04.wav", "05.wav", "06.wav"]
        for wrong in ("0/2", "3/2", "1", "a/b"):
            assert rcrnn(*args, wrong).exit_code == 2
        args = ("detect", recordings, "-m", model, "-o", tmp_path / "found.csv", "--shard", "1/2")
        assert "a table of its own name" in rcrnn(*args).stderr


def test_a_path_that_is_given_relative_and_absolute_counts_once(tmp_path, monkeypatch):
    """Its events stood in a table twice."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.wav").touch()
    monkeypatch.chdir(tmp_path)
    given = [Path("in"), tmp_path / "in" / "a.wav", Path("in") / ".." / "in" / "a.wav"]
    assert recordings_in(given) == [Path("in/a.wav")]


class TestThresholds:
    def test_by_label(self, model, recordings):
        labels = load(model)[-1].classes_.tolist()
        args = ("detect", recordings / "04.wav", "-m", model, "--format", "jsonl", "--threshold")
        usual = [json.loads(line) for line in rcrnn(*args, "0.0").stdout.splitlines()]
        assert {row["label"] for row in usual} == set(labels)
        out = rcrnn(*args, 0.0, "--threshold", f"{labels[0]}=1")
        rows = [json.loads(line) for line in out.stdout.splitlines()]
        assert rows == [row for row in usual if row["label"] != labels[0]]
        out = rcrnn(*args, "dog=0.4")
        assert out.exit_code == 2
        assert f"the model knows {', '.join(labels)}" in out.stderr
        assert rcrnn(*args, f"{labels[0]}=4").exit_code == 2

    def test_that_nothing_reaches(self, model, recordings):
        best = max(load(model).predict([recordings / "04.wav"])[0], key=lambda event: event.score)
        out = rcrnn("detect", recordings / "04.wav", "-m", model, "--threshold", 1)
        assert out.exit_code == 0
        assert out.stdout.splitlines()[1:] == [f"{recordings / '04.wav'},,,,"]
        assert out.stderr == (
            f"No events above 1.00; the best candidate is {best.label} at {best.onset:.2f} s, "
            f"with a score of {best.score:.2f}\n"
        )

    def test_that_nothing_reaches_with_rules(self, model, recordings):
        """Joined over a gap, all candidates were one that began where the best one does not."""
        args = ("detect", recordings / "04.wav", "-m", model, "--threshold")
        told = rcrnn(*args, 1).stderr
        assert "the best candidate is" in told
        assert rcrnn(*args, 1, "--merge-gap", 5, "--max-duration", 6).stderr == told
        best = max(load(model).predict([recordings / "04.wav"])[0], key=lambda event: event.score)
        assert rcrnn(*args, 0.0, "--min-duration", 100).stderr == (
            "No event is left by the shortest and the longest duration; the best candidate is "
            f"{best.label} from {best.onset:.2f} to {best.offset:.2f} s, with a score of "
            f"{best.score:.2f}\n"
        )

    def test_of_a_model_that_has_a_whole_number(self, model):
        """``--threshold LABEL=NUMBER`` was a TypeError."""
        pipe = load(model)
        first, *others = pipe[-1].classes_.tolist()
        for usual in (1, np.float32(1)):
            pipe[-1].set_params(score_threshold=usual)
            set_threshold(pipe, [f"{first}=0.5"])
            assert pipe[-1].score_threshold == {first: 0.5, **dict.fromkeys(others, 1)}


def test_a_label_that_the_table_cannot_hold_costs_no_run(tmp_path, capsys):
    """All events were lost at the end."""
    with pytest.raises(typer.Exit):
        check_table(Target(None, str(tmp_path / "a.tsv"), "tsv"), [Path("a.wav")], ["a", "b\tc"])
    assert "cannot hold the label 'b\\tc'" in capsys.readouterr().err
    check_table(Target(None, str(tmp_path / "a.csv"), "csv"), [Path("a.wav")], ["a", "b\tc"])


class TestRulesOfLabels:
    @pytest.mark.parametrize(
        ("own", "given", "expected"),
        [
            (0.2, ["dog=0.5"], {"dog": 0.5, "cat": 0.2}),
            ({"cat": 0.3, "dog": 0.1}, ["dog=0.5"], {"dog": 0.5, "cat": 0.3}),
            (None, ["dog=0.5"], {"dog": 0.5}),
            (0.2, ["1", "dog=0.5"], {"dog": 0.5, "cat": 1.0}),
            (0.2, ["1"], 1.0),
            (0.2, None, 0.2),
        ],
    )
    def test_other_labels_keep_those_of_the_model(self, own, given, expected):
        """A rule for one label took the model's own rule from all others."""
        detector = RCRNNDetector(min_duration=own)
        detector.classes_ = np.array(["cat", "dog"])
        set_rules([detector], min_duration=given)
        assert detector.min_duration == expected


def test_device_and_batch_size(model, recordings):
    args = ("detect", recordings / "04.wav", "-m", model)
    expected = rcrnn(*args).stdout
    assert rcrnn(*args, "--device", "cpu", "--batch-size", 1).stdout == expected
    out = rcrnn(*args, "--device", "gpu")
    assert out.exit_code == 2
    assert "--device must be" in out.stderr


def test_summary(model, recordings, tmp_path):
    state = tmp_path / "state.json"
    out = rcrnn("detect", recordings, "-m", model, "-o", tmp_path / "x.csv", "--summary", state)
    told = json.loads(state.read_text())
    assert (told["n_files"], told["n_done"], told["n_failed"]) == (3, 2, 1)
    assert told["duration"] == pytest.approx(4 + 3)
    assert sum(told["events"].values()) == sum(map(len, read_events(tmp_path / "x.csv").values()))
    assert out.stderr.splitlines()[1].startswith("2 recordings, 7.0 s of audio in ")
    assert out.stderr.splitlines()[2] == "1 recording failed: 05.wav"


def test_a_summary_that_cannot_be_written_costs_no_work(model, recordings, tmp_path):
    """It was noticed when all was done, and the table was lost with it."""
    out = rcrnn(
        *("detect", recordings, "-m", model, "-o", tmp_path / "x.csv"),
        *("--summary", tmp_path / "nothing" / "state.json"),
    )
    assert out.exit_code == 2
    assert "no such folder" in out.stderr
    assert "05.wav" not in out.stderr
    made = tmp_path / "made"  # by the command
    out = rcrnn("detect", recordings, "-m", model, "-o", made, "--summary", made / "state.json")
    assert out.exit_code == 1
    assert json.loads((made / "state.json").read_text())["n_done"] == 2


def test_a_summary_that_fails_later_costs_no_events(model, recordings, tmp_path, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("sklearn_rcrnn.cli._following.complete", full)
    table = tmp_path / "x.csv"
    out = rcrnn("detect", recordings, "-m", model, "-o", table, "--summary", tmp_path / "s.json")
    assert "--summary: [Errno 28] No space left" in out.stderr
    assert len(read_events(table)) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("04.wav", "--window", 20), "--window and --margin are for --raw"),
        (("-", "--shard", "1/2"), "standard input is only one"),
        (("-", "--cluster", "local"), "standard input is only one"),
        (("-", "--raw", 8000, "--summary", "state.json"), "a stream without an end"),
        (("-", "--raw", 8000, "--jobs", 2), "--raw is one stream"),
        (("04.wav", "--cluster", "tcp://host:8786", "-j", 2), "has workers of its own"),
    ],
)
def test_options_that_would_have_no_effect(options, message, model):
    out = rcrnn("detect", *options, "-m", model)
    assert out.exit_code == 2
    assert message in out.stderr


def test_standard_input_into_a_folder_that_is_not_there(model, tmp_path):
    """It was noticed when the stream had ended, and the stream was lost."""
    out = rcrnn("detect", "-", "-m", model, "-o", tmp_path / "nothing" / "x.csv", data=b"no audio")
    assert out.exit_code == 2
    assert "no such folder" in out.stderr
    assert "stdin" not in out.stderr


def test_standard_input_into_a_folder_again(model, recordings, tmp_path):
    """The error advised --overwrite, which had no effect."""
    args = ("detect", "-", "-m", model, "-o", tmp_path / "found")
    tables = []
    for name, more in (("04.wav", ()), ("06.wav", ("--overwrite",))):
        data = (recordings / name).read_bytes()
        assert rcrnn(*args, *more, data=data).exit_code == 0
        tables.append((tmp_path / "found" / "stdin.csv").read_text())
    assert tables[0] != tables[1]
    assert rcrnn(*args, data=data).exit_code == 2


def test_standard_input_is_divided_among_processes(model, monkeypatch):
    """``--jobs`` had no effect on it."""
    seen = []

    def look(*args, n_jobs, **options):
        seen.append(n_jobs)
        return iter([])

    monkeypatch.setattr("sklearn_rcrnn.inference.files.detect_files", look)
    assert rcrnn("detect", "-", "-m", model, "-j", 2, data=b"").exit_code == 0
    assert seen == [2]


def test_windows_of_a_stream(model, recordings):
    samples = np.tile(soundfile.read(recordings / "04.wav", dtype="int16")[0], 6)
    args = ("detect", "-", "-m", model, "--raw", RATE, "--json")
    data = samples.astype("<i2").tobytes()
    usual, short = rcrnn(*args, data=data), rcrnn(*args, "--window", 8, "--margin", 2, data=data)
    assert usual.exit_code == short.exit_code == 0
    assert usual.stdout != short.stdout
    out = rcrnn(*args, "--window", 4, "--margin", 2, data=data)
    assert out.exit_code == 2
    assert "window=4" in out.stderr


def test_the_example_of_a_stream(model):
    """Its window was not longer than two of the usual margins, so that it ended with an error."""
    example = next(line for line in inspect.getdoc(detect).splitlines() if "--raw" in line)
    options = example.partition("rcrnn detect ")[2].split()
    data = np.zeros(40 * 44100, "<i2").tobytes()
    out = rcrnn("detect", *options, "-m", model, data=data)
    assert out.exit_code == 0, out.stderr


def test_a_cluster_that_is_made_here(model, recordings, tmp_path):
    pytest.importorskip("distributed")
    args = ("detect", recordings, "-m", model, "-o")
    assert rcrnn(*args, tmp_path / "one").exit_code == 1
    options = [*map(str, args), str(tmp_path / "many"), "--cluster", "local", "-j", "2"]
    out = subprocess.run([RCRNN, *options], capture_output=True, text=True)
    assert out.returncode == 1, out.stderr
    for path in (tmp_path / "one").glob("*.csv"):
        assert (tmp_path / "many" / path.name).read_text() == path.read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM to be heard")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_ended_with_workers(number, code, model, tmp_path):
    """No worker stays alive, what is done is kept, and the run goes on when it is repeated."""
    psutil = pytest.importorskip("psutil")
    paths = write_recordings(tmp_path / "in")
    noise = np.random.default_rng(0).normal(size=7200 * RATE) / 10
    soundfile.write(tmp_path / "in" / "long.wav", noise, RATE)
    command = [RCRNN, "detect", tmp_path / "in", "-m", model]
    command += ["-o", tmp_path / "out", "-j", "2"]
    process = subprocess.Popen(
        list(map(str, command)),
        stderr=subprocess.PIPE,
        text=True,
        # What runs in the background of a shell has SIGINT ignored, and so would the command.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    end = time.monotonic() + 120
    while len(list((tmp_path / "out").glob("*.csv"))) < 3 and time.monotonic() < end:
        time.sleep(0.05)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    process.send_signal(number)
    _, text = process.communicate(timeout=30)
    assert process.returncode == code
    assert "interrupted: repeated, the command goes on" in text
    assert "Traceback" not in text
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive
    kept = {path.name for path in (tmp_path / "out").glob("*.csv")}
    assert 3 <= len(kept) < len(paths)
    assert not list((tmp_path / "out" / ".rcrnn" / "claims").iterdir())
    (tmp_path / "in" / "long.wav").unlink()
    out = rcrnn("detect", tmp_path / "in", "-m", model, "-o", tmp_path / "out", "--json")
    assert sum(row["event"] == "skipped" for row in said(out)) == len(kept)
