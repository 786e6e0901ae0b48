"""Protocol ``lineareval``: one linear layer on standardised features, by Adam, stopped early; several seeds side by side.

It is the protocol by which Riou et al. ("Stem-JEPA", ISMIR 2024) evaluate: that of EVAR (github.com/nttcslab/eval-audio-repr) with their
settings. Features are standardised on train; the layer starts as PyTorch's linear layer does (uniform within ± 1 / √dimension);
each epoch goes once through the shuffled train items in minibatches, the last of which may be smaller; Adam has betas .9 and .999; after
each epoch the layer is evaluated on validation, and an epoch that is at least as good as all before it is kept. Training ends after
``patience`` epochs in a row without one, or after ``max_epochs``.

========== ==================================== ============================= =========================================
task       loss                                 stopped by                    here otherwise than there
========== ==================================== ============================= =========================================
multiclass cross-entropy                        accuracy
key        cross-entropy                        accuracy                      clips of a song are items; there are none
multilabel binary cross-entropy, mean of tags   average precision, macro mean tags without a positive are left out
regression squared error, mean of outputs       R², mean of outputs           not defined there; standardised on train
tempo      cross-entropy of soft labels         accuracy1                     not defined there
========== ==================================== ============================= =========================================

Read from the program that was published with the paper: what stops, that of equals the last epoch is kept, the last minibatch, the
initial weights, the losses. Two of its constants are left out, since Adam's steps depend on the direction of gradients and hardly on their
scale: its cross-entropy is also divided by the number of classes, and it has a weight decay of 1e-8. Its random numbers are PyTorch's, ours
are NumPy's: seed 42 here is another draw than seed 42 there.

Seeds differ in initial weights and in the order of the items, so each has its own minibatches. Their weights are rows of one tensor, which
is moved by one call of Adam per step; gradients are written out instead of recorded by autograd. A row is as long as a multiple of the
processor's vectors, and products are one per seed: so a seed gives the same bits alone and beside others.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.adam import adam

from jukemir_like.core.progress import Progress
from jukemir_like.core.rows import Rows
from jukemir_like.probes import chunked_features, early_stopping
from jukemir_like.probes.chunked_features import ChunkedFeatures, Features
from jukemir_like.probes.linear import Array, standardisation
from jukemir_like.probes.protocols import LinearEval
from jukemir_like.probes.search import choose_device, one_torch_thread
from jukemir_like.probes.selection import Candidate, FittedProbe, Selection, tested
from jukemir_like.probes.targets import targets
from jukemir_like.probes.tasks import SCORED_SPLITS, ProbeData, Scores

_BETAS, _EPSILON = (0.9, 0.999), 1e-8
_VECTOR = 16  # float32 numbers of the widest vectors of processors
_THREADS_FROM = 2048  # dimensions: of shorter vectors, threads wait for the interpreter longer than they gain
_MINIBATCHES = 32  # whose targets are gathered at once


def fit(
    data: ProbeData, settings: LinearEval, seeds: Sequence[int], name: str, device: str | None = None, workers: int = 1
) -> list[FittedProbe]:
    """The layer of each seed, at its best epoch on validation. On a CPU a seed gives the same bits alone and beside others.

    Args:
        data: of one task. Vectors that are read in chunks (:class:`~jukemir_like.core.rows.Rows`) stay on disk: each minibatch is read.
        settings: of the protocol.
        seeds: at least one, all different.
        name: of the work, for the progress bar.
        device: ``cpu`` or ``cuda``; None: a GPU where there is one.
        workers: on a CPU, with more than one, seeds of long vectors have a thread each.

    Raises:
        RequestError: there is no such device, or scores are not finite.
    """
    with one_torch_thread(), torch.no_grad():
        on = torch.device(choose_device(device))
        features = _standardised(data, on)
        # Vectors on disk are read in one place only; a GPU does the products of all seeds beside each other.
        in_threads = workers > 1 and isinstance(features["train"], Tensor) and data.train.X.shape[1] >= _THREADS_FROM and on.type == "cpu"
        groups = [[seed] for seed in seeds] if in_threads else [seeds]
        trained = [_Layers(data, features, settings, group) for group in groups]
        with Progress(settings.max_epochs * len(groups), name, "epoch") as bar:
            _train(trained, bar)
        return [_fitted(data, layers, best, features) for layers in trained for best in layers.best]


def _train(groups: Sequence[_Layers], bar: Progress) -> None:
    """Trains each group to its end, in a thread of its own where there are several: products leave the interpreter to the others."""
    is_left, counting = threading.Event(), threading.Lock()

    @torch.no_grad()  # which, as the number of threads, counts for the thread that says so
    def train(layers: _Layers) -> None:
        torch.set_num_threads(1)
        while layers.active and not is_left.is_set():
            layers.train_epoch()
            layers.evaluate()
            with counting:
                bar.update()

    if len(groups) == 1:
        train(groups[0])
        return
    with ThreadPoolExecutor(len(groups)) as threads:
        futures = [threads.submit(train, layers) for layers in groups]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            is_left.set()
    for future in futures:
        future.result()


@dataclass
class _Best:
    """The best epoch of a seed so far.

    Args:
        seed: which.
        weights: (labels, dimension + 1 and more) at that epoch; at first those that training begins with.
        value: what stops, at that epoch.
        epoch: counted from 1; 0 where no evaluation gave a number.
        epochs: in all.
    """

    seed: int
    weights: Tensor
    value: float = -math.inf
    epoch: int = 0
    epochs: int = 0


@dataclass(frozen=True)
class _Batch:
    """Memory for minibatches of one size, and its parts for each seed.

    Args:
        x: (batch, width) of each seed; column ``dimension`` is 1. transposed: the same, (width, batch).
        outputs: (labels, batch) of each seed. stacked_outputs: of all, (seeds, labels, batch).
    """

    x: tuple[Tensor, ...]
    transposed: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    stacked_outputs: Tensor

    @classmethod
    def of(cls, layers: _Layers, size: int) -> _Batch:
        seeds, labels, width = layers.weights.shape
        x, outputs = (torch.zeros(seeds, rows, columns, device=layers.device) for rows, columns in ((size, width), (labels, size)))
        x[..., layers.dimension] = 1
        return cls(x.unbind(), x.transpose(1, 2).unbind(), outputs.unbind(), outputs)


class _Layers:
    """The layers of all seeds, as rows of one tensor: each (labels, width), where column ``dimension`` is the bias and later ones are 0.

    Attributes:
        active: places of the seeds that still train.
        best: of every seed.
    """

    def __init__(self, data: ProbeData, features: dict[str, Features], settings: LinearEval, seeds: Sequence[int]):
        self.settings, self.valid = settings, features["valid"]
        self.n, self.dimension = data.train.X.shape
        self.labels, self.device = len(data.task.labels), features["valid"].device
        self.width = _width(self.dimension)
        self.train = features["train"]
        centre, scale = _scaling(data)
        self.targets = torch.from_numpy((targets(data.task, data.train.y) - centre) / scale).to(self.device)
        self.centre, self.scale = (torch.from_numpy(one).to(self.device) for one in (centre, scale))
        self.stop = early_stopping.metric(data.task, data.splits["valid"].y, self.device)
        self.residual = _RESIDUALS.get(data.task.type, _of_classes)
        streams = [[np.random.Generator(np.random.SFC64(one)) for one in np.random.SeedSequence(seed).spawn(2)] for seed in seeds]
        self.orders = [order for order, _ in streams]
        self.weights = torch.stack([self._initial(weights) for _, weights in streams]).to(self.device)
        self.gradient, self.first, self.second = (torch.zeros_like(self.weights) for _ in range(3))
        self.steps = torch.zeros((), device=self.device)
        # Views are made once: in a step of 50 µs, those of all tensors would cost a fifth.
        self.each_weights, self.each_gradient = self.weights.unbind(), self.gradient.unbind()
        self.batches: dict[int, _Batch] = {}
        self.active = list(range(len(seeds)))
        self.best = [_Best(seed, weights.clone()) for seed, weights in zip(seeds, self.weights, strict=True)]

    def _initial(self, random: np.random.Generator) -> Tensor:
        bound = 1 / math.sqrt(max(1, self.dimension))
        weights = torch.zeros(self.labels, self.width)
        weights[:, : self.dimension + 1] = torch.from_numpy(random.uniform(-bound, bound, (self.labels, self.dimension + 1)))
        return weights

    def train_epoch(self) -> None:
        """Every active seed goes once through its own shuffle of the train items."""
        rows = torch.from_numpy(np.stack([order.permutation(self.n) for order in self.orders])).to(self.device)
        size = self.settings.batch_size
        for block in torch.split(rows, size * _MINIBATCHES, 1):
            targets_of_block = self.targets[block].transpose(1, 2)
            for of_step, target in zip(torch.split(block, size, 1), torch.split(targets_of_block, size, 2), strict=True):
                self._step(of_step, target)

    def _step(self, rows: Tensor, target: Tensor) -> None:
        """One minibatch: ``rows`` (seeds, batch) of train, ``target`` (seeds, labels, batch)."""
        batch = self.batches.get(rows.shape[1]) or self.batches.setdefault(rows.shape[1], _Batch.of(self, rows.shape[1]))
        for place in self.active:
            self._take(rows[place], batch.x[place])
            torch.mm(self.each_weights[place], batch.transposed[place], out=batch.outputs[place])
        residual = self.residual(batch.stacked_outputs, target)
        for place in self.active:
            torch.mm(residual[place], batch.x[place], out=self.each_gradient[place])
        adam(
            [self.weights],
            [self.gradient],
            [self.first],
            [self.second],
            [],
            [self.steps],
            fused=True,
            amsgrad=False,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            lr=self.settings.learning_rate,
            weight_decay=0.0,
            eps=_EPSILON,
            maximize=False,
        )

    def _take(self, rows: Tensor, out: Tensor) -> None:
        if isinstance(self.train, ChunkedFeatures):
            out[:, : self.dimension] = self.train.take(rows.cpu().numpy())
        else:
            torch.index_select(self.train, 0, rows, out=out)

    def outputs(self, weights: Tensor, features: Features) -> Tensor:
        """Outputs (n, labels) of one layer (labels, width)."""
        bias, slopes = weights[:, self.dimension : self.dimension + 1], weights[:, : self.dimension]
        return chunked_features.outputs(lambda x: torch.addmm(bias, slopes, x.T).T * self.scale + self.centre, features)

    def evaluate(self) -> None:
        """Evaluates the active seeds on validation; those that are through are no longer active."""
        for place in list(self.active):
            best, weights = self.best[place], self.weights[place]
            value = self.stop.evaluation(self.outputs(weights, self.valid)[None]).item()
            best.epochs += 1
            if value >= best.value:  # NaN is not
                best.value, best.epoch, best.weights = value, best.epochs, weights.clone()
            if best.epochs - best.epoch >= self.settings.patience or best.epochs >= self.settings.max_epochs:
                self.active.remove(place)
                self.gradient[place] = 0


def _scaling(data: ProbeData) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and deviation on train by which numbers are standardised: small steps would never reach 120 beats a minute. Else 0 and 1."""
    if data.task.type != "regression":
        return np.zeros(1, np.float32), np.ones(1, np.float32)
    scale = data.train.y.std(0)
    return data.train.y.mean(0).astype(np.float32), np.where(scale > 0, scale, 1).astype(np.float32)


def _fitted(data: ProbeData, layers: _Layers, best: _Best, features: dict[str, Features]) -> FittedProbe:
    settings, stopped_by = layers.settings, layers.stop.name
    scores: Scores = {split: layers.outputs(best.weights, features[split]).cpu().contiguous().numpy() for split in SCORED_SPLITS}
    selection = Selection(data)
    selection.consider(Candidate(0, {"epoch": best.epoch}, scores, {"epochs": best.epochs}))
    waited = best.epochs - best.epoch >= settings.patience
    details: dict[str, Any] = {
        "stopped_by": stopped_by,
        "value": None if math.isinf(best.value) else best.value,
        "epoch": best.epoch,
        "epochs": best.epochs,
        "limit_reached": not waited,
    }
    note = (
        f"{data.task.name}, seed {best.seed}: training ended at the limit of {settings.max_epochs} epochs, and {stopped_by} on validation "
        f"was best in epoch {best.epoch}: more epochs might give more"
    )
    return replace(tested(selection), details=details, notes=() if waited else (note,))


def _standardised(data: ProbeData, device: torch.device) -> dict[str, Features]:
    """Split → features, standardised by mean and deviation of train; on the device, or read from disk when they are needed.

    Those of train that are on the device are (n, width): column ``dimension`` is 1 and later ones are 0.
    """
    moments = standardisation(data.train.X)
    features = {name: _prepare(split.X, moments, device) for name, split in data.splits.items()}
    return features | {"train": _with_ones(features["train"])}


def _width(dimension: int) -> int:
    """Of a row with its bias: a multiple of the processor's vectors."""
    return -(-(dimension + 1) // _VECTOR) * _VECTOR


def _prepare(X: NDArray[np.float32] | Rows, moments: tuple[Array, Array], device: torch.device) -> Features:
    if isinstance(X, Rows):
        return ChunkedFeatures(X, moments, device)
    mean, scale = moments
    with np.errstate(over="ignore"):  # overflow is detected by the reader of the scores
        return torch.from_numpy(((X - mean) / scale).astype(np.float32)).to(device)


def _with_ones(features: Features) -> Features:
    if isinstance(features, ChunkedFeatures):
        return features
    n, dimension = features.shape
    padded = torch.zeros(n, _width(dimension), device=features.device)
    padded[:, :dimension], padded[:, dimension] = features, 1
    return padded


Residual = Callable[[Tensor, Tensor], Tensor]
"""Outputs and targets (seeds, labels, batch) → gradient of the loss, a mean over the batch; the outputs are overwritten."""


def _of_classes(outputs: Tensor, target: Tensor) -> Tensor:
    return torch.softmax(outputs, 1).sub_(target).mul_(1 / target.shape[2])


def _of_tags(outputs: Tensor, target: Tensor) -> Tensor:
    # One by one: at the end of a tensor, where a processor's vectors do not fit, its exponential may differ in the last bit.
    for of_seed in outputs:
        of_seed.sigmoid_()
    return outputs.sub_(target).mul_(1 / (target.shape[1] * target.shape[2]))


def _of_values(outputs: Tensor, target: Tensor) -> Tensor:
    return outputs.sub_(target).mul_(2 / (target.shape[1] * target.shape[2]))


_RESIDUALS: dict[str, Residual] = {"multilabel": _of_tags, "regression": _of_values}
"""By type of the task; others have classes."""
