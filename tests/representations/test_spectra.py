"""Frames, spectra and moments against the plain way (pad the whole clip, take all frames at once), the transform against scipy.fft."""

import subprocess
import sys

import librosa
import numpy as np
import pytest
import scipy.fft
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from jukemir_like.representations import spectra


@settings(max_examples=50, deadline=None)
@given(
    samples=st.integers(1, 3000),
    hop_length=st.sampled_from([8, 100, 512]),
    frame_length=st.sampled_from([64, 1024]),
    size=st.integers(1, 40),
)
def test_chunks_of_frames_are_the_padded_clip_s_frames(samples, hop_length, frame_length, size):
    clip = np.random.default_rng(samples).uniform(-1, 1, samples).astype(np.float32)
    peak = spectra.peak_of(clip)
    n_frames = spectra.frame_count(samples, hop_length)
    padded = np.pad(clip / peak, (frame_length // 2, frame_length // 2 + hop_length))
    expected = np.lib.stride_tricks.sliding_window_view(padded, frame_length)[::hop_length][:n_frames]
    chunks = list(spectra.chunks_of(n_frames, size))
    found = [
        spectra.overlapping(spectra.segment(clip, first, last, frame_length, hop_length, peak), frame_length, hop_length)
        for first, last in chunks
    ]
    assert [len(chunk) for chunk in found] == [last - first for first, last in chunks]
    np.testing.assert_array_equal(np.concatenate(found), expected)


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_magnitudes_are_librosa_s(make_chords, precision):
    clip = make_chords(6, samples=40_000)
    expected = np.abs(librosa.stft(clip, n_fft=2048, hop_length=512)).T
    found = np.empty_like(expected)
    for first, last, magnitude in spectra.magnitudes(clip, 2048, 512, np.float32(1), precision):
        found[first:last] = magnitude
    np.testing.assert_allclose(found, expected, atol=1e-6 * expected.max())


@pytest.mark.parametrize("length", [2, 547, 2048])
def test_the_window_is_scipy_s(length):
    np.testing.assert_allclose(spectra.hann(length), scipy.signal.get_window("hann", length), atol=1e-15)


@pytest.mark.parametrize("n_frames", [3, 4, 200])
def test_the_summary_is_means_and_deviations_of_differences_in_order(n_frames):
    features = np.random.default_rng(0).uniform(size=(n_frames, 5))
    expected = []
    for _ in range(3):
        mean = sum(features) / len(features)
        expected += [mean, np.sqrt(sum((row - mean) ** 2 for row in features) / len(features))]
        features = features[1:] - features[:-1]
    first = np.random.default_rng(0).uniform(size=(n_frames, 5))
    np.testing.assert_allclose(spectra.moments(first), np.concatenate(expected), atol=1e-7)


@pytest.mark.parametrize("precision", [np.float32, np.float64])
@pytest.mark.parametrize("samples", [4, 1024, 2048, 3001])
def test_it_is_scipy_s_to_the_bit_by_either_way(precision, samples):
    rows = np.random.default_rng(samples).standard_normal((7, samples)).astype(precision)
    expected = scipy.fft.rfft(rows, axis=1)
    for found in (spectra.rfft(rows), spectra._public_transform(rows)):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_it_is_the_definition():
    rows = np.random.default_rng(0).standard_normal((3, 16))
    n, k = np.arange(16), np.arange(9)
    np.testing.assert_allclose(spectra.rfft(rows), rows @ np.exp(-2j * np.pi * np.outer(n, k) / 16), atol=1e-12)


def test_extraction_does_not_import_scipy_fft():
    script = (
        "import sys, numpy as np\n"
        "from jukemir_like import representations\n"
        "clip = np.random.default_rng(0).standard_normal(30000).astype(np.float32)\n"
        "[representations.load(name)([clip]) for name in ('chroma', 'mfcc')]\n"
        "sys.exit('scipy.fft' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_without_the_compiled_part_the_public_one_is_used(monkeypatch):
    monkeypatch.setattr(spectra, "find_spec", lambda _: None)
    spectra._transform.cache_clear()
    try:
        rows = np.random.default_rng(0).standard_normal((2, 64)).astype(np.float32)
        np.testing.assert_array_equal(spectra.rfft(rows), scipy.fft.rfft(rows, axis=1))
        assert spectra._transform() is spectra._public_transform
    finally:
        spectra._transform.cache_clear()
