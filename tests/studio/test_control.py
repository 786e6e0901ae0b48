"""Curves at the rate of control, against NumPy's own interpolation and plain loops."""

import numpy as np
import pytest

from jukemir_like.studio import control


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_a_hop_is_a_power_of_two_of_one_to_two_milliseconds(rate):
    hop = control.hop_samples(rate)
    assert hop & (hop - 1) == 0
    assert 1e-3 < hop / rate < 2.13e-3


@pytest.mark.parametrize(("samples", "hop"), [(0, 4), (1, 4), (4, 4), (5, 4), (1000, 32)])
def test_curves_are_straight_from_node_to_node(samples, hop):
    nodes = np.random.default_rng(0).random(control.hops(samples, hop) + 1)
    expected = np.interp(np.arange(samples), np.arange(len(nodes)) * hop, nodes)
    np.testing.assert_allclose(control.drawn_out(nodes, hop, samples), expected, atol=1e-6)


@pytest.mark.parametrize("samples", [0, 1, 7, 8, 9, 100])
def test_peaks_and_powers_of_hops(samples):
    clip = np.random.default_rng(samples).normal(0, 1, samples).astype(np.float32)
    pieces = [clip[start : start + 8] for start in range(0, samples, 8)]
    np.testing.assert_array_equal(control.peaks(clip, 8), np.float32([max(abs(piece)) for piece in pieces]))
    np.testing.assert_allclose(control.powers(clip, 8), [sum(piece.astype(float) ** 2) / 8 for piece in pieces], rtol=1e-6)
