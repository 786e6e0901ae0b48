"""Vectors of a folder in either form: the same bytes, whichever form each has."""

import numpy as np
import pytest

from jukemir_like.core import matrices
from jukemir_like.core.vector_folder import VectorFolder

from .vector_files import NAMES, VECTORS, npy, write


def test_mixed_forms_are_read_and_a_file_counts_before_a_row(tmp_path):
    write(tmp_path, NAMES[:2], "one")
    write(tmp_path, NAMES[2:4], "two")
    (tmp_path / "a").mkdir()
    newer = np.ones(6, "<f4")
    for name, vector in (("a/2", newer), (NAMES[4], VECTORS[NAMES[4]])):
        (tmp_path / f"{name}.npy").write_bytes(npy(vector))
    vectors = VectorFolder(tmp_path, "again")
    assert sorted(vectors.names()) == sorted(NAMES)
    for name, vector in (VECTORS | {"a/2": newer}).items():
        assert vectors.read(name) == npy(vector)
    assert vectors.row("a/2") is None
    assert vectors.where("a/1").parent.name == matrices.FOLDER
    for name in ("nosuch", "b/under a vector", "x" * 300, "x" * 300 + "/y"):
        with pytest.raises(FileNotFoundError):
            vectors.read(name)
    vectors.close()


@pytest.mark.parametrize("in_files", [(), ("b",), NAMES])
def test_many_are_read_in_order_with_what_each_raises(tmp_path, in_files):
    write(tmp_path, [name for name in NAMES if name not in in_files])
    for name in in_files:
        (tmp_path / f"{name}.npy").parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.npy").write_bytes(npy(VECTORS[name]))
    (tmp_path / "folder.npy").mkdir()
    vectors = VectorFolder(tmp_path, "again")
    wanted = ["nosuch", *NAMES, "folder", *NAMES * 60]
    results = list(vectors.read_many(wanted))
    assert [name for name, _ in results] == wanted
    for name, data in results:
        if name in VECTORS:
            assert data == npy(VECTORS[name])
        else:
            assert type(data) is {"nosuch": FileNotFoundError, "folder": OSError}[name]
    assert next(iter(vectors.read_many(wanted)))[0] == "nosuch"  # and no thread hangs
