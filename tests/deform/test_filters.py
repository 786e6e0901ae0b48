"""Noise, low-pass and reverberation, against what they promise: measured independently, or in closed form."""

import itertools

import numpy as np
import pytest
from scipy import fft, signal

from jukemir_like.deform import filters
from jukemir_like.studio import rooms
from jukemir_like.studio.levels import power

RATE = 22050


def tone(hertz, seconds=2.0, amplitude=0.25, rate=RATE):
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def decibels(ratio):
    return 10 * np.log10(ratio)


@pytest.mark.parametrize("snr", [0, 7.5, 20, 40])
@pytest.mark.parametrize("add", [filters.add_noise, lambda clip, snr, random: filters.add_pink_noise(clip, RATE, snr, random)])
def test_noise_has_the_stated_ratio_over_the_clip(add, snr):
    clip = tone(440)
    noise = add(clip, snr, np.random.default_rng(0)).astype(float) - clip
    assert decibels(np.mean(clip.astype(float) ** 2) / np.mean(noise**2)) == pytest.approx(snr, abs=0.01)


def powers_by_octave(noise):
    """Power of each octave from 100 Hz to 6,400 Hz, by Welch's method."""
    hertz, density = signal.welch(noise, RATE, nperseg=8192)
    edges = 100 * 2.0 ** np.arange(7)
    return np.array([density[(hertz >= low) & (hertz < high)].sum() for low, high in itertools.pairwise(edges)])


def test_white_noise_gains_3_db_an_octave_and_pink_noise_none():
    clip = tone(440, 20)
    white = filters.add_noise(clip, 0, np.random.default_rng(1)) - clip
    pink = filters.add_pink_noise(clip, RATE, 0, np.random.default_rng(1)) - clip
    np.testing.assert_allclose(np.diff(decibels(powers_by_octave(white))), 3.01, atol=0.5)
    np.testing.assert_allclose(np.diff(decibels(powers_by_octave(pink))), 0, atol=0.5)
    hertz, density = signal.welch(pink, RATE, nperseg=RATE)
    assert density[hertz < 18].max() < 0.01 * density[(hertz > 20) & (hertz < 30)].min()


@pytest.mark.parametrize("length", [1, 2, 3, 50])
def test_very_short_clips_get_noise_where_there_is_room_for_any(length):
    clip = np.full(length, 0.5, np.float32)
    for noisy in (
        filters.add_noise(clip, 10, np.random.default_rng(0)),
        filters.add_pink_noise(clip, RATE, 10, np.random.default_rng(0)),
        filters.lowpass(clip, RATE, 1000),
        filters.reverberate(clip, RATE, 1, np.random.default_rng(0)),
    ):
        assert noisy.shape == clip.shape
        assert noisy.dtype == np.float32
        assert np.isfinite(noisy).all()


@pytest.mark.parametrize("hertz", [500, 1000, 2000, 3000, 4000, 6000])
def test_lowpass_is_butterworths_twice_without_delay(hertz):
    cutoff, middle = 2000, slice(RATE // 2, -RATE // 2)
    clip = tone(hertz)
    filtered = filters.lowpass(clip, RATE, cutoff)[middle]
    # Of order 8, once: 1 / sqrt(1 + w^16), with w warped by the bilinear transform; forward and backward that squared.
    warped = np.tan(np.pi * hertz / RATE) / np.tan(np.pi * cutoff / RATE)
    np.testing.assert_allclose(filtered, clip[middle] / (1 + warped**16), atol=2e-5)


def test_reverberation_is_the_convolution_at_the_power_of_the_clip():
    clip = np.random.default_rng(3).uniform(-0.3, 0.3, 3000).astype(np.float32)
    wet = filters.reverberate(clip, RATE, 0.2, np.random.default_rng(0))
    slow = np.convolve(clip.astype(float), rooms.impulse_response(0.2, RATE, np.random.default_rng(0)).astype(float))[: len(clip)]
    np.testing.assert_allclose(wet, slow * np.sqrt(np.mean(clip.astype(float) ** 2) / np.mean(slow**2)), atol=1e-5)
    assert power(wet) == pytest.approx(power(clip), rel=1e-4)


@pytest.mark.parametrize("seconds", [0.1, 0.9, 4.0])
@pytest.mark.parametrize("length", [1, 2, 1000, 8192, 16383, 16384, 16385, 50_000, 140_001])
def test_reverberation_in_blocks_is_that_of_the_whole_clip(length, seconds):
    clip = np.random.default_rng(length).normal(0, 0.1, length).astype(np.float32)
    wet = filters.reverberate(clip, RATE, seconds, np.random.default_rng(1))
    response = rooms.impulse_response(seconds, RATE, np.random.default_rng(1)).astype(float)
    slow = signal.fftconvolve(clip.astype(float), response)[:length]
    np.testing.assert_allclose(wet, slow * np.sqrt(np.mean(clip.astype(float) ** 2) / np.mean(slow**2)), atol=2e-6)
    assert wet.dtype == np.float32


@pytest.mark.parametrize(("cutoff", "rate"), [(50, 44100), (300, 22050), (4000, 44100), (7999, 16000), (20_000, 44100)])
@pytest.mark.parametrize("length", [100, 5_000, 16_384, 70_001])
def test_lowpass_in_blocks_is_scipys_filter_forward_and_backward(cutoff, rate, length):
    clip = np.random.default_rng(length).normal(0, 0.1, length).astype(np.float32)
    reach, _ = filters._lowpass_response(rate, cutoff)
    # Padded here, and farther, so that scipy's guess of a state before the first sample counts no more.
    extended = np.pad(clip.astype(float), 3 * reach + 50, "reflect", reflect_type="odd")
    slow = signal.sosfiltfilt(signal.butter(8, cutoff, fs=rate, output="sos"), extended, padtype=None)[3 * reach + 50 :][:length]
    np.testing.assert_allclose(filters.lowpass(clip, rate, cutoff), slow, atol=2e-6 * max(1, np.abs(extended).max()))


@pytest.mark.parametrize("length", [1, 2, 3, 4, 50, 1000, 44100, 44101, 99_991])
def test_pink_noise_is_drawn_by_frequency(length):
    """As the definition says it, in double precision: Gaussian at each frequency, of a power that falls as its inverse."""
    clip = np.random.default_rng(length).uniform(-0.1, 0.1, length).astype(np.float32)
    noisy = filters.add_pink_noise(clip, RATE, 10, np.random.default_rng(2))
    whole = fft.next_fast_len(length, real=True)
    hertz = np.fft.rfftfreq(whole, 1 / RATE)
    drawn = np.random.default_rng(2).standard_normal((len(hertz), 2), np.float32).astype(float) @ [1, 1j]
    audible = (hertz > 0) & (hertz >= min(20, hertz[-1]))
    noise = np.fft.irfft(np.where(audible, drawn / np.sqrt(np.where(audible, hertz, 1)), 0), whole)[:length]
    power = np.mean(noise**2)
    scaled = noise * np.sqrt(np.mean(clip.astype(float) ** 2) / power / 10) if power else noise
    np.testing.assert_allclose(noisy, clip + scaled, atol=1e-6)


def test_a_deformation_does_not_change_its_input_nor_the_next_clip():
    """What is kept for the next clip of the same length stays what it is."""
    clip = np.random.default_rng(0).normal(0, 0.1, 30_000).astype(np.float32)
    before = clip.copy()
    for change in (
        lambda: filters.add_noise(clip, 10, np.random.default_rng(0)),
        lambda: filters.add_pink_noise(clip, RATE, 10, np.random.default_rng(0)),
        lambda: filters.lowpass(clip, RATE, 1000),
        lambda: filters.reverberate(clip, RATE, 1, np.random.default_rng(0)),
    ):
        first = change()
        np.testing.assert_array_equal(clip, before)
        np.testing.assert_array_equal(change(), first)


def test_silence_stays_silence():
    silence = np.zeros(1000, np.float32)
    assert not filters.reverberate(silence, RATE, 1, np.random.default_rng(0)).any()
    assert not filters.add_noise(silence, 20, np.random.default_rng(0)).any()
    assert not filters.lowpass(silence, RATE, 100).any()
