"""Training a stack of probes to the end: early stopping for each point, finished points dropped, best states restored.

Castellon et al. 2021 (arXiv 2107.05677): Adam on minibatches; every few steps the metric on all of validation; a point has finished after
so many looks without a strict gain, and is then what it was at its best look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jukemir_like.core.progress import report_progress
from jukemir_like.probes.draws import Draws
from jukemir_like.probes.grid import Point
from jukemir_like.probes.looks import Look
from jukemir_like.probes.stacks import HiddenStack, LinearStack, Stack


@dataclass(frozen=True)
class Material:
    """What a group of points is trained on, standardised or not, on the device.

    Args:
        kind: type of the task.
        train, valid, test: features (n, dimension).
        target: (n, labels) of train, float: one-hot, tags or values.
        look: outputs (points, n, labels) on valid → metric.
    """

    kind: str
    train: Tensor
    valid: Tensor
    test: Tensor
    target: Tensor
    look: Look


@dataclass(frozen=True)
class Trained:
    """One point at its best look.

    Args:
        point: which.
        step: steps before that look; 0 where no look ever gave a number.
        steps: steps in all.
        scores: split → float32 (n, labels), for valid and test.
    """

    point: Point
    step: int
    steps: int
    scores: dict[str, NDArray[np.float32]]


def train(material: Material, points: Sequence[Point], seed: int, evaluate_every: int, patience: int) -> list[Trained]:
    """Trains points of one group side by side; each ends as it would alone (up to rounding in the last place).

    Args:
        material: data.
        points: of one group (:attr:`Point.group`).
        seed: of the run.
        evaluate_every: steps between looks.
        patience: looks without a gain.
    """
    with torch.no_grad():
        return _Training(material, points, seed, evaluate_every, patience).run()


class _Training:
    def __init__(self, material: Material, points: Sequence[Point], seed: int, evaluate_every: int, patience: int):
        self.material, self.points = material, list(points)
        self.evaluate_every, self.patience = evaluate_every, patience
        self.device = material.train.device
        n, dimension = material.train.shape
        self.draws = Draws(seed, points[0], n, dimension)
        kind = HiddenStack if points[0].hidden else LinearStack
        self.stack: Stack = kind(points, material.kind, dimension, material.target.shape[1], self.draws, self.device)
        batch = points[0].batch_size
        pinned = self.device.type == "cuda"
        self.x = torch.empty(batch, dimension, device=self.device)
        self.input_mask = torch.empty(batch, dimension, pin_memory=pinned)
        self.hidden_mask = torch.empty(batch, points[0].hidden, pin_memory=pinned)
        self.steps = 0
        self.best = [(-np.inf, 0, self.stack.state(place)) for place in range(len(points))]
        self.waited = [0] * len(points)

    def run(self) -> list[Trained]:
        alive = list(range(len(self.points)))
        finished: dict[int, int] = {}
        while alive:
            self._to_next_look()
            report_progress()
            values = self.material.look(self.stack.outputs(self.material.valid)).tolist()
            for place, index in enumerate(alive):
                if values[place] > self.best[index][0]:
                    self.best[index] = values[place], self.steps, self.stack.state(place)
                    self.waited[index] = 0
                else:
                    self.waited[index] += 1
            going_on = [place for place, index in enumerate(alive) if self.waited[index] < self.patience]
            if len(going_on) < len(alive):
                finished.update((index, self.steps) for index in alive if self.waited[index] >= self.patience)
                if going_on:
                    self.stack.keep(going_on)
                alive = [alive[place] for place in going_on]
        return [self._trained(index, finished[index]) for index in range(len(self.points))]

    def _to_next_look(self) -> None:
        """The steps until the next look."""
        minibatches = torch.from_numpy(self.draws.rows(self.evaluate_every)).to(self.device)
        for rows, target in zip(minibatches, self.material.target[minibatches], strict=True):
            torch.index_select(self.material.train, 0, rows, out=self.x)
            self.draws.input_mask(self.input_mask.numpy())
            if self.hidden_mask.shape[1]:
                self.draws.hidden_mask(self.hidden_mask.numpy())
            self.stack.step(self.x.mul_(self.input_mask.to(self.device)), target, self.hidden_mask.to(self.device))
        self.steps += self.evaluate_every

    def _trained(self, index: int, steps: int) -> Trained:
        _, step, state = self.best[index]
        splits = {"valid": self.material.valid, "test": self.material.test}
        scores = {split: self.stack.outputs_of(state, x).cpu().numpy() for split, x in splits.items()}
        return Trained(self.points[index], step, steps, scores)
