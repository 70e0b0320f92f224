"""Mel filters are librosa's."""

from __future__ import annotations

import warnings

import librosa
import numpy as np
import pytest

from sklearn_rcrnn._utils.mel import band_groups, mel_filters

SETTINGS = [
    (44100, 2048, 64, 0.0, 22050.0),
    (44100, 2048, 40, 0.0, 22050.0),
    (22050, 1024, 40, 50.0, 8000.0),
    (8000, 512, 16, 0.0, 4000.0),
    (16000, 511, 24, 1200.0, 7999.5),
    (48000, 4096, 128, 20.0, 24000.0),
    (44100, 2048, 1, 300.0, 900.0),
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_equal_to_librosa(setting):
    rate, n_fft, n_mels, f_min, f_max = setting
    expected = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=n_mels, fmin=f_min, fmax=f_max)
    found = mel_filters(*setting)
    assert found.dtype == np.float32
    # To the rounding of float32: what is zero is zero.
    np.testing.assert_array_equal(found == 0, expected.T == 0)
    np.testing.assert_allclose(found, expected.T, rtol=3e-7, atol=0)


def test_bands_without_a_bin_are_told_of_as_librosa_does():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mel_filters(*SETTINGS[0])
    with pytest.warns(UserWarning, match=r"Empty filters"):
        librosa.filters.mel(sr=44100, n_fft=256, n_mels=64)
    with pytest.warns(UserWarning, match=r"of 64 mel bands are always empty.*n_fft than 256"):
        mel_filters(44100, 256, 64, 0.0, 22050.0)


@pytest.mark.parametrize("setting", SETTINGS)
def test_groups_give_what_the_whole_gives(setting):
    filters = mel_filters(*setting)
    power = np.random.default_rng(0).random((5, len(filters)), np.float32)
    found = np.zeros((5, filters.shape[1]), np.float32)
    for group in band_groups(filters):
        found[:, group.bands] += power[:, group.bins] @ group.filters
    np.testing.assert_allclose(found, power @ filters, rtol=1e-4)
