"""Learning rate, phase and τ at every step, in closed form: a run that goes on needs to know nothing but its step.

Steps are optimiser steps, counted from 0.
"""

from __future__ import annotations

import math

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import model
from jukemir_like.stemjepa.settings import Training


def check(settings: Training) -> None:
    """Raises :class:`RequestError` where phases do not fit into the run."""
    steps = settings.trainer.max_steps
    for option, value in (
        ("optimiser.warmup_steps", settings.optimiser.warmup_steps),
        ("objective.contrastive_steps", settings.objective.contrastive_steps),
    ):
        if not 0 <= value <= steps:
            raise RequestError(f"{option} {value}: make it 0 to trainer.max_steps, {steps}")


def learning_rate(settings: Training, step: int) -> float:
    """The rate of update ``step``: a linear rise over the warm-up, then half a cosine that reaches 0 at ``max_steps``.

    It scales with the batch: ``lr`` × ``batch_size`` / ``reference_batch_size`` at its highest.
    """
    optimiser = settings.optimiser
    highest = optimiser.lr * settings.data.dataloader.batch_size / optimiser.reference_batch_size
    if step < optimiser.warmup_steps:
        return highest * (step + 1) / optimiser.warmup_steps
    done = (step - optimiser.warmup_steps) / max(settings.trainer.max_steps - optimiser.warmup_steps, 1)
    return highest * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def is_contrastive(settings: Training, step: int) -> bool:
    """Whether step ``step`` is of the contrastive first phase."""
    return step < settings.objective.contrastive_steps


def tau(settings: Training, step: int) -> float:
    """τ of the teacher's update after step ``step``; 0, a copy, in the contrastive phase, whose encoder is its own teacher."""
    objective = settings.objective
    if is_contrastive(settings, step):
        return 0.0
    if objective.tau_half_life_steps is not None:
        return model.tau_by_half_life(objective.tau_half_life_steps)
    first = objective.contrastive_steps
    return model.tau_linear(step - first, settings.trainer.max_steps - first, objective.tau_first, objective.tau_last)
