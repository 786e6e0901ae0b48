"""Rooms, by Schroeder's integral."""

import numpy as np
import pytest
from scipy import signal

from jukemir_like.studio import rooms

RATE = 22050


def reverberation_seconds(response):
    """Schroeder's backward integral, fitted from -5 to -25 dB, as ISO 3382 measures it; extrapolated to 60 dB."""
    energy = np.cumsum(response[::-1].astype(float) ** 2)[::-1]
    curve = 10 * np.log10(energy / energy[0])
    fitted = (curve <= -5) & (curve >= -25)
    return -60 / np.polyfit(np.flatnonzero(fitted) / RATE, curve[fitted], 1)[0]


@pytest.mark.parametrize("seconds", [0.3, 1.0, 2.5])
def test_reverberation_decays_by_60_db_in_its_time(seconds):
    response = rooms.impulse_response(seconds, RATE, np.random.default_rng(0))
    assert response[0] == 1
    assert np.sum(response[1:] ** 2) == pytest.approx(1, rel=1e-4)
    assert reverberation_seconds(response[1:]) == pytest.approx(seconds, rel=0.05)


@pytest.mark.parametrize("seconds", [0.4, 1.5])
@pytest.mark.parametrize("dullness", [0.0, 0.6])
def test_low_frequencies_of_a_room_decay_in_its_time_and_high_ones_faster(seconds, dullness):
    response = rooms.reflections(seconds, RATE, np.random.default_rng(2), size_seconds=0.01, dullness=dullness, early=0.0)
    low = signal.sosfilt(signal.butter(4, 400, fs=RATE, output="sos"), response)
    high = signal.sosfilt(signal.butter(4, 5000, "highpass", fs=RATE, output="sos"), response)
    assert reverberation_seconds(low) == pytest.approx(seconds, rel=0.12)
    assert reverberation_seconds(high) == pytest.approx(seconds * (1 - dullness), rel=0.12)


def test_early_reflections_come_first_and_have_their_share():
    response = rooms.reflections(0.8, RATE, np.random.default_rng(0), size_seconds=0.03, dullness=0.3, early=0.4)
    start = round(0.03 * RATE)
    assert np.sum(response.astype(float) ** 2) == pytest.approx(1, rel=1e-5)
    assert np.sum(response[:start].astype(float) ** 2) == pytest.approx(0.4, rel=1e-3)
    assert not response[: start // 5].any()
    assert 1 <= np.count_nonzero(response[:start]) <= 8
    assert np.count_nonzero(response[start:]) > 0.99 * (len(response) - start)


@pytest.mark.parametrize("seconds", [1e-6, 1e-3])
def test_tiny_rooms(seconds):
    response = rooms.reflections(seconds, RATE, np.random.default_rng(0), size_seconds=0.05, dullness=0.9, early=0.5)
    assert np.isfinite(response).all()
    assert np.sum(response**2) == pytest.approx(1, rel=1e-4)
