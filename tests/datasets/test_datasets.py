"""The challenge's layout and mixer, on a small corpus made here."""

from __future__ import annotations

import os
import pickle
import shutil

import numpy as np
import pytest
import soundfile
import yaml
from joblib import parallel_config, register_parallel_backend
from joblib._parallel_backends import ThreadingBackend
from small_corpus import RATE, write_subset

from sklearn_rcrnn import LFBETransformer
from sklearn_rcrnn.datasets import (
    generate_mixture_recipes,
    load_dcase2017_rare,
    mixer,
    synthesize_mixtures,
)
from sklearn_rcrnn.datasets.layout import CLASSES, data_folder, mixture_hashes


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
    expected = plain_draws(n, p, [-6, 0, 6], seed, lengths=[[1.25, 1.0]] * 3, n_backgrounds=3)
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


def test_segments_beyond_the_end_of_their_recording(tmp_path):
    """Offsets were later than what is heard, without a word."""
    rng = np.random.default_rng(0)
    sound = rng.normal(scale=0.1, size=RATE)
    events = {"dog": [("a.wav", sound, RATE, (0.0, 1.0)), ("b.wav", sound, RATE, (0.5, 1.5))]}
    write_subset(tmp_path / "source_data", "devtrain", {"b.wav": sound}, events)
    with pytest.warns(UserWarning, match=r"segments of dog/b\.wav end after their recordings"):
        generate_mixture_recipes(tmp_path, mixtures_per_class=8, mixture_length=4.0)


def test_on_disk_in_memory_and_lazily(root, tmp_path):
    recipes = generate_mixture_recipes(root, "devtest", mixtures_per_class=2)
    in_memory, _y = synthesize_mixtures(root, recipes)
    lazy, _ = synthesize_mixtures(root, recipes, lazy=True)
    # Files of another length have the same names, and were kept.
    synthesize_mixtures(root, recipes, output_dir=tmp_path, mixture_length=32.0)
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
    # There was nothing of such a class, without a word.
    for options in ({}, {"mixtures_per_class": 3}, {"part": "events"}):
        with pytest.raises(ValueError, match=r"no events of \['dog'\]"):
            load_dcase2017_rare(root, "devtest", classes=["gunshot", "dog"], **options)


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


def test_levels_that_are_measured_in_another_process(root, monkeypatch):
    """On a backend of processes, recipes were without their scaling factors."""

    def elsewhere(tasks, *_):
        return [work(*pickle.loads(pickle.dumps(arguments))) for work, arguments, _ in tasks]

    expected = generate_mixture_recipes(root, "devtest", mixtures_per_class=2)
    monkeypatch.setattr(mixer, "_run", elsewhere)
    assert generate_mixture_recipes(root, "devtest", mixtures_per_class=2) == expected


def test_source_material_that_has_changed(tmp_path):
    """A mixture had the sound that its files had when they were first read."""
    rng = np.random.default_rng(0)
    first, second = (0.1 * rng.normal(size=2 * RATE) for _ in range(2))
    settings = {"mixtures_per_class": 1, "event_presence_prob": 1.0, "mixture_length": 3.0}
    made = []
    for i, sound in enumerate((first, second, second)):
        folder = tmp_path / ("old" if i < 2 else "new") / "source_data"
        event = ("e.wav", sound, RATE, (0.0, 1.0))
        write_subset(folder, "devtest", {"b.wav": sound}, {"dog": [event]})
        os.utime(folder / "bgs" / "b.wav", ns=(i, i))
        os.utime(folder / "events" / "dog" / "e.wav", ns=(i, i))
        recipes = generate_mixture_recipes(folder.parent, "devtest", **settings)
        made.append(synthesize_mixtures(folder.parent, recipes, mixture_length=3.0)[0][0])
    np.testing.assert_array_equal(made[1], made[2])
    assert not np.array_equal(made[0], made[1])


@pytest.mark.corpus
def test_corpus_in_the_challenges_layout(corpus):
    data = load_dcase2017_rare(corpus, "devtest", mixtures_per_class=2)
    assert len(data.X) == 6
    assert np.isfinite(LFBETransformer().transform(data.X[:2])).all()
