"""LFBEs: equal to librosa's, whatever a clip is given as."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import soundfile

from sklearn_rcrnn import ClipStream, LFBETransformer

RATE = 44100


def reference(samples, **kwargs):
    settings = {"sr": RATE, "n_fft": 2048, "hop_length": 1024, "n_mels": 64, **kwargs}
    return np.log(librosa.feature.melspectrogram(y=samples, **settings) + 1e-10).T


def noise(rng, n):
    return rng.normal(scale=0.1, size=n).astype(np.float32)


@pytest.mark.parametrize("kind", ["noise", "loud tone", "silence", "click"])
def test_equals_librosa_at_every_element(rng, kind):
    time = np.arange(3 * RATE) / RATE
    samples = {
        "noise": noise(rng, 3 * RATE),
        # Quiet bands beside a loud one: float32 spectra fail here.
        "loud tone": np.sin(2 * np.pi * 1000 * time),
        "silence": np.zeros(3 * RATE),
        "click": np.eye(1, 3 * RATE, 1000)[0],
    }[kind].astype(np.float32)
    features = LFBETransformer().transform([samples])[0]
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    np.testing.assert_allclose(features, reference(samples), atol=1e-4)


def test_other_settings_equal_librosa(rng):
    samples = noise(rng, 22050)
    lfbe = LFBETransformer(
        sample_rate=22050, n_fft=1024, hop_length=300, n_mels=40, f_min=50, f_max=8000
    )
    expected = reference(
        samples, sr=22050, n_fft=1024, hop_length=300, n_mels=40, fmin=50, fmax=8000
    )
    np.testing.assert_allclose(lfbe.transform([samples])[0], expected, atol=1e-4)
    assert lfbe.frame_shift == pytest.approx(300 / 22050)


def test_thirty_seconds():
    assert LFBETransformer().transform(np.zeros((1, 30 * RATE), np.float32)).shape == (1, 1292, 64)


def test_array_list_and_jobs_agree(rng):
    X = noise(rng, (3, RATE))
    expected = LFBETransformer().transform(X)
    np.testing.assert_array_equal(LFBETransformer(n_jobs=2).transform(list(X)), expected)


def test_unequal_lengths_give_a_list(rng):
    rows = LFBETransformer().transform([noise(rng, RATE), noise(rng, 2 * RATE)])
    assert [row.shape for row in rows] == [(44, 64), (87, 64)]


@pytest.mark.parametrize("n", [1, 100, 1023, 1024, 2047])
def test_shorter_than_a_window(rng, n):
    samples = noise(rng, n)
    features = LFBETransformer().transform([samples])
    with pytest.warns(UserWarning, match="n_fft"):
        np.testing.assert_allclose(features[0], reference(samples), atol=1e-4)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_files_are_read_averaged_and_resampled(tmp_path, rng, suffix):
    time = np.arange(22050) / 22050
    tone = 0.5 * np.sin(2 * np.pi * 440 * time)
    path = tmp_path / f"a tone{suffix}"
    soundfile.write(path, np.stack([tone, 0 * tone], 1), 22050)
    features = LFBETransformer().transform([path, str(path)])
    np.testing.assert_array_equal(features[0], features[1])
    assert abs(len(features[0]) - 44) <= 4  # MP3 pads
    mono = librosa.resample(tone.astype(np.float32) / 2, orig_sr=22050, target_sr=RATE)
    middle = slice(10, 30)
    loudest = reference(mono)[middle].argmax(1)
    np.testing.assert_array_equal(features[0][middle].argmax(1), loudest)
    if suffix in (".wav", ".flac"):
        np.testing.assert_allclose(
            features[0][middle, 5:12], reference(mono)[middle, 5:12], atol=0.1
        )


def test_integer_samples_are_scaled(rng):
    samples = (noise(rng, RATE) * 32767).astype(np.int16)
    expected = LFBETransformer().transform([samples.astype(np.float32) / 32768])
    for order in "<>":
        given = samples.astype(f"{order}i2")
        np.testing.assert_allclose(LFBETransformer().transform([given]), expected, atol=1e-5)


@pytest.mark.parametrize("block", [np.zeros(100, np.int16), [0, 1], np.zeros((100, 1))])
def test_blocks_are_floats_in_one_dimension(block):
    """Integers would be taken for floats, 32768 times as loud."""
    with pytest.raises(ValueError, match="blocks must be float arrays of shape"):
        list(LFBETransformer().transform_blocks([block]))


def test_names_and_no_state(rng):
    lfbe = LFBETransformer(n_mels=3)
    assert lfbe.get_feature_names_out().tolist() == ["lfbe0", "lfbe1", "lfbe2"]
    assert lfbe.fit([noise(rng, 5000)]) is lfbe
    assert set(vars(lfbe)) == set(lfbe.get_params())


class TestBadInput:
    def test_missing_file(self):
        with pytest.raises(FileNotFoundError, match=r"nowhere\.wav"):
            LFBETransformer().transform(["nowhere.wav"])

    @pytest.mark.parametrize("content", [b"", b"this is no audio\n", b"RIFF\x24\x00\x00\x00WAVE"])
    def test_no_audio_inside(self, tmp_path, content):
        path = tmp_path / "bad.wav"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.wav.*(read|empty)"):
            LFBETransformer().transform([path])

    def test_no_samples(self, tmp_path):
        path = tmp_path / "silent.wav"
        soundfile.write(path, np.zeros(0), RATE)
        with pytest.raises(ValueError, match=r"silent\.wav.*empty"):
            LFBETransformer().transform([path])

    def test_folder(self, tmp_path):
        with pytest.raises(ValueError, match="cannot be read"):
            LFBETransformer().transform([tmp_path])

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_not_finite(self, rng, value):
        bad = noise(rng, 5000)
        bad[100] = value
        with pytest.raises(ValueError, match=r"clip 1 .*NaN or infinite"):
            LFBETransformer().transform([noise(rng, 5000), bad])

    def test_too_large(self):
        with pytest.raises(ValueError, match=r"clip 0 .*too large"):
            LFBETransformer().transform([np.full(5000, 1e30, np.float32)])

    @pytest.mark.parametrize(
        ("X", "error", "match"),
        [
            ([], ValueError, "empty"),
            ("clip.wav", TypeError, "single path"),
            (np.zeros(100), ValueError, r"X\[None\]"),
            (np.zeros((2, 3, 4)), ValueError, "n_samples"),
            ([np.zeros((2, 100))], ValueError, "clip 0 .*1-D"),
            ([np.zeros(0)], ValueError, "clip 0 is empty"),
            ([[1, 2, 3]], TypeError, "clip 0 .*int64"),
            ([np.array(["a", "b"])], TypeError, "clip 0"),
            (3, TypeError, "list of paths"),
            ([b"x.wav"], TypeError, "bytes"),
        ],
    )
    def test_wrong_x(self, X, error, match):
        with pytest.raises(error, match=match):
            LFBETransformer().transform(X)

    @pytest.mark.parametrize(
        "params",
        [
            {"n_mels": 0},
            {"hop_length": -1},
            {"sample_rate": "44100"},
            {"eps": 0.0},
            {"eps": 1e-50},
            {"f_max": 30000},
            {"f_min": 9000, "f_max": 8000},
        ],
    )
    def test_wrong_parameters(self, rng, params):
        with pytest.raises(ValueError, match=next(iter(params))):
            LFBETransformer(**params).fit([noise(rng, 5000)])


def test_recordings_are_named_as_paths_and_in_streams(tmp_path):
    class Paths(ClipStream):
        labels = ["dog"]

        def __len__(self):
            return 1

        def draw(self, epoch, index):
            return tmp_path / "nan.wav", []

    soundfile.write(tmp_path / "nan.wav", np.full(5000, np.nan), RATE, subtype="FLOAT")
    with pytest.raises(ValueError, match=r"clip 0 \('.*nan\.wav'\) has samples that are NaN"):
        LFBETransformer().transform([tmp_path / "nan.wav"])
    with pytest.raises(ValueError, match=r"a clip of the stream \('.*nan\.wav'\) has samples"):
        LFBETransformer().transform(Paths()).draw(1, 0)
