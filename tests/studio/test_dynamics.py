"""Compressor and limiter, against closed forms and slow loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jukemir_like.studio import control, dynamics
from jukemir_like.studio.dynamics import Compressor

RATE = 22050


@pytest.mark.parametrize("ratio", [1, 1.5, 4, 20])
@pytest.mark.parametrize("knee", [0.0, 6.0])
def test_the_static_curve(ratio, knee):
    compressor = Compressor(-20, ratio, knee, 0.01, 0.1)
    levels = np.linspace(-40, 0, 81)
    out = levels - dynamics.reduction(levels, compressor)
    for level, found in zip(levels, out, strict=True):
        if 2 * (level + 20) < -knee:
            expected = level
        elif 2 * (level + 20) > knee:
            expected = -20 + (level + 20) / ratio
        else:
            expected = level + (1 / ratio - 1) * (level + 20 + knee / 2) ** 2 / (2 * knee) if knee else level
        assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("level", [-40.0, -16.0, -3.0])
def test_a_steady_tone_is_turned_down_by_the_static_curve(level):
    compressor = Compressor(-20, 3, 6, 0.005, 0.1)
    square = np.full(2 * RATE, 10 ** (level / 20), np.float32)
    square[1::2] *= -1
    gain = dynamics.compressor_gain(square, RATE, compressor)
    assert 20 * np.log10(gain[-1000]) == pytest.approx(-dynamics.reduction(np.array([level]), compressor)[0], abs=0.01)


def test_attack_and_release_take_their_time():
    compressor = Compressor(-20, 4, 0, 0.02, 0.2)
    burst = np.zeros(3 * RATE, np.float32)
    burst[RATE : 2 * RATE] = 1  # 20 dB over the threshold: 15 dB down
    decibels = 20 * np.log10(dynamics.compressor_gain(burst, RATE, compressor))
    assert abs(np.argmax(decibels < 0) - RATE) < 8  # the burst begins 2 samples after a hop does
    attacked = np.argmax(decibels < -15 * (1 - np.exp(-1)))
    assert (attacked - RATE) / RATE == pytest.approx(0.02, abs=2.5e-3)
    released = 2 * RATE + np.argmax(decibels[2 * RATE :] > -15 * np.exp(-1))
    assert (released - 2 * RATE) / RATE == pytest.approx(0.2 + 0.02, abs=5e-3)  # the attack smooths the release too


def test_holding_is_the_loop():
    given_, kept, slow = np.maximum(np.random.default_rng(0).normal(0, 4, 500), 0), 0.0, []
    for one in given_:
        kept = max(one, kept * np.exp(-1 / 7.5))
        slow.append(kept)
    np.testing.assert_allclose(dynamics.held(given_, 7.5), slow, atol=1e-9)
    assert not dynamics.held(np.zeros(5), 3).any()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), length=st.integers(0, 3000), loud=st.floats(0.01, 100), ceiling=st.floats(0.05, 1),
    ahead=st.floats(0, 0.02), release=st.floats(0.001, 1), rate=st.sampled_from([8000, 22050, 44100]),
)  # fmt: skip
def test_nothing_is_above_the_ceiling(seed, length, loud, ceiling, ahead, release, rate):
    random = np.random.default_rng(seed)
    clip = (loud * random.normal(0, 1, length) * (random.random(length) < 0.05)).astype(np.float32)
    gain = dynamics.limiter_gain(clip, rate, ceiling, ahead_seconds=ahead, release_seconds=release)
    assert gain.shape == clip.shape
    assert gain.dtype == np.float32
    assert np.all((gain > 0) & (gain <= 1))
    assert np.abs(clip * gain).max(initial=0) <= ceiling


def test_a_limiter_leaves_alone_what_is_low_enough_and_begins_before_a_peak():
    clip = np.full(RATE, 0.5, np.float32)
    np.testing.assert_array_equal(dynamics.limiter_gain(clip, RATE, 0.6), np.ones(RATE, np.float32))
    clip[RATE // 2] = 1.2
    gain = dynamics.limiter_gain(clip, RATE, 0.6, ahead_seconds=0.01, release_seconds=0.05)
    assert gain[RATE // 2] == pytest.approx(0.5, rel=0.01)  # no lower than it must be
    hop = control.hop_samples(RATE)
    first = np.argmax(gain < 1)
    assert 0.008 * RATE < RATE // 2 - first < 0.01 * RATE + 3 * hop
    assert gain[-1] > 0.99
