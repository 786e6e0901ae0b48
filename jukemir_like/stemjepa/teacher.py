"""The target encoder: an exponential moving average of the encoder."""

from __future__ import annotations

import copy

import torch
from torch import nn


def of(student: nn.Module) -> nn.Module:
    """A copy of ``student`` that no gradient reaches."""
    teacher = copy.deepcopy(student)
    return teacher.requires_grad_(False)


@torch.no_grad()
def update(teacher: nn.Module, student: nn.Module, tau: float) -> None:
    """target ← τ · target + (1 − τ) · online, for all parameters in one fused operation."""
    torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - tau)


def tau_by_half_life(half_life_steps: float) -> float:
    """τ with which half of the teacher is younger than ``half_life_steps`` updates. 0: the teacher is the student."""
    return float(0.5 ** (1 / half_life_steps)) if half_life_steps > 0 else 0.0


def tau_linear(step: int, max_steps: int, first: float = 0.99995, last: float = 0.99999) -> float:
    """τ that goes evenly from ``first`` to ``last`` over a run (the paper's schedule)."""
    return first + (last - first) * min(step / max(max_steps, 1), 1.0)
