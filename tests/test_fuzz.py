"""Broken tables and recordings by the thousand: events, or an error that names the file."""

from __future__ import annotations

import io
import signal
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile

from sklearn_rcrnn import Event
from sklearn_rcrnn.annotations import format_events, read_events
from sklearn_rcrnn.annotations.formats import FORMATS
from sklearn_rcrnn.audio import audio_duration, open_audio

N_EACH = 2000
MEMORY = 400e6  # bytes that all cases together may add
SECONDS = 20  # that one case may last
RATE = 8000

TOKENS = [
    *(b"\0", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x80\x00\x00\x00", b"\x7f\xff\xff\xff"),
    *(b'"', b"\t", b"\n", b"\r", b",", b";", b"\\", b"[", b"{", b"}", b"1e999", b"nan", b"-1"),
    *(b"9" * 400, b"1_0", b"\xef\xbb\xbf", b"\xed\xb2\x80", b"RIFF", b"data", b"fLaC", b"OggS"),
    *(b"ID3", b"\xff\xfb\x90\x64", b"ftyp", b"#EXTM3U\n", b"true", b"null", b"[" * 5000),
]


def mutated(content, rng, most=5):
    """The content after a few changes: of bytes, of pieces, and by what parsers trip over."""
    content = bytearray(content)
    for _ in range(rng.integers(1, most + 1)):
        place = int(rng.integers(0, len(content) + 1))
        # Headers decide, so they are hit more often.
        place = min(place, int(rng.integers(0, 200))) if rng.random() < 0.5 else place
        stop = place + int(rng.integers(1, 64))
        kind = rng.integers(0, 7)
        if kind == 0 and place < len(content):
            content[place] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            content[place:stop] = (
                rng.bytes(min(stop, len(content)) - place) if place < stop else b""
            )
        elif kind == 2:
            del content[place:stop]
        elif kind == 3:
            token = TOKENS[rng.integers(0, len(TOKENS))]
            content[place : place + len(token)] = token
        elif kind == 4:
            content[place:place] = TOKENS[rng.integers(0, len(TOKENS))]
        elif kind == 5:
            content[place:place] = content[place:stop]
        elif kind == 6:
            del content[max(place, len(content) // 4) :]
    return bytes(content)


@contextmanager
def limited():
    """An error in place of a hang."""

    def stop(*_):
        raise TimeoutError(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def memory():
    resource = pytest.importorskip("resource")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def tables():
    events = {
        "a.wav": [Event(1.0, 2.5, "dog", 0.5), Event(3.0, 4.0, 'say "hi"', 1.0)],
        "b c.wav": [Event(0.0, 1.0, "Ночь", 0.25)],
    }
    yield from (
        format_events({"a": events["a.wav"]} if not form.many else events, name).encode()
        for name, form in FORMATS.items()
        if form.write is not None
    )
    yield b"SPEAKER a 1 1.0 1.5 <NA> <NA> dog <NA> <NA>\nSPEAKER a 1 3 1 <NA> <NA> cat 0.5 <NA>\n"
    yield b"INDIR,FOLDER,IN FILE,OFFSET,DURATION,MANUAL ID\n/d,s,a.wav,1,1.5,dog\n"
    yield b'[{"file": "a", "start": 1, "end": 2, "label": "dog"}]'
    yield "file;start;duration;species\na;1,5;2,5;dog\n".encode("utf-16")


def recordings():
    rng = np.random.default_rng(1)
    samples = (0.1 * rng.normal(size=(2 * RATE, 1))).astype(np.float32)
    for format, subtype, channels in (
        *(("WAV", "PCM_16", 1), ("WAV", "FLOAT", 2), ("WAV", "GSM610", 1), ("WAV", "IMA_ADPCM", 1)),
        *(("FLAC", None, 1), ("OGG", "VORBIS", 1), ("OGG", "OPUS", 1), ("MP3", None, 1)),
        *(
            ("AIFF", None, 2),
            ("CAF", None, 1),
            ("W64", None, 1),
            ("RF64", None, 1),
            ("AU", None, 1),
        ),
    ):
        file = io.BytesIO()
        sound = np.repeat(samples, channels, axis=1)
        soundfile.write(file, sound, RATE, format=format, subtype=subtype)
        yield file.getvalue()
        if format in ("MP3", "OGG", "FLAC"):
            yield file.getvalue() * 2
    try:
        import av
    except ImportError:
        return
    for container, codec in (("mp4", "aac"), ("matroska", "aac"), ("adts", "aac")):
        file = io.BytesIO()
        with av.open(file, "w", format=container) as content:
            stream = content.add_stream(codec, rate=RATE, layout="mono")
            for start in range(0, len(samples), 1024):
                frame = av.AudioFrame.from_ndarray(samples[start : start + 1024].T, "fltp", "mono")
                frame.sample_rate, frame.pts = RATE, start
                content.mux(stream.encode(frame))
            content.mux(stream.encode(None))
        yield file.getvalue()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="no alarm here")
def test_tables(tmp_path):
    rng = np.random.default_rng(0)
    seeds = list(tables())
    names = ["a.csv", "a.txt", "a.tsv", "a.jsonl", "a.jams", "a.selections.txt", "a.rttm"]
    before, outcomes = memory(), {"events": 0, "error": 0}
    for i in range(N_EACH):
        content = mutated(seeds[i % len(seeds)], rng, most=2)
        path = tmp_path / names[rng.integers(0, len(names))]
        path.write_bytes(content)
        for errors in ("raise", "skip"):
            with limited(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    events = read_events(path, errors=errors)
                except (ValueError, OSError) as error:
                    named = str(path) in str(error)
                    outcomes["error"] += 1
                else:
                    named = all(0 <= e.onset < e.offset for own in events.values() for e in own)
                    outcomes["events"] += 1
            assert named, content
        path.unlink()
    assert min(outcomes.values()) > N_EACH // 10, outcomes
    assert memory() - before < MEMORY


def read(path):
    """Samples of the whole, and of the third in the middle."""
    with open_audio(path) as file:
        n_samples = sum(map(len, file.blocks()))
        seconds = n_samples / file.sample_rate
        part = sum(map(len, file.blocks(seconds / 3, 2 * seconds / 3 + 1e-3)))
    if n_samples:
        audio_duration(path)
    return n_samples, part


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="no alarm here")
def test_recordings(tmp_path):
    rng = np.random.default_rng(0)
    seeds = list(recordings())
    names = ["a.wav", "a.mp3", "a.m4a", "a.flac", "a.aac"]
    before, outcomes = memory(), {"samples": 0, "error": 0}
    for i in range(N_EACH):
        path = tmp_path / names[rng.integers(0, len(names))]
        path.write_bytes(mutated(seeds[i % len(seeds)], rng))
        with limited(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                lengths = read(path)
                outcomes["samples"] += 1
            except (ValueError, OSError) as error:
                lengths = (0, 0) if str(path) in str(error) else (0, 1)
                outcomes["error"] += 1
        assert lengths[1] <= lengths[0]
        path.unlink()
    assert min(outcomes.values()) > N_EACH // 10, outcomes
    assert memory() - before < MEMORY
