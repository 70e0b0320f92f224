"""Long recordings cut into clips with their events."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from sklearn_rcrnn import Event, LFBETransformer
from sklearn_rcrnn.datasets import Excerpt, cut_recordings
from sklearn_rcrnn.metrics.durations import clip_durations

RATE = 8000


@pytest.fixture
def paths(tmp_path):
    lengths = (9.0, 4.0, 2.5)
    paths = [tmp_path / f"{i} é.wav" for i in range(len(lengths))]
    for path, seconds in zip(paths, lengths, strict=True):
        ramp = np.arange(int(seconds * RATE)) / (10 * RATE)
        soundfile.write(path, np.stack([ramp, ramp], 1), RATE, subtype="FLOAT")
    return paths


def test_clips_and_their_events(paths):
    y = [[(1.0, 2.0, "a"), (4.0, 5.0, "b"), (5.97, 6.5, "c")], [], [(0.0, 2.5, "a")]]
    X, events, groups = cut_recordings(paths, y, clip_length=3, sample_rate=RATE)
    assert groups.tolist() == [0, 0, 0, 1, 1, 2]
    assert [(e.start, e.stop) for e in X[:3]] == [(0, 3), (3, 6), (6, 9)]
    assert events[0] == [Event(1.0, 2.0, "a")]
    # Only 0.03 s of "c" lie before the cut.
    assert events[1] == [Event(1.0, 2.0, "b")]
    assert [e.label for e in events[2]] == ["c"]
    assert events[5] == [Event(0.0, 2.5, "a")]
    samples = np.asarray(X[1])
    assert samples.shape == (3 * RATE,)
    assert samples.dtype == np.float32
    assert samples[0] == pytest.approx(0.3, abs=1e-4)
    features = LFBETransformer(sample_rate=RATE, n_fft=512, hop_length=256, n_mels=16).transform(X)
    assert len(features) == 6


def test_an_event_over_a_cut_is_in_both_clips(paths):
    _, events, _ = cut_recordings(paths[:1], [[(2.0, 4.0, "a")]], clip_length=5, sample_rate=RATE)
    _, thirds, _ = cut_recordings(paths[:1], [[(2.0, 4.0, "a")]], clip_length=3, sample_rate=RATE)
    assert events == [[Event(2.0, 4.0, "a")], []]
    assert thirds == [[Event(2.0, 3.0, "a")], [Event(0.0, 1.0, "a")], []]


def test_a_short_event_over_a_cut_is_not_lost(paths):
    """Less than 0.1 s of it were on either side, and it was in no clip."""
    y = [[(2.94, 3.08, "a"), (5.95, 6.05, "b")]]
    _, events, _ = cut_recordings(paths[:1], y, clip_length=3, sample_rate=RATE)
    assert [[e.label for e in own] for own in events] == [[], ["a", "b"], ["b"]]


def test_a_recording_that_is_named_twice_is_one_group(paths):
    """Its clips could be on both sides of a split."""
    paths[1].with_name("link.wav").symlink_to(paths[1])
    paths[2].with_name("hard.wav").hardlink_to(paths[2])
    links = [str(paths[1].with_name("link.wav")), paths[2].with_name("hard.wav")]
    _, _, groups = cut_recordings(
        [*paths, paths[0], *links], [[]] * 6, clip_length=30, sample_rate=RATE
    )
    assert groups.tolist() == [0, 1, 2, 0, 1, 2]


def test_resampled(paths):
    X, _, _ = cut_recordings(paths[:1], [[]], clip_length=3)
    assert np.asarray(X[1]).shape == (3 * 44100,)


def test_features_of_another_rate(paths):
    """Samples at 44.1 kHz were taken for samples at the rate of the features, without a word."""
    X, _, _ = cut_recordings(paths, [[], [], []], clip_length=3)
    settings = {"n_fft": 256, "hop_length": 128, "n_mels": 8}
    lfbe = LFBETransformer(sample_rate=RATE, **settings)
    assert [len(clip) for clip in lfbe.transform(X)[:3]] == [188, 188, 188]
    assert clip_durations(lfbe, X)[:3] == pytest.approx([3.0, 3.0, 3.0])
    with pytest.raises(ValueError, match=r"clip 0 is at 44100 Hz, and 96000 Hz are needed"):
        LFBETransformer(sample_rate=96000, **settings).transform(X)


def test_a_sample_rate_that_is_no_integer(paths):
    """Samples at such a rate were taken for samples at the rate of the features."""
    X, _, _ = cut_recordings(paths, [[], [], []], clip_length=3, sample_rate=2.0 * RATE)
    lfbe = LFBETransformer(sample_rate=RATE, n_fft=256, hop_length=128, n_mels=8)
    assert [len(clip) for clip in lfbe.transform(X)[:3]] == [188, 188, 188]
    with pytest.raises(ValueError, match=r"clip 0 is at 16000\.0 Hz, and 44100 Hz are needed"):
        LFBETransformer().transform(X)


def test_few_clips_without_events(paths):
    y = [[(1.0, 2.0, "a")], [], []]
    _, events, _ = cut_recordings(paths, y, clip_length=1, empty_ratio=2, random_state=0)
    assert [bool(own) for own in events].count(True) == 1
    assert len(events) == 3


@pytest.mark.parametrize(("start", "stop"), [(3, 1), (2, 2), (-1, 2)])
def test_a_part_that_cannot_be(paths, start, stop):
    with pytest.raises(ValueError, match=f"part from {start} s to {stop} s"):
        Excerpt(paths[0], start, stop, RATE).samples()


def test_wrong_use(paths, tmp_path):
    with pytest.raises(
        ValueError, match=r"1 é\.wav' ends at 4.000 s, before .* 'a' from 1 s to 5 s"
    ):
        cut_recordings(paths, [[], [(1.0, 5.0, "a")], []])
    with pytest.raises(ValueError, match="event lists for 1 clips"):
        cut_recordings(paths, [[]])
    with pytest.raises(ValueError, match="clip_length"):
        cut_recordings(paths, [[], [], []], clip_length=0)
    with pytest.raises(ValueError, match="empty_ratio must be 0 or more, or None; got -1"):
        cut_recordings(paths, [[], [], []], empty_ratio=-1)
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), RATE)
    with pytest.raises(ValueError, match="empty"):
        cut_recordings([tmp_path / "empty.wav"], [[]])
    with pytest.raises(FileNotFoundError):
        cut_recordings([tmp_path / "no.wav"], [[]])
