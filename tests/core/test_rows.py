"""Rows on disk are those of the array that was written, in any order, from several files; and never more than a chunk at once."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.core import rows as rows_module
from jukemir_like.core.errors import DamagedFileError
from jukemir_like.core.rows import MatrixFile, Rows, as_array, as_rows

X = np.random.default_rng(0).normal(size=(60, 5)).astype("<f4")


@pytest.fixture(scope="module")
def spread(tmp_path_factory):
    """The rows of ``X`` in three files with different beginnings, in shuffled order, and in an array."""
    folder = tmp_path_factory.mktemp("rows")
    order = np.random.default_rng(1).permutation(60)
    parts, sources = np.split(order, [10, 30, 45]), []
    source, row = np.empty(60, np.int32), np.empty(60, np.int64)
    for number, part in enumerate(parts):
        source[part], row[part] = number, np.arange(len(part))
        if number == 3:
            sources.append(X[part].astype(np.float64))
        else:
            (folder / str(number)).write_bytes(bytes(7 * number) + X[part].tobytes())
            sources.append(MatrixFile(folder / str(number), 7 * number))
    return Rows(sources, source, row, 5)


@given(st.lists(st.integers(0, 59), max_size=70))
def test_any_rows_in_any_order(spread, indices):
    indices = np.array(indices, int)
    np.testing.assert_array_equal(spread.take(indices), X[indices])
    np.testing.assert_array_equal(as_array(spread[indices]), X[indices])


def test_chunks_are_all_rows_in_order_and_none_is_larger_than_allowed(spread, monkeypatch):
    monkeypatch.setattr(rows_module, "CHUNK_BYTES", 7 * 20)
    parts = list(spread.chunks())
    assert [part for part, _ in parts] == [slice(begin, min(begin + 7, 60)) for begin in range(0, 60, 7)]
    assert max(chunk.nbytes for _, chunk in parts) == 7 * 20
    np.testing.assert_array_equal(np.concatenate([chunk for _, chunk in parts]), X)
    monkeypatch.setattr(rows_module, "CHUNK_BYTES", 1)
    assert len(list(spread.chunks())) == 60  # a row at least


def test_few_files_are_open_at_once_and_none_goes_to_another_process(spread, monkeypatch):
    monkeypatch.setattr(rows_module, "_MAX_OPEN_FILES", 1)
    fresh = pickle.loads(pickle.dumps(spread))
    np.testing.assert_array_equal(as_array(fresh), X)
    assert len(fresh._open) == 1
    assert not pickle.loads(pickle.dumps(fresh))._open


def test_a_file_that_is_cut_or_removed_while_it_is_read_is_one_line(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(X.tobytes())
    rows = Rows.of_file(MatrixFile(path, 0), *X.shape)
    path.write_bytes(X.tobytes()[:-1])
    with pytest.raises(DamagedFileError, match="x is truncated: it was changed while it was read; run again"):
        as_array(rows)
    with pytest.raises(DamagedFileError, match="truncated"):
        rows.take([59])
    path.unlink()
    with pytest.raises(DamagedFileError, match="x is missing"):
        pickle.loads(pickle.dumps(rows)).take([0])


def test_arrays_and_rows_of_arrays_are_the_same():
    assert as_array(X) is X
    assert as_rows(as_rows(X)).shape == X.shape
    assert Rows.of_array(np.float64([[1e300, 1.0]])).take([0]).tolist() == [[np.inf, 1.0]]  # detected by who reads it
