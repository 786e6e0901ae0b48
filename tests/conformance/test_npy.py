"""The strict reading of .npy files, against what NumPy itself writes."""

import io

import numpy as np
import pytest

from jukemir_like.conformance import npy


def saved(array, version=None):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=version)
    return buffer.getvalue()


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<i2", "|u1"])
@pytest.mark.parametrize("shape", [(7,), (2, 3), (), (0,)])
def test_reads_what_numpy_writes(version, dtype, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    read = npy.parse(saved(array, version))
    assert (read.descr, read.shape, read.fortran_order, read.data) == (dtype, shape, False, array.tobytes())
    assert np.array_equal(npy.values(saved(array, version)), array.ravel())


def test_says_that_a_matrix_is_in_fortran_order():
    assert npy.parse(saved(np.asfortranarray(np.ones((2, 3))))).fortran_order


WHOLE = saved(np.arange(5, dtype="<f4"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"RIFF" + WHOLE, "begin"),
        (WHOLE[:9], "ends in its header"),
        (WHOLE[:50], "ends in its header"),
        (WHOLE[:-1], "19 bytes of data where its header says 20"),
        (WHOLE + b"\n", "21 bytes"),
        (b"\x93NUMPY\x09\x00" + WHOLE[8:], "version"),
        (WHOLE.replace(b" \n", b"  "), "line feed"),
        (WHOLE.replace(b"'<f4'", b"'<q9'"), "type"),
        (WHOLE.replace(b"(5,)", b"(-5,"), "literal"),
        (WHOLE.replace(b"(5,)", b"[5,]"), "wrong type"),
        (WHOLE.replace(b"False", b"0    "), "wrong type"),
        (WHOLE.replace(b"'shape'", b"'shade'"), "descr, fortran_order and shape"),
    ],
)
def test_refuses_what_is_not_strictly_by_the_format(content, reason):
    with pytest.raises(npy.NotNpyError, match=reason):
        npy.parse(content)
    assert npy.values(content) is None


def test_vectors_are_the_same_to_a_hundred_thousandth_of_their_largest_value():
    vector = np.array([1000.0, 0.0, -1.0])
    assert npy.are_equal(vector, vector + np.array([0, 0.0099, 0]))
    assert not npy.are_equal(vector, vector + np.array([0, 0.0101, 0]))
    assert not npy.are_equal(vector, vector[:2])
    assert not npy.are_equal(vector, np.array([1000.0, np.nan, -1.0]))
    assert not npy.are_equal(None, None)
    assert npy.are_equal(np.zeros(3), np.zeros(3))
