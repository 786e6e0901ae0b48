"""Many probes trained side by side: their weights are stacked, every step moves all of them.

The points of a stack share minibatches and dropout masks (:class:`jukemir_like.probes.draws.Draws`) and differ in learning rate and weight
decay. Gradients are written out, not recorded: with a residual R = ∂loss/∂outputs, a layer y = xW + b has ∂W = xᵀR and ∂b = ΣR.

- :class:`LinearStack`: outputs = x W + b. All points in one product, weights (dimension, points · labels).
- :class:`HiddenStack`: outputs = dropout(relu(x W₁ + b₁)) W₂ + b₂. A product a point in batched calls: worth it on a GPU, while on a CPU a
  stack of one point is faster than a stack of many, whose optimiser state leaves the cache.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from jukemir_like.probes.draws import Draws
from jukemir_like.probes.grid import Point

_BETAS, _EPSILON = (0.9, 0.999), 1e-8
_CHUNK = 1 << 16  # weights that Adam moves at a time on a CPU, so that they stay in cache


def residual_(kind: str, outputs: Tensor, target: Tensor) -> Tensor:
    """Turns outputs into the gradient of the loss with respect to them, in place; the loss of a point is a mean over its minibatch.

    Args:
        kind: cross-entropy for classes and keys; ``multilabel``: binary cross-entropy; ``regression``: squared error.
        outputs: (…, labels).
        target: (batch, labels), or with an axis more to broadcast; one-hot classes, tags or values.
    """
    labels = target.shape[-1]
    batch = target.numel() // labels
    if kind == "multilabel":
        return outputs.sigmoid_().sub_(target).mul_(1 / (batch * labels))
    if kind == "regression":
        return outputs.sub_(target).mul_(2 / (batch * labels))
    return torch.softmax(outputs, -1, out=outputs).sub_(target).mul_(1 / batch)


class Adam:
    """Adam (Kingma & Ba 2015; L2 added to the gradient) with a learning rate and a weight decay for every column, or row, of one tensor.

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
        self._lay_out()

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
        """Goes on with some rows (``dimension`` 0) or columns (1) of what it moved: ``index`` of them, already chosen in ``weights``."""
        self.weights, self.gradient = weights, gradient
        self.first, self.second = self.first.index_select(dimension, index), self.second.index_select(dimension, index)
        self.learning_rate, self.weight_decay = (value.index_select(dimension, index) for value in (self.learning_rate, self.weight_decay))
        self._lay_out()

    def _lay_out(self) -> None:
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
    """What linear and hidden stacks have in common.

    Args:
        points: of one group, not yet finished.
        kind: type of the task. dimension: features. labels: outputs.
        draws: gives the initial weights.
        device: where the weights are.
    """

    def __init__(self, points: Sequence[Point], kind: str, dimension: int, labels: int, draws: Draws, device: torch.device):
        self.points, self.kind, self.dimension, self.labels, self.device = list(points), kind, dimension, labels, device
        self._start(draws)

    @abstractmethod
    def _start(self, draws: Draws) -> None:
        """Draws initial weights and makes the optimiser."""

    @abstractmethod
    def step(self, x: Tensor, target: Tensor, mask: Tensor | None) -> None:
        """One minibatch: ``x`` (batch, dimension) with its dropout done, ``target`` (batch, labels), ``mask`` (batch, hidden) to do."""

    @abstractmethod
    def outputs(self, x: Tensor) -> Tensor:
        """Outputs (points, n, labels) of all points for ``x`` (n, dimension), without dropout."""

    @abstractmethod
    def state(self, place: int) -> Tensor:
        """A copy of the weights of one point of the stack."""

    @abstractmethod
    def outputs_of(self, state: Tensor, x: Tensor) -> Tensor:
        """Outputs (n, labels) of the weights that :meth:`state` gave."""

    @abstractmethod
    def keep(self, places: Sequence[int]) -> None:
        """Drops all points but those at ``places``, of which there is at least one."""

    def _per_point(self, name: str) -> Tensor:
        return torch.tensor([getattr(point, name) for point in self.points], dtype=torch.float32, device=self.device)


class LinearStack(Stack):
    """Weights (dimension + 1, points · labels), the bias in the last row."""

    def _start(self, draws: Draws) -> None:
        weights = draws.uniform(self.dimension, self.labels, fan_in=self.dimension)
        bias = draws.uniform(1, self.labels, fan_in=self.dimension)
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

    def state(self, place: int) -> Tensor:
        return self.weights[:, place * self.labels : (place + 1) * self.labels].clone()

    def outputs_of(self, state: Tensor, x: Tensor) -> Tensor:
        return torch.addmm(state[-1], x, state[:-1])

    def keep(self, places: Sequence[int]) -> None:
        self.points = [self.points[place] for place in places]
        index = (torch.tensor(places)[:, None] * self.labels + torch.arange(self.labels)).ravel().to(self.device)
        self.weights = self.weights.index_select(1, index)
        self.gradient = torch.empty_like(self.weights)
        self.adam.keep(self.weights, self.gradient, index, 1)


class HiddenStack(Stack):
    """One row of weights a point: W₁ (dimension, hidden), b₁, W₂ (hidden, labels), b₂, one after the other."""

    def _start(self, draws: Draws) -> None:
        self.hidden = self.points[0].hidden
        shapes = (self.dimension, self.hidden), (1, self.hidden), (self.hidden, self.labels), (1, self.labels)
        self._shapes, self._scale = shapes, float(draws.scale)
        fans = self.dimension, self.dimension, self.hidden, self.hidden
        one = torch.cat([torch.from_numpy(draws.uniform(*shape, fan_in=fan)).ravel() for shape, fan in zip(shapes, fans, strict=True)])
        self.weights = one.to(self.device).repeat(len(self.points), 1)
        self.gradient = torch.empty_like(self.weights)
        self._lay_out()
        point = self.points[0]
        self.adam: Adam | None = None
        if len(self.points) == 1 and self.device.type == "cpu":
            self.weights.grad = self.gradient
            self.fused = torch.optim.Adam([self.weights], lr=point.learning_rate, weight_decay=point.weight_decay, fused=True)
        else:
            rates = (self._per_point(name)[:, None] for name in ("learning_rate", "weight_decay"))
            self.adam = Adam(self.weights, self.gradient, *rates)

    def _lay_out(self) -> None:
        self._layers, self._gradients = self._split(self.weights), self._split(self.gradient)
        shape = len(self.weights), self.points[0].batch_size
        self._ones = torch.ones(shape[0], 1, shape[1], device=self.device)
        # Memory that stays: fresh pages for every step cost more than the arithmetic on them.
        self._above, self._below = (torch.empty(*shape, self.hidden, device=self.device) for _ in range(2))

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
        # The mask again: where a unit was cut off or dropped, ``hidden`` is 0, and the gradient with it; elsewhere it is the scale.
        torch.bmm(residual.mul_(self._scale), w2.transpose(1, 2), out=below)
        torch.ops.aten.threshold_backward.grad_input(below, hidden, 0, grad_input=below)
        torch.bmm(x.transpose(1, 2), below, out=d_w1)
        torch.bmm(self._ones, below, out=d_b1)
        (self.adam or self.fused).step()

    def outputs(self, x: Tensor) -> Tensor:
        return self._forward(self._layers, x)

    @staticmethod
    def _forward(layers: Sequence[Tensor], x: Tensor) -> Tensor:
        w1, b1, w2, b2 = layers
        return torch.baddbmm(b2, torch.baddbmm(b1, x.expand(len(w1), -1, -1), w1).relu_(), w2)

    def state(self, place: int) -> Tensor:
        return self.weights[place].clone()

    def outputs_of(self, state: Tensor, x: Tensor) -> Tensor:
        return self._forward(self._split(state[None]), x)[0]

    def keep(self, places: Sequence[int]) -> None:
        self.points = [self.points[place] for place in places]
        if self.adam is not None:
            index = torch.tensor(places, device=self.device)
            self.weights = self.weights.index_select(0, index)
            self.gradient = torch.empty_like(self.weights)
            self._lay_out()
            self.adam.keep(self.weights, self.gradient, index, 0)
