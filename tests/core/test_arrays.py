"""NumPy's files of strangers: what NumPy writes comes back, nothing else is loaded, and nothing is allocated that is not there."""

import io
import os
import pickle
import zipfile
from contextlib import suppress
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.lib import format as npy

from jukemir_like.core import arrays
from jukemir_like.core.errors import DamagedFileError

DTYPES = hnp.boolean_dtypes() | hnp.integer_dtypes() | hnp.floating_dtypes() | hnp.unicode_string_dtypes(min_len=1)
ARRAYS = hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, min_side=0))


def encoded(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def header(**fields):
    """A file without data, whose header says what it wants."""
    file = io.BytesIO()
    npy.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (2,)} | fields)
    return file.getvalue()


@given(ARRAYS, st.booleans())
def test_what_numpy_writes_is_read(array, turned):
    array = np.asfortranarray(array) if turned else array
    read = arrays.parse(encoded(array))
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


@given(hnp.arrays(np.float32, 7), st.integers(0, 160), st.integers(1, 255))
def test_any_byte_changed_is_an_array_or_a_value_error(array, place, bits):
    data = bytearray(encoded(array))
    data[place % len(data)] ^= bits
    with suppress(ValueError):
        assert arrays.parse(bytes(data)).nbytes <= len(data)


@given(st.binary(max_size=100))
def test_bytes_are_refused(data):
    with pytest.raises(ValueError, match=r"^is no NumPy file"):
        arrays.parse(data)
    with pytest.raises(ValueError, match=r"^is "):
        arrays.parse(b"\x93NUMPY\x01\x00\x40\x00" + data[:64].ljust(64) + data)


@pytest.mark.parametrize(
    "data",
    [
        header(shape=(10**15,)),
        header(shape=(10**9, 10**9, 10**9)),
        header(shape=(-1,)),
        header(shape=(-2, -1), descr="<f4") + bytes(8),
        header(descr="|O") + pickle.dumps([1, 2]),
        header(descr=[("a", "<f4")]) + bytes(8),
        header(descr="|V0", shape=(10**12,)),
        header(descr="<M8[s]") + bytes(16),
        header(descr="|S4") + bytes(8),
        header() + bytes(7),
        header() + bytes(9),
        b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535,
        b"\x93NUMPY\x02\x00\x40\x00\x00\x00" + bytes(64),
    ],
)
def test_what_is_declared_and_not_there_is_refused(data):
    with pytest.raises(ValueError, match=r"^is "):
        arrays.parse(data)


def test_an_object_is_never_made(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    with pytest.raises(ValueError, match="it holds object"):
        arrays.parse(encoded(np.array([Evil()], dtype=object)))
    np.savez(tmp_path / "x.npz", x=np.array([Evil()], dtype=object))
    with pytest.raises(DamagedFileError, match=r"x\.npz is damaged: 'x\.npy' in it .* holds object"):
        arrays.read_archive(tmp_path / "x.npz", "again")
    assert not (tmp_path / "made").exists()


@given(st.dictionaries(st.text("abc", min_size=1), ARRAYS, max_size=3))
def test_archives_come_back(tmp_path_factory, stored):
    path = tmp_path_factory.getbasetemp() / "x.npz"
    np.savez(path, **stored)
    read = arrays.read_archive(path, "again")
    assert read.keys() == stored.keys()
    for name, array in stored.items():
        np.testing.assert_array_equal(read[name], array)


@given(st.integers(1, 9), st.integers(1, 9), st.text("abc", max_size=70))
def test_a_matrix_may_stay_in_its_archive(tmp_path_factory, rows, columns, name):
    path = tmp_path_factory.getbasetemp() / "x.npz"
    matrix = np.random.default_rng(rows).standard_normal((rows, columns)).astype(np.float32)
    np.savez(path, **{f"before {name}": np.arange(3), f"matrix {name}": matrix, "after": np.arange(2)})
    read, stored = arrays.open_archive(path, "again", f"matrix {name}")
    assert read.keys() == {f"before {name}", "after"}
    assert stored.shape == matrix.shape
    path.unlink()
    np.savez(path, other=1)
    stored.file.seek(stored.start)  # of the file that was opened
    assert stored.file.read(matrix.nbytes) == matrix.tobytes()
    assert arrays.open_archive(path, "again", "matrix")[1] is None


@pytest.mark.parametrize("array", [np.ones((2, 2)), np.ones(4, np.float32), np.asfortranarray(np.ones((2, 3), np.float32))])
def test_another_array_than_a_matrix_of_float32_does_not_stay(tmp_path, array):
    np.savez(tmp_path / "x.npz", x=array)
    with pytest.raises(DamagedFileError, match=r"x\.npz is damaged: 'x\.npy' in it is no matrix of float32: .*: again$"):
        arrays.open_archive(tmp_path / "x.npz", "again", "x")


def bomb(path):
    """Many zeros in a small file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w", force_zip64=True) as file:
        file.write(header(shape=(2**24,)))
        for _ in range(4):
            file.write(bytes(2**24))


def overlapping(path):
    """The same bytes declared as a hundred members."""
    np.savez(path, x=np.zeros(1000))
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(100):
            info = zipfile.ZipInfo.__new__(zipfile.ZipInfo)
            for slot in zipfile.ZipInfo.__slots__:
                if hasattr(archive.filelist[0], slot):
                    setattr(info, slot, getattr(archive.filelist[0], slot))
            info.filename = info.orig_filename = f"{number}.npy"
            archive.filelist.append(info)
        archive._didModify = True


@pytest.mark.parametrize(
    "make",
    [
        bomb,
        overlapping,
        lambda path: np.savez_compressed(path, x=np.zeros(3)),
        lambda path: path.write_bytes(b"PK\x05\x06"),
        lambda path: path.write_bytes(b""),
        os.mkfifo,
        os.mkdir,
        lambda path: path.symlink_to("/dev/zero"),
    ],
)
def test_archives_that_no_stage_writes_are_refused(tmp_path, make):
    path = tmp_path / "x.npz"
    make(path)
    for read in (arrays.read_archive, partial(arrays.open_archive, matrix="x")):
        with pytest.raises(DamagedFileError, match=r"x\.npz is .*: again$"):
            read(path, "again")


@pytest.mark.parametrize("place", range(0, 1000, 9))
def test_any_byte_of_an_archive_changed_is_an_archive_or_damaged(tmp_path, place):
    path = tmp_path / "x.npz"
    np.savez(path, x=np.arange(9.0), y=np.array(["a", "b"]), z=np.ones((2, 3), np.float32))
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 0xFF
    path.write_bytes(data)
    for read in (arrays.read_archive, partial(arrays.open_archive, matrix="z")):
        with suppress(DamagedFileError):
            read(path, "again")
