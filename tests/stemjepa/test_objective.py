"""Objectives against closed forms and plain versions."""

import math

import pytest
import torch

from jukemir_like.stemjepa.objective import contrastive, predictive


def generator():
    return torch.Generator().manual_seed(0)


def standardised(target):
    return (target - target.mean(-1, keepdim=True)) / (target.var(-1, keepdim=True) + 1e-6).sqrt()


def test_a_right_direction_costs_nothing_the_opposite_four_and_an_orthogonal_one_two():
    target = torch.randn(3, 5, 16, generator=generator())
    right = standardised(target)
    assert predictive(7 * right, target).numpy() == pytest.approx([0, 0, 0], abs=1e-6)
    assert predictive(-right, target).numpy() == pytest.approx([4, 4, 4], abs=1e-6)
    # A vector of equal entries is orthogonal to whatever has mean zero.
    assert predictive(torch.ones_like(target), target).numpy() == pytest.approx([2, 2, 2], abs=1e-5)


def test_it_is_the_squared_distance_of_unit_vectors():
    prediction, target = torch.randn(2, 4, 6, 16, generator=generator())
    unit = torch.nn.functional.normalize
    expected = (unit(prediction, dim=-1) - unit(standardised(target), dim=-1)).square().sum(-1).mean(-1)
    torch.testing.assert_close(predictive(prediction, target), expected)


def test_shift_and_scale_of_a_target_patch_do_not_matter():
    prediction, target = torch.randn(2, 4, 6, 16, generator=generator())
    torch.testing.assert_close(predictive(prediction, 3 * target + 5), predictive(prediction, target), rtol=1e-4, atol=1e-5)


def test_no_gradient_reaches_the_target():
    prediction, target = (torch.randn(2, 3, 8, requires_grad=True) for _ in range(2))
    predictive(prediction, target).sum().backward()
    assert prediction.grad.abs().sum() > 0
    assert target.grad is None


def test_the_contrastive_loss_is_ln_of_the_batch_where_all_are_alike():
    ones = torch.ones(8, 4)
    assert contrastive(ones, ones, 0.1).numpy() == pytest.approx([math.log(8)] * 8, rel=1e-6)


def test_orthogonal_pairs_have_the_closed_form():
    """Own cosine 1, all others 0: −1/T + ln(e^{1/T} + n − 1)."""
    eye = torch.eye(6)
    expected = -2 + math.log(math.exp(2) + 5)
    assert contrastive(3 * eye, eye, 0.5).numpy() == pytest.approx([expected] * 6, rel=1e-6)


def test_the_contrastive_loss_is_its_plain_version():
    query, key = torch.randn(2, 5, 8, generator=generator())
    forbidden = torch.zeros(5, 5, dtype=torch.bool)
    forbidden[0, 3] = forbidden[3, 0] = True
    cosine = torch.nn.functional.cosine_similarity(query[:, None], key[None], dim=-1) / 0.2
    for own in range(5):
        others = [j for j in range(5) if not (forbidden[own, j] and own != j)]
        forth = -cosine[own, own] + torch.logsumexp(cosine[own, others], 0)
        back = -cosine[own, own] + torch.logsumexp(cosine[others, own], 0)
        assert contrastive(query, key, 0.2, forbidden)[own] == pytest.approx(float(forth + back) / 2, rel=1e-5)


def test_a_forbidden_own_pair_is_still_the_right_answer():
    query = torch.randn(4, 8, generator=generator())
    everything = torch.ones(4, 4, dtype=torch.bool)
    assert contrastive(query, query, 0.1, everything).numpy() == pytest.approx([0] * 4, abs=1e-6)
