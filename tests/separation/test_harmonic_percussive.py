"""Harmonic-percussive separation is librosa's."""

import numpy as np
import pytest
from scipy.ndimage import median_filter
from scipy.signal import ShortTimeFFT

from jukemir_like.separation.harmonic_percussive import percussive_mask, signal, spectra

SHAPES = [(80, 65), (7, 65), (80, 9), (1, 129), (16, 1)]


def magnitudes_of(shape):
    random = np.random.default_rng(0)
    return (random.exponential(size=shape) * (random.random(shape) < 0.7)).astype(np.float32)  # with bins that are 0


@pytest.mark.slow  # librosa compiles for some 20 s
@pytest.mark.parametrize("shape", SHAPES)
def test_the_mask_is_librosas(shape):
    import librosa

    _, percussive = librosa.decompose.hpss(magnitudes_of(shape).T, mask=True)
    np.testing.assert_allclose(percussive_mask(magnitudes_of(shape)).T, percussive, rtol=2e-6, atol=2e-7)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_mask_is_that_of_medians_in_two_dimensions(shape):
    magnitudes = magnitudes_of(shape).astype(np.float64)
    percussive, harmonic = (median_filter(magnitudes, size=size) ** 2 for size in ((1, 31), (31, 1)))
    with np.errstate(invalid="ignore"):
        expected = np.nan_to_num(percussive / (percussive + harmonic), nan=0.5)
    np.testing.assert_allclose(percussive_mask(magnitudes_of(shape)), expected, rtol=2e-6, atol=2e-7)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e4])
def test_the_mask_does_not_depend_on_the_level(scale):
    magnitudes = np.random.default_rng(1).exponential(size=(40, 33)).astype(np.float32)
    np.testing.assert_allclose(percussive_mask(magnitudes * np.float32(scale)), percussive_mask(magnitudes), rtol=1e-5)


def test_silence_is_half_of_each():
    assert (percussive_mask(np.zeros((20, 17), np.float32)) == 0.5).all()


def test_spectra_are_scipys():
    samples = np.random.default_rng(2).standard_normal(1500).astype(np.float32)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)
    reference = ShortTimeFFT(window, hop=64, fs=1, phase_shift=None)
    ours = spectra(samples, 256)
    expected = reference.stft(samples, p0=0, p1=len(ours))
    np.testing.assert_allclose(ours.T, expected, atol=1e-4)
    assert len(ours) == 1 + len(samples) // 64


@pytest.mark.parametrize("length", [1, 63, 64, 1000, 1024])
def test_the_inverse_gives_the_samples_back(length):
    samples = np.random.default_rng(length).standard_normal(length).astype(np.float32)
    np.testing.assert_allclose(signal(spectra(samples, 256), length), samples, atol=2e-6)
