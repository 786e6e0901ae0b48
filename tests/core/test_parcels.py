"""Objects that travel: the same on the other side, no copy shared, no file left."""

import multiprocessing
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from jukemir_like.core import parcels
from jukemir_like.core.parcels import Parcel


def files():
    """Open files of this process that lie in memory."""
    return [link for path in Path("/proc/self/fd").iterdir() if path.is_symlink() and "memfd" in (link := str(path.readlink()))]


@pytest.fixture(params=[True, False], ids=["files", "pipe"])
def with_files(request, monkeypatch):
    """Once with files in memory, once without, as outside Linux."""
    if not request.param:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    elif not hasattr(os, "memfd_create"):
        pytest.skip("this system has no files in memory")


def travelled(message):
    """``message`` after a pipe, in this process; only its files go through it, as the rest may be too much for what nobody reads yet."""
    here, there = multiprocessing.Pipe()
    parcels.send_files(here, message)
    received = pickle.loads(pickle.dumps(message))
    parcels.receive_files(there, received)
    parcels.close(message)
    return received


VALUE = st.lists(
    st.one_of(st.text(), arrays.arrays(st.sampled_from(["f4", "f8", "i2", "?"]), arrays.array_shapes(min_dims=0, max_dims=2, min_side=0))),
    max_size=4,
)


@settings(deadline=None)
@given(VALUE, VALUE)
def test_what_is_opened_is_what_was_packed_also_in_a_used_file(first, second):
    used = Parcel(first)
    for value, into in ((first, None), (second, used)):
        parcel = travelled(Parcel(value, into=into))
        opened = parcel.open()
        parcel.close()
        assert parcel.size == sum(part.nbytes for part in value if isinstance(part, np.ndarray) and part.flags.forc)
        assert len(opened) == len(value)
        for one, other in zip(opened, value, strict=True):
            assert type(one) is type(other)
            np.testing.assert_array_equal(one, other)
    used.close()
    assert not files()


def test_both_ways_carry_the_same(with_files):
    samples = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    value = {"samples": samples, "again": samples, "more": [samples[::2], np.zeros((0, 3))], "path": "a.wav"}
    (parcel,) = travelled((Parcel(value),))
    opened = parcel.open()
    assert parcel.size >= samples.nbytes
    parcel.close()
    np.testing.assert_array_equal(opened["samples"], samples)
    np.testing.assert_array_equal(opened["more"][0], samples[::2])
    assert opened["again"] is opened["samples"]
    opened["samples"][:] = 0  # writable, and its own
    assert samples.any()


def test_many_parcels_at_once_keep_their_order():
    messages = tuple(Parcel(np.full(10, number)) for number in range(600))
    received = travelled(("of", None, *messages))
    assert [parcel.open()[0] for parcel in received[2:]] == list(range(600))
    parcels.close(received)
    assert not files()


def test_arrays_do_not_go_through_the_pipe_nor_into_a_folder():
    parcel = Parcel(np.zeros(1_000_000))
    assert len(pickle.dumps(parcel)) < 1000
    assert len(files()) == 1
    assert not any(name.startswith("parcel") for name in os.listdir("/dev/shm"))
    parcel.close()
    parcel.close()
    assert not files()


def test_a_file_that_is_used_again_takes_no_more_memory_than_it_holds():
    large = Parcel(np.zeros(1_000_000))
    small = Parcel(np.ones(10), into=large)
    assert os.fstat(small._file).st_size == 80
    assert small.open().sum() == 10
    small.close()


def test_no_room_for_the_arrays_leaves_no_file(monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(MemoryError):
        Parcel(np.zeros(10))
    assert not files()


def test_a_sender_that_dies_in_between_is_an_end_of_file():
    here, there = multiprocessing.Pipe()
    parcel = Parcel(np.zeros(10))
    here.send(parcel)
    here.close()
    received = there.recv()
    with pytest.raises(EOFError):
        parcels.receive_files(there, received)
    parcel.close()
