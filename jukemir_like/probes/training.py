"""Training of a stack of probes: early stopping for each point, finished points dropped, best weights restored.

Castellon et al. 2021 (arXiv 2107.05677): Adam on minibatches; every few steps the metric on all of validation; a point stops after a number
of evaluations without a strict gain, and its result is that of its best evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jukemir_like.core.progress import report_progress
from jukemir_like.datasets import Task
from jukemir_like.probes import chunked_features, tempo
from jukemir_like.probes.chunked_features import Features
from jukemir_like.probes.metrics import mirex_table
from jukemir_like.probes.protocols import Point
from jukemir_like.probes.songs import Songs
from jukemir_like.probes.stacks import HiddenStack, LinearStack, RandomStreams, Stack

_BLOCK_BYTES = 32 << 20  # of masks that are copied to a GPU at once

Evaluation = Callable[[Tensor], Tensor]
"""Outputs (points, n, labels) on validation → metric (points,), float64."""


@dataclass(frozen=True)
class TrainingData:
    """What a group of points is trained on, standardised or not, on the device.

    Args:
        kind: type of the task.
        train, valid, test: features (n, dimension).
        target: (n, labels) of train, float: one-hot, tags or values.
        evaluation: outputs on valid → metric, see :func:`validation_metric`.
    """

    kind: str
    train: Features
    valid: Features
    test: Features
    target: Tensor
    evaluation: Evaluation


@dataclass(frozen=True)
class TrainedPoint:
    """One point at its best evaluation.

    Args:
        point: which.
        step: steps before that evaluation; 0 where no evaluation gave a number.
        steps: steps in all.
        scores: split → float32 (n, labels), for valid and test.
    """

    point: Point
    step: int
    steps: int
    scores: dict[str, NDArray[np.float32]]


def train(data: TrainingData, points: Sequence[Point], seed: int, evaluate_every: int, patience: int) -> list[TrainedPoint]:
    """Trains points of one group side by side; each ends as it would alone (up to rounding in the last place).

    Args:
        data: features, targets and the metric.
        points: of one group (:attr:`Point.group`).
        seed: of the run.
        evaluate_every: steps between evaluations.
        patience: evaluations without a gain.
    """
    with torch.no_grad():
        return _Training(data, points, seed, evaluate_every, patience).run()


class _Training:
    def __init__(self, data: TrainingData, points: Sequence[Point], seed: int, evaluate_every: int, patience: int):
        self.data, self.points = data, list(points)
        self.evaluate_every, self.patience = evaluate_every, patience
        self.device = data.target.device
        n, dimension = data.train.shape
        self.random = RandomStreams(seed, points[0], n, dimension)
        kind = HiddenStack if points[0].hidden else LinearStack
        self.stack: Stack = kind(points, data.kind, dimension, data.target.shape[1], self.random, self.device)
        batch = points[0].batch_size
        self.x = torch.empty(batch, dimension, device=self.device)
        self.masks = Masks(self.random, (batch, dimension), (batch, points[0].hidden), self.device)
        self.steps = 0
        self.best = [(-np.inf, 0, self.stack.state(index)) for index in range(len(points))]
        self.evaluations_without_gain = [0] * len(points)

    def run(self) -> list[TrainedPoint]:
        active = list(range(len(self.points)))  # the point at each index of the stack
        steps: dict[int, int] = {}
        while active:
            self._train_until_evaluation()
            report_progress()
            values = self.data.evaluation(chunked_features.outputs(self.stack.outputs, self.data.valid)).tolist()
            for index, point in enumerate(active):
                if values[index] > self.best[point][0]:
                    self.best[point] = values[index], self.steps, self.stack.state(index)
                    self.evaluations_without_gain[point] = 0
                else:
                    self.evaluations_without_gain[point] += 1
            remaining = [index for index, point in enumerate(active) if self.evaluations_without_gain[point] < self.patience]
            if len(remaining) < len(active):
                steps.update((point, self.steps) for point in active if self.evaluations_without_gain[point] >= self.patience)
                if remaining:
                    self.stack.keep(remaining)
                active = [active[index] for index in remaining]
        return [self._trained(point, steps[point]) for point in range(len(self.points))]

    def _train_until_evaluation(self) -> None:
        minibatches = torch.from_numpy(self.random.minibatches(self.evaluate_every)).to(self.device)
        targets, masks = self.data.target[minibatches], self.masks(self.evaluate_every)
        for rows, target, (input_mask, hidden_mask) in zip(minibatches, targets, masks, strict=True):
            chunked_features.take(self.data.train, rows, self.x)
            self.stack.step(self.x.mul_(input_mask), target, hidden_mask)
        self.steps += self.evaluate_every

    def _trained(self, point: int, steps: int) -> TrainedPoint:
        _, step, state = self.best[point]
        splits = {"valid": self.data.valid, "test": self.data.test}
        outputs_of = partial(self.stack.outputs_of, state)
        scores = {split: chunked_features.outputs(outputs_of, features).cpu().numpy() for split, features in splits.items()}
        return TrainedPoint(self.points[point], step, steps, scores)


class Masks:
    """Dropout masks of the next steps, on the device.

    A GPU gets them for many steps in one copy, and computes the steps before while they are sampled and copied. On a processor they are
    sampled step by step, into the same memory, which stays in its cache.

    Args:
        random: gives the masks.
        inputs, hidden: their shapes, ``(batch, dimension)`` and ``(batch, hidden)``.
        device: where they are used.
        ahead: sample and copy for several steps at once; None: unless ``device`` is a processor.
    """

    def __init__(
        self, random: RandomStreams, inputs: tuple[int, int], hidden: tuple[int, int], device: torch.device, *, ahead: bool | None = None
    ):
        self.random, self.device = random, device
        self.ahead = device.type != "cpu" if ahead is None else ahead
        step_bytes = 4 * (inputs[0] * inputs[1] + hidden[0] * hidden[1])
        self._block = max(1, _BLOCK_BYTES // step_bytes) if self.ahead else 1
        pinned = device.type == "cuda"
        # Two blocks in turn: the one is filled while the other is copied.
        self._blocks = [
            tuple(torch.empty(self._block, *shape, pin_memory=pinned) for shape in (inputs, hidden)) for _ in range(2 if self.ahead else 1)
        ]
        self._copied: list[torch.cuda.Event | None] = [None] * len(self._blocks)
        self._turn = 0

    def __call__(self, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The masks of inputs and hidden layer, for each of the next steps; valid until the next are asked for."""
        for start in range(0, steps, self._block):
            yield from zip(*self._next(min(self._block, steps - start)), strict=True)

    def _next(self, steps: int) -> tuple[Tensor, Tensor]:
        turn, self._turn = self._turn, (self._turn + 1) % len(self._blocks)
        copied = self._copied[turn]
        if copied is not None:
            copied.synchronize()
        inputs, hidden = (block[:steps] for block in self._blocks[turn])
        for step in range(steps):
            self.random.input_mask(inputs[step].numpy())
            if hidden.shape[2]:
                self.random.hidden_mask(hidden[step].numpy())
        if not self.ahead:
            return inputs, hidden
        inputs, hidden = (block.to(self.device, non_blocking=True, copy=True) for block in (inputs, hidden))
        if self.device.type == "cuda":
            self._copied[turn] = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._copied[turn].record()  # type: ignore[union-attr]
        return inputs, hidden


def validation_metric(task: Task, y: np.ndarray, songs: Songs | None, device: torch.device) -> Evaluation:
    """The primary metric of many points at once, on the device where their outputs are; NaN where outputs are not finite.

    Equal to :func:`jukemir_like.probes.metrics.primary_metric`. For songs: the best of the four rules, as it will be reported.

    Args:
        task: what is probed.
        y: validation labels, as in ``predictions.npz``.
        songs: which clips belong to which song, where songs are scored.
        device: where the outputs will be.
    """
    if task.type == "regression":
        metric = _r2(torch.from_numpy(y).to(device))
    elif task.type == "multilabel":
        metric = _roc_auc(torch.from_numpy(y).to(device))
    elif task.type == "tempo":
        credit = torch.from_numpy(tempo.credit(y, task.labels, task.primary_metric)).to(device)
        metric = _mean_credit(torch.arange(len(y), device=device), credit)
    elif task.type == "multiclass":
        metric = _mean_credit(torch.from_numpy(y).to(device), torch.eye(len(task.labels), dtype=torch.float64, device=device))
    else:
        credit = torch.from_numpy(mirex_table(task.labels)).to(device)
        metric = _mean_credit(torch.from_numpy(y if songs is None else songs.per_song(y)).to(device), credit)
        if songs is not None:
            metric = _best_rule(metric, songs, device)

    def finite_or_nan(outputs: Tensor) -> Tensor:
        finite = torch.isfinite(outputs.sum((1, 2), dtype=torch.float64))
        return torch.where(finite, metric(torch.where(finite[:, None, None], outputs, 0)), torch.nan)

    return finite_or_nan


def _mean_credit(y: Tensor, table: Tensor) -> Evaluation:
    """Mean of ``table[y, estimate]``; accuracy where the table is the unit matrix."""
    # As integers, tenths add up exactly in any order.
    rows = (table * 10).round().long()[y]

    def metric(outputs: Tensor) -> Tensor:
        estimates = outputs.argmax(2)
        return rows.expand(len(outputs), -1, -1).gather(2, estimates[..., None]).sum((1, 2)).double() / (10 * len(y))

    return metric


def _best_rule(metric: Evaluation, songs: Songs, device: torch.device) -> Evaluation:
    table, present = torch.from_numpy(songs.clips).to(device), torch.from_numpy(songs.present).to(device)[..., None]

    def best(outputs: Tensor) -> Tensor:
        clips = outputs[:, table]  # (points, songs, clips, labels)
        votes = torch.nn.functional.one_hot(clips.argmax(3), clips.shape[3]) * present
        rules = votes.sum(2), clips.amax(2), (clips * present).double().sum(2) / present.sum(1), _mean_probability(clips, present)
        return torch.stack([metric(scores) for scores in rules]).amax(0)

    return best


def _mean_probability(clips: Tensor, present: Tensor) -> Tensor:
    return (clips.double().softmax(3) * present).sum(2) / present.sum(1)


def _r2(y: Tensor) -> Evaluation:
    total = ((y - y.mean(0)) ** 2).sum(0)

    def metric(outputs: Tensor) -> Tensor:
        return (1 - ((y - outputs) ** 2).sum(1) / total).mean(1)

    return metric


def _roc_auc(y: Tensor) -> Evaluation:
    """Mann-Whitney statistics from one sort of all columns: keys hold the score's order above the label's bit.

    In a column sorted upwards each positive counts the negatives before it. Among equal scores negatives come first, and are counted
    in full. Where there are such ties, a second sort with positives first counts none of them, and half of the sum of both is right.
    """
    keep = y.any(0) & (~y).any(0)
    positive = y[:, keep].T.contiguous().long()
    pairs = (positive.sum(1) * (1 - positive).sum(1)).double()

    def metric(outputs: Tensor) -> Tensor:
        scores = (outputs[:, :, keep].transpose(1, 2).float() + 0.0).contiguous()  # + 0.0 turns -0.0 into 0.0
        # The bits of a float32, read as an integer, have the order of the numbers once those of negative numbers are flipped.
        bits = scores.view(torch.int32)
        order = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).long() * 2
        keys = _sorted(order + positive)
        won = _negatives_before(keys, 1)
        tied = ((keys[..., 1:] - keys[..., :-1] == 1) & (keys[..., 1:] & 1 == 1)).any(-1)
        if tied.any():
            positives_first = _sorted((order + (1 - positive))[tied])
            won[tied] = (won[tied] + _negatives_before(positives_first, 0)) / 2
        return (won / pairs).mean(1)

    return metric


def _negatives_before(keys: Tensor, positive_bit: int) -> Tensor:
    bit = keys & 1
    is_positive = bit if positive_bit else 1 - bit
    return ((1 - is_positive).cumsum(-1) * is_positive).sum(-1).double()


def _sorted(keys: Tensor) -> Tensor:
    """Sorted along the last dimension; on a CPU by NumPy, whose vectorised sort is ten times faster than PyTorch's."""
    return keys.sort(-1).values if keys.is_cuda else torch.from_numpy(np.sort(keys.numpy(), axis=-1))
