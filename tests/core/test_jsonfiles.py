"""JSON of strangers: what Python writes comes back, what cannot be used is a ValueError that says where."""

import json
import os
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.core import jsonfiles
from jukemir_like.core.errors import DamagedFileError

SCALARS = st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(-1e200, 1e200) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=8)


@given(VALUES)
def test_what_is_written_is_read(value):
    read = jsonfiles.parse(json.dumps(value).encode())
    jsonfiles.check(read, object)
    assert read == value


@given(st.binary(max_size=200))
def test_bytes_are_json_or_a_value_error(data):
    with suppress(ValueError):
        jsonfiles.check(jsonfiles.parse(data), object)


@pytest.mark.parametrize(
    ("text", "shape", "complaint"),
    [
        ("[" * 100_000, object, "is nested too deeply"),
        ("[" * 100 + "]" * 100, object, "is nested too deeply"),
        ('{"a":' * 100_000, object, "is nested too deeply"),
        ('{"a": 1, "b": 2, "a": 3}', object, "'a' is a duplicate name"),
        ('{"a": {"b": [1, NaN]}}', object, "a.b.1 is nan"),
        ('{"a": -Infinity}', object, "a is -inf"),
        ('{"a": 1e999}', object, "a is inf"),
        (f'{{"a": {"9" * 400}}}', object, "a is 999"),
        ("9" * 5000, object, "is not JSON"),
        ('{"a": "\\ud83d"}', object, "a has half a character"),
        ('{"\\ud83d": 1}', object, "has half a character"),
        ("", object, "is not JSON"),
        ("[1, 2]", dict, "it is a list, not an object"),
        ('{"a": true}', {"a": int}, "a is True, not a whole number"),
        ('{"a": 1.0}', {"a": int}, "a is 1.0, not a whole number"),
        ('{"a": null}', {"a": float}, "a is null, not a number"),
        ('{"a": "1"}', {"a": (None, float)}, "a is '1', not null or a number"),
        ("{}", {"a": object}, "it has no a"),
        ('{"a": {"b": "up"}}', {"a": {str: {"up and", "down"}}}, "a.b is 'up', not one of down, up and"),
        ('{"a": [1, {"b": 2}]}', {"a": [(int, {"b": str})]}, "a.1.b is 2, not text"),
        ('{"a": 1}', {"a?": str}, "a is 1, not text"),
        ('{"one\\ntwo": 1}', {str: str}, "one\\ntwo is 1"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text, shape, complaint):
    with pytest.raises(ValueError, match=r"^is ") as error:
        jsonfiles.check(jsonfiles.parse(text.encode()), shape)
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 250


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ('{"a": 1, "more": [[]]}', {"a": float}),
        ('{"a": null}', {"a?": int}),
        ("{}", {"a?": int}),
        ('{"a": [], "b": [1, null]}', {str: [(None, int)]}),
        ('{"a": "caf\\udce9"}', {"a": str}),  # a name of a file that is not UTF-8
        ('\ufeff{"a": "é"}', {"a": {"é"}}),
    ],
)
def test_what_may_be_is_read(text, shape):
    jsonfiles.check(jsonfiles.parse(text.encode()), shape)


@pytest.mark.parametrize("data", ["é".encode("latin-1"), b'"\xed\xa0\xbd"', '"a"'.encode("utf-16")])
def test_other_encodings_are_refused(data):
    with pytest.raises(ValueError, match="is not UTF-8"):
        jsonfiles.parse(data)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to(path), lambda path: path.write_bytes(b"{")])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path, make):
    make(tmp_path / "x.json")
    with pytest.raises(DamagedFileError, match=r"x\.json .*: try again$"):
        jsonfiles.read(tmp_path / "x.json", object, "try again")


def test_a_missing_file_is_another_matter(tmp_path):
    with pytest.raises(FileNotFoundError):
        jsonfiles.read(tmp_path / "x.json", object, "try again")
