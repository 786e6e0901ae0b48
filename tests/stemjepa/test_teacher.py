import pytest
import torch
from torch import nn

from jukemir_like.stemjepa import teacher


def nets():
    torch.manual_seed(0)
    student = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    other = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    return student, teacher.of(other)


@pytest.mark.parametrize("tau", [0.0, 0.3, 0.99995, 1.0])
def test_an_update_is_the_formula(tau):
    student, target = nets()
    expected = [tau * t + (1 - tau) * s for t, s in zip(target.parameters(), student.parameters(), strict=True)]
    teacher.update(target, student, tau)
    for new, formula in zip(target.parameters(), expected, strict=True):
        torch.testing.assert_close(new, formula)


def test_the_student_is_left_alone_and_the_teacher_has_no_gradient():
    student, target = nets()
    before = [parameter.clone() for parameter in student.parameters()]
    teacher.update(target, student, 0.5)
    assert all(torch.equal(a, b) for a, b in zip(before, student.parameters(), strict=True))
    assert not any(parameter.requires_grad for parameter in target.parameters())


def test_after_a_half_life_half_of_the_teacher_is_new():
    old, tau = 1.0, teacher.tau_by_half_life(40)
    for _ in range(40):
        old *= tau
    assert old == pytest.approx(0.5)
    assert teacher.tau_by_half_life(0) == 0


def test_the_papers_schedule_is_a_line():
    taus = [teacher.tau_linear(step, 100) for step in (0, 50, 100, 150)]
    assert taus == pytest.approx([0.99995, 0.99997, 0.99999, 0.99999], abs=1e-9)
