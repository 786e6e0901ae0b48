"""The constant-Q chromagram: pitch classes are where they belong, and the fast transform is the plain one."""

import librosa
import numpy as np
import pytest
import soxr

from jukemir_like.representations import cqt, frames, wavelets
from jukemir_like.representations.chroma import Chroma

RATE = 22050


@pytest.mark.parametrize("pitch", range(48, 60))
def test_a_note_is_loudest_in_its_own_pitch_class(pitch):
    time = np.arange(2 * RATE) / RATE
    note = np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time).astype(np.float32)
    chroma = Chroma().chromagram(note)
    assert chroma.shape == (1 + len(note) // 512, 12)
    inner = chroma[20:-20]
    np.testing.assert_array_equal(inner.argmax(axis=1), pitch % 12)
    assert np.delete(inner, pitch % 12, axis=1).max() < 0.6


def test_the_transform_is_librosa_s_folded(make_chords):
    clip, tuning = make_chords(1), 0.27
    peak = np.abs(clip).max()
    magnitudes = np.abs(librosa.cqt(clip / peak, sr=RATE, hop_length=512, n_bins=252, bins_per_octave=36, tuning=tuning))
    expected = (librosa.filters.cq_to_chroma(252, bins_per_octave=36, n_chroma=12) @ magnitudes).T
    found = cqt.pitch_classes(clip, RATE, 512, frames.peak_of(clip), tuning)
    np.testing.assert_allclose(found, expected, atol=1e-5 * expected.max())


@pytest.mark.parametrize("tuning", [-0.5, -0.17, 0.0, 0.49])
def test_wavelets_are_librosa_s_in_every_octave(tuning):
    lowest = librosa.note_to_hz("C1") * 2 ** (tuning / 36)
    frequencies = librosa.cqt_frequencies(252, fmin=lowest, bins_per_octave=36)
    mine, lengths = wavelets.wavelets(RATE, tuning)
    for octave in range(7):
        these = frequencies[252 - 36 * (octave + 1) :][:36]
        alpha = np.full(36, (2 ** (1 / 18) - 1) / (2 ** (1 / 18) + 1))
        expected, expected_lengths = librosa.filters.wavelet(freqs=these, sr=RATE / 2**octave, alpha=alpha)
        np.testing.assert_allclose(mine, expected, atol=1e-7)
        np.testing.assert_allclose(lengths, expected_lengths)


@pytest.mark.parametrize("tuning", [-0.33, 0.0, 0.25])
def test_spectra_are_cut_where_librosa_cuts_them(tuning):
    filters, lengths = wavelets.wavelets(RATE, tuning)
    full = np.fft.fft(filters * (lengths[:, None] / 1024).astype(np.float32), axis=1)[:, :513]
    expected = librosa.util.sparsify_rows(full, quantile=0.01).toarray() / np.sqrt(lengths)[:, None]
    found = wavelets.spectra(RATE, tuning)
    np.testing.assert_array_equal(found != 0, expected != 0)
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


def test_the_product_with_a_frame_is_the_product_of_spectra():
    frame = np.random.default_rng(0).standard_normal((5, 1024)).astype(np.float32)
    product = (frame @ wavelets.matrix(RATE, 0.1)).view(np.complex64)
    expected = np.fft.rfft(frame.astype(np.float64)) @ wavelets.spectra(RATE, 0.1).T
    np.testing.assert_allclose(product, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("samples", [1, 2, 1023, 70_001, 3 * 2**15])
def test_halving_in_a_stream_is_soxr_in_one_go(samples):
    clip = np.random.default_rng(samples).standard_normal(samples).astype(np.float32)
    peak = np.float32(np.abs(clip).max())
    expected = soxr.resample(clip / peak, 2, 1, quality="HQ") * np.sqrt(2)
    np.testing.assert_array_equal(cqt.halve(clip, peak), expected.astype(np.float32))


def test_a_constant_has_no_pitch():
    # In single precision its responses would be rounding errors, which normalising would make as loud as music.
    constant = np.full(12 * RATE, 0.3, np.float32)
    assert Chroma().chromagram(constant)[220:290].max() == 0
