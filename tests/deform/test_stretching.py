"""Tempo and pitch: the frequency of a tone and the distance of clicks move as they should, and only they."""

import sys

import numpy as np
import pytest

from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.deform import stretching

RATE = 22050


@pytest.fixture
def library():
    pytest.importorskip("python_stretch")


def tone(hertz, seconds=3.0):
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def frequency(samples):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 8 * len(samples)))
    return float(np.argmax(spectrum) * RATE / (8 * len(samples)))


def clicks(seconds=4.0, every=0.5):
    samples = np.zeros(round(seconds * RATE), np.float32)
    samples[:: round(every * RATE)] = 0.9
    return samples


@pytest.mark.parametrize("semitones", [-12, -3, 0, 2, 7])
def test_pitch_moves_by_semitones_and_the_length_stays(library, semitones):
    shifted = stretching.shift_pitch(tone(440), RATE, semitones)
    assert shifted.shape == tone(440).shape
    assert frequency(shifted) == pytest.approx(440 * 2 ** (semitones / 12), rel=2e-3)


@pytest.mark.parametrize("rate", [0.5, 0.9, 1.0, 1.1, 2.0])
def test_tempo_moves_time_and_not_the_pitch(library, rate):
    stretched = stretching.change_tempo(tone(440), RATE, rate)
    assert len(stretched) == round(len(tone(440)) / rate)
    assert frequency(stretched) == pytest.approx(440, rel=2e-3)
    # The loudest place around where each click should be, but for the first and the last.
    played = np.abs(stretching.change_tempo(clicks(), RATE, rate))
    for number in range(2, 7):
        place, half = number * 0.5 / rate * RATE, round(0.2 / rate * RATE)
        found = np.argmax(played[round(place) - half : round(place) + half]) - half
        assert abs(found) / RATE < 0.02


def test_the_same_clip_gives_the_same_samples(library):
    clip = np.random.default_rng(0).uniform(-0.5, 0.5, RATE).astype(np.float32)
    for change, number in ((stretching.change_tempo, 0.6), (stretching.shift_pitch, 5)):
        np.testing.assert_array_equal(change(clip, RATE, number), change(clip, RATE, number))


def test_silence_stays_silence_and_a_clip_can_be_too_short(library):
    assert not stretching.shift_pitch(np.zeros(RATE, np.float32), RATE, 2).any()
    for length in (1, 100):
        with pytest.raises(InputError, match="too short for a change of tempo or pitch"):
            stretching.change_tempo(np.ones(length, np.float32), RATE, 0.9)


def test_without_the_library_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "python_stretch", None)
    with pytest.raises(RequestError, match=r"pip install .jukemir-like\[deform\]"):
        stretching.shift_pitch(tone(440), RATE, 2)
