"""The index of a library: what is written is read, and what is damaged is an empty index."""

import json
import os

import numpy as np
import pytest

from jukemir_like.stemjepa.retrieval.index import Index

VECTORS = {"d1": np.ones(4, np.float32), "d2": np.zeros(4, np.float32)}


@pytest.fixture
def path(tmp_path):
    Index({"a.wav": ((1, 2, 3), "d1"), "b.wav": (None, "d2")}, VECTORS, {"d3": "is silent"}).write(tmp_path / "x.npz")
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
    assert read.vectors.keys() == VECTORS.keys()
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
        lambda path: (path.unlink(), os.mkfifo(path)),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
    ],
)
def test_a_damaged_index_is_empty(path, damage):
    damage(path)
    assert Index.read(path) == Index()
