"""Effects against closed forms."""

import numpy as np
import pytest
from scipy.signal import fftconvolve

from jukemir_like.stemjepa.data.effects import add_noise, add_room, band_limit, saturate

RATE = 22050


def noise(samples=RATE, seed=0):
    return np.random.default_rng(seed).standard_normal(samples).astype(np.float32)


def power_db(samples):
    return 10 * np.log10(np.mean(samples.astype(float) ** 2))


@pytest.mark.parametrize("drive_db", [1.0, 12.0, 30.0])
def test_saturation_keeps_the_peak_and_turns_up_what_is_quiet(drive_db):
    samples = np.linspace(-0.5, 0.5, 20001, dtype=np.float32)
    out = saturate(samples, drive_db)
    gain = 10 ** (drive_db / 20) - 1
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, 0.5 * np.tanh(gain * samples / 0.5) / np.tanh(gain), atol=1e-6)
    assert out.max() == pytest.approx(0.5, rel=1e-6)
    assert (np.diff(out) >= 0).all()
    assert out[10001] / samples[10001] == pytest.approx(gain / np.tanh(gain), rel=1e-3)
    np.testing.assert_allclose(saturate(4 * samples, drive_db), 4 * out, rtol=1e-5, atol=1e-7)  # the level does not matter


def test_no_drive_and_silence_are_left_alone():
    samples = noise(100)
    assert saturate(samples, 0.0) is samples
    silence = np.zeros(100, np.float32)
    for out in (saturate(silence, 20.0), add_noise(silence, 10.0, np.random.default_rng(0))):
        assert not out.any()


def test_the_room_of_an_impulse_falls_by_sixty_decibels():
    impulse = np.zeros(RATE, np.float32)
    impulse[100] = 1
    out = add_room(impulse, RATE, 0.4, -12.0, np.random.default_rng(1))
    assert out.dtype == np.float32
    np.testing.assert_allclose(out[:101], impulse[:101], atol=1e-6)
    tail = out[101:].astype(float)
    assert 10 * np.log10(np.sum(tail**2)) == pytest.approx(-12.0, abs=1e-3)
    length = round(0.4 * RATE)
    assert np.abs(tail[length:]).max() < 1e-6
    parts = tail[: length // 10 * 10].reshape(10, -1)
    decibels = 10 * np.log10((parts**2).mean(axis=1))
    slope = np.polyfit(np.arange(10) / 10, decibels, 1)[0]
    assert slope == pytest.approx(-60.0, abs=2.0)


def test_a_room_is_a_convolution_with_its_tail():
    impulse = np.zeros(6000, np.float32)
    impulse[0] = 1
    response = add_room(impulse, RATE, 0.2, -6.0, np.random.default_rng(3))
    samples = noise(6000)
    out = add_room(samples, RATE, 0.2, -6.0, np.random.default_rng(3))
    np.testing.assert_allclose(out, fftconvolve(samples, response)[:6000], atol=1e-4)


@pytest.mark.parametrize("snr_db", [0.0, 20.0, 40.0])
def test_noise_is_as_far_below_as_is_asked_for(snr_db):
    samples = 0.1 * noise(200_000)
    added = add_noise(samples, snr_db, np.random.default_rng(5)) - samples
    assert power_db(samples) - power_db(added) == pytest.approx(snr_db, abs=0.1)
    spectrum = np.abs(np.fft.rfft(added)) ** 2
    assert spectrum[: len(spectrum) // 2].mean() / spectrum[len(spectrum) // 2 :].mean() == pytest.approx(1, abs=0.05)  # white


@pytest.mark.parametrize("rate", [22050, 44100])
def test_the_band_ends_where_it_should(rate):
    time = np.arange(rate) / rate

    def gain_db(hertz):
        tone = np.sin(2 * np.pi * hertz * time).astype(np.float32)
        return power_db(band_limit(tone, rate, 3000.0)[rate // 4 :]) - power_db(tone[rate // 4 :])

    # Bilinear transform: the analogue frequencies are warped by tan(π f / rate).
    for hertz in (1000, 2500, 3000, 4000, 6000):
        ratio = np.tan(np.pi * hertz / rate) / np.tan(np.pi * 3000 / rate)
        assert gain_db(hertz) == pytest.approx(-10 * np.log10(1 + ratio**16), abs=0.05)


def test_a_band_beyond_the_sample_rate_changes_nothing():
    samples = noise(100)
    assert band_limit(samples, RATE, 16_000.0) is samples
