import pytest
import torch

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.training import schedule


def test_learning_rate_is_that_of_torchs_schedulers(settings):
    run = settings({"trainer.max_steps": 50, "optimiser.warmup_steps": 8, "data.dataloader.batch_size": 64, "optimiser.lr": 0.02})
    highest = 0.02 * 64 / 256
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=highest)
    rise = torch.optim.lr_scheduler.LinearLR(optimiser, start_factor=1 / 8, total_iters=7)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=42)
    both = torch.optim.lr_scheduler.SequentialLR(optimiser, [rise, fall], milestones=[8])
    for step in range(50):
        assert schedule.learning_rate(run, step) == pytest.approx(optimiser.param_groups[0]["lr"], abs=1e-12), step
        optimiser.step()
        both.step()
    assert schedule.learning_rate(run, 50) == pytest.approx(0, abs=1e-12)
    assert schedule.learning_rate(run, 7) == highest


def test_learning_rate_without_warm_up_begins_at_its_highest(settings):
    run = settings({"optimiser.warmup_steps": 0, "data.dataloader.batch_size": 256, "optimiser.lr": 1e-3})
    assert schedule.learning_rate(run, 0) == pytest.approx(1e-3)


def test_half_of_the_teacher_is_younger_than_the_half_life(settings):
    run = settings({"objective.contrastive_steps": 3, "objective.tau_half_life_steps": 20.0, "trainer.max_steps": 100})
    assert [schedule.tau(run, step) for step in range(3)] == [0, 0, 0]
    assert schedule.tau(run, 3) ** 20 == pytest.approx(0.5)


def test_linear_tau_counts_from_the_end_of_the_contrastive_phase(settings):
    run = settings({"objective.contrastive_steps": 10, "objective.tau_half_life_steps": None, "trainer.max_steps": 110})
    assert schedule.tau(run, 9) == 0
    assert schedule.tau(run, 10) == 0.99995
    assert schedule.tau(run, 60) == pytest.approx(0.99997)
    assert schedule.tau(run, 110) == pytest.approx(0.99999)


@pytest.mark.parametrize("option", ["optimiser.warmup_steps", "objective.contrastive_steps"])
@pytest.mark.parametrize("value", [-1, 6])
def test_a_phase_that_does_not_fit_into_the_run_is_refused(settings, option, value):
    with pytest.raises(RequestError, match=f"^{option} {value}: "):
        schedule.check_phases(settings({option: value}))
