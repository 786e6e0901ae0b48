"""The constant-Q chromagram: pitch classes are where they belong, the fast transform is the plain one, and tunings are librosa's."""

import warnings

import librosa
import numpy as np
import pytest
import soxr

from jukemir_like.representations import spectra
from jukemir_like.representations.chroma import (
    Chroma,
    estimate_tuning,
    halve,
    pitch_classes,
    spectral_peaks,
    wavelet_matrix,
    wavelet_spectra,
    wavelets,
)

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
    found = pitch_classes(clip, RATE, 512, spectra.peak_of(clip), tuning)
    np.testing.assert_allclose(found, expected, atol=1e-5 * expected.max())


@pytest.mark.parametrize("tuning", [-0.5, -0.17, 0.0, 0.49])
def test_wavelets_are_librosa_s_in_every_octave(tuning):
    lowest = librosa.note_to_hz("C1") * 2 ** (tuning / 36)
    frequencies = librosa.cqt_frequencies(252, fmin=lowest, bins_per_octave=36)
    mine, lengths = wavelets(RATE, tuning)
    for octave in range(7):
        these = frequencies[252 - 36 * (octave + 1) :][:36]
        alpha = np.full(36, (2 ** (1 / 18) - 1) / (2 ** (1 / 18) + 1))
        expected, expected_lengths = librosa.filters.wavelet(freqs=these, sr=RATE / 2**octave, alpha=alpha)
        np.testing.assert_allclose(mine, expected, atol=1e-7)
        np.testing.assert_allclose(lengths, expected_lengths)


@pytest.mark.parametrize("tuning", [-0.33, 0.0, 0.25])
def test_spectra_are_cut_where_librosa_cuts_them(tuning):
    filters, lengths = wavelets(RATE, tuning)
    full = np.fft.fft(filters * (lengths[:, None] / 1024).astype(np.float32), axis=1)[:, :513]
    expected = librosa.util.sparsify_rows(full, quantile=0.01).toarray() / np.sqrt(lengths)[:, None]
    found = wavelet_spectra(RATE, tuning)
    np.testing.assert_array_equal(found != 0, expected != 0)
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


def test_the_product_with_a_frame_is_the_product_of_spectra():
    frame = np.random.default_rng(0).standard_normal((5, 1024)).astype(np.float32)
    product = (frame @ wavelet_matrix(RATE, 0.1)).view(np.complex64)
    expected = np.fft.rfft(frame.astype(np.float64)) @ wavelet_spectra(RATE, 0.1).T
    np.testing.assert_allclose(product, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("samples", [1, 2, 1023, 70_001, 3 * 2**15])
def test_halving_in_a_stream_is_soxr_in_one_go(samples):
    clip = np.random.default_rng(samples).standard_normal(samples).astype(np.float32)
    peak = np.float32(np.abs(clip).max())
    expected = soxr.resample(clip / peak, 2, 1, quality="HQ") * np.sqrt(2)
    np.testing.assert_array_equal(halve(clip, peak), expected.astype(np.float32))


def test_a_constant_has_no_pitch():
    # In single precision its responses would be rounding errors, which normalising would make as loud as music.
    constant = np.full(12 * RATE, 0.3, np.float32)
    assert Chroma().chromagram(constant)[220:290].max() == 0


@pytest.mark.parametrize("offset", [-0.4, -0.21, 0.0, 0.1, 0.33])
def test_a_known_detuning_is_found(offset):
    time = np.arange(RATE // 2) / RATE
    frequencies = 440 * 2 ** ((np.arange(6, 30) + offset / 3) / 12)  # thirds of a semitone
    clip = np.concatenate([np.sin(2 * np.pi * frequency * time) for frequency in frequencies]).astype(np.float32)
    assert estimate_tuning(clip, RATE, spectra.peak_of(clip), 36) == pytest.approx(offset, abs=0.06)


@pytest.mark.parametrize("bins_per_octave", [12, 36])
def test_the_estimate_is_librosa_s(sound, bins_per_octave):
    peak = spectra.peak_of(sound)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of silence and of clips shorter than a window
        expected = librosa.estimate_tuning(y=sound / peak, sr=RATE, bins_per_octave=bins_per_octave)
    assert estimate_tuning(sound, RATE, peak, bins_per_octave) == expected


@pytest.mark.parametrize("seed", range(5))
def test_noise_whose_votes_nearly_tie_is_decided_as_librosa_decides(seed):
    noise = np.random.default_rng(seed).uniform(-1, 1, 2 * RATE).astype(np.float32)
    peak = spectra.peak_of(noise)
    assert estimate_tuning(noise, RATE, peak, 36) == librosa.estimate_tuning(y=noise / peak, sr=RATE, bins_per_octave=36)


def test_peaks_are_librosa_s(make_chords):
    clip = make_chords(5)
    peak = spectra.peak_of(clip)
    pitches, magnitudes = librosa.piptrack(y=clip / peak, sr=RATE)
    expected = pitches.T[pitches.T > 0], magnitudes.T[pitches.T > 0]
    found = spectral_peaks(clip, RATE, peak, np.float64)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-4)
