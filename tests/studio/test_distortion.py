"""Saturation, against the integral that it stands for, and for what aliases."""

import numpy as np
import pytest
from scipy import integrate, signal

from jukemir_like.studio import distortion

RATE = 22050


def curve(x):
    return x / np.sqrt(1 + x * x)


@pytest.mark.parametrize("bias", [0.0, 0.4])
def test_each_result_is_the_mean_of_the_curve_along_the_line_between_two_samples(bias):
    clip = np.random.default_rng(0).normal(0, 1, 30).astype(np.float32)
    before = np.concatenate([[0], clip[:-1]])
    expected = [
        integrate.quad(lambda t, a=a, b=b: curve(3 * (a + (b - a) * t) + bias), 0, 1)[0] - curve(bias)
        for a, b in zip(before, clip, strict=True)
    ]
    np.testing.assert_allclose(distortion.saturate(clip, 3, bias), expected, atol=1e-6)


def test_what_is_quiet_is_only_louder_and_silence_stays_silence():
    clip = np.full(10, 1e-4, np.float32)
    np.testing.assert_allclose(distortion.saturate(clip, 5)[1:], 5e-4, rtol=1e-5)
    assert not distortion.saturate(np.zeros(100, np.float32), 10, 0.3).any()
    assert np.abs(distortion.saturate(np.float32([1e9, -1e9, 1e9, 1e9]), 100, -0.5)).max() <= 2


def spectrum_of(clip, hertz):
    """Amplitude of a sine of a whole number of Hz, over a second."""
    return abs(np.exp(-2j * np.pi * hertz * np.arange(RATE) / RATE) @ clip) * 2 / RATE


def test_less_comes_back_below_than_of_the_curve_alone():
    """The third and fifth harmonic of 4,000 Hz come back at 10,050 and 2,050 Hz."""
    tone = np.sin(2 * np.pi * 4000 * np.arange(RATE + 1) / RATE).astype(np.float32)
    careful, plain = distortion.saturate(tone, 10)[1:], curve(10.0 * tone[1:])
    assert spectrum_of(careful, 2050) < 0.35 * spectrum_of(plain, 2050)
    low = np.sin(2 * np.pi * 200 * np.arange(RATE + 1) / RATE).astype(np.float32)
    for hertz in (200, 600, 1000):
        assert spectrum_of(distortion.saturate(low, 10)[1:], hertz) == pytest.approx(spectrum_of(curve(10.0 * low[1:]), hertz), rel=0.02)


def test_bias_makes_even_harmonics():
    tone = np.sin(2 * np.pi * 200 * np.arange(RATE + 1) / RATE).astype(np.float32)
    assert spectrum_of(distortion.saturate(tone, 3)[1:], 400) < 1e-4
    assert spectrum_of(distortion.saturate(tone, 3, 0.5)[1:], 400) > 0.02


def test_treble_is_restored():
    hertz = np.linspace(0, 0.75 * RATE / 2, 50)
    mean = abs(signal.freqz([0.5, 0.5], 1, hertz, fs=RATE)[1])
    restored = mean * abs(signal.freqz_sos(distortion.treble(), hertz, fs=RATE)[1])
    assert restored[0] == pytest.approx(1)
    assert np.abs(20 * np.log10(restored)).max() < 1.3 < np.abs(20 * np.log10(mean)).max()
