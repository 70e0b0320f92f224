"""The challenge's layout and mixer on a small corpus made here, the fetcher, synthesis."""

from __future__ import annotations

import functools
import hashlib
import http.server
import itertools
import shutil
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from joblib import parallel_config, register_parallel_backend
from joblib._parallel_backends import ThreadingBackend
from small_corpus import RATE, write_subset

from sklearn_rcrnn import LFBETransformer
from sklearn_rcrnn.datasets import (
    fetch_dcase2017_rare,
    generate_mixture_recipes,
    load_dcase2017_rare,
    make_rare_events,
    split_by_recording,
    split_by_source,
    synthesize_mixtures,
)
from sklearn_rcrnn.datasets.fetch import _fetch_all, _Part
from sklearn_rcrnn.datasets.layout import CLASSES, data_folder, mixture_hashes


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two events a class and three backgrounds of 30 s, in the challenge's layout."""
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("small")
    backgrounds = {f"audio/b{i}.wav": rng.normal(scale=0.1, size=30 * RATE) for i in range(3)}
    events = {}
    for label in CLASSES:
        events[label] = []
        for i, rate in enumerate((22050, RATE)):
            sound = rng.normal(scale=0.3, size=(2 * rate, 2))
            events[label].append((f"e{i}.wav", sound, rate, (0.25 * (i + 1), 1.5)))
    for subset in ("devtrain", "devtest"):
        write_subset(root / "data" / "source_data", subset, backgrounds, events)
    return root


def plain_draws(n, p, ebrs, seed, lengths, n_backgrounds):
    """The challenge's draws, written down once more, plainly."""
    rng = np.random.RandomState(seed)
    for own in lengths:
        n_events = round(n * p)
        events = rng.choice(np.arange(len(own)), n_events)
        backgrounds = rng.choice(np.arange(n_backgrounds), n)
        flags = rng.permutation(np.hstack([np.ones(n_events), np.zeros(n - n_events)]))
        start = {}
        for event in events:
            start[event] = (30 - own[event]) * rng.rand()
        drawn = rng.choice(ebrs, size=n_events)
        rows = iter(zip(events, drawn, strict=True))
        out = []
        for background, flag in zip(backgrounds, flags, strict=True):
            event, ebr = next(rows) if flag else (None, -np.inf)
            out.append((background, event, None if event is None else start[event], ebr))
        yield out


@pytest.mark.parametrize(("n", "p", "seed"), [(10, 0.5, 42), (7, 0.99, 3), (4, 0.0, 1)])
def test_recipes_follow_the_challenge(root, n, p, seed):
    recipes = generate_mixture_recipes(
        root, "devtest", mixtures_per_class=n, event_presence_prob=p, random_state=seed
    )
    assert tuple(recipes) == CLASSES
    expected = plain_draws(n, p, [-6, 0, 6], seed, [[1.25, 1.0]] * 3, 3)
    for own, rows in zip(recipes.values(), expected, strict=True):
        assert len(own) == n
        for recipe, (background, event, start, ebr) in zip(own, rows, strict=True):
            assert recipe["bg_path"] == f"audio/b{background}.wav"
            assert recipe["event_present"] == (event is not None)
            assert recipe["ebr"] == ebr
            if event is not None:
                assert recipe["event_path"].endswith(f"/e{event}.wav")
                assert recipe["event_start_in_mixture_seconds"] == start


def test_hashes_of_the_challenge():
    """The official folders: seed 42 for devtest, 13 for the evaluation set."""
    assert mixture_hashes(500, 0.5, [-6, 0, 6], 42)[0] == "20b255387a2d0cddc0a3dff5014875e7"
    assert mixture_hashes(500, 0.5, [-6, 0, 6], 13)[0] == "bbb81504db15a03680a0044474633b67"


def test_mixtures_have_the_ebr_where_they_say(root):
    recipes = generate_mixture_recipes(root, "devtest", mixtures_per_class=4, ebrs=[-3, 9])
    X, y = synthesize_mixtures(root, recipes, n_jobs=2)
    flat = [recipe for own in recipes.values() for recipe in own]
    source = root / "data" / "source_data"
    for samples, events, recipe in zip(X, y, flat, strict=True):
        assert samples.shape == (30 * RATE,)
        background, _ = soundfile.read(source / "bgs" / recipe["bg_path"])
        rest = samples / 0.2 - background
        if not events:
            np.testing.assert_allclose(rest, 0, atol=1e-6)
            continue
        ((onset, offset, label),) = events
        assert label == recipe["event_class"]
        assert offset - onset == pytest.approx(recipe["event_length_seconds"])
        inside = slice(int(onset * RATE), int(onset * RATE) + int((offset - onset) * RATE))
        np.testing.assert_allclose(rest[: inside.start], 0, atol=1e-6)
        power = [np.mean(part[inside] ** 2) for part in (rest, background)]
        assert 10 * np.log10(power[0] / power[1]) == pytest.approx(recipe["ebr"], abs=0.02)


def test_on_disk_in_memory_and_lazily(root, tmp_path):
    recipes = generate_mixture_recipes(root, "devtest", mixtures_per_class=2)
    in_memory, _y = synthesize_mixtures(root, recipes)
    lazy, _ = synthesize_mixtures(root, recipes, lazy=True)
    paths, _ = synthesize_mixtures(root, recipes, output_dir=tmp_path)
    for samples, mixture, path in zip(in_memory, lazy, paths, strict=True):
        np.testing.assert_array_equal(samples, np.asarray(mixture))
        written, rate = soundfile.read(path)
        assert (rate, soundfile.info(path).subtype) == (RATE, "PCM_24")
        np.testing.assert_allclose(written, samples, atol=2**-23)
    text = (tmp_path / "meta" / "event_list_devtest_gunshot.csv").read_text()
    assert text.splitlines() == [r["annotation_string"] for r in recipes["gunshot"]]
    stored = yaml.safe_load(
        (tmp_path / "meta" / "mixture_recipes_devtest_gunshot.yaml").read_text()
    )
    assert stored == recipes["gunshot"]
    features = LFBETransformer(n_jobs=2).transform(lazy)
    assert features.shape == (6, 1292, 64)


def test_other_lengths_and_classes(root):
    recipes = generate_mixture_recipes(
        root, mixtures_per_class=3, classes=["gunshot"], mixture_length=45.0, random_state=5
    )
    X, _y = synthesize_mixtures(root, recipes, mixture_length=45.0)
    assert list(recipes) == ["gunshot"]
    assert {len(samples) for samples in X} == {45 * RATE}
    with pytest.raises(ValueError, match="does not fit"):
        generate_mixture_recipes(root, mixture_length=1.0)
    with pytest.raises(ValueError, match="no events of"):
        generate_mixture_recipes(root, classes=["dog"])


def test_load_draws_or_reads(root, tmp_path):
    drawn = load_dcase2017_rare(root, "devtest", mixtures_per_class=3)
    folder = root / "data" / "mixture_data" / "devtest" / mixture_hashes(3, 0.5, [-6, 0, 6], 42)[0]
    recipes = generate_mixture_recipes(root, "devtest", mixtures_per_class=3)
    synthesize_mixtures(root, recipes, output_dir=folder)
    written = load_dcase2017_rare(root, "devtest", mixtures_per_class=3)
    assert written.target_class == drawn.target_class
    assert written.y == drawn.y
    assert all(path.is_file() for path in written.X)
    some = load_dcase2017_rare(root, "devtest", mixtures_per_class=3, classes=["gunshot"])
    assert set(some.target_class) == {"gunshot"}


def test_load_evaluation_set(root, tmp_path):
    """As the challenge packs it, beside the development set or by itself."""
    package = tmp_path / "TUT-rare-sound-events-2017-evaluation"
    folder = package / "data" / "mixture_data" / "evaltest" / "bbb81504db15a03680a0044474633b67"
    (folder / "meta").mkdir(parents=True)
    (folder / "audio").mkdir()
    text = "mixture_a.wav\nmixture_b.wav\t1.5\t2.25\tgunshot\n"
    (folder / "meta" / "event_list_evaltest_gunshot.csv").write_text(text)
    for name in "ab":
        soundfile.write(folder / "audio" / f"mixture_{name}.wav", np.zeros(RATE), RATE)
    for place in (tmp_path, package, package / "data"):
        data = load_dcase2017_rare(place, "evaltest")
        assert data.y == [[], [(1.5, 2.25, "gunshot")]]
        assert [path.name for path in data.X] == ["mixture_a.wav", "mixture_b.wav"]


def test_an_evaluation_set_of_source_material(root, tmp_path):
    """A third split beside the two of the challenge: its mixtures are drawn."""
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    setup = data_folder(tmp_path) / "source_data" / "cv_setup"
    for kind in ("events", "bgs"):
        shutil.copy(setup / f"{kind}_devtest.yaml", setup / f"{kind}_evaltest.yaml")
    data = load_dcase2017_rare(tmp_path, "evaltest", mixtures_per_class=2, random_state=3)
    assert len(data.X) == len(data.y) == len(data.target_class) > 0
    assert len(np.asarray(data.X[0])) == 30 * RATE


def test_load_source_material(root):
    events = load_dcase2017_rare(root, "devtrain", part="events")
    assert len(events.X) == len(events.y) == 6
    assert events.y[0] == [(0.25, 1.5, "babycry")]
    backgrounds = load_dcase2017_rare(root, "devtrain", part="backgrounds")
    assert backgrounds.y == [[], [], []]


def test_load_errors(root, tmp_path):
    with pytest.raises(FileNotFoundError, match="neither source_data nor mixture_data"):
        load_dcase2017_rare(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"events_other\.yaml is missing"):
        load_dcase2017_rare(root, "other")
    with pytest.raises(FileNotFoundError, match="bbb81504"):
        load_dcase2017_rare(root, "evaltest")
    with pytest.raises(ValueError, match="part"):
        load_dcase2017_rare(root, part="all")
    meta = tmp_path / "mixture_data" / "devtest" / "x" / "meta"
    meta.mkdir(parents=True)
    (meta / "event_list_devtest_gunshot.csv").write_text("a.wav\nb.wav\t1.0\tgunshot\n")
    with pytest.raises(ValueError, match="row 2"):
        load_dcase2017_rare(tmp_path, "devtest", param_hash="x")
    (meta / "event_list_devtest_gunshot.csv").write_text("a.wav\n")
    with pytest.raises(FileNotFoundError, match=r"a\.wav, which"):
        load_dcase2017_rare(tmp_path, "devtest", param_hash="x")


class RangeHandler(http.server.SimpleHTTPRequestHandler):
    """A file server that honours range requests and notes them."""

    ranges: list
    most: int | None = None
    endless = False
    sent_all = False

    def do_GET(self):
        data = Path(self.translate_path(self.path)).read_bytes()
        asked = self.headers.get("Range")
        type(self).ranges.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if start >= len(data):
            self.send_error(416)
            return
        self.send_response(206 if asked else 200)
        if self.endless:
            self.end_headers()
            for _ in range(2000):
                self.wfile.write(bytes(1 << 16))
            type(self).sent_all = True
            return
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        # A connection that breaks after so many bytes.
        self.wfile.write(data[start:][: self.most])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(root, tmp_path):
    """Small archives of the same structure as Zenodo's, served on this machine."""
    name = "TUT-rare-sound-events-2017-development"
    folder = tmp_path / "server"
    folder.mkdir()
    files = []
    for part in ("source_data/bgs", "source_data/events", "source_data/cv_setup"):
        file = f"{part.replace('/', '_')}.zip"
        with zipfile.ZipFile(folder / f"{name}.{file}", "w") as archive:
            for path in (root / "data" / part).rglob("*.*"):
                archive.write(path, f"{name}/{path.relative_to(root)}")
        data = (folder / f"{name}.{file}").read_bytes()
        files.append((file, len(data), hashlib.md5(data).hexdigest()))
    RangeHandler.ranges = []
    handler = functools.partial(RangeHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{httpd.server_address[1]}/"
        yield {"development": (name, url, files)}, folder
        httpd.shutdown()


def test_fetch_unpacks_once_and_resumes(server, tmp_path, capsys):
    packages, folder = server
    name, _url, files = packages["development"]
    target = tmp_path / "target"
    fetch_dcase2017_rare(target, packages=packages, dry_run=True)
    assert "3 files" in capsys.readouterr().out
    assert not target.exists()
    # As if a first run had been cut short in the first archive.
    target.mkdir()
    first = f"{name}.{files[0][0]}"
    (target / f"{first}.part").write_bytes((folder / first).read_bytes()[:1000])
    fetch_dcase2017_rare(target, packages=packages, verbose=0)
    assert RangeHandler.ranges == ["bytes=1000-", None, None]
    assert len(load_dcase2017_rare(target, "devtest", mixtures_per_class=2).X) == 6
    assert not list(target.glob("*.zip"))
    fetch_dcase2017_rare(target, packages=packages, verbose=0)
    assert len(RangeHandler.ranges) == 3


def test_backends_of_joblib_that_give_lists_only(root):
    class Lists(ThreadingBackend):
        supports_return_generator = False

    register_parallel_backend("lists", Lists)
    recipes = generate_mixture_recipes(root, "devtest", mixtures_per_class=1)
    plain, _ = synthesize_mixtures(root, recipes)
    with parallel_config("lists", n_jobs=2):
        X, _ = synthesize_mixtures(root, recipes)
        features = LFBETransformer().transform(X)
    np.testing.assert_array_equal(X, plain)
    np.testing.assert_array_equal(features, LFBETransformer().transform(plain))


class TestDownload:
    """One file of 100 kB, from servers with faults."""

    @pytest.fixture
    def part(self, tmp_path):
        data = np.random.default_rng(0).bytes(100_000)
        (tmp_path / "served").write_bytes(data)

        class Handler(RangeHandler):
            ranges = []

        handler = functools.partial(Handler, directory=tmp_path)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
            threading.Thread(target=httpd.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{httpd.server_address[1]}/served"
            yield _Part(url, tmp_path / "file.part", len(data)), data, Handler
            httpd.shutdown()

    def test_connections_that_break(self, part):
        part, data, handler = part
        handler.most = 30_000
        _fetch_all(part, progress=False)
        assert part.path.read_bytes() == data
        assert 3 < len(handler.ranges) < 10
        assert handler.ranges[1] != handler.ranges[2]

    def test_stops_at_the_known_size(self, part):
        part, _, handler = part
        handler.endless = True
        _fetch_all(part, progress=False)
        assert part.path.stat().st_size == part.size
        assert not handler.sent_all

    def test_what_is_there_already_is_not_asked_for(self, part):
        part, data, handler = part
        part.path.write_bytes(data)
        _fetch_all(part, progress=False)
        assert handler.ranges == []

    def test_more_than_there_should_be(self, part):
        part, data, handler = part
        part.path.write_bytes(data + b"more")
        _fetch_all(part, progress=False)
        assert part.path.read_bytes() == data
        assert handler.ranges == [None]

    def test_a_file_that_is_shorter_there(self, part):
        """416: what is here cannot be its beginning."""
        part, data, _ = part
        longer = part._replace(size=200_000)
        longer.path.write_bytes(bytes(150_000))
        with pytest.raises(OSError, match="stopped after 100000 of 200000 bytes"):
            _fetch_all(longer, progress=False)
        assert part.path.read_bytes() == data

    def test_nothing_comes(self, part):
        part, _, handler = part
        handler.most = 0
        with pytest.raises(OSError, match=r"0 of 100000 bytes.*repeated, the download goes on"):
            _fetch_all(part, progress=False)
        assert len(handler.ranges) == 3


def test_two_processes_fetch_once(server, tmp_path):
    packages, _ = server
    threads = [
        threading.Thread(
            target=fetch_dcase2017_rare, args=(tmp_path / "t",), kwargs={"packages": packages}
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(RangeHandler.ranges) == 3


def test_fetch_refuses_a_wrong_checksum(server, tmp_path):
    packages, _ = server
    name, url, files = packages["development"]
    wrong = {"development": (name, url, [(files[0][0], files[0][1], "0" * 32)])}
    with pytest.raises(ValueError, match="hash"):
        fetch_dcase2017_rare(tmp_path / "target", packages=wrong, verbose=0)
    with pytest.raises(ValueError, match="subset"):
        fetch_dcase2017_rare(tmp_path, "other")


class TestMakeRareEvents:
    def test_deterministic_and_typed(self):
        X, y = make_rare_events(5, duration=4.0, max_events=3, random_state=1)
        again, y_again = make_rare_events(5, duration=4.0, max_events=3, random_state=1)
        np.testing.assert_array_equal(X, again)
        assert y == y_again
        assert X.dtype == np.float32
        assert np.abs(X).max() <= 1
        for clip in y:
            for (_, end, _), (start, _, _) in itertools.pairwise(clip):
                assert end <= start

    def test_presence_and_labels(self):
        _, y = make_rare_events(
            20, duration=3.0, event_presence_prob=1, labels=["gunshot"], random_state=0
        )
        assert all(len(clip) == 1 and clip[0][2] == "gunshot" for clip in y)
        _, y = make_rare_events(5, duration=3.0, event_presence_prob=0, random_state=0)
        assert y == [[]] * 5

    @pytest.mark.parametrize(
        "params", [{"labels": ["dog"]}, {"duration": 1.0}, {"n_clips": 0}, {"max_events": 0}]
    )
    def test_bad_parameters(self, params):
        with pytest.raises(ValueError, match=next(iter(params))):
            make_rare_events(**params)


@pytest.mark.corpus
def test_corpus_in_the_challenges_layout(corpus):
    data = load_dcase2017_rare(corpus, "devtest", mixtures_per_class=2)
    assert len(data.X) == 6
    assert np.isfinite(LFBETransformer().transform(data.X[:2])).all()


class TestSplitting:
    @pytest.fixture
    def root(self, tmp_path):
        setup = tmp_path / "data" / "source_data" / "cv_setup"
        setup.mkdir(parents=True)
        for name in ("events", "bgs"):
            (setup.parent / name).mkdir()
        events = {
            label: [
                {"audio_filename": f"{label}{r}_{i}.wav", "segment": [0.0, 1.0]}
                for r in range(10)
                for i in range(3)
            ]
            for label in ("cat", "dog")
        }
        backgrounds = [
            {"filepath": f"audio/b{r}_{t}_{t + 30}.wav", "classname": "home", "classid": 1}
            for r in range(8)
            for t in (0, 30)
        ]
        (setup / "events_devtrain.yaml").write_text(yaml.safe_dump(events))
        (setup / "bgs_devtrain.yaml").write_text(yaml.safe_dump(backgrounds))
        return tmp_path / "data"

    def test_no_recording_in_both_parts_and_nothing_lost(self, root, tmp_path):
        split = split_by_recording(root, tmp_path / "split", fraction=0.2, random_state=3)
        setup = split / "source_data" / "cv_setup"
        parts = [
            {
                e["audio_filename"]
                for own in yaml.safe_load((setup / f"events_{part}.yaml").read_text()).values()
                for e in own
            }
            for part in ("fit", "hold")
        ]
        assert [len(part) for part in parts] == [48, 12]
        recordings = [{name.rsplit("_", 1)[0] for name in part} for part in parts]
        assert not recordings[0] & recordings[1]
        held = yaml.safe_load((setup / "bgs_hold.yaml").read_text())
        assert len(held) == 4
        assert len({entry["filepath"].split("_")[0] for entry in held}) == 2

    def test_the_same_seed_splits_alike(self, root, tmp_path):
        texts = [
            (
                split_by_recording(root, tmp_path / str(i), random_state=seed)
                / "source_data/cv_setup/events_hold.yaml"
            ).read_text()
            for i, seed in enumerate((0, 0, 1))
        ]
        assert texts[0] == texts[1] != texts[2]

    def test_wrong_fraction(self, root, tmp_path):
        with pytest.raises(ValueError, match="fraction must be"):
            split_by_recording(root, tmp_path / "split", fraction=1.0)


class TestSplitBySource:
    @pytest.fixture
    def root(self, tmp_path):
        """Cats of the sources one and two, dogs of two and three, backgrounds of one and four."""
        setup = tmp_path / "data" / "source_data" / "cv_setup"
        setup.mkdir(parents=True)
        for name in ("events", "bgs"):
            (setup.parent / name).mkdir()
        origin = {}
        events = {}
        for label, sources in (("cat", ("one", "two")), ("dog", ("two", "three"))):
            names = [(source, f"{source}{r}_0.wav") for source in sources for r in range(3)]
            events[label] = [{"audio_filename": n, "segment": [0.0, 1.0]} for _, n in names]
            origin |= {f"events/{label}/{name}": source for source, name in names}
        backgrounds = [
            (source, f"{source}{r}_0_30.wav") for source in ("one", "four") for r in "ab"
        ]
        origin |= {f"bgs/{name}": source for source, name in backgrounds}
        # All pieces of a recording stand in one row, as in the corpus.
        origin = {name.replace("_0_30.wav", "*"): source for name, source in origin.items()}
        rows = "".join(f"{file},{source}\n" for file, source in origin.items())
        (setup.parents[1] / "provenance.csv").write_text("file,repository\n" + rows)
        (setup / "events_devtrain2.yaml").write_text(yaml.safe_dump(events))
        (setup / "bgs_devtrain2.yaml").write_text(
            yaml.safe_dump(
                [{"filepath": n, "classname": "c", "classid": 1} for _, n in backgrounds]
            )
        )
        return tmp_path / "data"

    def parts(self, split):
        setup = split / "source_data" / "cv_setup"
        for part in ("heard", "unheard"):
            events = yaml.safe_load((setup / f"events_{part}.yaml").read_text())
            backgrounds = yaml.safe_load((setup / f"bgs_{part}.yaml").read_text())
            yield (
                {label: {e["audio_filename"] for e in own} for label, own in events.items()},
                {entry["filepath"] for entry in backgrounds},
            )

    def test_nothing_of_a_source_is_in_the_first_part(self, root, tmp_path):
        heard, unheard = self.parts(split_by_source(root, tmp_path / "split", "one"))
        cats = {f"one{r}_0.wav" for r in range(3)}
        assert unheard[0] == {"cat": cats}
        assert heard[0]["cat"] == {f"two{r}_0.wav" for r in range(3)}
        assert len(heard[0]["dog"]) == 6
        # Those of the source, and one of the others to mix with.
        assert {f"one{r}_0_30.wav" for r in "ab"} < unheard[1]
        assert len(unheard[1]) == 3
        assert not heard[1] & unheard[1]

    def test_a_source_that_is_not_there_or_the_only_one(self, root, tmp_path):
        with pytest.raises(ValueError, match=r"no events of the sources \['four'\]"):
            split_by_source(root, tmp_path / "split", ["one", "four"])
        with pytest.raises(ValueError, match=r"nothing left to learn \['cat'\]"):
            split_by_source(root, tmp_path / "split", ["one", "two"])

    def test_a_file_that_the_table_does_not_have(self, root, tmp_path):
        table = root / "provenance.csv"
        table.write_text(table.read_text().replace("bgs/onea*,one\n", ""))
        with pytest.raises(ValueError, match=r"does not say where bgs/onea_0_30\.wav came from"):
            split_by_source(root, tmp_path / "split", "one")

    def test_without_a_table_of_sources(self, root, tmp_path):
        (root / "provenance.csv").unlink()
        with pytest.raises(FileNotFoundError, match=r"No provenance\.csv"):
            split_by_source(root, tmp_path / "split", "one")
