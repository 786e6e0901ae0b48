"""The codes against the definition of Haitsma and Kalker, written out the slow way."""

from itertools import pairwise

import numpy as np

from jukemir_like.audit.fingerprints import FRAMES_PER_SECOND, SAMPLE_RATE, SILENT, fingerprint


def slow_codes(samples):
    """Bit by bit, in double precision, from the formula."""
    edges = [round(300 * (2000 / 300) ** (band / 33) * 2048 / 5500) for band in range(34)]
    window = [0.5 - 0.5 * np.cos(2 * np.pi * i / 2048) for i in range(2048)]
    energies = []
    for start in range(0, len(samples) - 2048 + 1, 64):
        spectrum = np.abs(np.fft.fft(samples[start : start + 2048].astype(np.float64) * window)) ** 2
        energies.append([spectrum[edges[band] : edges[band + 1]].sum() for band in range(33)])
    codes = []
    for before, now in pairwise(energies):
        bits = [now[m] - now[m + 1] - (before[m] - before[m + 1]) > 0 for m in range(32)]
        codes.append(sum(bit << (31 - m) for m, bit in enumerate(bits)))
    return np.array(codes, np.uint32)


def test_the_bits_are_those_of_the_definition(tune):
    samples = tune(0, 2.0, SAMPLE_RATE)
    codes, expected = fingerprint(samples), slow_codes(samples)
    assert codes.shape == expected.shape
    assert np.bitwise_count(codes ^ expected).sum() <= 0.001 * 32 * len(codes)  # differences near 0 fall either way in single precision


def test_frames_come_every_12_ms_and_blocks_of_them_leave_no_seam(tune):
    samples = tune(1, 14.0, SAMPLE_RATE)
    codes = fingerprint(samples)
    assert abs(len(codes) - (14.0 - 2048 / SAMPLE_RATE) * FRAMES_PER_SECOND) < 2
    shifted = fingerprint(samples[100 * 64 :])
    assert np.bitwise_count(codes[100:] ^ shifted).mean() < 0.01 * 32


def test_loudness_does_not_matter(tune):
    samples = tune(2, 3.0, SAMPLE_RATE)
    np.testing.assert_array_equal(fingerprint(samples), fingerprint(samples / 16))


def test_where_there_is_nothing_to_hear_no_code_is_given(tune):
    noise = np.random.default_rng(0).integers(-1, 2, 5 * SAMPLE_RATE) / 32768  # what rounding to 16 bits leaves
    assert (fingerprint(noise.astype(np.float32)) == SILENT).all()
    assert (fingerprint(np.full(5 * SAMPLE_RATE, 0.5, np.float32)) == SILENT).all()
    codes = fingerprint(np.concatenate([np.zeros(3 * SAMPLE_RATE, np.float32), tune(3, 3.0, SAMPLE_RATE)]))
    silent = round((3 - 2048 / SAMPLE_RATE) * FRAMES_PER_SECOND)
    assert (codes[: silent - 2] == SILENT).all()
    assert (codes[silent + 8 :] != SILENT).mean() > 0.99


def test_less_than_two_frames_give_nothing():
    for length in (0, 1, 2047, 2048, 2111):
        assert fingerprint(np.ones(length, np.float32)).shape == (0,)
    assert fingerprint(np.ones(2112, np.float32)).shape == (1,)
