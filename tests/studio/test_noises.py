"""Noises: their power, and the lines of their spectrum."""

import numpy as np
import pytest

from jukemir_like.studio import noises

RATE = 22050


def rms(noise):
    return 10 * np.log10(np.mean(noise.astype(float) ** 2))


def test_hiss_has_its_level_and_is_white():
    noise = noises.hiss(10 * RATE, -30, np.random.default_rng(0))
    assert rms(noise) == pytest.approx(-30, abs=0.05)
    spectrum = np.abs(np.fft.rfft(noise)) ** 2
    halves = np.array_split(spectrum, 4)
    np.testing.assert_allclose([half.mean() / spectrum.mean() for half in halves], 1, atol=0.05)
    assert abs(noise.mean()) < 1e-3


@pytest.mark.parametrize("hertz", [50, 60])
@pytest.mark.parametrize("rate", [22050, 44100, 16000])
def test_hum_is_ten_lines_at_multiples_of_the_mains(hertz, rate):
    noise = noises.hum(rate, rate, hertz, -20, np.random.default_rng(1))
    assert rms(noise) == pytest.approx(-20, abs=0.01)
    spectrum = np.abs(np.fft.rfft(noise)) * 2 / rate
    lines = spectrum[hertz : 11 * hertz : hertz]
    assert np.sqrt(np.sum(lines.astype(float) ** 2) / 2) == pytest.approx(0.1, rel=1e-3)  # nothing besides them
    fall = np.diff(20 * np.log10(lines[[0, 1, 3, 7]]))  # per octave
    np.testing.assert_allclose(fall, fall[0], atol=0.01)
    assert -9.1 < fall[0] < -3


def test_hum_has_no_harmonics_above_the_band():
    noise = noises.hum(400, 400, 60, -20, np.random.default_rng(0))
    assert np.count_nonzero(np.abs(np.fft.rfft(noise)) > 1e-3) == 3


def test_crackle_has_its_number_of_clicks_and_their_height():
    rate, per_second = 44100, 4.0
    noise = noises.crackle(300 * rate, rate, per_second, -40, np.random.default_rng(3))
    starts = np.flatnonzero((noise[1:] != 0) & (noise[:-1] == 0)) + 1
    assert len(starts) == pytest.approx(300 * per_second, abs=4 * (300 * per_second) ** 0.5)
    assert 20 * np.log10(np.median(np.abs(noise[starts]))) == pytest.approx(-40, abs=1)
    assert 0 < np.count_nonzero(noise) < len(starts) * 6e-4 * rate
    assert 0.4 < np.mean(noise[starts] > 0) < 0.6


@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_short_noises(count):
    for noise in (
        noises.hiss(count, -20, np.random.default_rng(0)),
        noises.hum(count, RATE, 50, -20, np.random.default_rng(0)),
        noises.crackle(count, RATE, 1e5, -20, np.random.default_rng(0)),
        *([noises.pink(count, RATE, np.random.default_rng(0))] if count else []),
    ):
        assert noise.shape == (count,)
        assert noise.dtype == np.float32
        assert np.isfinite(noise).all()
