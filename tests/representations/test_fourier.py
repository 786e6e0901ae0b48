"""The real Fourier transform, against SciPy's public one and the definition."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.fft

from jukemir_like.representations import fourier


@pytest.mark.parametrize("precision", [np.float32, np.float64])
@pytest.mark.parametrize("samples", [4, 1024, 2048, 3001])
def test_it_is_scipy_s_to_the_bit_by_either_way(precision, samples):
    rows = np.random.default_rng(samples).standard_normal((7, samples)).astype(precision)
    expected = scipy.fft.rfft(rows, axis=1)
    for found in (fourier.rfft(rows), fourier._public(rows)):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_it_is_the_definition():
    rows = np.random.default_rng(0).standard_normal((3, 16))
    n, k = np.arange(16), np.arange(9)
    np.testing.assert_allclose(fourier.rfft(rows), rows @ np.exp(-2j * np.pi * np.outer(n, k) / 16), atol=1e-12)


def test_extraction_does_not_import_scipy_fft():
    script = (
        "import sys, numpy as np\n"
        "from jukemir_like import representations\n"
        "clip = np.random.default_rng(0).standard_normal(30000).astype(np.float32)\n"
        "[representations.load(name)([clip]) for name in ('chroma', 'mfcc')]\n"
        "sys.exit('scipy.fft' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_without_the_compiled_part_the_public_one_is_used(monkeypatch):
    monkeypatch.setattr(fourier, "find_spec", lambda _: None)
    fourier._transform.cache_clear()
    try:
        rows = np.random.default_rng(0).standard_normal((2, 64)).astype(np.float32)
        np.testing.assert_array_equal(fourier.rfft(rows), scipy.fft.rfft(rows, axis=1))
        assert fourier._transform() is fourier._public
    finally:
        fourier._transform.cache_clear()
