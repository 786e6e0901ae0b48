"""What is left of a mix of few frequencies at a time."""

import numpy as np
import pytest

from jukemir_like.studio import codec

RATE = 22050


@pytest.mark.parametrize("samples", [0, 1, 511, 512, 513, 40_000])
def test_all_frequencies_are_the_channels_themselves(samples):
    channels = np.random.default_rng(samples).normal(0, 1, (3, samples)).astype(np.float32)
    np.testing.assert_allclose(codec.thin(channels, RATE, 1.0), channels, atol=1e-5)


def test_it_is_decided_on_the_sum_so_that_channels_still_sum_to_it():
    channels = np.random.default_rng(0).normal(0, 1, (4, 30_000)).astype(np.float32)
    mix = channels.sum(axis=0, keepdims=True)
    thinned = codec.thin(channels, RATE, 0.2)
    # The last digits of a sum may decide which of two frequencies is the louder one.
    np.testing.assert_allclose(np.std(thinned.sum(axis=0) - codec.thin(mix, RATE, 0.2)[0]), 0, atol=0.01)
    assert 0.25 < np.var(thinned.sum(axis=0)) / np.var(mix) < 0.55  # of power, white noise has 0.52 in a fifth of its frequencies


def test_the_share_of_frequencies_that_is_kept():
    """Of one frame alone, by a slow version."""
    frame = np.random.default_rng(1).normal(0, 1, 1024)
    channels = np.zeros((1, 4096), np.float32)
    channels[0, 1536:2560] = frame
    window = np.sin(np.pi * (np.arange(1024) + 0.5) / 1024)
    expected = np.zeros(4096)
    for start in range(0, 4096 - 512, 512):
        spectrum = np.fft.rfft(channels[0, start : start + 1024] * window)
        order = np.argsort(abs(spectrum) ** 2 * np.arange(1, 514))
        spectrum[order[: 513 - round(0.1 * 513)]] = 0
        expected[start : start + 1024] += np.fft.irfft(spectrum) * window
    np.testing.assert_allclose(codec.thin(channels, RATE, 0.1)[0], expected, atol=1e-5)


def test_loud_frequencies_take_the_place_of_soft_ones():
    time = np.arange(RATE) / RATE
    loud = sum(np.sin(2 * np.pi * hertz * time) for hertz in range(300, 3000, 60))
    soft = 0.01 * np.sin(2 * np.pi * 5000 * time)
    together = codec.thin(np.stack([loud, soft]).astype(np.float32), RATE, 0.08)
    alone = codec.thin(np.stack([0 * loud, soft]).astype(np.float32), RATE, 0.08)
    assert np.var(together[1, 2000:-2000]) < 0.05 * np.var(soft)
    assert np.var(alone[1, 2000:-2000]) > 0.95 * np.var(soft)
