"""Matrices with their lists of names: read and written, replaced, damaged."""

import errno

import numpy as np
import pytest

from jukemir_like.core import arrays, matrices
from jukemir_like.core.errors import DamagedFileError
from jukemir_like.core.matrices import read_matrix
from jukemir_like.core.vector_folder import VectorFolder

from .vector_files import NAMES, VECTORS, npy, write


@pytest.mark.parametrize("dimension", [1, 2, 120, 4800, 10**7])
def test_headers_are_those_of_numpy_and_as_long_for_any_number_of_rows(dimension):
    vector = np.zeros(dimension, "<f4")
    assert arrays.vector_header(dimension) + vector.tobytes() == npy(vector)
    lengths = {len(arrays.matrix_header(rows, dimension)) for rows in (1, 9, 10, 999, 10**6, 10**9)}
    assert len(lengths) == 1
    assert arrays.matrix_header(2, 3) + bytes(24) == npy(np.zeros((2, 3), "<f4"))


def test_names_of_any_bytes_come_back(tmp_path):
    write(tmp_path, NAMES)
    matrix = read_matrix(matrices.list_of(tmp_path, "all"), "again")
    assert list(matrix.names) == NAMES
    for name, row in matrix.rows():
        assert row.read() == npy(VECTORS[name])


def test_the_same_vectors_give_the_same_files_and_others_another_name(tmp_path):
    first, second = write(tmp_path / "1", NAMES), write(tmp_path / "2", NAMES)
    assert (first.path.name, first.path.read_bytes()) == (second.path.name, second.path.read_bytes())
    assert write(tmp_path / "3", NAMES[::-1]).path.name != first.path.name
    assert write(tmp_path / "4", []) is None
    assert list((tmp_path / "4" / matrices.FOLDER).iterdir()) == []


def test_vectors_taken_out_of_a_list_are_gone_and_the_last_takes_the_matrix_along(tmp_path):
    matrix = write(tmp_path, NAMES)
    matrices.drop_rows(matrix, NAMES[1:].__contains__)
    vectors = VectorFolder(tmp_path, "again")
    assert list(vectors.names()) == NAMES[:1]
    assert vectors.read(NAMES[0]) == npy(VECTORS[NAMES[0]])
    matrices.drop_rows(read_matrix(matrix.index, "again"), lambda _: True)
    assert list((tmp_path / matrices.FOLDER).iterdir()) == []


def test_a_list_that_is_replaced_while_it_is_read_is_read_again(tmp_path, monkeypatch):
    write(tmp_path, NAMES[:2])
    old = matrices.list_of(tmp_path, "all").read_bytes()
    new = write(tmp_path, NAMES)
    matrices.remove_replaced(tmp_path, "all", new.path)
    contents = [old, matrices.list_of(tmp_path, "all").read_bytes()]
    monkeypatch.setattr(matrices.jsonfiles, "read", lambda *_: matrices.jsonfiles.parse(contents.pop(0)))
    assert list(read_matrix(new.index, "again").names) == NAMES


def test_a_matrix_that_is_damaged_is_named(tmp_path):
    matrix = write(tmp_path, NAMES)
    matrix.path.write_bytes(matrix.path.read_bytes()[:-4])
    with pytest.raises(DamagedFileError, match=rf"{matrix.path.name} is truncated: .* 120 bytes, the file has 116: extract again"):
        VectorFolder(tmp_path, "extract again")
    matrix.path.unlink()
    with pytest.raises(DamagedFileError, match=r"is missing, although all\.json in its folder names its rows: extract again"):
        VectorFolder(tmp_path, "extract again")


def test_where_files_cannot_be_locked_changes_wait_for_each_other_all_the_same(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    with matrices.changes(tmp_path):
        assert (tmp_path / matrices.FOLDER / ".lock.held").is_dir()
    assert not (tmp_path / matrices.FOLDER / ".lock.held").exists()
