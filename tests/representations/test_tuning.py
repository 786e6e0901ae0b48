"""Tuning estimates: known detunings are found, and librosa's answer is given where the votes are close too."""

import warnings

import librosa
import numpy as np
import pytest

from jukemir_like.representations import frames, tuning

RATE = 22050


@pytest.mark.parametrize("offset", [-0.4, -0.21, 0.0, 0.1, 0.33])
def test_a_known_detuning_is_found(offset):
    time = np.arange(RATE // 2) / RATE
    frequencies = 440 * 2 ** ((np.arange(6, 30) + offset / 3) / 12)  # thirds of a semitone
    clip = np.concatenate([np.sin(2 * np.pi * frequency * time) for frequency in frequencies]).astype(np.float32)
    assert tuning.estimate(clip, RATE, frames.peak_of(clip), 36) == pytest.approx(offset, abs=0.06)


@pytest.mark.parametrize("bins_per_octave", [12, 36])
def test_the_estimate_is_librosa_s(sound, bins_per_octave):
    peak = frames.peak_of(sound)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of silence and of clips shorter than a window
        expected = librosa.estimate_tuning(y=sound / peak, sr=RATE, bins_per_octave=bins_per_octave)
    assert tuning.estimate(sound, RATE, peak, bins_per_octave) == expected


@pytest.mark.parametrize("seed", range(5))
def test_noise_whose_votes_nearly_tie_is_decided_as_librosa_decides(seed):
    noise = np.random.default_rng(seed).uniform(-1, 1, 2 * RATE).astype(np.float32)
    peak = frames.peak_of(noise)
    assert tuning.estimate(noise, RATE, peak, 36) == librosa.estimate_tuning(y=noise / peak, sr=RATE, bins_per_octave=36)


def test_peaks_are_librosa_s(make_chords):
    clip = make_chords(5)
    peak = frames.peak_of(clip)
    pitches, magnitudes = librosa.piptrack(y=clip / peak, sr=RATE)
    expected = pitches.T[pitches.T > 0], magnitudes.T[pitches.T > 0]
    found = tuning.peaks(clip, RATE, peak, np.float64)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-4)
