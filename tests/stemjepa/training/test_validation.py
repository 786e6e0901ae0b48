import math

import numpy as np
import pytest
import torch

from jukemir_like.audio.stems.finding import find
from jukemir_like.stemjepa.training import validation


def draw(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape)).float()


def test_spread_is_one_for_random_directions_and_zero_for_equal_ones():
    assert validation.spread(draw(2000, 64)).item() == pytest.approx(1, abs=0.02)
    assert validation.spread(draw(1, 64).expand(10, 64) * torch.arange(1, 11)[:, None]).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("shape", [(12, 40), (40, 12)])
def test_effective_rank_is_the_exponential_entropy_of_numpys_singular_values(shape):
    vectors = draw(*shape)
    singular = np.linalg.svd(vectors.double().numpy(), compute_uv=False)
    shares = singular / singular.sum()
    assert validation.effective_rank(vectors).item() == pytest.approx(math.exp(-(shares * np.log(shares)).sum()), rel=1e-6)


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_effective_rank_counts_equal_orthogonal_directions(rank):
    basis = torch.linalg.qr(draw(16, 16))[0][:rank]
    assert validation.effective_rank(basis.repeat(5, 1)).item() == pytest.approx(rank, rel=1e-4)


def test_effective_rank_of_nothing_is_finite():
    assert math.isfinite(validation.effective_rank(torch.zeros(4, 8)).item())


def test_likeness_is_the_mean_cosine():
    one = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    other = torch.tensor([[[3.0, 0.0], [5.0, 0.0]]])
    assert validation.mean_cosine(one, other).item() == pytest.approx(0.5)


def test_a_track_that_cannot_be_read_is_a_reason_and_no_error(write, folder, noise):
    write("a.wav", noise(16000 * 40), 16000)
    write("b.wav", noise(16000), 16000)
    tracks = find(folder, 4).tracks
    (folder / "b.wav").unlink()
    beginnings = validation.Beginnings(tracks, 16000)
    assert len(beginnings) == 2
    assert beginnings[0].shape == (4, 32 * 16000)
    assert isinstance(beginnings[1], str)
