import math

import numpy as np
import pytest
import torch

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.settings import Training
from jukemir_like.stemjepa.training.track_contrast import track_loss


def slow_track_loss(mix, stem, track, temperature):
    """In float64, a number at a time."""
    mix, stem = mix - mix.mean(0), stem - stem.mean(0)
    losses = []
    for i in range(len(track)):
        of_candidates = []
        for candidates in (mix, stem):
            cosines = [mix[i] @ other / np.linalg.norm(mix[i]) / np.linalg.norm(other) / temperature for other in candidates]
            total = sum(math.exp(cosine) for j, cosine in enumerate(cosines) if j != i)
            surprises = [-math.log(math.exp(cosines[j]) / total) for j in range(len(track)) if j != i and track[j] == track[i]]
            of_candidates.append(sum(surprises) / len(surprises) if surprises else 0.0)
        losses.append(sum(of_candidates) / 2)
    return losses


@pytest.mark.parametrize("track", [[0, 0, 1, 1, 2, 2], [0, 1, 1, 1, 0, 3], [0, 1, 2, 3, 4, 5], [7, 7, 7, 7, 7, 7]])
def test_it_is_the_mean_cross_entropy_over_the_other_chunks_of_the_track(track):
    random = np.random.default_rng(sum(track))
    mix, stem = random.normal(1, 1, (6, 5)), random.normal(-1, 2, (6, 5))
    found = track_loss(*(torch.from_numpy(part) for part in (mix, stem)), torch.tensor(track), 0.3)
    assert found.tolist() == pytest.approx(slow_track_loss(mix, stem, track, 0.3), abs=1e-5)


def test_what_is_alike_by_track_has_less_loss_and_gradients_are_finite():
    random = torch.Generator().manual_seed(0)
    track = torch.arange(8) // 2
    noise = torch.randn(8, 16, generator=random)
    style = torch.randn(4, 16, generator=random)[track]
    alike, unlike = (track_loss(noise + size * style, noise + size * style, track, 0.1).mean() for size in (3, 0))
    assert alike < 0.5 * unlike
    single = noise.clone().requires_grad_()
    loss = track_loss(single, noise, torch.tensor([0, 0, 1, 2, 3, 4, 5, 6]), 0.1)
    loss.mean().backward()
    assert torch.count_nonzero(loss) == 2
    assert torch.isfinite(single.grad).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {}}, "data.chunks_per_track=2"),
        ({"data": {"chunks_per_track": 3}}, "it must divide the batch"),
        ({"data": {"chunks_per_track": 2}, "objective": {"track_weight": -1.0}}, "0 or above"),
        ({"data": {"chunks_per_track": 2}, "objective": {"track_weight": 1.0}}, "without a contrastive term"),
        ({"data": {"chunks_per_track": 2, "dataloader": {"batch_size": 6}}, "trainer": {"accumulate": 2}}, "it must divide the batch"),
    ],
)
def test_settings_that_it_cannot_work_with_are_refused(changes, message):
    values = {"objective": {"track_weight": 1.0, "contrastive_steps": 5}} | changes
    with pytest.raises(RequestError, match=message):
        Training.from_dict(values)
