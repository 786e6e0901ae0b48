"""Chunks and their batches; the vectors themselves are compared in the tests of inference."""

import numpy as np
import pytest
import torch

from jukemir_like.stemjepa import config, pooling


def test_chunks_wait_for_company_in_bounded_number_and_none_is_lost():
    random = np.random.default_rng(1)
    chunks = [pooling.Chunk(number, np.zeros(length), 1) for number, length in enumerate(random.integers(1, 60, 3000))]
    taken = 0

    def counted():
        nonlocal taken
        for chunk in chunks:
            taken += 1
            yield chunk

    given = []
    for batch in pooling.batch_by_length(counted(), 8):
        assert len({len(chunk.samples) for chunk in batch}) == 1
        assert len(batch) <= 8
        given += [chunk.clip for chunk in batch]
        assert taken - len(given) < 32
    assert sorted(given) == list(range(3000))


def test_lengths_of_the_same_kind_fill_batches():
    chunks = [pooling.Chunk(0, np.zeros(10), 1) for _ in range(20)]
    assert [len(batch) for batch in pooling.batch_by_length(chunks, 8)] == [8, 8, 4]


def test_a_batch_without_room_is_encoded_in_halves():
    model = config.Model(encoder=config.Encoder("tiny"))
    patches = model.bands * model.steps
    sizes = []

    def encode(waveforms, clips):
        sizes.append(len(clips))
        if len(clips) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [waveforms.mean(1)[:, None, None].expand(-1, patches, model.encoder.width) + torch.tensor(clips)[:, None, None]]

    clips = [np.full(model.chunk_samples, number, np.float32) for number in range(7)]
    vectors = pooling.pool_clips(clips, encode, model, batch_size=8, device=torch.device("cpu"))
    np.testing.assert_allclose(vectors[:, 0], np.repeat(2 * np.arange(7.0)[:, None], model.dimension, 1), rtol=1e-6)
    assert sizes == [7, 3, 1, 2, 4, 2, 2]


def test_a_chunk_without_room_is_an_error():
    def encode(waveforms, clips):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        pooling.encode_in_parts(encode, torch.zeros(2, 3), [0, 1])
