"""Pools against NumPy on the whole, wherever the chunks end."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.core.cache import POOLS
from jukemir_like.core.errors import InputError
from jukemir_like.representations.pooling import make_pool, pooled_dimension

BY_NUMPY = {
    "mean": lambda frames: frames.mean(axis=0, dtype=np.float64),
    "mean+std": lambda frames: np.concatenate([frames.mean(axis=0, dtype=np.float64), frames.std(axis=0, dtype=np.float64)]),
    "max": lambda frames: frames.max(axis=0),
}


@given(st.sampled_from(POOLS), st.integers(1, 60), st.lists(st.integers(0, 60), max_size=5), st.integers(0, 99))
def test_a_pool_of_chunks_is_that_of_all_frames(name, length, cuts, seed):
    frames = (np.random.default_rng(seed).standard_normal((length, 3)) * 10 + 1000).astype(np.float32)
    pool = make_pool(name)
    for chunk in np.split(frames, sorted(min(cut, length) for cut in cuts)):
        pool.add(chunk)
    expected = BY_NUMPY[name](frames)
    np.testing.assert_allclose(pool.vector(), expected, rtol=2e-6, atol=2e-5)
    assert pool.vector().dtype == np.float32
    assert len(pool.vector()) == pooled_dimension(name, 3) == len(expected)
    assert pool.frames == length


def test_frames_of_torch_are_pooled_alike():
    import torch

    frames = np.random.default_rng(0).standard_normal((7, 2)).astype(np.float32)
    for name in POOLS:
        ours, of_torch = make_pool(name), make_pool(name)
        ours.add(frames)
        of_torch.add(torch.from_numpy(frames))
        np.testing.assert_array_equal(ours.vector(), of_torch.vector())


def test_without_a_frame_there_is_no_vector():
    pool = make_pool("mean")
    pool.add(np.empty((0, 3), np.float32))
    with pytest.raises(InputError, match="is too short for one frame"):
        pool.vector()
