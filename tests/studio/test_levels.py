"""Factors, power, and the level of what sounds."""

import numpy as np
import pytest

from jukemir_like.studio import levels


def test_level_is_in_decibels_of_amplitude():
    clip = (0.25 * np.sin(np.arange(20_000) / 10)).astype(np.float32)
    np.testing.assert_allclose(levels.level(clip, -20), clip / 10, rtol=1e-6)
    assert 10 * np.log10(levels.power(levels.level(clip, 6)) / levels.power(clip)) == pytest.approx(6, abs=1e-4)
    np.testing.assert_array_equal(levels.level(clip, 0), clip)
    assert levels.ratio(-6) ** 2 == pytest.approx(10**-0.6)


def test_rests_do_not_count_for_the_active_level():
    rate = 8000
    tone = (0.5 * np.sin(2 * np.pi * 100 * np.arange(rate) / rate)).astype(np.float32)
    broken = np.concatenate([np.zeros(3 * rate, np.float32), tone, np.full(rate, 1e-3, np.float32)])
    assert levels.active_level(broken, rate) == pytest.approx(0.5 / 2**0.5, rel=1e-4)
    assert levels.active_level(broken, rate) > 2 * levels.power(broken) ** 0.5


@pytest.mark.parametrize("length", [0, 1, 799, 800, 801])
def test_the_active_level_of_little_and_of_nothing(length):
    assert levels.active_level(np.zeros(length, np.float32), 8000) == 0
    assert levels.active_level(np.full(length, 0.5, np.float32), 8000) == (0.5 if length else 0)
