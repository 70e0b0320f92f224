"""Every recording is read to its real end, whatever its header says, and no further."""

from __future__ import annotations

import io
import os
import socket
import struct
import tracemalloc
import warnings

import numpy as np
import pytest
import soundfile

from sklearn_rcrnn.audio import audio_duration, check_clips, load_clip, open_audio, read_audio
from sklearn_rcrnn.audio.repair import end_of_part

RATE = 8000
N = 20 * RATE


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(0)
    return (0.1 * rng.normal(size=N)).astype(np.float32)


def encoded(samples, format, subtype=None, rate=RATE):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=format, subtype=subtype)
    return file.getvalue()


def in_blocks(path, **part):
    with open_audio(path) as file:
        blocks = list(file.blocks(**part))
        assert file.n_read == sum(map(len, blocks))
    return np.concatenate(blocks)


def lengths(path):
    """Samples by each way that there is, which must agree."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {
            len(read_audio(path, RATE)),
            len(in_blocks(path)),
            round(audio_duration(path) * RATE),
        }
    assert len(found) == 1
    return found.pop()


class TestCutShort:
    @pytest.mark.parametrize("format", ["MP3", "FLAC", "WAV"])
    def test_what_is_there_is_read_with_a_warning(self, format, samples, tmp_path):
        whole = encoded(samples, format)
        path = tmp_path / "cut"
        path.write_bytes(whole[: len(whole) * 6 // 10])
        n_samples = lengths(path)
        assert 0.55 * N < n_samples < 0.61 * N
        with pytest.warns(UserWarning, match=r"cut' is cut short: its header promises"):
            read = read_audio(path, RATE)
        assert np.isfinite(read).all()
        clean = soundfile.read(io.BytesIO(whole), dtype="float32")[0]
        np.testing.assert_allclose(read, clean[:n_samples], atol=1e-6)

    def test_an_ogg_is_told_by_its_last_page(self, samples, tmp_path):
        whole = encoded(samples, "OGG")
        path = tmp_path / "cut.ogg"
        path.write_bytes(whole[: len(whole) * 6 // 10])
        with pytest.warns(UserWarning, match=r"cut\.ogg' seems to be cut short"):
            assert 0.5 * N < len(read_audio(path, RATE)) < 0.65 * N
        path.write_bytes(whole)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert len(read_audio(path, RATE)) == N

    def test_a_piece_of_an_mp3_has_no_stale_memory(self, samples, tmp_path):
        path = tmp_path / "cut.mp3"
        path.write_bytes(encoded(samples, "MP3")[:4000])
        assert 0 < lengths(path) < N // 10
        with pytest.warns(UserWarning, match="cut short"):
            assert np.abs(read_audio(path, RATE)).max() < 1

    def test_the_decoder_of_mp3_has_nothing_to_complain_of(self, samples, tmp_path, capfd):
        """It writes on standard error, where logs of programs are read."""
        whole = encoded(samples, "MP3")
        path = tmp_path / "cut.mp3"
        for n_bytes in (40, 400, 1500, 4000, len(whole) // 2, len(whole) * 98 // 100):
            path.write_bytes(whole[:n_bytes])
            if n_bytes < 1000:
                with pytest.raises(ValueError, match="ends before its first whole frame of sound"):
                    read_audio(path, RATE)
            else:
                assert len(read_audio(path, RATE)) < N * n_bytes / len(whole) + RATE
        assert capfd.readouterr().err == ""

    def test_damage_in_a_flac_leaves_what_is_behind_it_in_its_place(self, samples, tmp_path):
        content = bytearray(encoded(samples, "FLAC"))
        for place in range(len(content) // 2, len(content) // 2 + 200):
            content[place] ^= 0x55
        path = tmp_path / "damaged.flac"
        path.write_bytes(content)
        assert lengths(path) == N
        with pytest.warns(UserWarning, match="is damaged: silence takes the place of"):
            read = read_audio(path, RATE)
        clean = soundfile.read(io.BytesIO(encoded(samples, "FLAC")), dtype="float32")[0]
        wrong = np.flatnonzero(read != clean)
        assert 0 < np.ptp(wrong) < 3 * RATE
        assert N // 4 < wrong[0] < wrong[-1] < 3 * N // 4


class TestLengthsThatHeadersClaim:
    @pytest.mark.parametrize("n_samples", [0, 2**36 - 1, N // 2])
    def test_flac(self, n_samples, samples, tmp_path):
        content = bytearray(encoded(samples, "FLAC"))
        content[21] = content[21] & 0xF0 | n_samples >> 32
        content[22:26] = (n_samples & 0xFFFFFFFF).to_bytes(4, "big")
        path = tmp_path / "a.flac"
        path.write_bytes(content)
        tracemalloc.start()
        assert lengths(path) == N
        assert tracemalloc.get_traced_memory()[1] < 30e6
        tracemalloc.stop()
        part = read_audio(path, RATE, start=15, stop=16)
        np.testing.assert_allclose(part, samples[15 * RATE : 16 * RATE], atol=1e-4)

    def test_a_sample_rate_that_cannot_be_is_an_error(self, samples, tmp_path):
        content = bytearray(encoded(samples, "FLAC"))
        content[18:21] = bytes([0, 0, 1 << 4 | content[20] & 0x0F])
        path = tmp_path / "slow.flac"
        path.write_bytes(content)
        for read in (audio_duration, open_audio, lambda path: read_audio(path, RATE)):
            with pytest.raises(ValueError, match=r"slow\.flac' claims a sample rate of 1 Hz"):
                read(path)

    @pytest.mark.parametrize("claimed", [0, 4000])
    def test_wav_with_samples_behind_its_data_chunk(self, claimed, samples, tmp_path):
        content = bytearray(encoded(samples, "WAV"))
        content[40:44] = struct.pack("<I", claimed)
        path = tmp_path / "unfinished.wav"
        path.write_bytes(content)
        assert lengths(path) == N
        with pytest.warns(UserWarning, match=rf"broken header: it says that {claimed} bytes"):
            np.testing.assert_allclose(read_audio(path, RATE), samples, atol=1e-4)

    @pytest.mark.parametrize(
        ("format", "places"),
        [("RF64", [(20, 24)]), ("AU", [(8, 4)]), ("AIFF", [(4, 4), (42, 4)])],
    )
    def test_headers_that_were_never_finished(self, format, places, samples, tmp_path):
        content = bytearray(encoded(samples, format))
        for place, n_bytes in places:
            content[place : place + n_bytes] = bytes(n_bytes)
        if format == "AIFF":
            assert content[38:42] == b"SSND"
            content[45] = 8
        path = tmp_path / "unfinished"
        path.write_bytes(content)
        assert lengths(path) == N
        with pytest.warns(UserWarning, match="has a broken header"):
            np.testing.assert_allclose(read_audio(path, RATE), samples, atol=1e-4)

    def test_chunks_behind_the_samples_are_no_samples(self, samples, tmp_path):
        content = encoded(samples, "WAV") + b"LIST" + struct.pack("<I", 6) + b"INFOab"
        path = tmp_path / "tagged.wav"
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert audio_duration(path) == 20
        empty = bytearray(encoded(samples[:0], "WAV")) + b"LIST" + struct.pack("<I", 6) + b"INFOab"
        path.write_bytes(empty)
        with pytest.raises(ValueError, match="0 samples"):
            audio_duration(path)

    @pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
    def test_mp3_that_does_not_say_how_long_it_is(self, mode, samples, tmp_path):
        """libsndfile guesses the length by the first frames, and reads no further."""
        loud = samples * np.where(np.arange(N) < N // 2, 1e-3, 3)
        file = tmp_path / "whole.mp3"
        options = {"bitrate_mode": mode, "compression_level": 0.9}
        soundfile.write(file, loud, RATE, format="MP3", **options)
        content = file.read_bytes()
        first = content.find(content[:2], 4)
        (tmp_path / "bare.mp3").write_bytes(content[first:])
        assert N <= lengths(tmp_path / "bare.mp3") < N + 3 * 1152


def test_files_of_no_bytes_say_so(tmp_path):
    for name in ("a.wav", "a.mp3", "a.flac", "a.m4a"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(ValueError, match=f"{name}' is empty: it has 0 bytes"):
            audio_duration(tmp_path / name)


class TestJoined:
    @pytest.mark.parametrize(
        ("format", "subtype"),
        [("MP3", None), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("FLAC", None), ("WAV", None)],
    )
    def test_all_are_heard(self, format, subtype, samples, tmp_path):
        one, two = (encoded(part, format, subtype) for part in (samples, samples[: N // 2]))
        path = tmp_path / "joined"
        path.write_bytes(one + two)
        n_samples = lengths(path)
        slack = 2500 if format == "MP3" else 0
        assert 1.5 * N <= n_samples <= 1.5 * N + slack
        begin = soundfile.read(io.BytesIO(one), dtype="float32")[0]
        read = read_audio(path, RATE)
        np.testing.assert_allclose(read[: N - slack], begin[: N - slack], atol=1e-6)
        part = read_audio(path, RATE, start=22, stop=24)
        assert len(part) == 2 * RATE
        np.testing.assert_allclose(part, read[22 * RATE : 24 * RATE], atol=1e-6)

    def test_long_ones(self, samples, tmp_path):
        """Where decoders jump to and fro in the file, and read ahead."""
        for format in ("OGG", "FLAC", "MP3"):
            sound = np.tile(samples, 10)[: 15 * 44100]
            content = [encoded(k * sound, format, rate=44100) for k in (0.5, 1.0, 0.25)]
            assert len(content[0]) > 2**16
            path = tmp_path / "long"
            path.write_bytes(b"".join(content))
            assert audio_duration(path) == pytest.approx(45, abs=0.2)
            assert len(in_blocks(path)) == pytest.approx(45 * 44100, abs=8000)
            assert len(read_audio(path, 44100, start=31, stop=44)) == 13 * 44100
            for start, loud in ((2, 0.5), (12, 0.5), (17, 1.0), (32, 0.25), (43, 0.25)):
                part = read_audio(path, 44100, start=start, stop=start + 1)
                assert part.std() == pytest.approx(0.1 * loud, rel=0.1)

    def test_streams_side_by_side_are_one_recording(self, samples, tmp_path):
        content = encoded(samples, "OGG")
        skeleton = b"OggS\0\x02" + bytes(8) + b"\x07" + bytes(11) + b"\x01\x08fishead\0"
        path = tmp_path / "a.ogg"
        path.write_bytes(content + skeleton[:6] + b"nonsense")
        with pytest.warns(UserWarning, match="is left out"):
            assert len(in_blocks(path)) == N
        with open(path, "wb") as file:
            file.write(skeleton + content)
        with open(path, "rb") as file:
            assert end_of_part(file, 0) is None

    def test_with_tags_between(self, samples, tmp_path):
        tag = b"ID3\x03\0\0" + bytes([0, 0, 0x10, 0]) + b"\xff" * 2048
        one = encoded(samples, "MP3")
        (tmp_path / "plain.mp3").write_bytes(one + one)
        (tmp_path / "tags.mp3").write_bytes(tag + one + b"TAG" + b" " * 125 + tag + one)
        plain, tagged = (lengths(tmp_path / name) for name in ("plain.mp3", "tags.mp3"))
        assert plain == tagged >= 2 * N

    def test_what_has_another_rate_is_left_out_with_a_warning(self, samples, tmp_path):
        path = tmp_path / "joined.flac"
        path.write_bytes(encoded(samples, "FLAC") + encoded(samples, "FLAC", rate=16000))
        with pytest.warns(UserWarning, match=r"16000 Hz instead of 8000 Hz: the 10\.00 s there"):
            assert len(read_audio(path, RATE)) == N


class TestFormats:
    @pytest.mark.parametrize(
        ("format", "subtype"),
        [
            ("WAV", "GSM610"),
            ("WAV", "G721_32"),
            ("AU", "G721_32"),
            ("WAV", "NMS_ADPCM_16"),
            ("WAV", "NMS_ADPCM_32"),
            ("WAV", "IMA_ADPCM"),
            ("AIFF", None),
            ("CAF", None),
            ("RF64", None),
            ("W64", None),
        ],
    )
    def test_part_and_whole(self, format, subtype, samples, tmp_path):
        path = tmp_path / "a"
        path.write_bytes(encoded(samples, format, subtype))
        n_samples = lengths(path)
        assert N <= n_samples < N + 400  # whole blocks of samples
        whole = read_audio(path, RATE)
        assert np.corrcoef(whole[:N], samples)[0, 1] > 0.5
        part = read_audio(path, RATE, start=3, stop=4)
        np.testing.assert_array_equal(part, whole[3 * RATE : 4 * RATE])

    def test_parts_near_the_end_of_an_ogg(self, samples, tmp_path):
        """Where the last page began before them, they were up to 0.1 s too late."""
        ogg = encoded(samples[: 5 * RATE + 123], "OGG", "VORBIS")
        path = tmp_path / "a.ogg"
        for n_joined in (1, 2):
            path.write_bytes(n_joined * ogg)
            whole = read_audio(path, RATE)
            for start in (1.0, 4.0, 4.8, len(whole) / RATE - 0.5):
                part = read_audio(path, RATE, start=start, stop=start + 0.2)
                assert np.array_equal(part, whole[round(start * RATE) :][: RATE // 5])

    def test_many_channels_need_no_more_memory_than_few(self, tmp_path):
        path = tmp_path / "many.wav"
        with soundfile.SoundFile(path, "w", RATE, 1000, "PCM_16") as file:
            for _ in range(8):
                file.write(np.full((RATE // 4, 1000), 0.5, np.float32))
        tracemalloc.start()
        with open_audio(path) as file:
            for block in file.blocks():
                assert len(block) * file.n_channels <= 2**19
                np.testing.assert_allclose(block, 0.5)
        assert tracemalloc.get_traced_memory()[1] < 30e6
        tracemalloc.stop()
        assert audio_duration(path) == 2

    def test_channels_are_averaged(self, samples, tmp_path):
        soundfile.write(tmp_path / "a.wav", np.stack([samples, 3 * samples], 1), RATE, "FLOAT")
        np.testing.assert_allclose(read_audio(tmp_path / "a.wav", RATE), 2 * samples, atol=1e-6)


class TestNoFiles:
    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
    def test_pipes_sockets_and_devices_do_not_hang(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.wav")
        place = os.path.join(tmp_path, "s.wav")
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(place)
            for path in (tmp_path / "pipe.wav", place, "/dev/zero", tmp_path):
                for read in (audio_duration, open_audio, lambda path: read_audio(path, RATE)):
                    with pytest.raises(ValueError, match="not a file"):
                        read(path)

    def test_one_that_may_not_be_read(self, tmp_path, monkeypatch):
        (tmp_path / "secret.wav").write_bytes(b"RIFF")

        def refuse(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("builtins.open", refuse)
        with pytest.raises(OSError, match=r"secret\.wav' cannot be read: Permission denied"):
            open_audio(tmp_path / "secret.wav")

    @pytest.mark.skipif(os.name == "nt", reason="names are text there")
    def test_a_name_that_is_not_utf8(self, samples, tmp_path):
        path = os.fsencode(tmp_path) + b"/\xe9t\xe9.wav"
        with open(path, "wb") as file:
            file.write(encoded(samples, "WAV"))
        assert lengths(os.fsdecode(path)) == N


def test_a_stereo_array_says_what_is_meant():
    stereo = np.zeros((5000, 2), np.float32)
    with pytest.raises(ValueError, match=r"5000 clips of 2 sample.*samples\.mean\(axis=1\)"):
        check_clips(stereo)
    for samples, axis in ((stereo, 1), (stereo.T, 0)):
        with pytest.raises(ValueError, match=rf"clip 3 .*2 channels.*samples\.mean\(axis={axis}\)"):
            load_clip(samples, RATE, "clip 3")


class TestDataSetsOfHuggingFace:
    """What elements of a column of sound are: decoded before version 4, and with decode=False."""

    @pytest.mark.parametrize("decoded", [True, False])
    def test_elements(self, decoded, samples, tmp_path):
        content = encoded(samples, "FLAC", rate=16000)
        (tmp_path / "a.flac").write_bytes(content)
        expected = read_audio(tmp_path / "a.flac", RATE)
        path = str(tmp_path / "a.flac")
        if decoded:
            array = soundfile.read(io.BytesIO(content))[0]
            clips = [{"path": path, "array": array, "sampling_rate": 16000}]
        else:
            clips = [{"path": path, "bytes": None}, {"path": "a.flac", "bytes": content}]
        for clip in clips:
            found = load_clip(clip, RATE, "clip 0")
            np.testing.assert_allclose(found, expected, atol=1e-5)

    def test_decoders_of_torchcodec(self, samples):
        class Decoder:
            def get_all_samples(self):
                class Samples:
                    data = np.stack([samples, 3 * samples])
                    sample_rate = RATE

                return Samples

        np.testing.assert_allclose(load_clip(Decoder(), RATE, "a"), 2 * samples, atol=1e-6)

    def test_what_is_no_sound(self):
        with pytest.raises(TypeError, match="clip 3 is a mapping with text; one of a data set has"):
            load_clip({"text": "dog"}, RATE, "clip 3")
        with pytest.raises(ValueError, match="clip 3: 'its bytes' cannot be read as audio"):
            load_clip({"bytes": b"no audio"}, RATE, "clip 3")

    def test_a_real_column(self, samples, tmp_path):
        datasets = pytest.importorskip("datasets")
        if not hasattr(datasets, "Dataset"):  # the folder of tests of that name
            pytest.skip("Hugging Face's datasets is not installed")
        (tmp_path / "a.wav").write_bytes(encoded(samples, "WAV"))
        table = datasets.Dataset.from_dict({"audio": [str(tmp_path / "a.wav")] * 2})
        column = table.cast_column("audio", datasets.Audio(decode=False))["audio"]
        clips = check_clips(column)
        assert len(clips) == 2
        expected = read_audio(tmp_path / "a.wav", RATE)
        for clip in clips:
            np.testing.assert_array_equal(load_clip(clip, RATE, "a"), expected)
