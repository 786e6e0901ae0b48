"""Frames, spectra and summaries against the plain way: pad the whole clip, take all frames at once."""

import librosa
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from jukemir_like.representations import frames, spectrum, summary


@settings(max_examples=50, deadline=None)
@given(
    samples=st.integers(1, 3000),
    hop_length=st.sampled_from([8, 100, 512]),
    frame_length=st.sampled_from([64, 1024]),
    size=st.integers(1, 40),
)
def test_chunks_of_frames_are_the_padded_clip_s_frames(samples, hop_length, frame_length, size):
    clip = np.random.default_rng(samples).uniform(-1, 1, samples).astype(np.float32)
    peak = frames.peak_of(clip)
    n_frames = frames.count(samples, hop_length)
    padded = np.pad(clip / peak, (frame_length // 2, frame_length // 2 + hop_length))
    expected = np.lib.stride_tricks.sliding_window_view(padded, frame_length)[::hop_length][:n_frames]
    chunks = list(frames.in_chunks(n_frames, size))
    found = [
        frames.overlapping(frames.segment(clip, first, last, frame_length, hop_length, peak), frame_length, hop_length)
        for first, last in chunks
    ]
    assert [len(chunk) for chunk in found] == [last - first for first, last in chunks]
    np.testing.assert_array_equal(np.concatenate(found), expected)


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_magnitudes_are_librosa_s(make_chords, precision):
    clip = make_chords(6, samples=40_000)
    expected = np.abs(librosa.stft(clip, n_fft=2048, hop_length=512)).T
    found = np.empty_like(expected)
    for first, last, magnitude in spectrum.magnitudes(clip, 2048, 512, np.float32(1), precision):
        found[first:last] = magnitude
    np.testing.assert_allclose(found, expected, atol=1e-6 * expected.max())


@pytest.mark.parametrize("length", [2, 547, 2048])
def test_the_window_is_scipy_s(length):
    np.testing.assert_allclose(spectrum.hann(length), scipy.signal.get_window("hann", length), atol=1e-15)


@pytest.mark.parametrize("n_frames", [3, 4, 200])
def test_the_summary_is_means_and_deviations_of_differences_in_order(n_frames):
    features = np.random.default_rng(0).uniform(size=(n_frames, 5))
    expected = []
    for _ in range(3):
        mean = sum(features) / len(features)
        expected += [mean, np.sqrt(sum((row - mean) ** 2 for row in features) / len(features))]
        features = features[1:] - features[:-1]
    first = np.random.default_rng(0).uniform(size=(n_frames, 5))
    np.testing.assert_allclose(summary.summarise(first), np.concatenate(expected), atol=1e-7)
