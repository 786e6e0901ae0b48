"""Learning rate, phase, τ and what is due, at every step in closed form: a run that is resumed needs to know its step only.

Steps are optimiser steps, counted from 0: update ``step`` is the one that leads from ``step`` to ``step + 1`` updates done.
"""

from __future__ import annotations

import math

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import model
from jukemir_like.stemjepa.settings import Training


def check_phases(settings: Training) -> None:
    """Checks that warm-up and contrastive phase fit into the run.

    Raises:
        RequestError: one of them is negative or longer than the run.
    """
    steps = settings.trainer.max_steps
    for option, value in (
        ("optimiser.warmup_steps", settings.optimiser.warmup_steps),
        ("objective.contrastive_steps", settings.objective.contrastive_steps),
    ):
        if not 0 <= value <= steps:
            raise RequestError(f"{option} {value}: make it 0 to trainer.max_steps, {steps}")


def learning_rate(settings: Training, step: int) -> float:
    """Learning rate of update ``step``: a linear rise over the warm-up, then half a cosine that reaches 0 at ``max_steps``.

    Its highest value scales with the batch: ``lr`` × ``batch_size`` / ``reference_batch_size``.

    >>> settings = Training.from_dict({"optimiser": {"lr": 1e-3, "warmup_steps": 10}, "trainer": {"max_steps": 100}})
    >>> [round(learning_rate(settings, step), 6) for step in (0, 9, 55, 100)]
    [0.0001, 0.001, 0.0005, 0.0]
    """
    optimiser = settings.optimiser
    highest = optimiser.lr * settings.data.dataloader.batch_size / optimiser.reference_batch_size
    if step < optimiser.warmup_steps:
        return highest * (step + 1) / optimiser.warmup_steps
    fraction = (step - optimiser.warmup_steps) / max(settings.trainer.max_steps - optimiser.warmup_steps, 1)
    return highest * 0.5 * (1 + math.cos(math.pi * min(fraction, 1.0)))


def is_contrastive(settings: Training, step: int) -> bool:
    """Whether step ``step`` is in the contrastive first phase.

    >>> settings = Training.from_dict({"objective": {"contrastive_steps": 700}})
    >>> is_contrastive(settings, 699), is_contrastive(settings, 700)
    (True, False)
    """
    return step < settings.objective.contrastive_steps


def tau(settings: Training, step: int) -> float:
    """τ of the teacher's update after step ``step``.

    It is 0 in the contrastive phase: there the encoder is its own teacher, and the teacher a copy of it.

    >>> settings = Training.from_dict({"objective": {"contrastive_steps": 700, "tau_half_life_steps": 50.0}})
    >>> tau(settings, 699), round(tau(settings, 700) ** 50, 6)
    (0.0, 0.5)
    """
    objective = settings.objective
    if is_contrastive(settings, step):
        return 0.0
    if objective.tau_half_life_steps is not None:
        return model.tau_by_half_life(objective.tau_half_life_steps)
    first = objective.contrastive_steps
    return model.tau_linear(step - first, settings.trainer.max_steps - first, objective.tau_first, objective.tau_last)


def is_due(settings: Training, done: int, every: int) -> bool:
    """Whether something that is done every ``every`` steps is due when ``done`` steps are done.

    After the last step everything is due; with ``every`` of 0 or less, then only.

    >>> settings = Training.from_dict({"trainer": {"max_steps": 5}})
    >>> [done for done in range(1, 6) if is_due(settings, done, 2)], [done for done in range(1, 6) if is_due(settings, done, 0)]
    ([2, 4, 5], [5])
    """
    return done == settings.trainer.max_steps or (every > 0 and done % every == 0)
