"""Checkpoints are read as TensorFlow wrote them, and every damage is found, byte by byte."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import leveldb_table, tensorflow_bundle

from . import bundles

FIXTURES = Path(__file__).parents[1] / "fixtures" / "encoders"
INDEX, SHARD = FIXTURES / "tensorflow_2_21.index", FIXTURES / "tensorflow_2_21.data-00000-of-00001"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bundle")


def copies(folder, index=None, shard=None):
    """The fixture's files, or others in their place."""
    paths = []
    for original, contents in ((INDEX, index), (SHARD, shard)):
        if contents is not None:
            original = folder / original.name
            original.write_bytes(contents)
        paths.append(original)
    return paths[0], [paths[1]]


def refusal(index, shards):
    """What is said of these files: one line."""
    with pytest.raises(RequestError) as caught:
        tensorflow_bundle.read(index, shards)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 1000
    return message


def test_a_checkpoint_of_tensorflow_itself():
    random = np.random.default_rng(0)  # as when the fixture was written
    expected = {
        "beta1_power": np.float32(0.5),
        "conv2d/bias": np.arange(4, dtype=np.float32),
        "conv2d/kernel": random.standard_normal((3, 2, 1, 4)).astype(np.float32),
        "conv2d/kernel/Adam": np.zeros((3, 2, 1, 4), np.float32),
        "double": np.array([1 / 3, -2.0]),
        "empty": np.zeros((0, 3), np.float32),
        "global_step": np.int64(12345678901),
        "half": np.array([[1.5], [0.25]], np.float16),
        "small": np.array([-7], np.int32),
    }
    tensors = tensorflow_bundle.read(INDEX, [SHARD])
    assert list(tensors) == list(expected)
    for name, value in expected.items():
        assert tensors[name].dtype == value.dtype
        np.testing.assert_array_equal(tensors[name], value)
    assert list(tensorflow_bundle.read(INDEX, [SHARD], lambda name: name.startswith("conv2d/k"))) == ["conv2d/kernel", "conv2d/kernel/Adam"]
    assert tensorflow_bundle.variables(INDEX)["conv2d/kernel"][:3] == ("<f4", (3, 2, 1, 4), 0)


def test_every_flipped_bit_is_found(folder):
    for which, path in enumerate((INDEX, SHARD)):
        contents = path.read_bytes()
        for position in range(len(contents)):
            damaged = bytearray(contents)
            damaged[position] ^= 1 << position % 8
            refusal(*copies(folder, **{("index", "shard")[which]: bytes(damaged)}))


def test_a_tensor_that_is_not_wanted_is_checked_too(folder):
    damaged = bytearray(SHARD.read_bytes())
    damaged[tensorflow_bundle.variables(INDEX)["conv2d/kernel/Adam"].offset] ^= 1
    with pytest.raises(RequestError, match="checksum of 'conv2d/kernel/Adam' is wrong"):
        tensorflow_bundle.read(*copies(folder, shard=bytes(damaged)), wanted=lambda name: "Adam" not in name)


def test_every_truncation_and_everything_behind_is_found(folder):
    for which, path in (("index", INDEX), ("shard", SHARD)):
        contents = path.read_bytes()
        for length in range(len(contents)):
            refusal(*copies(folder, **{which: contents[:length]}))
        for more in (b"\0", contents):
            refusal(*copies(folder, **{which: contents + more}))
    assert "has 240 bytes where" in refusal(*copies(folder, shard=SHARD.read_bytes()[:240]))


@given(st.binary(max_size=300), st.booleans())
def test_any_other_file_is_refused(folder, contents, with_magic):
    contents += bytes.fromhex("57fb808b247547db") if with_magic else b""
    refusal(*copies(folder, index=contents))


names = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20), unique=True, max_size=12)


@settings(max_examples=25)
@given(names, st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_what_is_written_is_read_back(folder, found, per_block, seed):
    random = np.random.default_rng(seed)
    dtypes = list(bundles.DTYPES)
    tensors = {
        name: (100 * random.standard_normal(random.integers(0, 4, random.integers(0, 4)))).astype(random.choice(dtypes)) for name in found
    }
    tensors = {name: np.asarray(tensor) for name, tensor in tensors.items()}
    index, shard = bundles.write(folder, tensors, per_block=per_block)
    read = tensorflow_bundle.read(index, [shard])
    assert list(read) == sorted(tensors, key=str.encode)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(read[name], tensor)
        assert (read[name].dtype, read[name].shape) == (tensor.dtype, tensor.shape)


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 255), st.integers(1, 3))
def test_a_forged_block_with_a_right_checksum_breaks_nothing(folder, position, change, per_block):
    """Whoever writes a file can write its checksums: the parser itself must not fail in any other way than by an error of its own."""
    pairs = list(leveldb_table.entries(INDEX.read_bytes()).items())
    number = 0

    def forge(contents):
        nonlocal number
        begin, number = number, number + len(contents)
        if begin <= position % 500 < number:
            forged = bytearray(contents)
            forged[position % 500 - begin] ^= change
            return bytes(forged)
        return contents

    index, shards = copies(folder, index=bundles.table(pairs, per_block, change=forge))
    with suppress(RequestError):
        tensors = tensorflow_bundle.read(index, shards)
        assert sum(tensor.nbytes for tensor in tensors.values()) <= len(SHARD.read_bytes())


def checkpoint(*entries, header=None, **options):
    """An index of these entries, each ``(name, message)``."""
    return bundles.table([(b"", bundles.header() if header is None else header), *entries], **options)


def one(**changes):
    """An entry of four numbers, with what is changed."""
    fields = {"dtype": 1, "shape": (4,), "shard": 0, "offset": 0, "size": 16, "crc": bundles.checksum(bytes(16))} | changes
    return bundles.entry(**fields)


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        (checkpoint((b"a", one(size=1 << 50, shape=(1 << 24, 1 << 24)))), "has 16 bytes where"),
        (checkpoint((b"a", one(offset=4))), "does not follow the one before"),
        (checkpoint((b"a", one()), (b"b", one())), "does not follow the one before"),
        (checkpoint((b"a", one(size=12))), "size that does not fit its shape"),
        (checkpoint((b"a", one(shape=(1,) * 9))), "damaged entry of 'a'"),
        (checkpoint((b"a", one(shape=(1 << 40,)))), "damaged shape"),
        (checkpoint((b"a", one(shard=1))), "damaged entry of 'a'"),
        (checkpoint((b"a", one(dtype=7))), "TensorFlow's type 7"),
        (checkpoint((b"a", one(more=bundles.bytes_field(7, b"")))), "in slices"),
        (checkpoint((b"a", one()[:-2])), "damaged entry"),
        (checkpoint((b"a", one()), header=bundles.header(shards=2)), "belongs to 2 data files, not 1"),
        (checkpoint((b"a", one()), header=bundles.header(endianness=1)), "big-endian"),
        (bundles.table([(b"a", one())]), "has no header"),
        (checkpoint((b"b", one()), (b"a", one())), "keys out of order"),
        (checkpoint((b"a", one()), (b"a", one())), "keys out of order"),
        (checkpoint((b"b", one()), (b"a", one()), per_block=1), "keys out of order"),
        (checkpoint((b"\xff", one())), "name that is not text"),
        (checkpoint((b"a" * 513, one())), "damaged entry"),
        (checkpoint((b"a", one()), kind=b"\1"), "is compressed"),
        (b"\0" * (leveldb_table.MOST_BYTES + 1), "more than a table of tensors"),
    ],
)
def test_lies_with_right_checksums_are_refused(folder, index, reason):
    assert reason in refusal(*copies(folder, index=index, shard=bytes(16)))


def test_another_checkpoint_s_data_is_refused(folder):
    index, _ = bundles.write(folder, {"a": np.zeros(4, np.float32)})
    _, shard = bundles.write(folder, {"a": np.ones(4, np.float32)}, "other")
    assert "damaged or of another checkpoint (the checksum of 'a' is wrong)" in refusal(index, [shard])


def test_what_is_no_file_is_refused(folder):
    assert "is missing: check the path" in refusal(folder / "none.index", [SHARD])
    assert "is missing: check the path" in refusal(INDEX, [folder / "none.data"])
    assert "is a folder, not a file" in refusal(folder, [SHARD])
