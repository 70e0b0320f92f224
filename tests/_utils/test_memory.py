"""Features that are kept are those of the files as they are."""

from __future__ import annotations

import copy
import os

import numpy as np
import pytest
import soundfile
from sklearn.base import clone

from sklearn_rcrnn import FileMemory, LFBETransformer, make_rcrnn_pipeline

RATE = 8000


@pytest.fixture
def recordings(tmp_path):
    paths = [tmp_path / f"{name}.wav" for name in "ab"]
    for i, path in enumerate(paths):
        write(path, i)
    return paths


def write(path, seed):
    samples = 0.1 * np.random.default_rng(seed).normal(size=3 * RATE)
    soundfile.write(path, samples, RATE)


def test_features_of_a_file_that_has_changed(recordings, tmp_path, monkeypatch):
    y = [[(0.5, 1.5, "dog")], []]
    pipe = make_rcrnn_pipeline(
        sample_rate=RATE,
        n_fft=512,
        hop_length=256,
        n_mels=16,
        gru_units=2,
        dense_units=2,
        max_epochs=1,
        random_state=0,
        memory=tmp_path / "memory",
    )
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


def test_no_memory():
    assert FileMemory().cache(len)([1]) == 1
