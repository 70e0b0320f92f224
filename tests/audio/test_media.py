"""Recordings of phones and films, which PyAV decodes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import soundfile

from sklearn_rcrnn.audio import audio_duration, open_audio, read_audio

av = pytest.importorskip("av")

RATE = 48000
KINDS = {
    "a.m4a": ("ipod", "aac"),
    "a.mp4": ("mp4", "aac"),
    "a.mov": ("mov", "aac"),
    "a.webm": ("webm", "libopus"),
    "a.mkv": ("matroska", "aac"),
    "a.3gp": ("3gp", "aac"),
    "a.aac": ("adts", "aac"),
    "a.wma": ("asf", "wmav2"),
    "a.caf": ("caf", "alac"),
    "b.m4a": ("ipod", "alac"),
}


@pytest.fixture(scope="module")
def samples():
    """Six seconds of a tone that begins and stops, so that a shift is seen."""
    time = np.arange(6 * RATE) / RATE
    return (0.4 * np.sin(2 * np.pi * 440 * time) * ((time * 2).astype(int) % 2)).astype(np.float32)


def write(path, samples, layout="mono", film=False, **options):
    container, codec = KINDS[path.name]
    with av.open(str(path), "w", format=container, container_options=options) as file:
        sound = file.add_stream(codec, rate=RATE, layout=layout)
        sound.bit_rate = 96000
        if film:
            picture = file.add_stream("mpeg4", rate=10)
            picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        convert = av.AudioResampler(
            format=sound.codec_context.format or "fltp", layout=layout, rate=RATE, frame_size=1024
        )
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = RATE, 0
        for part in [*convert.resample(frame), *convert.resample(None)]:
            file.mux(sound.encode(part))
        file.mux(sound.encode(None))
        if film:
            for i in range(60):
                still = av.VideoFrame.from_ndarray(np.full((64, 64, 3), i, np.uint8), "rgb24")
                file.mux(picture.encode(still))
            file.mux(picture.encode(None))


def shift(found, samples):
    """By how many samples what was found is late."""
    n = min(len(found), len(samples))
    edges = np.flatnonzero(np.diff((np.abs(found[:n]) > 0.02).astype(int)) > 0)
    return edges[0] - RATE // 2


@pytest.mark.parametrize("name", KINDS)
def test_whole_parts_and_durations(name, samples, tmp_path):
    path = tmp_path / name
    write(path, samples)
    with pytest.raises(soundfile.SoundFileError):
        soundfile.info(str(path))
    whole = read_audio(path, RATE)
    assert abs(len(whole) - len(samples)) < 0.08 * RATE
    assert abs(shift(whole, samples)) < 0.06 * RATE
    assert np.abs(whole).max() == pytest.approx(0.4, abs=0.1)
    assert audio_duration(path) == len(whole) / RATE
    with open_audio(path) as file:
        assert sum(map(len, file.blocks())) == file.n_read == len(whole)
    part = read_audio(path, RATE, start=2.25, stop=4.75)
    assert len(part) == 2.5 * RATE
    # WebM and Matroska count in milliseconds.
    expected = whole[int(2.25 * RATE) :][: len(part)]
    lags = range(-60, 61)
    errors = [np.abs(np.roll(expected, lag) - part)[100:-100].mean() for lag in lags]
    assert min(errors) < 0.01


def test_the_sound_of_a_film(samples, tmp_path):
    write(tmp_path / "a.mp4", samples, "stereo", film=True)
    found = read_audio(tmp_path / "a.mp4", RATE)
    assert abs(len(found) - len(samples)) < 0.08 * RATE
    assert abs(shift(found, samples)) < 0.06 * RATE


def test_a_film_that_is_cut_short(samples, tmp_path):
    write(tmp_path / "a.mp4", samples, movflags="faststart")
    content = (tmp_path / "a.mp4").read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(content[: len(content) * 6 // 10])
    with pytest.warns(UserWarning, match=r"cut\.mp4' is cut short"):
        found = read_audio(path, RATE)
    assert 2 * RATE < len(found) < 4 * RATE
    # Without an index there is nothing to be read.
    write(tmp_path / "a.mp4", samples)
    path.write_bytes((tmp_path / "a.mp4").read_bytes()[:-3000])
    # Its index stands at the end, which is not there.
    with pytest.raises(ValueError, match=r"cut\.mp4' cannot be read as audio \(it was cut short"):
        read_audio(path, RATE)


def test_what_is_no_sound_is_no_sound(tmp_path):
    rng = np.random.default_rng(0)
    for name, content in {
        "text.wav": b"no audio",
        "noise.wav": rng.bytes(50_000),
        "noise.m4a": rng.bytes(50_000),
        "list.m3u8": b"#EXTM3U\n#EXTINF:1,\na.mp4\n",
        "list.m4a": b"ffconcat version 1.0\nfile a.mp4\n",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name}' cannot be read as audio"):
            audio_duration(tmp_path / name)


def test_without_pyav_the_error_names_the_extra(samples, tmp_path, monkeypatch):
    write(tmp_path / "a.m4a", samples)
    (tmp_path / "a.wav").write_bytes((tmp_path / "a.m4a").read_bytes())
    monkeypatch.setattr("sklearn_rcrnn.audio.reading.has_av", lambda: False)
    for name in ("a.m4a", "a.wav"):
        with pytest.raises(ValueError, match=rf"{name}' needs PyAV .*: pip install av"):
            read_audio(tmp_path / name, RATE)


def test_nothing_is_said_of_what_is_right(samples, tmp_path):
    write(tmp_path / "a.m4a", samples)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_audio(tmp_path / "a.m4a", RATE)
