"""The index of a library: what is written is read, and what is damaged is an empty index."""

import json
import os

import numpy as np
import pytest

from jukemir_like.core.errors import DamagedFileError
from jukemir_like.stemjepa.retrieval.index import Index

VECTORS = {"d1": np.ones((1, 4), np.float32), "d2": np.zeros((1, 4), np.float32)}


@pytest.fixture
def path(tmp_path):
    files = {"a.wav": ((1, 2, 3), "d1"), "b.wav": (None, "d2")}
    Index(files, added=dict(VECTORS), reasons={"d3": "is silent"}).write(tmp_path / "x.npz")
    return tmp_path / "x.npz"


def rewrite(path, table=None, **arrays):
    with np.load(path) as stored:
        kept = dict(stored)
    if table is not None:
        arrays["table"] = np.frombuffer(table if isinstance(table, bytes) else json.dumps(table).encode(), np.uint8)
    np.savez(path, **kept | arrays)


def test_what_is_written_is_read(path):
    read = Index.read(path)
    assert read.files == {"a.wav": ((1, 2, 3), "d1"), "b.wav": (None, "d2")}
    assert read.rows.keys() == VECTORS.keys()
    assert all(np.array_equal(read.of(digest), vectors) for digest, vectors in VECTORS.items())
    assert read.reasons == {"d3": "is silent"}


@pytest.mark.parametrize("field", ["recipe", "digests", "files", "reasons"])
@pytest.mark.parametrize(
    "value", [None, 7, "x", [], {}, [[]], {"a.wav": 1}, {"a.wav": ["x", 1]}, {"a.wav": [[1], "d1"]}, {"a": [None, None]}]
)
def test_a_table_of_another_shape_is_an_index_or_none(path, field, value):
    with np.load(path) as stored:
        table = json.loads(stored["table"].tobytes())
    rewrite(path, table | {field: value})
    read = Index.read(path)
    assert all(isinstance(digest, str) and (state is None or len(state) == 3) for state, digest in read.files.values())
    assert all(isinstance(reason, str) for reason in read.reasons.values())


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: rewrite(path, b"[" * 100_000),
        lambda path: rewrite(path, b"[]"),
        lambda path: rewrite(path, vectors=np.ones((2, 4), object)),
        lambda path: rewrite(path, vectors=np.ones((2, 4))),
        lambda path: rewrite(path, vectors=np.ones((3, 4), np.float32)),
        lambda path: rewrite(path, vectors=np.ones(2, np.float32)),
        lambda path: rewrite(path, vectors=np.full((2, 4), np.nan, np.float32)),
        lambda path: np.savez_compressed(path, **dict(np.load(path))),
        lambda path: path.write_bytes(path.read_bytes().replace(np.ones(4, np.float32).tobytes(), bytes(16), 1)),  # a checksum
        lambda path: (path.unlink(), os.mkfifo(path)),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
    ],
)
def test_a_damaged_index_is_empty(path, damage):
    damage(path)
    read = Index.read(path)
    assert (read.files, read.rows, len(read.vectors)) == ({}, {}, 0)


def test_what_is_added_and_removed_over_several_writes_is_what_a_dictionary_holds(tmp_path):
    """Vectors that stay in the file, those that come and those that go, written several times, and read by NumPy."""
    draw = np.random.default_rng(3)
    index, expected = Index(), {}
    for _ in range(12):
        for number in draw.choice(40, 9, replace=False).tolist():
            digest = f"d{number}"
            if digest not in expected:
                expected[digest] = index.added[digest] = draw.standard_normal((1 + number % 3, 5)).astype(np.float32)
                index.files[f"{number}.wav"] = (None, digest)
        gone = {f"{number}.wav" for number in draw.choice(40, 6).tolist()}
        index.keep_only(index.files.keys() - gone)
        expected = {digest: vectors for digest, vectors in expected.items() if f"{digest[1:]}.wav" not in gone}
        index.write(tmp_path / "x.npz")
        read = Index.read(tmp_path / "x.npz")
        with np.load(tmp_path / "x.npz") as stored:
            assert len(stored["vectors"]) == sum(map(len, expected.values()))
        for one in (index, read):
            assert (one.rows.keys(), one.added) == (expected.keys(), {})
            assert all(np.array_equal(one.of(digest), vectors) for digest, vectors in expected.items())


def test_a_library_that_is_searched_keeps_its_vectors_when_another_writes(path):
    read = Index.read(path)
    Index({"a.wav": (None, "d1")}, added={"d1": np.full((1, 4), 7, np.float32)}).write(path)
    assert np.array_equal(read.of("d1"), VECTORS["d1"])


def test_a_file_that_is_cut_while_it_is_searched_is_one_line(path):
    read = Index.read(path)
    path.write_bytes(path.read_bytes()[:70])
    with pytest.raises(DamagedFileError, match=r"x\.npz is truncated: it was changed while it was read; run again$"):
        read.of("d1")


def test_an_index_of_silent_files_alone(tmp_path):
    Index({"a.wav": ((1, 2, 3), "d1")}, reasons={"d1": "is silent"}).write(tmp_path / "x.npz")
    assert Index.read(tmp_path / "x.npz").reasons == {"d1": "is silent"}
