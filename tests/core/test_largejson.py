"""Objects that are read member by member: the values of the standard library, in little memory, or an error."""

import io
import json
import pickle
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jukemir_like.core import jsonfiles, largejson
from jukemir_like.core.errors import DamagedFileError
from jukemir_like.datasets import meta

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.just('\udcff\ud800é音😀\\"{}[],:'),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(st.text(max_size=6), VALUES, max_size=4)
SPELLINGS = st.fixed_dictionaries({"indent": st.none() | st.integers(0, 2) | st.just("\t\r\n "), "ensure_ascii": st.booleans()})


def spell(value, spelling):
    return json.dumps(value, **spelling).encode("utf-8", "replace")  # half characters cannot be written but as \u…


@pytest.fixture(params=[1, 3, 1 << 20])
def window(request, monkeypatch):
    """Windows of a byte, of three and of more than the file."""
    monkeypatch.setattr(largejson, "_WINDOW_BYTES", request.param)
    return request.param


@pytest.mark.parametrize("size", [1, 3, 1 << 20])
@settings(deadline=None)
@given(value=OBJECTS, spelling=SPELLINGS, mark=st.booleans())
def test_members_are_those_of_the_standard_library_and_stand_where_is_said(value, spelling, mark, size):
    data = (b"\xef\xbb\xbf" if mark else b"") + spell(value, spelling)
    expected = json.loads(data.decode("utf-8-sig"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(largejson, "_WINDOW_BYTES", size)
        members = list(largejson.members(io.BytesIO(data)))
    assert [(member.name, member.value) for member in members] == list(expected.items())
    assert [json.loads(data[member.begin : member.end]) for member in members] == list(expected.values())


@pytest.mark.parametrize("size", [1, 1 << 20])
@settings(deadline=None)
@given(value=OBJECTS, spelling=SPELLINGS, place=st.integers(0, 200), byte=st.binary(max_size=1))
def test_what_the_standard_library_refuses_is_refused_and_the_other_way_round(tmp_path_factory, value, spelling, place, byte, size):
    data = spell(value, spelling)
    place %= len(data)
    data = data[:place] + byte + data[place + 1 :]
    path = tmp_path_factory.getbasetemp() / "object.json"
    path.write_bytes(data)
    try:
        expected = jsonfiles.parse(data)
    except ValueError:
        expected = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(largejson, "_WINDOW_BYTES", size)
        if isinstance(expected, dict):
            stored = largejson.StoredObject(path, lambda name, value: None)
            assert repr(dict(stored)) == repr(expected)
        else:
            with pytest.raises(largejson.StreamError):
                largejson.StoredObject(path, lambda name, value: None)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"a": 1', '{"a": 1}}', '{"a": 1, "a": 2}', '{"a": {"b": 1, "b": 2}}', "{1: 2}", '{"a" 1}', '{"a": 1,}']
)
def test_what_is_no_object_is_refused(tmp_path, window, text):
    (tmp_path / "x").write_text(text)
    with pytest.raises(largejson.StreamError):
        largejson.StoredObject(tmp_path / "x", lambda name, value: None)


def test_a_stored_object_is_a_mapping(tmp_path, window):
    value = {f"ü{number}": {"y": number, "z": ["é" * number]} for number in range(50)}
    path = tmp_path / "x"
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    stored = largejson.StoredObject(path, lambda name, value: None)
    path.unlink()  # as it is when another version takes its place
    assert dict(stored) == value
    assert (len(stored), "ü7" in stored, "7" in stored, stored["ü7"]["y"]) == (50, True, False, 7)
    assert pickle.loads(pickle.dumps(stored)) == value


def test_memory_does_not_grow_with_the_number_of_members(tmp_path):
    path = tmp_path / "x"
    path.write_text(json.dumps({str(number): {"y": "x" * 1000} for number in range(20_000)}))
    tracemalloc.start()
    with open(path, "rb", buffering=0) as file:
        assert sum(1 for _ in largejson.members(file)) == 20_000
    assert tracemalloc.get_traced_memory()[1] < 8 * largejson._WINDOW_BYTES < path.stat().st_size / 2
    tracemalloc.stop()


@pytest.mark.parametrize(
    "text",
    [
        '{"a": {"split": "train", "y": 1}}',
        "{}",
        '{"a": {"split": "what"}}',
        '{"../a": {}}',
        '{"a": 1}',
        '{"a": {}',
        "[]",
        '{"a": {"y": NaN}}',
        '{"a": {}, "a": {}}',
    ],
)
def test_a_large_meta_json_is_read_as_a_small_one_is(tmp_path, monkeypatch, text):
    (tmp_path / "meta.json").write_text(text)
    results = []
    for limit in (1 << 20, 0):
        monkeypatch.setattr(meta, "LARGE_BYTES", limit)
        try:
            items, digest = meta.read_meta(tmp_path)
            results.append((dict(items), digest))
        except DamagedFileError as error:
            results.append(str(error))
    assert results[0] == results[1]
