"""The mel scale and its filters, against librosa's."""

import librosa
import numpy as np
import pytest

from jukemir_like.audio import mel


@pytest.mark.parametrize(("sample_rate", "n_fft", "n_mels"), [(22050, 2048, 128), (16000, 1024, 80), (44100, 4096, 40)])
def test_mel_filters_are_librosa_s(sample_rate, n_fft, n_mels):
    expected = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=n_mels)
    np.testing.assert_allclose(mel.filters(sample_rate, n_fft, n_mels), expected, atol=1e-7 * expected.max())


def test_the_mel_scale_is_slaney_s_and_inverts():
    frequencies = np.array([0, 10, 440, 999.9, 1000, 1000.1, 8000, 20000])
    np.testing.assert_allclose(mel.to_mel(frequencies), librosa.hz_to_mel(frequencies))
    np.testing.assert_allclose(mel.to_hz(mel.to_mel(frequencies)), frequencies, atol=1e-9)


@pytest.mark.parametrize(("n_mels", "f_min", "f_max"), [(80, 50.0, 8000.0), (40, 300.0, 4000.0)])
def test_a_range_of_frequencies_is_librosa_s(n_mels, f_min, f_max):
    expected = librosa.filters.mel(sr=16000, n_fft=400, n_mels=n_mels, fmin=f_min, fmax=f_max)
    np.testing.assert_allclose(mel.filters(16000, 400, n_mels, f_min, f_max), expected, atol=1e-7 * expected.max())
