"""Many recordings: what is done, by whom, and what becomes of it when somebody is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter

import numpy as np
import pytest
import soundfile
from small_runs import RATE, found_by, paths_in, tiny_pipeline

from sklearn_rcrnn import LFBETransformer, detect_file, detect_files
from sklearn_rcrnn.annotations import read_events
from sklearn_rcrnn.inference.claims import Claims, _this_process
from sklearn_rcrnn.inference.settings import settings_of


@pytest.fixture(scope="session")
def pipe():
    return tiny_pipeline()


@pytest.fixture(autouse=True)
def threshold(pipe):
    """Tests change it."""
    pipe.set_params(detector__score_threshold=0.0)


@pytest.fixture
def expected(pipe, folder):
    good = [path for path in paths_in(folder) if path.name != "05.wav"]
    return {path.name: detect_file(pipe, path) for path in good} | {"05.wav": None}


class TestWhatIsDone:
    def test_is_known_by_model_and_settings(self, pipe, folder):
        """Tables of another threshold were passed over, as if they were the ones wanted."""
        paths, out = paths_in(folder)[:2], folder / "out"
        list(detect_files(pipe, paths, output_dir=out))
        pipe.set_params(detector__score_threshold=0.3)
        with pytest.raises(ValueError, match=r"00.wav.csv is there.*0.0 there, 0.3 here.*overwr"):
            detect_files(pipe, paths, output_dir=out)
        again = list(detect_files(pipe, paths, output_dir=out, overwrite=True))
        assert all(event.score >= 0.3 for outcome in again for event in outcome.events)
        assert [o.events for o in detect_files(pipe, paths, output_dir=out)] == [None, None]

    def test_is_not_the_batch_size_or_the_number_of_processes(self, pipe):
        before = settings_of(pipe)
        batch_size = pipe[-1].batch_size
        try:
            pipe.set_params(detector__batch_size=3, lfbe__n_jobs=2, detector__verbose=1)
            pipe.set_params(detector__score_threshold=np.float32(0), lfbe__hop_length=np.int64(128))
            assert settings_of(pipe) == before
        finally:
            pipe.set_params(detector__batch_size=batch_size, lfbe__n_jobs=None, detector__verbose=0)
        weights = pipe[-1].net_.module_.state_dict()
        first = next(iter(weights.values()))
        first += 1
        assert settings_of(pipe)["weights"] != before["weights"]
        first -= 1

    def test_is_the_recording_as_it_was(self, pipe, folder):
        paths, out = paths_in(folder)[:2], folder / "out"
        list(detect_files(pipe, paths, output_dir=out))
        samples, _ = soundfile.read(paths[1])
        soundfile.write(paths[1], samples[:RATE], RATE)
        first, second = detect_files(pipe, paths, output_dir=out)
        assert first.events is None
        assert second.events == detect_file(pipe, paths[1])
        moved = folder / "elsewhere" / "00.wav"
        moved.parent.mkdir()
        paths[0].rename(moved)
        assert [o.events for o in detect_files(pipe, [moved], output_dir=out)] == [None]
        soundfile.write(moved, samples, RATE)
        with pytest.raises(ValueError, match="another recording of this name"):
            detect_files(pipe, [moved], output_dir=out)

    def test_is_not_a_table_of_unknown_origin(self, pipe, folder):
        (folder / "out").mkdir()
        (folder / "out" / "00.wav.csv").write_text("corrected by hand")
        with pytest.raises(ValueError, match="nothing says by which model"):
            detect_files(pipe, paths_in(folder), output_dir=folder / "out")
        assert (folder / "out" / "00.wav.csv").read_text() == "corrected by hand"

    @pytest.mark.parametrize("format", ["csv", "parquet"])
    def test_is_known_under_another_name(self, pipe, folder, format):
        """Its events were there twice, under both names."""
        paths, out = paths_in(folder)[:2], folder / "out"
        options = {"output_dir": out, "format": format}
        list(detect_files(pipe, paths[:1], root=folder, **options))
        assert list(detect_files(pipe, paths[1:], **options))
        for root in (None, folder / "in"):
            with pytest.raises(ValueError, match=r"in/00.wav already, under the name 'in/00.wav'"):
                detect_files(pipe, paths[:1], root=root, **options)
        if format == "csv":
            with pytest.raises(ValueError, match="they would be there twice"):
                detect_files(pipe, paths[:1], overwrite=True, **options)
            (out / "in" / "00.wav.csv").unlink()
            assert next(detect_files(pipe, paths[:1], **options)).events

    def test_is_done_anew_if_its_table_went(self, pipe, folder):
        paths, out = paths_in(folder)[:1], folder / "out"
        list(detect_files(pipe, paths, output_dir=out))
        (out / "00.wav.csv").unlink()
        assert next(detect_files(pipe, paths, output_dir=out)).events

    @pytest.mark.parametrize("format", ["csv", "parquet"])
    def test_is_nothing_that_a_crash_left_half(self, pipe, folder, format, monkeypatch):
        """Wherever writing breaks off, all is there once after the next run."""
        import pyarrow.parquet

        paths, out = paths_in(folder)[:3], folder / "out"
        name = "sklearn_rcrnn.inference.output.write_text"
        if format == "parquet":
            name = "pyarrow.parquet.write_table"
        whole = pyarrow.parquet.write_table

        def crash(*args, **kwargs):
            whole(*args, **kwargs) if format == "parquet" else None
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(name, crash)
            with pytest.raises(KeyboardInterrupt):
                list(detect_files(pipe, paths, output_dir=out, format=format))
        outcomes = list(detect_files(pipe, paths, output_dir=out, format=format))
        assert all(outcome.events for outcome in outcomes)
        if format == "parquet":
            rows = pyarrow.parquet.read_table(out).to_pandas()
            assert Counter(rows.file) == {str(o.path): len(o.events) for o in outcomes}


class TestParquet:
    def test_is_read_in_one_line(self, pipe, folder, expected):
        duckdb = pytest.importorskip("duckdb")
        pandas = pytest.importorskip("pandas")
        out = folder / "events.parquet"
        options = {"output_dir": out, "format": "parquet", "root": folder / "in"}
        outcomes = list(detect_files(pipe, paths_in(folder), model_name="tiny", **options))
        assert sum(outcome.error is not None for outcome in outcomes) == 1
        frame = pandas.read_parquet(out)
        assert sorted(frame.columns) == sorted(
            ["file", "onset", "offset", "label", "score", "model"]
        )
        n_events = {name: len(events) for name, events in expected.items() if events}
        assert frame.file.value_counts().to_dict() == n_events
        assert frame.model.str.startswith("tiny-").all()
        first = frame[frame.file == "00.wav"].sort_values(["onset", "offset"])
        assert first.onset.tolist() == [event.onset for event in expected["00.wav"]]
        rows = duckdb.sql(
            f"SELECT file, count(*) FROM '{out}/*/*.parquet' GROUP BY file"
        ).fetchall()
        assert dict(rows) == n_events

    @pytest.mark.filterwarnings("ignore:.*also has events by")
    def test_keeps_models_and_settings_apart(self, pipe, folder):
        import pyarrow.parquet

        out = folder / "events.parquet"
        options = {"output_dir": out, "format": "parquet"}
        paths = paths_in(folder)[:2]
        list(detect_files(pipe, paths, **options))
        pipe.set_params(detector__score_threshold=0.3)
        with pytest.warns(UserWarning, match="also has events by model=model-"):
            outcomes = list(detect_files(pipe, paths, **options))
        assert all(o.events is not None for o in outcomes)
        assert all(o.events is None for o in detect_files(pipe, paths, **options))
        assert len(list(out.glob("model=*"))) == 2
        n_rows = pyarrow.parquet.read_table(out).num_rows
        assert list(detect_files(pipe, paths, overwrite=True, **options))
        assert pyarrow.parquet.read_table(out).num_rows == n_rows
        soundfile.write(paths[0], np.zeros(2 * RATE), RATE)
        with pytest.raises(ValueError, match="has changed since"):
            detect_files(pipe, paths, **options)


class TestClaims:
    def test_processes_share_the_work(self, pipe, folder, expected):
        """Four at once: each recording is done by one of them, and all end with all done."""
        found = [[] for _ in range(4)]

        def work(own):
            own += detect_files(pipe, paths_in(folder), output_dir=folder / "out", ordered=False)

        threads = [threading.Thread(target=work, args=(own,)) for own in found]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        done = [o for own in found for o in own if o.events is not None]
        assert sorted(o.path.name for o in done) == sorted(n for n, e in expected.items() if e)
        assert all(len(own) == 12 for own in found)
        assert all(any(o.error for o in own) for own in found)
        assert found_by(done) == {name: e for name, e in expected.items() if e}
        assert not list((folder / "out" / ".rcrnn" / "claims").iterdir())

    def test_of_the_dead_are_taken_over(self, tmp_path):
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        here = _this_process()
        owners = {
            "ended": {**here, "pid": ended.pid},
            "number given anew": {**here, "started": "1"},
            "silent": {**here, "host": "elsewhere"},
        }
        with Claims(tmp_path) as claims:
            for key, owner in owners.items():
                assert claims.take(key)
                path = claims.held.pop(key)
                path.write_text(path.read_text().replace(here["host"], owner["host"]))
                path.write_text(json.dumps({"key": key, **owner}))
                if key == "silent":
                    assert not claims.take(key)
                    os.utime(path, (time.time() - 1000,) * 2)
                assert claims.take(key), key
            assert claims.take("mine")
            assert not claims.take("mine")
            assert Claims(tmp_path).others() == []
        assert not list(tmp_path.iterdir())

    def test_only_one_takes_over(self, tmp_path):
        for turn in range(20):
            with Claims(tmp_path) as old:
                assert old.take("a")
                os.utime(old.held.pop("a"), (0, 0))
            rivals = [Claims(tmp_path) for _ in range(8)]
            taken = []
            start = threading.Barrier(8)

            def rival(own, start=start, taken=taken):
                start.wait()
                if own.take("a"):
                    taken.append(own)

            threads = [threading.Thread(target=rival, args=(own,)) for own in rivals]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(taken) == 1, turn
            taken[0].release("a")
            assert not list(tmp_path.iterdir())

    def test_show_signs_of_life(self, tmp_path):
        with Claims(tmp_path, beat=0.05) as claims:
            claims.take("a")
            os.utime(claims.held["a"], (0, 0))
            end = time.monotonic() + 5
            while claims.held["a"].stat().st_mtime < 1 and time.monotonic() < end:
                time.sleep(0.02)
            assert claims.held["a"].stat().st_mtime > time.time() - 60


def children():
    psutil = pytest.importorskip("psutil")
    alive = [
        child
        for child in psutil.Process().children(recursive=True)
        if child.is_running() and child.status() != psutil.STATUS_ZOMBIE
    ]
    commands = {}
    for child in alive:
        with contextlib.suppress(psutil.Error):  # it ends just now
            commands[child] = " ".join(child.cmdline())
    return [c for c, text in commands.items() if "loky" in text and "tracker" not in text]


class TestProcesses:
    def test_that_are_killed_are_replaced(self, pipe, folder, expected):
        """One before it is ready, two at work; nothing is lost, nothing is there twice."""

        def kill_first():  # started with much data, it left the other side waiting for ever
            end = time.monotonic() + 60
            while not children() and time.monotonic() < end:
                time.sleep(0.01)
            children()[0].kill()

        threading.Thread(target=kill_first).start()
        outcomes = detect_files(
            pipe, paths_in(folder), output_dir=folder / "out", n_jobs=2, ordered=False
        )
        rng = np.random.default_rng(0)
        found, killed = [], 0
        for outcome in outcomes:
            found.append(outcome)
            if killed < 2 and rng.random() < 0.5:
                victims = children()
                victims[rng.integers(len(victims))].kill()
                killed += 1
        assert killed == 2
        assert found_by(found) == expected
        assert len(found) == 12
        tables = read_events(folder / "out")
        assert {name: len(events) for name, events in tables.items()} == {
            name: len(events) for name, events in expected.items() if events is not None
        }
        end = time.monotonic() + 20  # workers are told to end, and not waited for
        while children() and time.monotonic() < end:
            time.sleep(0.1)
        assert not children()

    def test_that_a_recording_kills(self, pipe, folder):
        """A recording that takes all memory fails, and the others do not with it."""

        class Deadly(LFBETransformer):
            def transform_blocks(self, blocks):
                for block in blocks:
                    if np.abs(block).max() > 0.99:
                        os.kill(os.getpid(), signal.SIGKILL)
                    yield from super().transform_blocks([block])

        loud = folder / "in" / "99.wav"
        soundfile.write(loud, np.ones(RATE), RATE)
        deadly = type(pipe)([("lfbe", Deadly(**pipe[0].get_params())), pipe.steps[1]])
        good = paths_in(folder)[0]
        first, second = detect_files(deadly, [loud, good], n_jobs=2)
        assert "99.wav': 3 workers died over it" in first.error
        assert second.events == detect_file(pipe, good)


class TestProgress:
    def test_counts_and_reasons(self, pipe, folder, expected):
        seen = []
        list(detect_files(pipe, paths_in(folder), progress=seen.append))
        told = seen[-1].as_dict()
        assert (told["n_files"], told["n_done"], told["n_failed"]) == (12, 11, 1)
        assert told["n_events"] == sum(len(events) for events in expected.values() if events)
        assert sum(told["events"].values()) == told["n_events"]
        assert told["failures"][0]["file"].endswith("05.wav")
        assert "cannot be read as audio" in told["failures"][0]["error"]
        seconds = sum(3 + i % 3 for i in range(12) if i != 5)
        assert told["duration"] == pytest.approx(seconds)
        assert told["hours_left"] == 0

    def test_progress_within_a_long_recording(self, pipe, tmp_path):
        path = tmp_path / "long.wav"
        soundfile.write(path, np.random.default_rng(0).normal(size=1100 * RATE) / 10, RATE)
        pipe.set_params(detector__score_threshold=0.9)
        seen = []
        list(detect_files(pipe, [path], progress=lambda s: seen.append(s.as_dict())))
        assert len(seen) > 5
        left = [told["hours_left"] * 3600 for told in seen]
        assert left[0] > 800
        assert left == sorted(left, reverse=True)
        assert left[-1] == 0


def test_order_and_one_path_twice(pipe, folder):
    path, other = paths_in(folder)[:2]
    outcomes = list(detect_files(pipe, [other, path, other], n_jobs=1))
    assert [outcome.path for outcome in outcomes] == [other, path, other]
    assert outcomes[0].events == outcomes[2].events


def test_hosts_are_named():
    assert _this_process()["host"] == socket.gethostname()


def test_a_name_too_long_for_its_table_stops_no_other(pipe, folder):
    """250 bytes and `.wav`: with `.jsonl` it is more than file systems take."""
    good, long = folder / "in" / "00.wav", folder / "in" / ("n" * 246 + ".wav")
    soundfile.write(long, soundfile.read(good)[0], RATE)
    outcomes = detect_files(pipe, [long, good], output_dir=folder / "out", format="jsonl")
    by_name = {outcome.path.name: outcome for outcome in outcomes}
    assert "too long" in by_name[long.name].error
    assert by_name["00.wav"].error is None
    assert [p.name for p in (folder / "out").glob("*.jsonl")] == ["00.wav.jsonl"]
    (outcome,) = detect_files(pipe, [long], output_dir=folder / "csv", format="csv")
    assert outcome.error is None
