"""Chunks and their batches; the vectors themselves are compared in the tests of inference."""

import numpy as np

from jukemir_like.stemjepa import pooling


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
