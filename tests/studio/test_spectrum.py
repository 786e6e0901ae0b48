"""Equalisers and band limits, against scipy's evaluation and against what their names promise."""

import numpy as np
import pytest
from scipy import signal

from jukemir_like.studio import spectrum

RATE = 22050
LENGTH = 4096
HERTZ = np.arange(LENGTH // 2 + 1) * RATE / LENGTH


def decibels(sections, hertz):
    return 20 * np.log10(abs(signal.freqz_sos(sections, np.atleast_1d(hertz), fs=RATE)[1]))


def test_the_response_is_scipys():
    given = [
        spectrum.bell(700, 9, 2, RATE),
        spectrum.low_shelf(150, -5, RATE),
        spectrum.high_pass(60, 3, RATE),
        spectrum.none(),
        spectrum.low_pass(5000, 8, RATE),
        spectrum.high_shelf(3000, 4, RATE),
    ]
    expected = signal.freqz_sos(np.concatenate(given), HERTZ, fs=RATE)[1]
    np.testing.assert_allclose(spectrum.response(given, LENGTH), expected, atol=1e-9)
    np.testing.assert_array_equal(spectrum.response([], LENGTH), np.ones(LENGTH // 2 + 1))


@pytest.mark.parametrize("gain", [-12, -3, 5, 12])
def test_shelves_reach_their_gain_and_half_of_it_at_their_frequency(gain):
    low, high = spectrum.low_shelf(500, gain, RATE), spectrum.high_shelf(500, gain, RATE)
    np.testing.assert_allclose(decibels(low, [0, 500, 10_000]), [gain, gain / 2, 0], atol=0.02)
    np.testing.assert_allclose(decibels(high, [1, 500, 11_025]), [0, gain / 2, gain], atol=0.02)
    assert np.all(np.diff(np.sign(gain) * decibels(low, HERTZ)) <= 1e-9)  # without a hump


@pytest.mark.parametrize("gain", [-12, 6])
def test_a_bell_has_its_gain_at_its_frequency_and_half_of_it_at_the_ends_of_its_band(gain):
    q = 1.5
    section = spectrum.bell(1000, gain, q, RATE)
    np.testing.assert_allclose(decibels(section, [0, 1000, 11_025]), [0, gain, 0], atol=1e-6)
    # The ends of the band of the analogue bell, f0 / Q wide, brought to the digital one by the bilinear transform.
    edges = np.sqrt(1 + 1 / (4 * q * q)) + np.array([-1, 1]) / (2 * q)
    hertz = np.arctan(edges * np.tan(np.pi * 1000 / RATE)) * RATE / np.pi
    np.testing.assert_allclose(decibels(section, hertz), gain / 2, atol=1e-6)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 8])
def test_band_limits_are_butterworths(order):
    hertz = np.array([200, 1000, 3000])
    warped = np.tan(np.pi * hertz / RATE) / np.tan(np.pi * 1000 / RATE)
    low, high = spectrum.low_pass(1000, order, RATE), spectrum.high_pass(1000, order, RATE)
    np.testing.assert_allclose(decibels(low, hertz), -10 * np.log10(1 + warped ** (2 * order)), atol=1e-6)
    np.testing.assert_allclose(decibels(high, hertz), -10 * np.log10(1 + warped ** (-2 * order)), atol=1e-6)
    for kind, found in (("lowpass", low), ("highpass", high)):
        expected = signal.freqz_sos(signal.butter(order, 1000, kind, output="sos", fs=RATE), HERTZ, fs=RATE)[1]
        np.testing.assert_allclose(spectrum.response([found], LENGTH), expected, atol=1e-9)


def test_what_the_sample_rate_does_not_have_is_left_out():
    above = 0.46 * RATE
    for sections in (
        spectrum.bell(above, 6, 1, RATE), spectrum.low_shelf(above, 6, RATE), spectrum.high_shelf(above, 6, RATE),
        spectrum.low_pass(above, 4, RATE), spectrum.high_pass(above, 4, RATE),
    ):  # fmt: skip
        assert sections.shape == (0, 6)
