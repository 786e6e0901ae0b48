"""Batches by memory: a stand-in has room for so many samples and no more, and raises what torch raises."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.core import devices
from jukemir_like.core.errors import InputError
from jukemir_like.extract import extract
from jukemir_like.representations import base
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


def test_a_clip_that_does_not_fit_alone_fails_alone_with_one_line():
    room = Room(200)
    results = encode(room, clips_of(100, 900, 100))
    assert str(results.pop(1)) == "is 0.9 s long, for which the memory here has no room"
    assert [vector[0] for vector in results] == [0, 2]
    (error,) = encode(Room(10, gpus=1), clips_of(100))
    assert isinstance(error, InputError)
    assert str(error) == "is 0.1 s long, for which the memory of the GPU has no room"


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
    results = encode(Room(room, gpus), clips_of(*lengths))
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


def test_there_are_as_many_workers_as_gpus(monkeypatch, tmp_path, write_audio):
    for number in range(3):
        write_audio(tmp_path / "in" / f"{number}.wav", seconds=0.1, sample_rate=1000)
    asked = []
    monkeypatch.setattr("jukemir_like.core.resumable.map_unordered", lambda work, chunks, workers: asked.append(workers) or iter(()))
    for gpus, workers in ((0, 3), (1, 3), (2, 3), (2, 1)):
        monkeypatch.setattr(base, "load", lambda name, gpus=gpus, **options: Room(1000, gpus))
        monkeypatch.setattr("jukemir_like.representations.load", lambda name, gpus=gpus, **options: Room(1000, gpus))
        extract("room", tmp_path / "in", tmp_path / "out", workers=workers)
    assert asked[::2] == [3, 1, 2, 1]
