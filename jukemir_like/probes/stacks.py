"""Many probes of protocol ``jukemir`` trained side by side: their weights are stacked, and every step moves all of them.

The points of a stack share standardisation, hidden units, batch size and dropout, and so minibatches and dropout masks
(:class:`RandomStreams`); they differ in learning rate and weight decay. Gradients are written out instead of recorded by autograd: with a
residual R = ∂loss/∂outputs, a layer y = xW + b has ∂W = xᵀR and ∂b = ΣR.

- :class:`LinearStack`: outputs = x W + b. All points in one product, weights (dimension, points · labels).
- :class:`HiddenStack`: outputs = dropout(relu(x W₁ + b₁)) W₂ + b₂. One product per point in batched calls: worth it on a GPU. On a CPU a
  stack of one point is faster than a stack of many, whose optimiser state does not fit into the cache.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jukemir_like.probes.protocols import Point

_BETAS, _EPSILON = (0.9, 0.999), 1e-8
_CHUNK = 1 << 16  # weights that Adam moves at a time on a CPU, so that they stay in its cache


class RandomStreams:
    """The random numbers of training: minibatches, dropout masks and initial weights, for the points of one group.

    They are seeded by the run's seed and by what the points of a group share (:attr:`Point.group`), not by which points are trained
    together: a point sees the same random numbers alone as with others, on a CPU as on a GPU.

    Args:
        seed: of the run.
        point: any point of the group.
        n: train items.
        dimension: features.

    Attributes:
        scale: the value of masks where they are not 0.
    """

    def __init__(self, seed: int, point: Point, n: int, dimension: int):
        key = hashlib.sha256(json.dumps([seed, *point.group]).encode()).digest()
        order, inputs, hidden, weights = np.random.SeedSequence(int.from_bytes(key, "little")).spawn(4)
        self._order, self._weights = np.random.Generator(np.random.SFC64(order)), np.random.Generator(np.random.SFC64(weights))
        self._inputs, self._hidden = np.random.SFC64(inputs), np.random.SFC64(hidden)
        self._n, self._batch_size = n, point.batch_size
        self._shapes = (point.batch_size, dimension), (point.batch_size, point.hidden)
        # A byte is below the threshold with probability threshold / 256: exact for the grid's dropout of .25, .5 and .75.
        self._threshold = round(256 * point.dropout)
        self.scale = np.float32(256 / (256 - self._threshold))
        self._remaining = np.empty(0, np.int64)

    def minibatches(self, steps: int) -> NDArray[np.int64]:
        """Train rows of the next minibatches, (steps, batch_size): consecutive slices of one shuffle of all rows after another."""
        wanted = steps * self._batch_size
        shuffles = [self._order.permutation(self._n) for _ in range(-(-(wanted - len(self._remaining)) // self._n))]
        rows = np.concatenate([self._remaining, *shuffles])
        self._remaining = rows[wanted:]
        return rows[:wanted].reshape(steps, -1)

    def input_mask(self, out: NDArray[np.float32]) -> None:
        """Fills ``out`` (batch_size, dimension) with the next dropout mask: 0, or 1 / (1 - dropout)."""
        self._mask(self._inputs, self._shapes[0], out)

    def hidden_mask(self, out: NDArray[np.float32]) -> None:
        """The same for the hidden layer, (batch_size, hidden)."""
        self._mask(self._hidden, self._shapes[1], out)

    def initial_weights(self, *shape: int, fan_in: int) -> NDArray[np.float32]:
        """Initial weights or biases of a layer with ``fan_in`` inputs: uniform within ± 1 / √fan_in, as in PyTorch's linear layer."""
        bound = 1 / math.sqrt(fan_in)
        return self._weights.uniform(-bound, bound, shape).astype(np.float32)

    def _mask(self, stream: np.random.SFC64, shape: tuple[int, int], out: NDArray[np.float32]) -> None:
        size = shape[0] * shape[1]
        raw = stream.random_raw(-(-size // 8)).view(np.uint8)[:size].reshape(shape)
        np.multiply(raw >= self._threshold, self.scale, out=out)


def residual_(kind: str, outputs: Tensor, target: Tensor) -> Tensor:
    """Turns outputs into the gradient of the loss with respect to them, in place; the loss of a point is a mean over its minibatch.

    Args:
        kind: cross-entropy for classes and keys; ``multilabel``: binary cross-entropy; ``regression``: squared error.
        outputs: (…, labels).
        target: (batch, labels), or with one more axis to broadcast; one-hot classes, tags or values.
    """
    labels = target.shape[-1]
    batch = target.numel() // labels
    if kind == "multilabel":
        return outputs.sigmoid_().sub_(target).mul_(1 / (batch * labels))
    if kind == "regression":
        return outputs.sub_(target).mul_(2 / (batch * labels))
    return torch.softmax(outputs, -1, out=outputs).sub_(target).mul_(1 / batch)


class Adam:
    """Adam (Kingma & Ba 2015; L2 added to the gradient) with a learning rate and a weight decay per column, or per row, of one tensor.

    The accumulators are kept without their factors 1 - β, which saves two passes over the weights.

    Args:
        weights: moved in place, 2-D. gradient: same shape, overwritten.
        learning_rate, weight_decay: broadcast to ``weights``: (1, columns) or (rows, 1).
    """

    def __init__(self, weights: Tensor, gradient: Tensor, learning_rate: Tensor, weight_decay: Tensor):
        self.weights, self.gradient = weights, gradient
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.first, self.second = torch.zeros_like(weights), torch.zeros_like(weights)
        self.steps = 0
        self._set_views()

    def step(self) -> None:
        """One step along the gradient."""
        self.steps += 1
        b1, b2 = _BETAS
        c1, c2 = 1 - b1**self.steps, 1 - b2**self.steps
        root = ((1 - b2) / c2) ** 0.5
        rate = self.learning_rate * ((1 - b1) / c1 / root)
        for weights, gradient, first, second, scratch, rows in self._chunks:
            if self._decays:
                gradient.addcmul_(weights, self.weight_decay[rows])
            first.mul_(b1).add_(gradient)
            second.mul_(b2).addcmul_(gradient, gradient)
            torch.sqrt(second, out=scratch).add_(_EPSILON / root)
            torch.div(first, scratch, out=scratch).mul_(rate[rows])
            weights.sub_(scratch)

    def keep(self, weights: Tensor, gradient: Tensor, index: Tensor, dimension: int) -> None:
        """Continues with the rows (``dimension`` 0) or columns (1) ``index`` only, which ``weights`` and ``gradient`` already are."""
        self.weights, self.gradient = weights, gradient
        self.first, self.second = self.first.index_select(dimension, index), self.second.index_select(dimension, index)
        self.learning_rate, self.weight_decay = (value.index_select(dimension, index) for value in (self.learning_rate, self.weight_decay))
        self._set_views()

    def _set_views(self) -> None:
        rows, columns = self.weights.shape
        chunk = rows if self.weights.is_cuda else max(1, _CHUNK // columns)
        scratch = torch.empty_like(self.weights[:chunk])
        one_rate = len(self.learning_rate) == 1
        self._decays = bool((self.weight_decay > 0).any())
        self._chunks: list[tuple[Tensor, Tensor, Tensor, Tensor, Tensor, slice]] = []
        for start in range(0, rows, chunk):
            part = slice(start, start + chunk)
            weights, gradient, first, second = (tensor[part] for tensor in (self.weights, self.gradient, self.first, self.second))
            self._chunks.append((weights, gradient, first, second, scratch[: len(weights)], slice(None) if one_rate else part))


class Stack(ABC):
    """Weights and optimiser of several points.

    Args:
        points: of one group, not yet finished.
        kind: type of the task. dimension: features. labels: outputs.
        random: gives the initial weights.
        device: where the weights are.
    """

    def __init__(self, points: Sequence[Point], kind: str, dimension: int, labels: int, random: RandomStreams, device: torch.device):
        self.points, self.kind, self.dimension, self.labels, self.device = list(points), kind, dimension, labels, device
        self._initialise(random)

    @abstractmethod
    def _initialise(self, random: RandomStreams) -> None:
        """Sets initial weights and the optimiser."""

    @abstractmethod
    def step(self, x: Tensor, target: Tensor, mask: Tensor | None) -> None:
        """One minibatch: ``x`` (batch, dimension) after dropout, ``target`` (batch, labels), ``mask`` (batch, hidden) to apply."""

    @abstractmethod
    def outputs(self, x: Tensor) -> Tensor:
        """Outputs (points, n, labels) of all points for ``x`` (n, dimension), without dropout."""

    @abstractmethod
    def state(self, index: int) -> Tensor:
        """A copy of the weights of the point at ``index`` of the stack."""

    @abstractmethod
    def outputs_of(self, state: Tensor, x: Tensor) -> Tensor:
        """Outputs (n, labels) of weights that :meth:`state` returned."""

    @abstractmethod
    def keep(self, indices: Sequence[int]) -> None:
        """Drops all points but those at ``indices``, of which there is at least one."""

    def _per_point(self, name: str) -> Tensor:
        return torch.tensor([getattr(point, name) for point in self.points], dtype=torch.float32, device=self.device)


class LinearStack(Stack):
    """Weights (dimension + 1, points · labels), the bias in the last row."""

    def _initialise(self, random: RandomStreams) -> None:
        weights = random.initial_weights(self.dimension, self.labels, fan_in=self.dimension)
        bias = random.initial_weights(1, self.labels, fan_in=self.dimension)
        one = torch.cat([torch.from_numpy(weights), torch.from_numpy(bias)]).to(self.device)
        self.weights = one.repeat(1, len(self.points))
        self.gradient = torch.empty_like(self.weights)
        rates = (self._per_point(name).repeat_interleave(self.labels)[None] for name in ("learning_rate", "weight_decay"))
        self.adam = Adam(self.weights, self.gradient, *rates)

    def step(self, x: Tensor, target: Tensor, mask: Tensor | None = None) -> None:  # noqa: ARG002
        outputs = torch.addmm(self.weights[-1], x, self.weights[:-1])
        residual_(self.kind, outputs.view(len(x), -1, self.labels), target[:, None])
        torch.mm(x.T, outputs, out=self.gradient[:-1])
        torch.sum(outputs, 0, out=self.gradient[-1])
        self.adam.step()

    def outputs(self, x: Tensor) -> Tensor:
        return torch.addmm(self.weights[-1], x, self.weights[:-1]).view(len(x), -1, self.labels).transpose(0, 1)

    def state(self, index: int) -> Tensor:
        return self.weights[:, index * self.labels : (index + 1) * self.labels].clone()

    def outputs_of(self, state: Tensor, x: Tensor) -> Tensor:
        return torch.addmm(state[-1], x, state[:-1])

    def keep(self, indices: Sequence[int]) -> None:
        self.points = [self.points[index] for index in indices]
        columns = (torch.tensor(indices)[:, None] * self.labels + torch.arange(self.labels)).ravel().to(self.device)
        self.weights = self.weights.index_select(1, columns)
        self.gradient = torch.empty_like(self.weights)
        self.adam.keep(self.weights, self.gradient, columns, 1)


class HiddenStack(Stack):
    """One row of weights per point: W₁ (dimension, hidden), b₁, W₂ (hidden, labels), b₂, one after the other."""

    def _initialise(self, random: RandomStreams) -> None:
        self.hidden = self.points[0].hidden
        shapes = (self.dimension, self.hidden), (1, self.hidden), (self.hidden, self.labels), (1, self.labels)
        self._shapes, self._scale = shapes, float(random.scale)
        fans = self.dimension, self.dimension, self.hidden, self.hidden
        one = torch.cat(
            [torch.from_numpy(random.initial_weights(*shape, fan_in=fan)).ravel() for shape, fan in zip(shapes, fans, strict=True)]
        )
        self.weights = one.to(self.device).repeat(len(self.points), 1)
        self.gradient = torch.empty_like(self.weights)
        self._set_views()
        point = self.points[0]
        self.adam: Adam | None = None
        if len(self.points) == 1 and self.device.type == "cpu":
            self.weights.grad = self.gradient
            self.fused = torch.optim.Adam([self.weights], lr=point.learning_rate, weight_decay=point.weight_decay, fused=True)
        else:
            rates = (self._per_point(name)[:, None] for name in ("learning_rate", "weight_decay"))
            self.adam = Adam(self.weights, self.gradient, *rates)

    def _set_views(self) -> None:
        self._layers, self._gradients = self._split(self.weights), self._split(self.gradient)
        shape = len(self.weights), self.points[0].batch_size
        self._ones = torch.ones(shape[0], 1, shape[1], device=self.device)
        # Buffers allocated once: fresh memory pages in every step cost more than the arithmetic on them.
        self._above, self._below, self._active = (torch.empty(*shape, self.hidden, device=self.device) for _ in range(3))

    def _split(self, rows: Tensor) -> list[Tensor]:
        ends = list(itertools.accumulate(rows_ * columns for rows_, columns in self._shapes))
        parts = zip([0, *ends], ends, self._shapes, strict=False)
        return [rows[:, start:end].view(len(rows), *shape) for start, end, shape in parts]

    def step(self, x: Tensor, target: Tensor, mask: Tensor | None) -> None:
        assert mask is not None  # noqa: S101
        w1, b1, w2, b2 = self._layers
        d_w1, d_b1, d_w2, d_b2 = self._gradients
        x = x.expand(len(w1), -1, -1)
        hidden, below = self._above, self._below
        torch.baddbmm(b1, x, w1, out=hidden).relu_().mul_(mask)
        residual = residual_(self.kind, torch.baddbmm(b2, hidden, w2), target)
        torch.bmm(hidden.transpose(1, 2), residual, out=d_w2)
        torch.bmm(self._ones, residual, out=d_b2)
        # The mask's gradient: 0 where a unit was inactive or dropped (there ``hidden`` is 0), elsewhere the mask's scale.
        torch.bmm(residual.mul_(self._scale), w2.transpose(1, 2), out=below)
        below.mul_(torch.sign(hidden, out=self._active))
        torch.bmm(x.transpose(1, 2), below, out=d_w1)
        torch.bmm(self._ones, below, out=d_b1)
        (self.adam or self.fused).step()

    def outputs(self, x: Tensor) -> Tensor:
        return self._forward(self._layers, x)

    @staticmethod
    def _forward(layers: Sequence[Tensor], x: Tensor) -> Tensor:
        w1, b1, w2, b2 = layers
        return torch.baddbmm(b2, torch.baddbmm(b1, x.expand(len(w1), -1, -1), w1).relu_(), w2)

    def state(self, index: int) -> Tensor:
        return self.weights[index].clone()

    def outputs_of(self, state: Tensor, x: Tensor) -> Tensor:
        return self._forward(self._split(state[None]), x)[0]

    def keep(self, indices: Sequence[int]) -> None:
        self.points = [self.points[index] for index in indices]
        if self.adam is not None:
            rows = torch.tensor(indices, device=self.device)
            self.weights = self.weights.index_select(0, rows)
            self.gradient = torch.empty_like(self.weights)
            self._set_views()
            self.adam.keep(self.weights, self.gradient, rows, 0)
