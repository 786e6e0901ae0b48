"""Filtering in blocks, against a plain convolution."""

import numpy as np
import pytest
from scipy import fft

from jukemir_like.studio import convolution


@pytest.mark.parametrize("samples", [1, 100, 4000, 20_000])
def test_each_channel_gets_its_own_filter(samples):
    random = np.random.default_rng(samples)
    clip, taps = random.normal(0, 1, (3, samples)).astype(np.float32), random.normal(0, 1, (3, 700)).astype(np.float32)
    before = np.zeros((3, 699), np.float32)
    length = convolution.block_length(700, 699 + samples)
    found = convolution.filter_blocks(before, clip, before[:, :0], fft.rfft(taps, length))
    expected = [np.convolve(one.astype(float), of_one.astype(float))[:samples] for one, of_one in zip(clip, taps, strict=True)]
    np.testing.assert_allclose(found, expected, atol=3e-4)
    alone = [convolution.filter_blocks(before[0], *rest) for rest in zip(clip, before[:, :0], fft.rfft(taps, length), strict=True)]
    np.testing.assert_allclose(found, alone, atol=3e-5)


@pytest.mark.parametrize(("samples", "taps"), [(1, 1), (1, 50), (100, 700), (20_000, 700), (3000, 3000)])
def test_what_is_longer_than_the_clip_is_not_heard(samples, taps):
    random = np.random.default_rng(samples + taps)
    clip, response = random.normal(0, 1, samples).astype(np.float32), random.normal(0, 1, taps).astype(np.float32)
    found = convolution.convolve(clip, response)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.convolve(clip.astype(float), response.astype(float))[:samples], atol=6e-4)
