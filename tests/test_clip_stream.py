"""Streams: fresh clips in every epoch, the same in any number of processes; augmentation."""

from __future__ import annotations

import os
import pickle
import signal

import numpy as np
import pytest
import soundfile
import torch
import yaml
from sklearn.base import clone
from skorch.callbacks import Callback
from small_corpus import RATE, write_subset

from sklearn_rcrnn import (
    ClipStream,
    CRNNPretrainer,
    EventAugmentation,
    FeatureAugmentation,
    LFBETransformer,
    RCRNNDetector,
    make_rcrnn_pipeline,
)
from sklearn_rcrnn.datasets import FreshMixtures


class Beeps(ClipStream):
    """Two seconds of noise with a beep; remembers what it was asked for."""

    labels = ["high", "low"]

    def __init__(self, n_clips=8, n_jobs=None):
        self.n_clips, self.n_jobs, self.asked = n_clips, n_jobs, []

    def __len__(self):
        return self.n_clips

    def draw(self, epoch, index):
        self.asked.append((epoch, index))
        rng = np.random.default_rng([epoch, index])
        samples = 0.01 * rng.normal(size=2 * RATE)
        onset, label = rng.uniform(0, 1.4), self.labels[index % 2]
        start = int(onset * RATE)
        frequency = 3000 if label == "high" else 400
        samples[start : start + RATE // 2] += np.sin(
            2 * np.pi * frequency * np.arange(RATE // 2) / RATE
        )
        return samples, [(onset, onset + 0.5, label)]


class Wrong(Beeps):
    def __init__(self, events):
        super().__init__()
        self.events = events

    def draw(self, epoch, index):
        return super().draw(epoch, index)[0], self.events


@pytest.fixture
def tiny():
    return make_rcrnn_pipeline(
        gru_units=4,
        dense_units=8,
        max_epochs=3,
        batch_size=4,
        precision="float32",
        random_state=0,
    )


def test_every_epoch_is_drawn_anew(tiny):
    stream = Beeps()
    tiny.set_params(detector__lr=1e-2, detector__max_epochs=6).fit(stream)
    training = [place for place in stream.asked if place[0] > 0]
    assert sorted(training) == [(epoch, i) for epoch in range(1, 7) for i in range(8)]
    assert tiny["detector"].classes_.tolist() == ["high", "low"]
    assert tiny["detector"].history_[-1]["train_loss"] < tiny["detector"].history_[0]["train_loss"]
    assert len(tiny.predict([stream.draw(9, 0)[0]])) == 1


def test_workers_train_alike(tiny):
    losses = [
        [row["train_loss"] for row in clone(tiny).fit(Beeps(n_jobs=n))["detector"].history_]
        for n in (None, 2)
    ]
    # The same clips, but for rounding: products of matrices use the threads there are.
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)


class Failing(Beeps):
    """Fails in the second epoch."""

    def __init__(self, fail):
        super().__init__(n_jobs=1)
        self.fail = fail

    def draw(self, epoch, index):
        if epoch == 2:
            self.fail()
        return super().draw(epoch, index)


def kill_this_process():
    os.kill(os.getpid(), signal.SIGKILL)


def miss_a_file():
    raise FileNotFoundError("No such audio file: 'a.wav'")


@pytest.mark.parametrize(
    ("checkpoint", "advice"), [(False, r"checkpoint=folder\) would"), (True, "same call goes on")]
)
def test_a_killed_worker_is_told(checkpoint, advice, tiny, tmp_path):
    kept = {"detector__checkpoint": tmp_path} if checkpoint else {}
    with pytest.raises(ChildProcessError, match=f"memory was full.*n_jobs.*{advice}"):
        tiny.fit(Failing(kill_this_process), **kept)


def test_an_error_in_a_worker_is_told_without_its_traceback(tiny):
    with pytest.raises(FileNotFoundError, match=r"\ANo such audio file: 'a.wav'\Z"):
        tiny.fit(Failing(miss_a_file))


def test_pretraining_on_a_stream(tiny):
    tiny.set_params(detector__pretrainer=CRNNPretrainer(max_epochs=1, precision="float32"))
    tiny.fit(Beeps())
    assert tiny["detector"].pretrainer_.predict_proba(
        LFBETransformer().transform([Beeps().draw(1, 0)[0]])
    ).shape == (1, 2)


def test_stream_with_validation_clips(tiny):
    clips, y = zip(*(Beeps().draw(7, i) for i in range(4)), strict=True)
    features = LFBETransformer().transform(clips)
    tiny.fit(Beeps(), detector__X_val=features, detector__y_val=y)
    assert "valid_loss" in tiny["detector"].history_[-1]


def test_stream_brings_its_events(tiny):
    with pytest.raises(ValueError, match="give no y"):
        tiny.fit(Beeps(), [[]] * 8)


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([(0.5, 0.2, "low")], "before the offset"),
        ([(0.5, 3.0, "low")], "after the end"),
        ([(0.1, 0.2, "middle")], "middle.*to learn"),
    ],
)
def test_wrong_events_are_named(tiny, events, message):
    with pytest.raises(ValueError, match=message):
        tiny.fit(Wrong(events))


def test_empty_stream(tiny):
    with pytest.raises(ValueError, match="0 clips"):
        tiny.fit(Beeps(0))


def test_y_val_alone_is_an_error(features, small):
    X, y = features
    with pytest.raises(ValueError, match="without X_val"):
        small.fit(X, y, y_val=y)


class Rates(Callback):
    """The learning rate of each step."""

    def initialize(self):
        self.used = []
        return self

    def on_batch_begin(self, net, training=False, **kwargs):
        if training:
            self.used.append(net.optimizer_.param_groups[0]["lr"])


def rates_of(n_epochs, batch_size, features):
    """Of a training on six clips."""
    watch = Rates()
    detector = RCRNNDetector(gru_units=4, dense_units=8, batch_size=batch_size, random_state=0)
    detector.set_params(max_epochs=n_epochs, validation_fraction=None, callbacks=[watch])
    X, y = features
    detector.fit(X[:6], y[:6])
    return watch.used


def test_one_cycle_rises_and_ends_low(features):
    rates = rates_of(4, 1, features)
    assert len(rates) == 24
    assert max(rates) == pytest.approx(1e-3, rel=0.05)
    assert rates[0] < max(rates) > rates[10]
    assert rates[-1] < 1e-4


@pytest.mark.parametrize("n_steps", [1, 2, 3, 5, 10, 11])
def test_a_cycle_of_few_steps_rises(n_steps, features):
    rates = rates_of(n_steps, 6, features)
    assert len(rates) == n_steps
    assert max(rates) == pytest.approx(1e-3 if n_steps > 1 else 1e-3 / 25)


class TestFreshMixtures:
    @pytest.fixture(scope="class")
    @classmethod
    def root(cls, tmp_path_factory):
        """Two classes of steady tones over two backgrounds, 12 s each."""
        root = tmp_path_factory.mktemp("fresh")
        rng = np.random.default_rng(0)
        events = {}
        for label, frequency in (("high", 5000), ("low", 300)):
            tone = 0.3 * np.sin(2 * np.pi * frequency * np.arange(2 * RATE) / RATE)
            events[label] = [("a.wav", tone, RATE, (0.5, 1.5))]
        backgrounds = {name: 0.05 * rng.normal(size=12 * RATE) for name in ("x.wav", "y.wav")}
        write_subset(root / "source_data", "devtrain", backgrounds, events)
        return root

    def test_a_mixture_follows_from_epoch_and_index(self, root):
        first = FreshMixtures(root, mixture_length=6, random_state=3)
        second = pickle.loads(pickle.dumps(first))
        for place in ((1, 0), (1, 1), (2, 0)):
            (a, events), (b, again) = first.draw(*place), second.draw(*place)
            assert np.array_equal(a, b)
            assert events == again
        assert not np.array_equal(first.draw(1, 0)[0], first.draw(2, 0)[0])

    def test_events_apart_and_inside(self, root):
        stream = FreshMixtures(root, mixture_length=6, event_counts=(0, 0, 0, 1))
        counts = []
        for i in range(30):
            samples, events = stream.draw(1, i)
            assert samples.shape == (6 * RATE,)
            assert samples.dtype == np.float32
            assert np.abs(samples).max() <= 1
            times = [t for onset, offset, _ in events for t in (onset, offset)]
            assert times == sorted(times)
            assert times[0] >= 0
            assert times[-1] <= 6
            counts.append(len(events))
        assert max(counts) == 3

    def test_the_ratio_is_that_asked_for(self, root):
        stream = FreshMixtures(
            root,
            mixture_length=6,
            event_counts=(0, 1),
            ebr=(6, 6),
            second_background=0,
            distractors=0,
            blend=0,
            augmentation=None,
        )
        for i in range(5):
            samples, [(onset, offset, _)] = stream.draw(1, i)
            start, end = round(onset * RATE), round(offset * RATE)
            assert end - start == RATE
            background = np.concatenate([samples[:start], samples[end:]])
            power = np.mean(samples[start:end] ** 2) / np.mean(background**2)
            assert 10 * np.log10(power - 1) == pytest.approx(6, abs=0.3)

    def test_recordings_are_equally_likely(self, root, tmp_path):
        import shutil

        copy = tmp_path / "copy"
        shutil.copytree(root, copy)
        folder = copy / "source_data"
        setup = folder / "cv_setup" / "events_devtrain.yaml"
        events = yaml.safe_load(setup.read_text())
        # One recording in four pieces of half a second, one in a single piece of a second.
        pieces = [{"audio_filename": f"b_{i}.wav", "segment": [0.5, 1.0]} for i in range(4)]
        for piece in pieces:
            shutil.copy(
                folder / "events/low/a.wav", folder / "events/low" / piece["audio_filename"]
            )
        setup.write_text(yaml.safe_dump({"low": [*events["low"], *pieces]}))
        stream = FreshMixtures(copy, mixture_length=6, event_counts=(0, 1), augmentation=None)
        lengths = [round(e[1] - e[0], 2) for i in range(60) for e in stream.draw(1, i)[1]]
        assert 15 <= lengths.count(0.5) <= 45

    def test_distractors_and_blends(self, root):
        settings = {"mixture_length": 6, "second_background": 0, "random_state": 1}
        plain = FreshMixtures(root, event_counts=(1,), distractors=0, **settings)
        distracted = FreshMixtures(root, event_counts=(1,), distractors=1.0, **settings)
        louder = [
            np.std(distracted.draw(1, i)[0]) > 1.001 * np.std(plain.draw(1, i)[0])
            for i in range(20)
        ]
        assert np.mean(louder) > 0.5
        assert all(distracted.draw(1, i)[1] == [] for i in range(20))
        little = EventAugmentation(speed=0.12)
        blended = FreshMixtures(
            root, event_counts=(0, 1), blend=1.0, augmentation=little, **settings
        )
        for i in range(5):
            samples, [(onset, offset, _)] = blended.draw(1, i)
            assert np.isfinite(samples).all()
            assert 0.8 < offset - onset < 1.2

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"mixture_length": 0.9}, "does not fit"),
            ({"event_counts": ()}, "event_counts"),
            ({"ebr": (3, -3)}, "range"),
            ({"classes": ["dog"]}, "dog"),
        ],
    )
    def test_wrong_parameters(self, root, params, message):
        with pytest.raises(ValueError, match=message):
            FreshMixtures(root, **params)

    def test_a_silent_event_is_named(self, root, tmp_path):
        import shutil

        copy = tmp_path / "copy"
        shutil.copytree(root, copy)
        soundfile.write(copy / "source_data/events/low/a.wav", np.zeros(2 * RATE), RATE)
        with pytest.raises(ValueError, match=r"a\.wav is silent"):
            FreshMixtures(copy)


class TestAugmentation:
    def test_speed_moves_pitch_and_length(self):
        tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
        only = EventAugmentation(speed=0.2, equalization=0, low_pass=0, reverberation=0)
        rng = np.random.default_rng(1)
        for _ in range(5):
            changed = only(tone, RATE, rng)
            peak = np.abs(np.fft.rfft(changed)).argmax() * RATE / len(changed)
            assert peak * len(changed) / len(tone) == pytest.approx(1000, rel=0.01)

    def test_nothing_asked_for_changes_nothing(self):
        event = np.random.default_rng(0).normal(size=5000).astype(np.float32)
        none = EventAugmentation(speed=0, equalization=0, low_pass=0, reverberation=0)
        np.testing.assert_allclose(none(event, RATE, np.random.default_rng(0)), event, atol=1e-5)

    def test_the_onset_stays(self):
        event = np.zeros(RATE, np.float32)
        event[0] = 1.0
        rng = np.random.default_rng(0)
        for _ in range(20):
            changed = EventAugmentation(speed=0, reverberation=1)(event, RATE, rng)
            loud = np.flatnonzero(np.abs(changed) > 0.1 * np.abs(changed).max())
            assert loud[0] < 0.01 * RATE

    def test_features_keep_their_shape_over_time(self):
        features = torch.randn(5, 100, 64)
        torch.manual_seed(0)
        changed = FeatureAugmentation(band_mask=0)(features)
        difference = changed - features
        assert (difference.std(1) < 1e-5).all()
        assert (difference.std((0, 2)) > 0.1).all()

    def test_masked_bands_are_flat(self):
        torch.manual_seed(0)
        changed = FeatureAugmentation(gain=0, equalization=0, band_mask=0.5)(
            torch.randn(64, 50, 64)
        )
        flat = changed.std(1) < 1e-5
        assert 0.2 < flat.any(1).float().mean() < 0.8
        assert flat.float().mean(1).max() <= 0.55

    def test_masks_are_the_mean_of_the_valid_frames(self):
        features = torch.randn(16, 50, 64) - 10
        features[:, 20:] = 0
        augmentation = FeatureAugmentation(gain=0, equalization=0, band_mask=0.5)
        torch.manual_seed(0)
        changed = augmentation(features, torch.full((16,), 20))
        torch.manual_seed(0)
        torch.testing.assert_close(changed[:, :20], augmentation(features[:, :20]))


def louder_or_softer(samples):
    return samples * np.random.uniform(0.5, 2.0)  # noqa: NPY002


def test_augmented_clips_follow_from_epoch_and_index():
    stream = Beeps().augment(louder_or_softer)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    clips = {place: stream.draw(*place)[0] for place in [(1, 0), (1, 1), (2, 0)]}
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    gains = [clips[place][0] / Beeps().draw(*place)[0][0] for place in clips]
    assert len(np.unique(np.round(gains, 6))) == 3
    np.testing.assert_array_equal(clips[1, 1], pickle.loads(pickle.dumps(stream)).draw(1, 1)[0])
    assert stream.draw(1, 0)[1] == Beeps().draw(1, 0)[1]


def test_augmentations_draw_different_numbers():
    once = Beeps().augment(louder_or_softer)
    twice = once.map(np.negative).augment(louder_or_softer)
    samples = [stream.draw(1, 0)[0][0] for stream in (Beeps(), once, twice)]
    first, second = samples[1] / samples[0], -samples[2] / samples[1]
    assert abs(first - second) > 0.01
