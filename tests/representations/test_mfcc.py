"""Mel-frequency cepstral coefficients: the transform by other libraries, silence by hand, torchaudio where it is installed."""

import sys

import librosa
import numpy as np
import pytest
import scipy.fft

from jukemir_like.audio import mel
from jukemir_like.core.errors import RequestError
from jukemir_like.representations.mfcc import MFCC, BandedProduct, cosine_transform

RATE = 22050


def test_the_cosine_transform_is_the_orthonormal_dct():
    bands = np.random.default_rng(0).standard_normal((7, 128))
    np.testing.assert_allclose(bands @ cosine_transform(128, 20), scipy.fft.dct(bands, norm="ortho")[:, :20], atol=1e-6)


@pytest.mark.parametrize("block", [1, 5, 32, 200])
def test_a_product_in_blocks_is_the_product(block):
    random = np.random.default_rng(0)
    weights = mel.filters(22050, 2048, 128)
    spectra = random.uniform(size=(9, 1025)).astype(np.float32)
    out = np.full((9, 128), np.nan, np.float32)
    BandedProduct(weights, block)(spectra, out)
    np.testing.assert_allclose(out, spectra @ weights.T, rtol=1e-5)


def test_silence_is_100_db_below_full_scale():
    vector = MFCC()([np.zeros(RATE, np.float32)])[0]
    expected = np.zeros(120)
    expected[0] = -100 * np.sqrt(128)
    np.testing.assert_allclose(vector, expected, atol=2e-3)


def test_coefficients_are_librosa_s_frame_by_frame(make_chords):
    clip = make_chords(2)
    expected = librosa.feature.mfcc(y=clip / np.abs(clip).max(), sr=RATE, n_mfcc=20, hop_length=512).T
    np.testing.assert_allclose(MFCC().coefficients(clip), expected, atol=5e-4)


def test_torchaudio_gives_the_same_vectors(make_chords, relative_error):
    try:
        import torchaudio  # noqa: F401
    except (ImportError, OSError) as error:
        pytest.skip(f"torchaudio cannot be imported here: {error}")
    by_numpy, by_torchaudio = MFCC(), MFCC("torchaudio")
    clips = [make_chords(1), 1e-6 * make_chords(2, samples=1024), np.zeros(3000, np.float32), make_chords(3, samples=30_001)]
    clips = [np.asarray(clip, np.float32) for clip in clips]
    vectors = by_torchaudio(clips)
    for clip, vector, expected in zip(clips, vectors, by_numpy(clips), strict=True):
        assert relative_error(vector, expected) < 1e-5
        np.testing.assert_array_equal(vector, by_torchaudio([clip])[0])
    assert by_torchaudio.signature != by_numpy.signature


def test_a_backend_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    monkeypatch.setitem(sys.modules, "torchaudio.transforms", None)
    with pytest.raises(RequestError, match=r"^torchaudio cannot be imported \(.+\): install .+$"):
        MFCC("torchaudio")
    with pytest.raises(RequestError, match="unknown backend 'essentia'"):
        MFCC("essentia")
