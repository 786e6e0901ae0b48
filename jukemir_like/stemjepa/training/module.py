"""Losses, optimiser, schedule and teacher of a run, as a Lightning module.

The cost of a step other than forward, backward and optimiser is kept small: the teacher is updated in one fused operation, and losses for
the log are summed on the device and read only when a row is written, because reading makes the processor wait for the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import lightning
import torch
import torch.distributed
from torch import Tensor, nn

from jukemir_like.stemjepa import model
from jukemir_like.stemjepa.model import Network, Views
from jukemir_like.stemjepa.settings import Training
from jukemir_like.stemjepa.training.track_contrast import track_loss

Batch = dict[str, Tensor]


class Losses(NamedTuple):
    """Losses of every example, ``(batch,)`` each; None where the phase has no such term."""

    predictive: Tensor | None
    contrastive: Tensor | None


class TrainingModule(lightning.LightningModule):
    """A Stem-JEPA in training.

    Attributes:
        network: the networks.
        step: optimiser steps done.
        seconds: time spent on them.
        optimiser_state: state to start the optimiser from, where the run is resumed.
        loss_sums: sums of losses for the log.
        latest: the last value of every metric so far.
        gradient_norm: norm of the gradient of the last step, before clipping; on the device.
        views: outputs of the networks for the last batch, without gradients, if its step is logged; else None.
    """

    def __init__(self, settings: Training) -> None:
        super().__init__()
        self.settings = settings
        self.network = Network(settings.model)
        self.step = 0
        self.seconds = 0.0
        self.loss_sums = LossSums(settings.model.predictor.num_sources)
        self.latest: dict[str, float] = {}
        self.gradient_norm: Tensor | None = None
        self.views: Views | None = None
        self.optimiser_state: dict[str, Any] | None = None

    def forward(self, batch: Batch) -> Tensor:
        """The loss of a batch: a number to minimise."""
        contrasting = is_contrastive(self.settings, self.step)
        views = self.network(batch["context"], batch["target"], batch["source"], batch.get("wording"), by_teacher=not contrasting)
        losses = self.losses(views, batch["track"], contrasting=contrasting)
        total = self.total(losses)
        self.loss_sums.add(batch["source"], loss=total, predictive=losses.predictive, contrastive=losses.contrastive)
        is_logged = is_due(self.settings, self.step + 1, self.settings.trainer.log_every_steps)
        self.views = Views(*(part.detach() for part in views)) if is_logged else None
        return total.mean()

    def losses(self, views: Views, track: Tensor, *, contrasting: bool) -> Losses:
        """The loss terms of the phase, for every example of this rank.

        In the contrastive phase the mix itself has to find the stem too, as in arXiv 2411.19806. At first all pooled vectors are nearly
        equal, and what they have in common hides their differences: so this term compares deviations from the batch's mean, and learns
        at once. The prediction, which is compared without centring, follows.

        With ``objective.track_weight``, it has to find the other chunks of its track as well (:mod:`.track_contrast`).

        The contrastive term of an example has its negatives in the batches of all ranks. Its mean over the ranks has the gradient that one
        process with the whole batch would compute, because gathering returns gradients to the rank where features came from, and ranks
        average them.

        Args:
            views: outputs of the networks.
            track: ``(batch,)``, number of the track of each example; chunks of the same track are not each other's negatives.
            contrasting: whether this is the contrastive phase.
        """
        options = self.settings.objective
        predictive = None if contrasting else model.predictive_loss(views.prediction, views.target)
        contrastive = None
        if contrasting or options.contrastive_weight:
            mix_weight = options.mix_weight if contrasting else 0.0
            parts = [views.prediction, views.target, *([views.context] if mix_weight or options.track_weight else [])]
            pooled = torch.cat([self.network.pooled(part) for part in parts], dim=1)
            query, key, *mix = gather_rows(pooled).chunk(len(parts), dim=1)
            tracks = gather_rows(track)
            forbidden = tracks[:, None] == tracks[None]
            rows = model.contrastive_loss(query, key, options.temperature, forbidden)
            if mix_weight:
                centred = (mix[0] - mix[0].mean(0), key - key.mean(0))
                rows = rows + mix_weight * model.contrastive_loss(*centred, options.temperature, forbidden)
            if options.track_weight:
                rows = rows + options.track_weight * track_loss(mix[0], key, tracks, options.temperature)
            contrastive = rows[len(track) * _rank() :][: len(track)]
        return Losses(predictive, contrastive)

    def total(self, losses: Losses) -> Tensor:
        """The loss of every example: the contrastive term in the first phase, then the predictive one plus the weighted contrastive one."""
        if losses.predictive is None:
            assert losses.contrastive is not None  # noqa: S101
            return losses.contrastive
        if losses.contrastive is None:
            return losses.predictive
        return losses.predictive + self.settings.objective.contrastive_weight * losses.contrastive

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:  # noqa: ARG002
        loss: Tensor = self(batch)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW, fused; ``optimiser.decay`` says which parameters decay."""
        options = self.settings.optimiser
        decayed, others = parameter_groups(self.network)
        if options.decay == "all":
            decayed, others = [*decayed, *others], []
        groups = [{"params": decayed, "weight_decay": options.weight_decay}, {"params": others, "weight_decay": 0.0}]
        rate = learning_rate(self.settings, self.step)
        optimiser = torch.optim.AdamW(groups, lr=rate, betas=(options.beta1, options.beta2), fused=True)
        if self.optimiser_state is not None:
            optimiser.load_state_dict(self.optimiser_state)
            self.optimiser_state = None
        return optimiser

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        limit = self.settings.optimiser.clip or float("inf")
        self.gradient_norm = nn.utils.clip_grad_norm_(parameters, limit)

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None) -> None:
        """One update of the networks, then one of the teacher. Lightning calls it after the last micro-batch of a step."""
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, self.step)
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        model.update_teacher(self.network.teacher, self.network.encoder, tau(self.settings, self.step))
        self.step += 1

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["run"] = {
            "settings": self.settings.to_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "tau": tau(self.settings, max(self.step - 1, 0)),
            "tally": self.loss_sums.state(),
            "latest": dict(self.latest),
        }


class LossSums:
    """Sums of losses per stem since they were last read."""

    ROWS = ("loss", "predictive", "contrastive")

    def __init__(self, stems: int) -> None:
        self.stems = stems
        self._sums: Tensor | None = None

    def add(self, source: Tensor, **losses: Tensor | None) -> None:
        """Adds losses of examples, ``(batch,)`` each, named as in :attr:`ROWS`, without waiting for the device.

        Args:
            source: ``(batch,)``, number of each example's stem.
            losses: None: the phase has no such term.
        """
        if self._sums is None:
            self._sums = torch.zeros(2, len(self.ROWS), self.stems)
        self._sums = self._sums.to(source.device)
        for row, name in enumerate(self.ROWS):
            values = losses.get(name)
            if values is not None:
                self._sums[0, row].index_add_(0, source, values.detach().float())
                self._sums[1, row].index_add_(0, source, torch.ones_like(source, dtype=torch.float32))

    def state(self) -> Tensor | None:
        """The sums over all ranks, for a saved state; None before the first batch. All ranks call it."""
        if self._sums is None:
            return None
        sums = self._sums.clone()
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(sums)
        return sums.cpu()

    def restore(self, sums: Tensor | None) -> None:
        """Continues from what :meth:`state` returned. Only one rank calls it, for the sums of all ranks are added up."""
        self._sums = sums

    def read(self) -> dict[str, list[tuple[float, float]]]:
        """For each row of :attr:`ROWS`, (sum, count) of every stem over all ranks; starts again from 0. All ranks call it."""
        if self._sums is None:
            return {}
        sums, self._sums = self._sums, None
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(sums)
        total, count = sums.tolist()
        return {name: list(zip(total[row], count[row], strict=True)) for row, name in enumerate(self.ROWS)}


def parameter_groups(network: Network) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Parameters that are trained: those that decay (matrices of linear layers), and all others."""
    embeddings = {id(layer.weight) for layer in network.modules() if isinstance(layer, nn.Embedding)}
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for parameter in network.parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim >= 2 and id(parameter) not in embeddings else others).append(parameter)
    return decayed, others


def gather_rows(rows: Tensor) -> Tensor:
    """The rows of all ranks, ``(batch, …)`` → ``(ranks · batch, …)``, in the order of the ranks; gradients are returned to their rank."""
    if not torch.distributed.is_initialized() or torch.distributed.get_world_size() == 1:
        return rows
    gathered: Tensor = _GatherRows.apply(rows)  # type: ignore[no-untyped-call]
    return gathered


class _GatherRows(torch.autograd.Function):
    """Gathers. Backward, each rank gets the sum of the gradients that all ranks have for its rows."""

    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:  # noqa: ARG004
        gathered = [torch.empty_like(rows) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(gathered, rows.contiguous())
        return torch.cat(gathered)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004
        summed = gradients[0].clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(summed)
        return summed.chunk(torch.distributed.get_world_size())[_rank()]


def _rank() -> int:
    """Number of this process among those that train together."""
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


# The schedule. Learning rate, phase, τ and what is due depend on the step alone, so a run that is resumed needs to know its step only.
# Steps are optimiser steps, counted from 0: update ``step`` is the one that leads from ``step`` to ``step + 1`` updates done.


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
