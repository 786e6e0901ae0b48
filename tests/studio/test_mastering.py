"""A mix that is mastered through its stems."""

import numpy as np
import pytest

from jukemir_like.studio import levels
from jukemir_like.studio.dynamics import Compressor
from jukemir_like.studio.mastering import Master, master

RATE = 22050


@pytest.fixture
def stems():
    random = np.random.default_rng(0)
    swell = 0.01 + np.abs(np.sin(np.arange(2 * RATE) / 4000))
    return (random.normal(0, 0.1, (4, 2 * RATE)) * swell).astype(np.float32)


def test_one_gain_is_that_of_all_stems(stems):
    done = master(stems, RATE, Master(-14, -1, Compressor(-6, 3, 6, 0.01, 0.1), 0.1))
    gain = done.stems[0] / stems[0]
    np.testing.assert_allclose(done.stems, stems * gain, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(done.stems.sum(axis=0), stems.sum(axis=0) * gain, rtol=1e-3, atol=1e-5)
    assert done.glued > 1
    audible = np.abs(stems[0]) > 1e-3
    assert 20 * np.log10(gain[audible].max() / gain[audible].min()) == pytest.approx(done.glued, abs=done.limited + 0.1)


def test_the_loudness_is_the_one_that_is_wanted_where_the_limiter_does_nothing(stems):
    done = master(stems, RATE, Master(-24, -1, None, 0.1))
    assert done.limited == done.glued == 0
    assert 20 * np.log10(levels.active_level(done.stems.sum(axis=0), RATE)) == pytest.approx(-24, abs=0.01)


def test_neither_mix_nor_stems_exceed_the_ceiling(stems):
    stems[0] *= 10
    stems[1] = -stems[0]  # they cancel in the mix
    done = master(stems, RATE, Master(-6, -1, None, 0.05))
    assert done.limited > 3
    assert np.abs(done.stems).max() <= 10 ** (-1 / 20)
    assert np.abs(done.stems.sum(axis=0)).max() <= 10 ** (-1 / 20)


def test_a_mix_of_soft_stems_does_not_exceed_the_ceiling_either(stems):
    stems[:] = stems[0]
    done = master(stems, RATE, Master(-3, -1, None, 0.05))
    assert np.abs(done.stems.sum(axis=0)).max() == pytest.approx(10 ** (-1 / 20), rel=1e-3)


def test_silence_stays_silence():
    for samples in (0, 1, RATE):
        done = master(np.zeros((4, samples), np.float32), RATE, Master(-10, -1, Compressor(-6, 3, 6, 0.01, 0.1), 0.1))
        assert done.stems.shape == (4, samples)
        assert not done.stems.any()
