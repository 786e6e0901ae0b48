"""Coarse samples: few values, few of them a second."""

import numpy as np
import pytest

from jukemir_like.studio import channel


@pytest.mark.parametrize("bits", [2, 8, 12])
def test_there_are_as_many_steps_as_bits_say_and_the_error_is_uniform(bits):
    clip = np.random.default_rng(0).uniform(-0.5, 0.5, 50_000).astype(np.float32)
    coarse = channel.quantise(clip, bits, 0.5)
    step = 0.5 / 2 ** (bits - 1)
    assert len(np.unique(coarse)) == 2**bits + 1
    np.testing.assert_allclose(np.unique(coarse) / step, np.arange(-(2 ** (bits - 1)), 2 ** (bits - 1) + 1), atol=1e-4)
    assert np.abs(coarse - clip).max() <= step / 2 * 1.001
    assert np.std(coarse - clip) == pytest.approx(step / 12**0.5, rel=0.02)
    assert not channel.quantise(np.zeros(5, np.float32), bits).any()


@pytest.mark.parametrize("factor", [1, 1.5, 2.7, 3])
def test_samples_are_held(factor):
    clip = np.random.default_rng(0).normal(0, 1, (2, 1000)).astype(np.float32)
    held = channel.hold(clip, factor)
    slow, last = [], -1
    for index in range(1000):
        if int(index / factor) != last:  # the next of the new rate has come
            last, value = int(index / factor), clip[:, index]
        slow.append(value)
    np.testing.assert_array_equal(held, np.array(slow).T)
    assert len(np.unique(held[0])) == pytest.approx(1000 / factor, abs=1)


def test_holding_is_linear():
    random = np.random.default_rng(1)
    a, b = random.normal(0, 1, (2, 500)).astype(np.float32)
    np.testing.assert_array_equal(channel.hold(a + b, 1.7), channel.hold(a, 1.7) + channel.hold(b, 1.7))
