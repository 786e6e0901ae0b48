"""Level, colour and pitch: against the filters' closed form and tones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import freqz_sos

from jukemir_like.stemjepa.data import augmentation
from jukemir_like.stemjepa.settings import Augmentation


def test_what_is_switched_off_changes_nothing_and_draws_nothing():
    random = np.random.default_rng(0)
    change = augmentation.draw(Augmentation(), 4, random)
    assert (change.speed, list(change.gains), change.shelves) == (1.0, [1.0] * 4, None)
    assert random.random() == np.random.default_rng(0).random()


def test_draws_fill_their_ranges_and_stems_have_their_own():
    random = np.random.default_rng(0)
    changes = [augmentation.draw(Augmentation(level_db=6, eq_db=9, pitch_semitones=2), 4, random) for _ in range(2000)]
    decibels = 20 * np.log10([change.gains for change in changes])
    semitones = 12 * np.log2([change.speed for change in changes])
    shelves = np.array([change.shelves for change in changes])
    for values, most in ((decibels, 6), (semitones, 2), (shelves[..., 1], 9), (shelves[..., 3], 9)):
        assert 0.98 * most < values.max() <= most
        assert -most <= values.min() < -0.98 * most
    assert np.abs(np.corrcoef(decibels.T)[~np.eye(4, dtype=bool)]).max() < 0.1


@settings(max_examples=60)
@given(
    low=st.tuples(st.floats(80, 400), st.floats(-12, 12)),
    high=st.tuples(st.floats(2000, 6000), st.floats(-12, 12)),
    rate=st.sampled_from([16000, 22050, 44100, 48000]),
)
def test_the_curve_has_the_shelves_gains_at_its_ends_and_corners_and_stays_within(low, high, rate):
    sos = augmentation.section(np.array([*low, *high]), rate)
    hertz = np.array([1e-3, low[0], np.sqrt(low[0] * high[0]), high[0], rate / 2 - 1e-3])
    assert np.abs(np.roots(sos[0, 3:])).max() < 1  # stable
    at = 20 * np.log10(np.abs(freqz_sos(sos, hertz, fs=rate)[1]))
    assert at[0] == pytest.approx(low[1], abs=1e-3)
    assert at[-1] == pytest.approx(high[1], abs=1e-3)
    grid = 20 * np.log10(np.abs(freqz_sos(sos, np.geomspace(1, rate / 2 - 1, 300), fs=rate)[1]))
    assert np.abs(grid).max() <= max(abs(low[1]), abs(high[1])) + 1e-6
    # One shelf alone has half of its gain, in dB, at its corner.
    for shelves, corner, gain in (((*low, high[0], 0), low[0], low[1]), ((low[0], 0, *high), high[0], high[1])):
        alone = augmentation.section(np.array(shelves), rate)
        assert 20 * np.log10(np.abs(freqz_sos(alone, [corner], fs=rate)[1][0])) == pytest.approx(gain / 2, abs=1e-6)


def test_a_tone_comes_out_at_the_curves_gain():
    tone = np.sin(2 * np.pi * 3000 * np.arange(22050) / 22050).astype(np.float32)
    out = augmentation.equalise(tone, np.array([200.0, 6.0, 3000.0, -8.0]), 22050)
    assert out.dtype == np.float32
    expected = np.abs(freqz_sos(augmentation.section(np.array([200.0, 6.0, 3000.0, -8.0]), 22050), [3000], fs=22050)[1][0])
    assert np.sqrt(2 * np.mean(out[5000:-5000] ** 2)) == pytest.approx(expected, rel=1e-3)
