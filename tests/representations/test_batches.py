"""Batches by memory: a stand-in has room for so many samples and no more, and raises what torch raises."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.core import devices
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.representations.base import Representation, encode
from jukemir_like.representations.batches import BatchSizes


class Room(Representation):
    """Mean of a clip; a batch takes its clips, all as long as the longest."""

    name, sample_rate, dimension, parameters, batch_size = "room", 1000, 1, {"recipe": 1}, 8

    def __init__(self, room, gpus=0, error=torch.OutOfMemoryError):
        self.room, self.gpus, self.error = room, gpus, error
        self.tried = []

    def __call__(self, clips):
        self.tried.append(len(clips))
        self.taken = len(clips) * max(map(len, clips))
        if self.taken > self.room:
            raise self.error("CUDA out of memory")
        return np.array([[clip.mean()] for clip in clips], np.float32)


def clips_of(*lengths):
    return [np.full(length, number, np.float32) for number, length in enumerate(lengths)]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError])
def test_a_batch_without_room_is_halved_and_its_size_is_remembered(error):
    room = Room(200, error=error)
    assert [vector[0] for vector in encode(room, clips_of(*[100] * 8))] == list(range(8))
    assert room.tried == [8, 4, 2, 2, 2, 2]
    encode(room, clips_of(*[100] * 4))
    assert room.tried[6:] == [2, 2]


@pytest.mark.parametrize("error", [MemoryError, lambda text: RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_a_clip_that_does_not_fit_into_this_machine_s_memory_fails_alone_with_one_line(error):
    results = encode(Room(200, error=error), clips_of(100, 900, 100))
    assert str(results.pop(1)) == "is 0.9 s long, for which the memory here has no room"
    assert [vector[0] for vector in results] == [0, 2]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, lambda text: RuntimeError("CUDA error: out of memory\nCUDA kernel errors")])
def test_a_clip_that_does_not_fit_into_the_gpu_is_no_bad_clip(error):
    room = Room(200, gpus=1, error=error)
    with pytest.raises(RequestError, match=r"the GPU has no room for one clip of 0\.9 s by room: choose --precision bf16 or 16"):
        encode(room, clips_of(100, 900, 100))
    assert room.tried == [1, 1]


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronously reported",
        "CUDA error: device-side assert triggered",
        "CUDA error: no kernel image is available for execution on the device",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
        "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle, opa)`",
    ],
)
@pytest.mark.parametrize("batch", [1, 4])
def test_a_gpu_that_fails_ends_the_request_with_one_line_and_is_not_asked_again(text, batch):
    class Broken(Room):
        def __call__(self, clips):
            self.tried.append(len(clips))
            raise RuntimeError(text)

    broken = Broken(1000)
    with pytest.raises(RequestError, match=r"^room: the GPU has failed \(.*\); what is finished is kept: run again") as raised:
        encode(broken, clips_of(*[100] * batch))
    assert "\n" not in str(raised.value)
    assert broken.tried == [batch]


def test_a_gpu_that_fails_when_its_memory_is_given_back_ends_the_request_too(monkeypatch):
    def fail():
        raise RuntimeError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(devices, "release_memory", fail)
    with pytest.raises(RequestError, match=r"room: the GPU has failed \(CUDA error: unspecified launch failure\)"):
        encode(Room(10, gpus=1), clips_of(100))


def test_another_error_of_a_batch_is_still_that_of_its_clip():
    class Picky(Room):
        def __call__(self, clips):
            if any(len(clip) == 7 for clip in clips):
                raise InputError("is seven samples long")
            return super().__call__(clips)

    results = encode(Picky(200), clips_of(100, 7, 100))
    assert [isinstance(result, InputError) for result in results] == [False, True, False]


@given(st.lists(st.integers(1, 50), max_size=20), st.integers(1, 400), st.integers(0, 1))
def test_every_clip_has_its_own_vector_or_is_too_long(lengths, room, gpus):
    results = encode(Room(room, gpus, MemoryError), clips_of(*lengths))
    assert len(results) == len(lengths)
    for number, (length, result) in enumerate(zip(lengths, results, strict=True)):
        assert isinstance(result, InputError) if length > room else result[0] == number


@pytest.fixture
def memory(monkeypatch):
    """A GPU with room for 1,000 samples that says how much a batch has taken; none before the first batch."""

    class Memory:
        free = 1000

        def __init__(self, room):
            self.taken = lambda: room.taken

    def fake(room):
        monkeypatch.setattr(devices, "gpu_memory", lambda: Memory(room) if room.tried else None)

    return fake


def test_on_a_gpu_batches_grow_to_what_there_is_room_for(memory):
    room = Room(1000, gpus=1)
    memory(room)
    for _ in range(4):
        encode(room, clips_of(*[100] * 16))
    assert room.tried[:5] == [1, 1, 4, 7, 3]
    assert max(room.tried) == 7
    encode(room, clips_of(*[50] * 16))
    assert room.tried[-2:] == [14, 2]


def test_what_was_too_much_is_not_tried_again_whatever_is_measured(memory):
    room = Room(300, gpus=1)
    memory(room)
    for _ in range(4):
        encode(room, clips_of(*[100] * 16))
    assert room.tried[:4] == [1, 1, 4, 2]
    assert set(room.tried[4:]) == {2}


def test_all_clips_are_one_batch_where_nothing_is_known():
    assert BatchSizes().count([1, 2, 3]) == 3
    assert BatchSizes(on_gpu=True).count([1, 2, 3]) == 1
