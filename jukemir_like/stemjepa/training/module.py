"""Losses, optimiser and teacher of a run, for Lightning.

What a step costs beside forward, backward and optimiser is kept small: the teacher moves in one fused operation, and the figures for the
log are summed on the device and read only when a line is written, for reading makes the processor wait for the device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import lightning
import torch
import torch.distributed
from torch import Tensor, nn

from jukemir_like.stemjepa import model
from jukemir_like.stemjepa.model import Network, Views
from jukemir_like.stemjepa.settings import Training
from jukemir_like.stemjepa.training import schedule

Batch = dict[str, Tensor]


class Losses(NamedTuple):
    """Losses of every example, ``(batch,)`` each; None where the phase has no such term."""

    predictive: Tensor | None
    contrastive: Tensor | None


class Module(lightning.LightningModule):
    """A network in training.

    Attributes:
        network: what trains.
        step: optimiser steps done.
        seconds: spent on them.
        optimiser_state: to begin with, where the run goes on.
        tally: sums for the log.
        latest: the last value of every figure so far.
        gradient_norm: of the last step, before clipping; on the device.
        views: what the networks made of the last batch, without gradients, where ``watched`` of its step asks to keep it.
    """

    def __init__(self, settings: Training) -> None:
        super().__init__()
        self.settings = settings
        self.network = Network(settings.model)
        self.step = 0
        self.seconds = 0.0
        self.tally = Tally(settings.model.predictor.num_sources)
        self.latest: dict[str, float] = {}
        self.gradient_norm: Tensor | None = None
        self.views: Views | None = None
        self.watched: Callable[[int], bool] = lambda _: False
        self.optimiser_state: dict[str, Any] | None = None

    def forward(self, batch: Batch) -> Tensor:
        """The loss of a batch: a number to minimise."""
        contrasting = schedule.is_contrastive(self.settings, self.step)
        views = self.network(batch["context"], batch["target"], batch["source"], by_teacher=not contrasting)
        losses = self.losses(views, batch["track"], contrasting=contrasting)
        total = self.total(losses)
        self.tally.add(batch["source"], loss=total, predictive=losses.predictive, contrastive=losses.contrastive)
        self.views = Views(*(part.detach() for part in views)) if self.watched(self.step) else None
        return total.mean()

    def losses(self, views: Views, track: Tensor, *, contrasting: bool) -> Losses:
        """The terms of the phase for every example of this rank.

        In the contrastive phase the mix itself looks for the stem too, as in arXiv 2411.19806. At first all pooled vectors are nearly
        alike, and what they have in common hides what tells them apart: so this term is of deviations from the batch's mean, and learns
        at once. The prediction, which is compared as it is, follows.

        The contrastive term of an example is against the batches of all ranks. Its mean over the ranks has the gradient that one process
        with the whole batch would have, for gathering hands gradients back to where features came from, and ranks average them.
        """
        options = self.settings.objective
        predictive = None if contrasting else model.predictive_loss(views.prediction, views.target)
        contrastive = None
        if contrasting or options.contrastive_weight:
            mix_weight = options.mix_weight if contrasting else 0.0
            parts = [views.prediction, views.target, *([views.context] if mix_weight else [])]
            pooled = torch.cat([self.network.pooled(part).float() for part in parts], dim=1)
            query, key, *mix = everywhere(pooled).chunk(len(parts), dim=1)
            tracks = everywhere(track)
            forbidden = tracks[:, None] == tracks[None]
            rows = model.contrastive_loss(query, key, options.temperature, forbidden)
            if mix:
                centred = (mix[0] - mix[0].mean(0), key - key.mean(0))
                rows = rows + mix_weight * model.contrastive_loss(*centred, options.temperature, forbidden)
            contrastive = rows[len(track) * rank() :][: len(track)]
        return Losses(predictive, contrastive)

    def total(self, losses: Losses) -> Tensor:
        """What is minimised of every example: the contrastive term in the first phase, then the predictive and its share of the other."""
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
        """AdamW, fused; no decay of biases, norms and embeddings (they would only shrink)."""
        options = self.settings.optimiser
        decayed, others = parameter_groups(self.network)
        groups = [{"params": decayed, "weight_decay": options.weight_decay}, {"params": others, "weight_decay": 0.0}]
        rate = schedule.learning_rate(self.settings, self.step)
        optimiser = torch.optim.AdamW(groups, lr=rate, betas=(options.beta1, options.beta2), fused=True)
        if self.optimiser_state is not None:
            optimiser.load_state_dict(self.optimiser_state)
            self.optimiser_state = None
        return optimiser

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        limit = self.settings.optimiser.clip or float("inf")
        self.gradient_norm = nn.utils.clip_grad_norm_(parameters, limit, foreach=True)

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None) -> None:
        """One update of the networks, then one of the teacher. Lightning calls it when all micro-batches of a step are in."""
        for group in optimizer.param_groups:
            group["lr"] = schedule.learning_rate(self.settings, self.step)
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        model.update_teacher(self.network.teacher, self.network.encoder, schedule.tau(self.settings, self.step))
        self.step += 1

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["run"] = {
            "settings": self.settings.to_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "tau": schedule.tau(self.settings, max(self.step - 1, 0)),
            "tally": self.tally.state(),
            "latest": dict(self.latest),
        }


class Tally:
    """Sums of losses by stem since the last reading."""

    ROWS = ("loss", "predictive", "contrastive")

    def __init__(self, stems: int) -> None:
        self.stems = stems
        self._sums: Tensor | None = None

    def add(self, source: Tensor, **losses: Tensor | None) -> None:
        """Adds losses of examples, ``(batch,)`` each, named as in :attr:`ROWS`; nothing waits for the device."""
        if self._sums is None:
            self._sums = torch.zeros(2, len(self.ROWS), self.stems)
        self._sums = self._sums.to(source.device)
        for row, name in enumerate(self.ROWS):
            values = losses.get(name)
            if values is not None:
                self._sums[0, row].index_add_(0, source, values.detach().float())
                self._sums[1, row].index_add_(0, source, torch.ones_like(source, dtype=torch.float32))

    def state(self) -> Tensor | None:
        """The sums over all ranks, to go on from. All ranks call it."""
        if self._sums is None:
            return None
        sums = self._sums.clone()
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(sums)
        return sums.cpu()

    def restore(self, sums: Tensor | None) -> None:
        """Goes on from what :meth:`state` gave; one rank is to."""
        self._sums = sums

    def read(self) -> dict[str, list[tuple[float, float]]]:
        """For each row, (sum, count) of every stem over all ranks; empties it. All ranks call it."""
        if self._sums is None:
            return {}
        sums, self._sums = self._sums, None
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(sums)
        total, count = sums.tolist()
        return {name: list(zip(total[row], count[row], strict=True)) for row, name in enumerate(self.ROWS)}


def parameter_groups(network: Network) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Parameters that train: the matrices of linear layers, which decay, and all others."""
    embeddings = {id(layer.weight) for layer in network.modules() if isinstance(layer, nn.Embedding)}
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    decays = [parameter.ndim >= 2 and id(parameter) not in embeddings for parameter in trained]
    chosen = list(zip(trained, decays, strict=True))
    return [parameter for parameter, decay in chosen if decay], [parameter for parameter, decay in chosen if not decay]


def rank() -> int:
    """Number of this process among those that train together."""
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def everywhere(rows: Tensor) -> Tensor:
    """The rows of all ranks, ``(batch, …)`` → ``(ranks · batch, …)``, in the order of the ranks; gradients find their way back."""
    if not torch.distributed.is_initialized() or torch.distributed.get_world_size() == 1:
        return rows
    gathered: Tensor = _Everywhere.apply(rows)  # type: ignore[no-untyped-call]
    return gathered


class _Everywhere(torch.autograd.Function):
    """Gathers; backward, each rank gets the sum of what all ranks ask of its rows."""

    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:  # noqa: ARG004
        gathered = [torch.empty_like(rows) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(gathered, rows.contiguous())
        return torch.cat(gathered)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004
        summed = gradients[0].clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(summed)
        return summed.chunk(torch.distributed.get_world_size())[rank()]
