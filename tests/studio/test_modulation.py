"""Delays and gains that swing, on tones whose result is known."""

import numpy as np
import pytest
from scipy import signal

from jukemir_like.studio import modulation

RATE = 22050
SECONDS = np.arange(3 * RATE) / RATE


def tone(seconds, hertz=500):
    return np.sin(2 * np.pi * hertz * seconds) * (seconds >= 0)


def test_a_whole_delay_is_a_shift_and_another_one_a_tone_at_that_time():
    clip = np.random.default_rng(0).normal(0, 1, (2, 50_000)).astype(np.float32)
    shifted = modulation.delayed(clip, np.full(50_000, 7, np.float32))
    np.testing.assert_allclose(shifted[:, 7:], clip[:, :-7], atol=1e-6)
    assert not shifted[:, :7].any()
    np.testing.assert_array_equal(modulation.delayed(clip, np.zeros(50_000, np.float32)), clip)
    delay = 40 + 30 * np.sin(2 * np.pi * SECONDS * 1.3)
    moved = modulation.delayed(tone(SECONDS).astype(np.float32), delay.astype(np.float32))
    np.testing.assert_allclose(moved[200:-5], tone(SECONDS - delay / RATE)[200:-5], atol=1e-3)


def test_between_samples_is_lagranges_cubic():
    clip = np.random.default_rng(1).normal(0, 1, 20).astype(np.float32)
    found = modulation.delayed(clip, np.full(20, 3.3, np.float32))
    cubic = np.polyfit([-5, -4, -3, -2], clip[5:9], 3)  # for n = 10
    assert found[10] == pytest.approx(np.polyval(cubic, -3.3), abs=1e-5)


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_delays_of_hardly_any_samples(length):
    clip = np.ones(length, np.float32)
    assert modulation.delayed(clip, np.full(length, 0.5, np.float32)).shape == (length,)
    assert modulation.drift(length, RATE, 10, np.random.default_rng(0)).shape == (length,)
    assert modulation.chorus(clip, RATE, 1, 0.002, 0.5).shape == (length,)


def pitch(clip):
    """Instantaneous frequency in Hz by the analytic signal, away from the ends."""
    return (np.diff(np.unwrap(np.angle(signal.hilbert(clip)))) * RATE / (2 * np.pi))[RATE // 2 : -RATE // 2]


def test_vibrato_swings_by_what_its_delay_grows():
    seconds, hertz = 0.0008, 5.0
    found = pitch(modulation.chorus(tone(SECONDS).astype(np.float32), RATE, hertz, seconds, wet=1.0, phase=0.25))
    slope = seconds * 2 * np.pi * hertz * np.cos(2 * np.pi * (hertz * SECONDS + 0.25))  # of the delay
    expected = (500 * (1 - slope))[RATE // 2 : RATE // 2 + len(found)]
    smooth = np.ones(64) / 64  # the delay consists of straight lines of 32 samples
    np.testing.assert_allclose(np.convolve(found - expected, smooth, "valid"), 0, atol=0.5)
    assert np.ptp(np.convolve(found, smooth, "valid")) == pytest.approx(2 * 500 * seconds * 2 * np.pi * hertz, rel=0.03)


def test_chorus_is_the_clip_and_its_delayed_copy():
    clip = np.zeros(2000, np.float32)
    clip[100] = 1
    wet = modulation.chorus(clip, RATE, 0.0, 0.001, wet=0.3)  # does not swing: 6 ms
    assert wet[100] == pytest.approx(0.7)
    assert np.sum(wet * np.arange(2000)) == pytest.approx(100 + 0.3 * 0.006 * RATE, abs=0.01)


def test_drift_stays_within_its_cents_and_uses_most_of_them():
    delay = modulation.drift(20 * RATE, RATE, 20, np.random.default_rng(0))
    assert delay.min() >= 0
    cents = 1200 * np.log2(1 - np.diff(delay.astype(float)[::32]) / 32)  # from node to node
    assert 12 < np.abs(cents).max() < 20.3
    assert abs(cents.mean()) < 1


def test_tremolo_swings_between_its_depth_and_one():
    gain = modulation.tremolo(np.ones(3 * RATE, np.float32), RATE, 4, 0.6)
    assert gain.max() == pytest.approx(1, abs=1e-3)
    assert gain.min() == pytest.approx(0.4, abs=1e-3)
    spectrum = np.abs(np.fft.rfft(gain - gain.mean()))
    assert np.argmax(spectrum) / 3 == 4
