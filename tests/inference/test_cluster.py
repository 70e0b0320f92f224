"""A real Dask cluster of worker processes: same events, whoever is killed and whenever."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import soundfile
from small_runs import RATE, found_by, tiny_pipeline, write_recordings

from sklearn_rcrnn import detect_file, detect_files
from sklearn_rcrnn.inference import cluster, files, work

distributed = pytest.importorskip("distributed")
psutil = pytest.importorskip("psutil")


@pytest.fixture(scope="module")
def pipe():
    return tiny_pipeline()


@pytest.fixture(scope="module")
def recordings(pipe, tmp_path_factory):
    """Paths, one of them of a recording that is cut into parts, and what is in them."""
    folder = tmp_path_factory.mktemp("cluster") / "in"
    paths = write_recordings(folder)
    noise = np.random.default_rng(0).normal(size=400 * RATE) / 10
    soundfile.write(folder / "long.wav", noise, RATE)
    paths.append(folder / "long.wav")
    good = [path for path in paths if path.name != "05.wav"]
    return paths, {path.name: detect_file(pipe, path) for path in good} | {"05.wav": None}


@pytest.fixture(autouse=True)
def short_parts(monkeypatch):
    """Of 80 s, for recordings over a megabyte."""
    monkeypatch.setattr(files, "PART", 80.0)
    monkeypatch.setattr(files, "_LONG", 1_000_000)


@pytest.fixture(scope="module")
def client():
    with cluster.connected("local", 2) as client:
        yield client


def workers():
    """Processes of workers: children of the nannies."""
    alive = [
        child
        for child in psutil.Process().children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE
    ]
    return [child for child in alive if "spawn_main" in " ".join(child.cmdline())]


def assert_all(outcomes, expected):
    found = found_by(outcomes)
    assert len(outcomes) == len(expected)
    assert [name for name in found if found[name] is None] == ["05.wav"]
    for name in set(expected) - {"05.wav"}:
        own, wanted = found[name], expected[name]
        assert [event.label for event in own] == [event.label for event in wanted]
        values = np.array([[e.onset, e.offset, e.score] for e in own])
        true = [[e.onset, e.offset, e.score] for e in wanted]
        np.testing.assert_allclose(values, true, atol=2e-3)


def test_finds_what_one_process_does(pipe, recordings, client, monkeypatch):
    paths, expected = recordings
    seen, parts = [], []

    def cut(*args):
        parts.append(work.parts_of(*args))
        return parts[-1]

    monkeypatch.setattr(files, "parts_of", cut)
    outcomes = list(detect_files(pipe, paths, client=client, progress=seen.append))
    assert [len(own) for own in parts] == [4]
    assert [outcome.path for outcome in outcomes] == paths
    assert_all(outcomes, expected)
    # Progress within the long recording, too.
    assert len(seen) > len(paths)
    # Each worker has loaded the model, once for both runs.
    list(detect_files(pipe, paths[:4], client=client))

    def n_loaded():  # inside, so that it travels with its code
        from sklearn_rcrnn.inference import cluster

        return cluster.N_LOADED

    loaded = client.run(n_loaded)
    assert set(loaded.values()) <= {0, 1}
    assert 1 in loaded.values()


def test_workers_that_are_killed(pipe, recordings, client, tmp_path):
    """At two moments that a seeded generator chooses; tables are there once and whole."""
    paths, expected = recordings
    rng = np.random.default_rng(1)
    moments = set(rng.choice(np.arange(1, 8), 2, replace=False).tolist())
    outcomes = []
    for outcome in detect_files(pipe, paths, client=client, output_dir=tmp_path, ordered=False):
        outcomes.append(outcome)
        if len(outcomes) in moments:
            alive = workers()
            if alive:
                alive[rng.integers(len(alive))].kill()
    assert_all(outcomes, expected)
    assert len(list(tmp_path.glob("*.csv"))) == len(expected) - 1


def restart(client):
    """Let the scheduler forget everything, and wait for workers."""
    try:
        client.restart(timeout=30)
    except TimeoutError:
        # On a busy machine, Dask's nannies may close with the old workers. Others take their place.
        client.cluster.scale(4)
        client.wait_for_workers(2, timeout=60)


def test_a_scheduler_that_forgets_everything(pipe, recordings, client):
    paths, expected = recordings
    outcomes = []
    for outcome in detect_files(pipe, paths, client=client, ordered=False):
        outcomes.append(outcome)
        if len(outcomes) == 2:
            restart(client)
    assert_all(outcomes, expected)


def test_a_scheduler_that_goes_away(pipe, recordings, tmp_path, monkeypatch):
    """The run ends with what to do, and what was done is kept for the next one."""
    paths, expected = recordings
    monkeypatch.setattr(cluster, "PATIENCE", 3.0)
    outcomes = []
    with (
        distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as local,
        distributed.Client(local) as client,
    ):
        run = detect_files(pipe, paths, client=client, output_dir=tmp_path, ordered=False)
        outcomes.append(next(run))
        threading.Thread(target=local.close).start()
        with pytest.raises(ConnectionError, match=r"went away.*the run goes on"):
            outcomes += run
    again = list(detect_files(pipe, paths, output_dir=tmp_path, ordered=False))
    done = [outcome for outcome in outcomes if outcome.events is not None]
    assert sum(o.events is None and o.error is None for o in again) == len(done)
    assert_all(done + [o for o in again if o.events is not None or o.error], expected)


def test_without_anybody_at_the_address(monkeypatch):
    monkeypatch.setattr(cluster, "FIRST_ANSWER", 0.5)
    with (
        pytest.raises(ConnectionError, match="no scheduler answers"),
        cluster.connected("tcp://127.0.0.1:9"),
    ):
        pass


def test_a_cluster_without_workers(pipe, recordings, monkeypatch):
    """It is said, once, and the run goes on when some come."""
    paths, _ = recordings
    monkeypatch.setattr(cluster, "PATIENCE", 3.0)
    told = []
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=None) as local,
        distributed.Client(local) as client,
    ):

        def warn(text, *args, **kwargs):
            if "has no workers: waiting" in str(text):
                told.append(text)
                local.scale(1)

        monkeypatch.setattr(cluster.warnings, "warn", warn)
        (outcome,) = detect_files(pipe, paths[:1], client=client)
    assert outcome.events is not None
    assert len(told) == 1
