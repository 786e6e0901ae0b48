"""Files of tensors: what is read is what the safetensors package reads, and what it refuses is refused."""

import json
import os

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import safetensors_file

TENSORS = {
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a.bias": np.linspace(0, 1, 3, dtype=np.float16),
    "b": np.full((), 0.5, np.float64),
}
WHOLE = safetensors.numpy.save(TENSORS, {"note": "ü"})
HEAD = 8 + int.from_bytes(WHOLE[:8], "little")


def read(path):
    """Name → bytes of every tensor."""
    with safetensors_file.open_weights(path) as file:
        table = safetensors_file.read_table(path, file)
        return table, {name: b"".join(safetensors_file.read_blocks(path, file, name, tensor)) for name, tensor in table.tensors.items()}


def with_header(change, data=WHOLE[HEAD:]):
    """The file with another header; ``change`` takes the old one, as values, and returns the new one, as values or as text."""
    values = change(json.loads(WHOLE[8:HEAD]))
    encoded = values.encode() if isinstance(values, str) else json.dumps(values).encode()
    return len(encoded).to_bytes(8, "little") + encoded + data


def refused(path, content):
    path.write_bytes(content)
    with pytest.raises(RequestError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 1000
    assert str(path) in message
    return message


def test_what_was_written_comes_back(tmp_path):
    (tmp_path / "w").write_bytes(WHOLE)
    table, parts = read(tmp_path / "w")
    assert table.metadata == {"note": "ü"}
    assert table.header_bytes == WHOLE[:HEAD]
    assert {name: tensor.shape for name, tensor in table.tensors.items()} == {name: array.shape for name, array in TENSORS.items()}
    assert parts == {name: array.tobytes() for name, array in TENSORS.items()}


def entry(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    ("header", "size", "word"),
    [
        ({"a": entry(shape=(2**40,), offsets=(0, 2**42))}, 4, "cut short or damaged"),
        ({"a": entry(shape=(2**40, 0), offsets=(0, 0)), "b": entry(shape=(2**40,))}, 4, "has a wrong place or length"),
        ({"a": entry(), "b": entry()}, 4, "has a wrong place or length"),  # one over the other
        ({"a": entry(), "b": entry(offsets=(8, 12))}, 12, "has a wrong place or length"),  # a hole
        ({"a": entry(offsets=(4, 0)), "b": entry()}, 4, "has a wrong place or length"),  # begins after its end
        ({"a": entry("I32")}, 4, "of type I32, weights are F16, BF16, F32, F64"),
        ({"a": entry("BOOL", (4,))}, 4, "of type BOOL"),
        ({"a": entry("F8_E4M3", (4,))}, 4, "of type F8_E4M3"),
        ({"a": entry("x\ny" * 1000, (4,))}, 4, "of type x"),
        ({"a": entry(), "__metadata__": {"note": 5}}, 4, "is not a safetensors file"),
        ({"a": entry(), "__metadata__": ["note"]}, 4, "is not a safetensors file"),
        ({"a": entry(shape=(True,))}, 4, "is not a safetensors file"),
        ({"a": entry(shape=(1.0,))}, 4, "is not a safetensors file"),
        ({"a": entry(offsets=(False, 4))}, 4, "is not a safetensors file"),
        ({"a": entry(offsets=(0, 4, 8))}, 4, "is not a safetensors file"),
        ({"a": entry(shape=(-1, -1))}, 4, "is not a safetensors file"),
        ({"a": {"dtype": "F32", "shape": [1]}}, 4, "is not a safetensors file"),
        ({"a": "F32"}, 4, "is not a safetensors file"),
        (["a"], 4, "is not a safetensors file"),
        ('{"a": ' + json.dumps(entry()) + ', "a": ' + json.dumps(entry()) + "}", 4, "is not a safetensors file"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", 4, "is not a safetensors file"),
        ('{"a": ' * 100_000 + "5" + "}" * 100_000, 4, "is not a safetensors file"),
        ('{"a": {"dtype": "F32", "shape": [' + "9" * 5000 + '], "data_offsets": [0, 4]}}', 4, "is not a safetensors file"),
        ('{"a": {"dtype": "F32", "shape": [NaN], "data_offsets": [0, 4]}}', 4, "is not a safetensors file"),
        ("{'a': 5}", 4, "is not a safetensors file"),
    ],
)
def test_headers_that_are_no_table_of_what_is_there(tmp_path, header, size, word):
    assert word in refused(tmp_path / "w", with_header(lambda _: header, bytes(size)))


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_numbers_that_are_none_are_named(tmp_path, kind, special):
    values = np.ones(3_000_000, kind)
    values[2_345_678] = special
    content = safetensors.numpy.save({"some": TENSORS["a.weight"], "other": values})
    assert "tensor other holds numbers that are infinite or NaN" in refused(tmp_path / "w", content)
    values[2_345_678] = np.finfo(kind).max
    (tmp_path / "w").write_bytes(safetensors.numpy.save({"other": values}))
    assert read(tmp_path / "w")[1]["other"] == values.tobytes()


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "nothing", "NUL", "too long"])
def test_what_is_no_file_is_one_line(tmp_path, kind):
    path = tmp_path / "w"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    path = {"device": tmp_path / "zero", "NUL": tmp_path / "a\0b", "too long": tmp_path / ("x" * 300)}.get(kind, path)
    if kind == "device":
        path.symlink_to("/dev/zero")
    words = {"fifo": "is a named pipe", "folder": "is a folder", "device": "is a device", "too long": "file name too long"}
    with pytest.raises(RequestError, match=words.get(kind, "is missing")) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def agrees(path, content):
    """What is accepted is what the safetensors package finds there."""
    path.write_bytes(content)
    try:
        theirs = safetensors.numpy.load(content)
    except (SafetensorError, KeyError, ValueError, TypeError):  # of a type that numpy has not
        theirs = None
    try:
        table, ours = read(path)
    except RequestError:
        refused(path, content)
        return False
    if theirs is None:
        assert "BF16" in {tensor.dtype for tensor in table.tensors.values()}
    else:
        assert ours == {name: array.tobytes() for name, array in theirs.items()}
        assert {name: tensor.shape for name, tensor in table.tensors.items()} == {name: array.shape for name, array in theirs.items()}
    return True


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_whatever_bytes_change_it_is_read_as_the_package_reads_it_or_refused(tmp_path_factory, data):
    content = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 3))):
        kind, place = data.draw(st.sampled_from(["set", "cut", "insert", "swap"])), data.draw(st.integers(0, len(content) - 1))
        if kind == "set":
            content[place] = data.draw(st.one_of(st.integers(0, 255), st.sampled_from(b'0159{}[],:"\\')))
        elif kind == "cut":
            del content[place : place + data.draw(st.integers(1, 20))]
        elif kind == "insert":
            content[place:place] = data.draw(st.binary(min_size=1, max_size=8))
        else:
            content[8:HEAD] = content[8:HEAD].replace(*data.draw(st.permutations([b"a.bias", b"a.weight", b"F16", b"F32"]))[:2])
        content = content or bytearray(b"0")
    agrees(tmp_path_factory.getbasetemp() / "changed", bytes(content))


NUMBERS = st.one_of(st.integers(-2, 30), st.sampled_from([2**31, 2**63, 2**64, 1.0, True, None, "4"]))
ENTRIES = st.builds(
    lambda *values: dict(zip(("dtype", "shape", "data_offsets"), values, strict=True)),
    st.sampled_from(["F16", "F32", "F64", "BF16", "I8", "f32", None]),
    st.lists(NUMBERS, max_size=3),
    st.lists(NUMBERS, min_size=1, max_size=3),
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "__metadata__"]), ENTRIES, max_size=3), st.integers(0, 40))
def test_whatever_a_table_says_it_is_read_as_the_package_reads_it_or_refused(tmp_path_factory, header, size):
    agrees(tmp_path_factory.getbasetemp() / "told", with_header(lambda _: header, bytes(size)))


def test_an_order_of_names_that_is_not_that_of_their_places_is_as_good(tmp_path):
    assert agrees(tmp_path / "w", with_header(lambda old: dict(reversed(old.items()))))
