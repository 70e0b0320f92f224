"""Features that are kept are those of the files as they are."""

from __future__ import annotations

import copy
import os
import pickle

import numpy as np
import pytest
import soundfile
from joblib import Memory
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from small_runs import RATE, unfitted_pipeline

from sklearn_rcrnn import CRNNPretrainer, FileMemory, LFBETransformer, RCRNNDetector
from sklearn_rcrnn.datasets import Excerpt, Mixture


@pytest.fixture
def recordings(tmp_path):
    paths = [tmp_path / f"{name}.wav" for name in "ab"]
    for i, path in enumerate(paths):
        write(path, i)
    return paths


def write(path, seed, seconds=3):
    samples = 0.1 * np.random.default_rng(seed).normal(size=seconds * RATE)
    soundfile.write(path, samples, RATE)


def test_features_of_a_file_that_has_changed(recordings, tmp_path, monkeypatch):
    y = [[(0.5, 1.5, "dog")], []]
    pipe = unfitted_pipeline(memory=tmp_path / "memory")
    computed = []
    transform = LFBETransformer.transform
    monkeypatch.setattr(
        LFBETransformer, "transform", lambda self, X: computed.append(len(X)) or transform(self, X)
    )
    paths = [str(path) for path in recordings]
    pipe.fit(paths, y)
    clone(pipe).fit(paths, y)
    assert computed == [2]
    write(recordings[1], seed=2)
    os.utime(recordings[1], ns=(0, 0))
    pipe.fit(paths, y)
    assert computed == [2, 2]


def tiny_steps(*names):
    """Steps of a pipeline that is built by hand."""
    common = {"frame_shift": 256 / RATE, "gru_units": 2, "max_epochs": 1, "random_state": 0}
    steps = {
        "lfbe": LFBETransformer(RATE, n_fft=512, hop_length=256, n_mels=16),
        "crnn": CRNNPretrainer(**common),
        "detector": RCRNNDetector(dense_units=2, **common),
        "last": RCRNNDetector(dense_units=2, extractor="precomputed", **common),
    }
    return [(name, clone(steps[name])) for name in names]


@pytest.mark.parametrize("steps", [("lfbe", "detector"), ("lfbe", "crnn", "last")])
@pytest.mark.parametrize("n_seconds", [(3, 3), (2, 4)])
def test_a_memory_of_names_gives_no_features_of_another_file(
    recordings, tmp_path, steps, n_seconds
):
    """As a Pipeline that is built by hand has it, of joblib's own kind."""
    paths, y = [str(path) for path in recordings], [[(0.5, 1.5, "dog")], []]
    for seed, (path, seconds) in enumerate(zip(recordings, n_seconds, strict=True)):
        write(path, seed, seconds)
    folder = str(tmp_path / "memory")
    for _ in range(2):
        Pipeline(tiny_steps(*steps), memory=folder).fit(paths, y)
    write(recordings[1], 7, n_seconds[1])
    os.utime(recordings[1], ns=(0, 0))
    with pytest.raises(ValueError, match=r"features of .*b\.wav as it was before .*FileMemory"):
        Pipeline(tiny_steps(*steps), memory=folder).fit(paths, y)
    # What the user was told to do: it knows files that were only touched, too.
    for stamp in (0, 9):
        os.utime(recordings[1], ns=(stamp, stamp))
        Pipeline(tiny_steps(*steps), memory=FileMemory(folder)).fit(paths, y)


@pytest.mark.parametrize("kind", ["paths", "strings", "array"])
def test_whatever_paths_are_in(recordings, tmp_path, kind):
    calls = []

    def count(X):
        calls.append(1)
        return len(X)

    texts = [str(path) for path in recordings]
    given = {"paths": recordings, "strings": texts, "array": np.array(texts)}[kind]
    memory = copy.deepcopy(FileMemory(tmp_path / "memory"))
    kept = memory.cache(count)
    assert [kept(given), kept(given), kept(given)] == [2, 2, 2]
    assert len(calls) == 1
    write(recordings[0], seed=3)
    os.utime(recordings[0], ns=(5, 5))
    assert kept(given) == 2
    assert len(calls) == 2


def mixture_of(path):
    """The second of two recordings as background, or as event, of a mixture of the other one."""
    recipe = {
        "bg_path": "a.wav",
        "event_present": True,
        "event_path": "b.wav",
        "mixture_audio_filename": "m.wav",
    }
    return Mixture(path.parent, recipe, 3.0)


@pytest.mark.parametrize("clip_of", [lambda path: Excerpt(path, 0.0, 2.0, RATE), mixture_of])
def test_clips_that_read_files_when_they_are_asked(recordings, tmp_path, clip_of):
    """Features of excerpts and mixtures were those of files that had changed since."""
    for i, folder in enumerate(("bgs", "events")):
        (tmp_path / "source_data" / folder).mkdir(parents=True)
        recordings[i] = recordings[i].rename(tmp_path / "source_data" / folder / "ab"[i])
        recordings[i] = recordings[i].rename(recordings[i].with_suffix(".wav"))
    path = recordings[1] if clip_of is not mixture_of else tmp_path / "any"
    calls = []

    def count(X):
        calls.append(1)
        return len(X)

    # Joblib's own kind, which Pipeline(memory="folder") makes, knew them by their names alone.
    for memory, stamp in ((FileMemory(tmp_path / "memory"), 5), (Memory(tmp_path / "own"), 9)):
        kept = memory.cache(count)
        assert [kept([clip_of(path)]), kept([clip_of(path)])] == [1, 1]
        assert len(calls) == 1
        os.utime(recordings[1], ns=(stamp, stamp))
        kept([clip_of(path)])
        assert len(calls) == 2
        calls.clear()
    clip = clip_of(path)
    assert vars(pickle.loads(pickle.dumps(clip))) == vars(clip)


def test_no_memory():
    assert FileMemory().cache(len)([1]) == 1
