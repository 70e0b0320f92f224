"""Fresh clips of a few recordings: excerpts are where they say, events lie over other stretches."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import soundfile
from small_corpus import RATE

from sklearn_rcrnn import Event, LFBETransformer
from sklearn_rcrnn.datasets import Excerpt, FreshExcerpts, fresh_excerpts
from sklearn_rcrnn.datasets.excerpts import events_between
from sklearn_rcrnn.datasets.surroundings import made_surroundings

PLAIN = {
    "distractors": 0.0,
    "blend": 0.0,
    "second_background": 0.0,
    "augmentation": None,
    "cleaned": 0.0,
}


def recording(seed, duration=12.0, onset=5.0, length=1.0, frequency=1000.0):
    """Soft noise with one tone in it, and its events."""
    rng = np.random.default_rng(seed)
    samples = 0.01 * rng.standard_normal(round(duration * RATE)).astype(np.float32)
    tone = np.sin(2 * np.pi * frequency * np.arange(round(length * RATE)) / RATE)
    start = round(onset * RATE)
    samples[start : start + len(tone)] += 0.3 * tone.astype(np.float32)
    return samples, [(onset, onset + length, f"{frequency:g} Hz")]


@pytest.fixture(scope="module")
def few():
    made = [recording(i, onset=2.0 + i, frequency=500.0 * (1 + i % 2)) for i in range(4)]
    return [samples for samples, _ in made], [events for _, events in made]


def level(samples, onset, offset):
    inside = samples[round(onset * RATE) : round(offset * RATE)]
    return np.sqrt(np.mean(inside.astype(float) ** 2))


def test_excerpts_are_the_recordings_and_their_events(few):
    X, y = few
    stream = FreshExcerpts(X, y, n_mixtures=20, mixture_length=3.0, as_recorded=1.0)
    assert stream.labels == ["1000 Hz", "500 Hz"]
    heard = set()
    for index in range(20):
        samples, events = stream.draw(1, index)
        assert len(samples) == 3 * RATE
        # It stands somewhere in one of them, sample by sample.
        places = [
            i for i, x in enumerate(X) if samples[:50].tobytes() in x.astype(np.float32).tobytes()
        ]
        assert len(places) == 1
        ((onset, offset, label),) = events
        assert label == y[places[0]][0][2]
        rest = np.concatenate([samples[: int(onset * RATE)], samples[int(offset * RATE) + 1 :]])
        assert level(samples, onset, offset) > 15 * level(rest, 0, 3)
        heard.add(places[0])
    assert heard == {0, 1, 2, 3}


def test_events_lie_over_other_stretches_at_the_ratio_drawn(few):
    X, y = few
    stream = FreshExcerpts(
        X, y, mixture_length=4.0, as_recorded=0.0, synthetic=0.0, event_counts=(0, 1),
        ebr=(12, 12), **PLAIN,
    )  # fmt: skip
    for index in range(10):
        samples, ((onset, offset, _),) = stream.draw(1, index)
        assert offset - onset == pytest.approx(1.0, abs=0.01)
        rest = np.concatenate([samples[: int(onset * RATE)], samples[int(offset * RATE) :]])
        ratio = 20 * np.log10(level(samples, onset, offset) / level(rest, 0, len(rest) / RATE))
        assert ratio == pytest.approx(12.3, abs=0.6)


def test_cleaned_events_leave_the_noise_of_their_recording_behind(few):
    """Events begin half a second before their tone, with the noise of the recording alone."""
    X = [10 ** (-i / 4) * samples for i, samples in enumerate(few[0])]
    y = [[(e[0] - 0.5, e[1], e[2]) for e in own] for own in few[1]]
    softer = {}
    for cleaned in (0.0, 1.0):
        stream = FreshExcerpts(
            X, y, mixture_length=4.0, as_recorded=0.0, synthetic=1.0, event_counts=(0, 1),
            ebr=(60, 60), **{**PLAIN, "cleaned": cleaned},
        )  # fmt: skip
        ratios = []
        for index in range(12):
            samples, ((onset, offset, _),) = stream.draw(1, index)
            noise = level(samples, onset + 0.1, onset + 0.4)
            ratios.append(20 * np.log10(level(samples, onset + 0.6, offset - 0.1) / noise))
        softer[cleaned] = np.median(ratios)
    # The tone is 26.5 dB over the noise in all of them.
    assert softer[0.0] == pytest.approx(26.5, abs=1.0)
    assert softer[1.0] > 38


def test_recordings_that_are_nothing_but_events_lie_in_made_surroundings():
    made = [recording(i, duration=1.2, onset=0.1) for i in range(2)]
    X, y = [samples for samples, _ in made], [events for _, events in made]
    stream = FreshExcerpts(X, y, mixture_length=3.0, as_recorded=0.5)
    drawn = [stream.draw(1, index) for index in range(30)]
    assert {len(samples) for samples, _ in drawn} == {3 * RATE, round(1.2 * RATE)}
    assert all(np.isfinite(samples).all() for samples, _ in drawn)
    assert any(events for samples, events in drawn if len(samples) == 3 * RATE)


def test_where_surroundings_are_scarce_the_start_counts(few):
    """Files with a second of noise behind the event had it back and forth in nearly all clips."""
    X, y = few
    assert FreshExcerpts(X, y, mixture_length=3.0).map(np.sum).start_share == 0
    made = [recording(i, duration=3.0, onset=0.1) for i in range(2)]
    X, y = [samples for samples, _ in made], [events for _, events in made]
    scarce = FreshExcerpts(X, y, mixture_length=10.0)
    assert scarce.map(np.sum).augment(np.copy).start_share == 0.5
    recorded = np.concatenate(X)
    backgrounds = [scarce._stretch(np.random.default_rng(i))[:1000] for i in range(100)]
    found = [np.isin(background, recorded).all() and background.any() for background in backgrounds]
    assert 5 < sum(found) < 35


def test_lively_surroundings_have_sounds_over_their_noise():
    def contrast(lively, seed):
        samples = made_surroundings(10 * RATE, np.random.default_rng(seed), lively=lively)
        assert samples.shape == (10 * RATE,)
        assert samples.dtype == np.float32
        levels = np.sqrt(np.mean(samples.reshape(100, -1) ** 2, axis=1))
        return 20 * np.log10((levels.max() + 1e-9) / (np.median(levels) + 1e-9))

    contrasts = np.array(
        [[contrast(lively, seed) for lively in (False, True)] for seed in range(40)]
    )
    plain, lively = np.median(contrasts, axis=0)
    assert plain < 8
    assert lively > 12


def test_the_same_from_disk_in_memory_and_another_process(few, tmp_path, monkeypatch):
    X, y = few
    paths = [tmp_path / f"{i}.wav" for i in range(4)]
    for path, samples in zip(paths, X, strict=True):
        soundfile.write(path, samples, RATE, subtype="FLOAT")
    settings = {"mixture_length": 3.0, "random_state": 5}
    kept = FreshExcerpts(X, y, **settings)
    monkeypatch.setattr(fresh_excerpts, "_KEPT_SECONDS", 0.0)
    read = pickle.loads(pickle.dumps(FreshExcerpts(paths, y, **settings)))
    for index in range(8):
        ours, theirs = kept.draw(2, index), read.draw(2, index)
        np.testing.assert_allclose(ours[0], theirs[0], atol=1e-6)
        assert ours[1] == theirs[1]
    assert np.any(kept.draw(2, 0)[0][:100] != kept.draw(3, 0)[0][:100])


def test_events_that_reach_into_unknown_parts_are_no_background():
    """The rest of an event that was cut by a held-out clip was heard as if nothing were there."""
    samples = np.zeros(20 * RATE, np.float32)
    samples[9 * RATE : 12 * RATE] = 0.5
    samples[2 * RATE : 3 * RATE] = np.sin(np.arange(RATE) / 10) / 4
    events = [(2.0, 3.0, "dog"), (9.0, 12.0, "dog")]
    stream = FreshExcerpts(
        [samples], [events], unknown=[[(10.0, 20.0)]], mixture_length=9.0, as_recorded=1.0
    )
    assert not any((stream.draw(0, i)[0] == 0.5).any() for i in range(20))
    assert max(stop for _, _, stop in stream._stretches) < 9.0


def test_an_event_that_reaches_into_an_unknown_part_has_its_label_where_it_is_heard():
    """During the cat the dog was heard as if nothing were there, and cut out along with it."""
    ramp = np.arange(30 * RATE, dtype=np.float32) / (30 * RATE)
    events = [(5.0, 12.0, "dog"), (6.0, 8.0, "cat"), (20.0, 21.0, "dog")]
    stream = FreshExcerpts(
        [ramp], [events], unknown=[[(10.0, 15.0)]], mixture_length=3.0, as_recorded=1.0, **PLAIN
    )
    seen = set()
    for index in range(20):
        samples, found = stream.draw(1, index)
        start = 30 * float(samples[0])
        stop = start + len(samples) / RATE
        inside = sorted(events_between([Event(*event) for event in events], start, stop))
        assert [label for *_, label in found] == [e.label for e in inside]
        np.testing.assert_allclose([e[:2] for e in found], [e[:2] for e in inside], atol=1e-3)
        seen.add(tuple(sorted(e.label for e in inside)))
    assert ("cat", "dog") in seen
    assert set(stream._alone) == {"dog"}
    # Without the other dog there is nothing from which this label could be learnt.
    with pytest.raises(ValueError, match="no event in any recording"):
        FreshExcerpts([ramp], [events[:2]], unknown=[[(10.0, 15.0)]])


def test_unknown_parts_are_never_heard():
    """A recording whose samples are their own time; from 4 to 6 s nobody knows what is there."""
    ramp = np.arange(12 * RATE, dtype=np.float32) / (12 * RATE)
    events = [(2.0, 2.5, "dog"), (5.5, 6.5, "cat"), (9.0, 9.5, "dog")]
    stream = FreshExcerpts(
        [ramp], [events], unknown=[[(4.0, 6.0)]], mixture_length=3.0, as_recorded=0.5,
        synthetic=0.0, event_counts=(1,), **PLAIN,
    )  # fmt: skip
    assert stream.labels == ["dog"]
    for index in range(40):
        samples, found = stream.draw(1, index)
        heard = 12 * samples / (1 if found else 0.2)
        assert not np.any((heard > 4.01) & (heard < 5.99))
        assert all(label == "dog" for *_, label in found)


def test_events_in_which_another_label_is_heard_are_not_cut_out():
    """A cry during which a tone is heard was added elsewhere with the label of the cry alone."""
    samples, _ = recording(0, duration=20.0, onset=5.0, frequency=1000.0)
    samples += recording(1, duration=20.0, onset=12.0, frequency=4000.0)[0]
    y = [[(4.0, 7.0, "cry"), (5.0, 6.0, "tone"), (12.0, 13.0, "cry"), (6.95, 7.2, "click")]]
    settings = {"mixture_length": 6.0, "event_counts": (0, 1), **PLAIN}
    stream = FreshExcerpts([samples], y, as_recorded=0.0, **settings)
    drawn = [stream.draw(1, i)[1] for i in range(20)]
    assert {label for own in drawn for *_, label in own} == {"cry", "click"}
    assert {round(offset - onset, 1) for own in drawn for onset, offset, _ in own} == {1.0, 0.2}
    # Where none is alone, all clips are excerpts.
    stream = FreshExcerpts([samples], [y[0][:2]], as_recorded=0.0, **settings)
    assert {label for i in range(20) for *_, label in stream.draw(1, i)[1]} == {"cry", "tone"}


def test_long_arrays_are_samples_like_short_ones(few, monkeypatch):
    """Integers were mixed as they were, and excerpts of a recording were taken for paths."""
    X, y = few
    whole = [np.round(32767 * samples).astype(np.int16) for samples in X]
    kept = FreshExcerpts(whole, y, mixture_length=3.0)
    monkeypatch.setattr(fresh_excerpts, "_KEPT_SECONDS", 0.0)
    long = FreshExcerpts(whole, y, mixture_length=3.0)
    for index in range(4):
        np.testing.assert_array_equal(kept.draw(0, index)[0], long.draw(0, index)[0])


def test_excerpts_of_long_recordings(few, tmp_path, monkeypatch):
    monkeypatch.setattr(fresh_excerpts, "_KEPT_SECONDS", 0.0)
    soundfile.write(tmp_path / "a.wav", few[0][0], RATE, subtype="FLOAT")
    stream = FreshExcerpts(
        [Excerpt(tmp_path / "a.wav", 1.0, 4.0)], [[(1.0, 2.0, "a")]], mixture_length=3.0,
        as_recorded=1.0,
    )  # fmt: skip
    samples, events = stream.draw(0, 0)
    np.testing.assert_array_equal(samples, few[0][0][RATE : 4 * RATE])
    assert events == [(1.0, 2.0, "a")]


def test_features_of_another_rate_are_refused(few):
    """A training at 192 kHz, of bats for example, went through with all times and bands wrong."""
    stream = FreshExcerpts(*few)
    lfbe = LFBETransformer(sample_rate=192000)
    for own in (stream, stream.augment(np.negative)):
        with pytest.raises(ValueError, match="are at 44100 Hz, and the features are of 192000 Hz"):
            lfbe.transform(own)
    assert len(lfbe.transform(stream.map(np.negative))) == len(stream)  # it may have resampled


def test_nothing_to_learn(few):
    with pytest.raises(ValueError, match="no event in any recording"):
        FreshExcerpts(few[0], [[]] * 4)
    with pytest.raises(ValueError, match="ends at 99"):
        FreshExcerpts(few[0], [[(98, 99, "dog")], [], [], []])
