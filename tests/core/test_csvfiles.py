"""Tables of strangers: what the csv module writes comes back, whatever else there is names its line."""

import csv
import io
import os
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.core import csvfiles
from jukemir_like.core.errors import DamagedFileError

TEXT = st.text(st.characters(codec="utf-8"))


def write(path, rows):
    file = io.StringIO(newline="")
    csv.writer(file).writerows(rows)
    path.write_bytes(file.getvalue().encode())


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("tables") / "x.csv"


@given(st.lists(st.tuples(TEXT, st.none() | st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**60), 2**60)), max_size=5))
def test_what_is_written_is_read(path, rows):
    write(path, [("name", "value", "number"), *rows])
    columns = {"number": csvfiles.whole_number, "name": str, "value": csvfiles.number}
    read = csvfiles.read(path, columns, "again")
    assert [(row["name"], row["value"], row["number"]) for row in read] == rows


@given(st.binary(max_size=100))
def test_bytes_are_a_table_or_damaged(path, data):
    path.write_bytes(b"a,b\n" + data)
    with suppress(DamagedFileError):
        csvfiles.read(path, {"a": csvfiles.number}, "again", growing=True)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "it is empty"),
        (b"a,c\n1,2\n", "line 1: other columns .*no b"),
        (b"a,b,a\n1,2,3\n", "line 1: other columns .*duplicate"),
        (b"a,b\n1,2\n3\n", "line 3: 1 cells instead of 2"),
        (b"a,b\n1,2,3\n", "line 2: 3 cells instead of 2"),
        (b"a,b\nx,2\n", "line 2: 'a': could not convert"),
        (b"a,b\nnan,2\n", "line 2: 'a': nan is not a finite"),
        (b"a,b\n1e999,2\n", "line 2: 'a': 1e999 is not"),
        (b"a,b\n1,2.5\n", "line 2: 'b': invalid literal"),
        (b"a,b\n1," + b"9" * 5000 + b"\n", "line 2: 'b'"),
        (b"a,b\n1,\xff\n", "not UTF-8"),
        (b'a,b\n1,"2\n', "line 2: unexpected end of data"),
        (b"a,b\n1," + b"2" * 200_000 + b"\n", "line 2: field larger"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, content, complaint):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(DamagedFileError, match=f"x.csv is (damaged: )?.*{complaint}.*: again$"):
        csvfiles.read(tmp_path / "x.csv", {"a": csvfiles.number, "b": csvfiles.whole_number}, "again")


def test_a_line_that_is_being_written_is_passed_over(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"a,b\n1,2\n3,0.5")  # of 0.57
    assert csvfiles.read(tmp_path / "x.csv", {"a": csvfiles.number}, "again", growing=True) == [{"a": 1.0}]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to(path)])
def test_only_files_are_read(tmp_path, make):
    make(tmp_path / "x.csv")
    with pytest.raises(DamagedFileError):
        csvfiles.read(tmp_path / "x.csv", {}, "again")
