"""Block by block: the same features and events as of the whole recording."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.pipeline import Pipeline

from sklearn_rcrnn import LFBETransformer, detect_file, detect_stream, make_rcrnn_pipeline
from sklearn_rcrnn.datasets import make_rare_events
from sklearn_rcrnn.events import select_events
from sklearn_rcrnn.inference.stream import at_rate

RATE = 8000


@pytest.fixture(scope="module")
def pipe():
    """Small and quick, but trained: scores that are all alike make suppression a lottery.

    The precision is given, so that all processors compute alike: "auto" depends on them.
    """
    X, y = make_rare_events(
        120, duration=4.0, max_events=2, sample_rate=RATE, ebr=(10, 20), random_state=0
    )
    return make_rcrnn_pipeline(
        sample_rate=RATE,
        n_fft=512,
        hop_length=256,
        n_mels=16,
        gru_units=16,
        dense_units=32,
        max_epochs=24,
        batch_size=4,
        lr=3e-3,
        score_threshold=0.3,
        nms_threshold=0.5,
        validation_fraction=None,
        precision="float32",
        random_state=0,
    ).fit(X, y)


@pytest.fixture(scope="module")
def recording():
    """200 s with events: four windows."""
    X, _ = make_rare_events(
        10, duration=20.0, max_events=4, sample_rate=RATE, ebr=(10, 20), random_state=1
    )
    return np.concatenate(X)


def blocks_of(samples, rng, longest=40_000):
    cuts = np.cumsum(rng.integers(1, longest, 2 * len(samples) // longest + 10))
    return np.split(samples, cuts[cuts < len(samples)])


@given(st.integers(1, 30_000), st.integers(0, 2**32 - 1), st.sampled_from([200, 512, 2048]))
@settings(max_examples=30, deadline=None)
def test_features_of_blocks_are_those_of_the_whole(n_samples, seed, n_fft):
    """Also where there are samples between the frames that belong to none."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(size=n_samples).astype(np.float32)
    lfbe = LFBETransformer(sample_rate=RATE, n_fft=n_fft, hop_length=256, n_mels=16)
    joined = np.concatenate(list(lfbe.transform_blocks(blocks_of(samples, rng, 5000))))
    np.testing.assert_allclose(joined, lfbe.transform([samples])[0], atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_events_of_blocks_are_those_of_the_whole(pipe, recording, seed):
    whole = pipe.predict([recording])[0]
    assert len(whole) > 10
    found = sorted(detect_stream(pipe, blocks_of(recording, np.random.default_rng(seed))))
    assert [e.label for e in found] == [e.label for e in whole]
    np.testing.assert_allclose([e[:2] for e in found], [e[:2] for e in whole], atol=1e-3)


def test_events_come_while_the_stream_goes_on(pipe, recording):
    heard = 0.0

    def microphone():
        nonlocal heard
        for block in np.array_split(recording, 200):
            heard += len(block) / RATE
            yield block

    early = 0
    for event in detect_stream(pipe, microphone(), window=20, margin=5):
        if heard < len(recording) / RATE - 1:
            assert heard - event.offset < 20 - 5 + 1 + 1 + 5  # a block, and what overlaps it
            early += 1
    assert early > 3


def test_a_longer_window_is_not_cut_again(pipe, recording):
    """A recording of less than a window is heard as one clip."""
    part = recording[: 110 * RATE]
    frames = pipe[:-1].transform([part])[0]
    detector = pipe[-1]
    scored = detector._network(len(frames)).events_of_clip(np.asarray(frames))
    expected = select_events([scored], detector.score_threshold)[0]
    found = list(detect_stream(pipe, blocks_of(part, np.random.default_rng(0)), window=120))
    np.testing.assert_allclose([e[:2] for e in found], [e[:2] for e in expected], atol=1e-3)
    # The first window is of 120 s: what it hears is not what two of 60 s hear.
    early = [e for e in detect_stream(pipe, [recording], window=120) if e.offset < 90]
    np.testing.assert_allclose(
        [e[:2] for e in early], [e[:2] for e in expected if e.offset < 90], atol=0.02
    )


def test_files_at_any_rate_and_with_two_channels(pipe, recording, tmp_path):
    path = tmp_path / "a b\n.wav"
    soundfile.write(path, np.stack([recording, recording], 1), RATE, subtype="FLOAT")
    whole = pipe.predict([recording])[0]
    np.testing.assert_allclose(
        [e[:2] for e in detect_file(pipe, path)], [e[:2] for e in whole], atol=1e-3
    )
    other = tmp_path / "other.flac"
    soundfile.write(other, recording, 16000)
    resampled = pipe.predict([other])[0]
    found = detect_file(pipe, other)
    assert len(found) == len(resampled)
    np.testing.assert_allclose([e[:2] for e in found], [e[:2] for e in resampled], atol=0.01)


def test_the_best_of_a_file(pipe, recording, tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, recording, RATE)
    best = max(detect_file(pipe, path), key=lambda event: event.score)
    pipe.set_params(detector__max_events_per_clip=1)
    try:
        assert detect_file(pipe, path) == [best]
        with pytest.raises(ValueError, match="max_events_per_clip=None"):
            detect_stream(pipe, [recording])
    finally:
        pipe.set_params(detector__max_events_per_clip=None)


class TestWrongInput:
    @pytest.mark.parametrize("rate", [float("nan"), float("inf"), 0, -8000, "44100", True, 1e12])
    def test_sample_rates_that_cannot_be(self, pipe, rate):
        with pytest.raises(ValueError, match="must be a number of Hz from 100 to 10000000"):
            detect_stream(pipe, [np.zeros(1000)], sample_rate=rate)

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (1e25, "too large to square samples before"),
            (1e300, "1e[+]300, which is more than float32 can hold"),
            (np.nan, "NaN or infinite samples before"),
            (np.inf, "NaN or infinite samples before"),
        ],
    )
    def test_samples_that_cannot_be(self, pipe, value, message):
        with pytest.raises(ValueError, match=message):
            list(detect_stream(pipe, [np.full(44100, value)]))

    def test_a_clip_that_is_too_loud_for_float32(self, pipe):
        with pytest.raises(ValueError, match=r"clip 0 has a sample of 1e\+300, which is more than"):
            pipe.predict([np.full(44100, 1e300)])

    def test_not_finite(self, pipe):
        block = np.zeros(RATE, np.float32)
        block[5] = np.nan
        with pytest.raises(ValueError, match=r"before 3\.00 s"):
            list(detect_stream(pipe, [np.ones(2 * RATE, np.float32), block]))

    def test_window_and_margin_that_are_no_numbers(self, pipe):
        for spans in ({"window": float("nan")}, {"margin": float("inf")}):
            with pytest.raises(ValueError, match="must be finite"):
                detect_stream(pipe, [np.zeros(RATE, np.float32)], **spans)

    def test_nothing(self, pipe):
        with pytest.raises(ValueError, match="0 samples"):
            list(detect_stream(pipe, []))

    def test_integers(self, pipe):
        with pytest.raises(ValueError, match="float arrays"):
            list(detect_stream(pipe, [np.zeros(100, np.int16)]))

    def test_detector_alone(self, pipe):
        with pytest.raises(TypeError, match="Pipeline of"):
            detect_stream(pipe["detector"], [])

    def test_features_of_another_clock(self, pipe):
        by_hand = Pipeline(
            [("lfbe", LFBETransformer(n_mels=16, hop_length=128)), ("detector", pipe["detector"])]
        )
        with pytest.raises(ValueError, match=r"frame_shift=0\.032 s.*step 'lfbe', 0\.0029"):
            detect_stream(by_hand, [])

    def test_margin(self, pipe):
        with pytest.raises(ValueError, match="more than twice"):
            list(detect_stream(pipe, [np.zeros(100, np.float32)], window=10, margin=6))

    def test_files(self, pipe, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"nowhere\.wav"):
            detect_file(pipe, tmp_path / "nowhere.wav")
        path = tmp_path / "text.wav"
        path.write_text("no audio")
        with pytest.raises(ValueError, match=r"text\.wav.*cannot be read"):
            detect_file(pipe, path)
        soundfile.write(tmp_path / "empty.wav", np.zeros(0), RATE)
        with pytest.raises(ValueError, match=r"empty\.wav.*0 samples"):
            detect_file(pipe, tmp_path / "empty.wav")
        with pytest.raises(TypeError, match="Pipeline of"):
            detect_file(pipe["detector"], path)

    def test_a_file_that_breaks_off(self, pipe, recording, tmp_path):
        """Broken in the middle, where only reading tells: what is there is used, and said."""
        from sklearn_rcrnn.inference.files import detect_files

        good, cut = tmp_path / "good.flac", tmp_path / "cut.flac"
        soundfile.write(good, recording[: 20 * RATE], RATE)
        content = good.read_bytes()
        cut.write_bytes(content[: len(content) // 2])
        with pytest.warns(UserWarning, match=r"cut\.flac' is cut short.* 20\.00 s, (9|10)\.\d\d s"):
            outcomes = list(detect_files(pipe, [cut, good]))
        assert [outcome.error for outcome in outcomes] == [None, None]
        assert 9 < outcomes[0].duration < 10.5


def test_channels_in_rows_are_an_error():
    """Each block was averaged over its samples, to as many samples as there are channels."""
    with pytest.raises(ValueError, match=r"got float32 of shape \(2, 441\)"):
        list(at_rate([np.zeros((2, 441), np.float32)], None, RATE))
    blocks = [np.ones((100, 16)), np.ones((3, 16))]  # the last block of many microphones is short
    assert np.concatenate(list(at_rate(blocks, None, RATE))).shape == (103,)
