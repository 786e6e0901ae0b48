"""What is heard in another key and tempo has the pitch and the length that the change says, and the way back leads back."""

import numpy as np
import pytest

from jukemir_like.deform.key_and_tempo import AS_IT_IS, Change

RATE = 22050


def tone(hertz, seconds=2.0):
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def frequency(samples):
    middle = samples[RATE // 4 : -RATE // 4]
    return float(np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 8 * len(middle))).argmax() * RATE / (8 * len(middle)))


@pytest.mark.parametrize("change", [Change(2), Change(-3, None), Change(None, 4), Change(0, -5.5), Change(-1, 10)])
def test_pitch_and_length_are_those_of_the_change(change):
    pytest.importorskip("python_stretch")
    semitones, percent = change.semitones or 0, change.tempo_percent or 0
    heard = change.apply(tone(440), RATE)
    assert len(heard) == round(2 * RATE / (1 + percent / 100))
    assert frequency(heard) == pytest.approx(440 * 2 ** (semitones / 12), rel=5e-3)
    back = change.undo(heard, RATE)
    assert abs(len(back) - 2 * RATE) <= 1
    assert frequency(back) == pytest.approx(440, rel=5e-3)


@pytest.mark.parametrize("change", [AS_IT_IS, Change(0), Change(0, 0.0), Change(None, 0)])
def test_none_is_the_same_array_and_needs_no_library(change, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "python_stretch", None)
    clip = tone(440)
    assert change.is_none
    assert change.words == []
    assert change.apply(clip, RATE) is clip
    assert change.undo(clip, RATE) is clip


def test_words_say_both():
    assert Change(1).words == ["+1 semitone"]
    assert Change(-4, 3.7).words == ["−4 semitones", "3.7 % faster"]
    assert Change(None, -0.5).words == ["0.5 % slower"]
