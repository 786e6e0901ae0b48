"""How well a network in training does on held-out tracks: retrieval, loss, and signs of collapse.

A collapsed network maps everything to the same vector, and predicts its constant targets perfectly: the loss does not show it. So three
measures of collapse (:func:`spread`, :func:`effective_rank`, :func:`mean_cosine`) are computed here, and in training as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import Dataset

from jukemir_like.audio.stems.reading import read_whole
from jukemir_like.audio.stems.tracks import Track
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.files import printable
from jukemir_like.stemjepa import model
from jukemir_like.stemjepa.data.loading import items_ahead
from jukemir_like.stemjepa.model import Views
from jukemir_like.stemjepa.retrieval import embedding, evaluation
from jukemir_like.stemjepa.retrieval.embedding import Embedded, Stems
from jukemir_like.stemjepa.settings import Training
from jukemir_like.stemjepa.training import batches
from jukemir_like.stemjepa.training.group import Group
from jukemir_like.stemjepa.training.module import TrainingModule

MAX_SECONDS = 32.0
"""Of each track, from its beginning, that retrieval uses."""

MAX_EXAMPLES = 64
"""Per batch, on any number of devices, because the contrastive loss depends on the size of the batch."""


class Beginnings(Dataset[Any]):
    """``beginnings[n]``: the first :data:`MAX_SECONDS` of track n, ``(stems, samples)``, with numbers where stems are its own; where it
    cannot be used, the reason, a string.

    Args:
        tracks: of which.
        sample_rate: of the samples, in Hz.
    """

    def __init__(self, tracks: Sequence[Track], sample_rate: int) -> None:
        self.tracks, self.sample_rate = tuple(tracks), sample_rate

    def __len__(self) -> int:
        return len(self.tracks)

    def __getitem__(self, number: int) -> Stems | np.ndarray | str:
        track = self.tracks[number]
        try:
            samples = np.ascontiguousarray(read_whole(track, self.sample_rate, MAX_SECONDS))
            if not track.numbers:
                return samples
            used = np.array(track.numbers) >= 0  # of instruments that are not trained on nothing is heard here either
            return Stems(samples[used], np.array(track.numbers)[used]) if used.any() else "has no stem of an instrument that is trained on"
        except InputError as error:
            return str(error)


class Validation:
    """Computes metrics of a network on held-out tracks. It uses none of the run's random numbers and changes nothing of the network.

    Each process of the run has its part of the tracks and of the batches; worker processes read them ahead.

    Args:
        settings: of the run.
        tracks: held out; the first ``trainer.valid_tracks`` of them are used.
        sources: names of the stems.
        group: the processes of the run, which all call this together.
        workers: processes that read, for this one.
    """

    def __init__(self, settings: Training, tracks: list[Track], sources: tuple[str, ...], group: Group, workers: int = 0) -> None:
        self.settings, self.sources, self.group, self.workers = settings, sources, group, workers
        self.batch_size = min(settings.data.dataloader.batch_size, MAX_EXAMPLES)
        self.tracks = tracks[: settings.trainer.valid_tracks]

    def __call__(self, module: TrainingModule) -> dict[str, float]:
        """All metrics by name, ``valid/…``, in the first process; none where the tracks cannot be used, which one line says."""
        if not self.tracks:
            return {}
        started = time.perf_counter()
        parts = self.group.gather(self._part(module))
        metrics: dict[str, float] = {}

        def combine() -> list[int]:
            try:
                left = self._without_failed(parts)
                metrics.update(self._metrics(parts))
            except (InputError, RequestError) as error:
                self.group.placement.say(f"nothing is validated: {error}")
                return []
            metrics["seconds"] = time.perf_counter() - started
            return left

        left = self.group.from_first(combine)
        self.tracks = [self.tracks[number] for number in left]
        return {f"valid/{name}": value for name, value in metrics.items()}

    def _part(self, module: TrainingModule) -> Part:
        """What this process computes."""
        part = Part()
        rank, world_size = self.group.placement.rank, self.group.placement.world_size
        try:
            bf16 = self.settings.trainer.precision == "bf16"
            size = embedding.BATCH_SIZE if module.device.type == "cpu" else MAX_EXAMPLES
            waves = self._waves(range(rank, len(self.tracks), world_size), part)
            part.embedded = embedding.embed_tracks(module.network, waves, batch_size=size, bf16=bf16)
        except (InputError, RequestError) as error:
            part.error = error
        failed = {number for numbers in self.group.each(lambda: list(part.failed)) for number in numbers}
        try:
            self._losses(module, [track for number, track in enumerate(self.tracks) if number not in failed], part)
        except (InputError, RequestError) as error:
            part.error = error
        return part

    def _waves(self, numbers: Sequence[int], part: Part) -> Iterator[Stems | np.ndarray]:
        beginnings = Beginnings(self.tracks, self.settings.model.frontend.sample_rate)
        for number, beginning in zip(numbers, items_ahead(beginnings, numbers, workers=self.workers), strict=True):
            if isinstance(beginning, str):
                part.failed[number] = beginning
            else:
                part.numbers.append(number)
                yield beginning

    @torch.no_grad()
    def _losses(self, module: TrainingModule, tracks: Sequence[Track], part: Part) -> None:
        """Losses and measures of collapse of this process's batches."""
        valid = batches.ValidBatches(self.settings, tracks, self.batch_size)
        numbers = range(self.group.placement.rank, len(valid), self.group.placement.world_size)
        network = module.network
        for number, batch in zip(numbers, items_ahead(valid, numbers, workers=self.workers), strict=True):
            on_device = {name: torch.from_numpy(values).to(module.device, non_blocking=True) for name, values in batch.items()}
            with torch.autocast(module.device.type, torch.bfloat16, enabled=self.settings.trainer.precision == "bf16"):
                views: Views = network(on_device["context"], on_device["target"], on_device["source"])
                student = network.encoder(network.frontend(on_device["target"]))
            part.batches[number] = _batch_metrics(module, views, student, on_device["track"])

    def _without_failed(self, parts: Sequence[Part]) -> list[int]:
        """Numbers of the tracks that could be read; of each of the others one line tells why not."""
        failed = {number: reason for part in parts for number, reason in part.failed.items()}
        for number, reason in sorted(failed.items()):
            self.group.placement.say(f"held-out track {printable(self.tracks[number].name)} {reason}: left out")
        return [number for number in range(len(self.tracks)) if number not in failed]

    def _metrics(self, parts: Sequence[Part]) -> dict[str, float]:
        errors = [part.error for part in parts if part.error is not None]
        if errors:
            raise errors[0]
        metrics: dict[str, float] = {}
        embedded = embedding.merge([(part.numbers, part.embedded) for part in parts if part.embedded is not None])
        for score in evaluation.evaluate(embedded, self.sources, resamples=0).scores:
            name = f"{score.pool}/{score.metric}"
            if score.instrument == evaluation.ALL:
                metrics[name] = score.value
                if score.metric == "R@1":
                    metrics[f"{name} by chance"] = score.chance
            elif score.pool == "same-instrument" and score.metric == "R@1":
                metrics[f"{name}/{score.instrument}"] = score.value
        of_batches = [values for _, values in sorted({number: values for part in parts for number, values in part.batches.items()}.items())]
        for name in of_batches[0]:
            mean = sum(values[name] for values in of_batches) / len(of_batches)
            metrics[f"loss_{name}" if name in ("predictive", "contrastive") else name] = mean
        return metrics


@dataclass
class Part:
    """What one process has computed of a validation.

    Args:
        numbers: of the tracks that were embedded, in their order.
        embedded: their vectors.
        failed: number of a track that cannot be read → the reason.
        batches: number of a batch → its losses and measures of collapse.
        error: why nothing can be validated; None: it can.
    """

    numbers: list[int] = field(default_factory=list)
    embedded: Embedded | None = None
    failed: dict[int, str] = field(default_factory=dict)
    batches: dict[int, dict[str, float]] = field(default_factory=dict)
    error: InputError | RequestError | None = None


def _batch_metrics(module: TrainingModule, views: Views, student: Tensor, track: Tensor) -> dict[str, float]:
    query, key = module.network.pooled(views.prediction), module.network.pooled(views.target)
    rows = model.contrastive_loss(query, key, module.settings.objective.temperature, track[:, None] == track[None])
    return {
        "predictive": float(model.predictive_loss(views.prediction, views.target).mean()),
        "contrastive": float(rows.mean()),
        "spread": float(spread(key)) if len(key) > 1 else float("nan"),
        "effective_rank": float(effective_rank(key)),
        "teacher_student_cosine": float(mean_cosine(student, views.target)),
    }


def spread(vectors: Tensor) -> Tensor:
    """Standard deviation over the batch of vectors scaled to unit length, averaged over features, times √width.

    1 for random directions, 0 where all vectors have the same direction (after Chen and He 2021, section 4.1).

    Args:
        vectors: ``(batch, width)``, at least two.

    >>> round(float(spread(torch.tensor([[1.0, 2.0], [2.0, 4.0]]))), 6)
    0.0
    """
    unit = F.normalize(vectors.float(), dim=-1)
    result: Tensor = unit.std(0).mean() * vectors.shape[1] ** 0.5
    return result


def effective_rank(vectors: Tensor) -> Tensor:
    """RankMe: exponential of the entropy of the normalised singular values (Garrido et al. 2023, equation 1).

    From 1, where all vectors lie on one line, to the lesser of batch and width.

    Args:
        vectors: ``(batch, width)``.

    >>> round(float(effective_rank(torch.eye(3, 8))), 4)
    3.0
    """
    # The singular values are the square roots of the smaller Gram matrix's eigenvalues; in float64, because squaring halves the digits.
    wide = vectors.double()
    gram = wide @ wide.T if wide.shape[0] <= wide.shape[1] else wide.T @ wide
    singular = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()
    shares = singular / singular.sum().clamp(min=torch.finfo(torch.float64).tiny)
    rank: Tensor = torch.special.entr(shares).sum().exp()
    return rank


def mean_cosine(vectors: Tensor, others: Tensor) -> Tensor:
    """Mean cosine between corresponding patches of two batches, ``(batch, patches, width)`` each.

    >>> float(mean_cosine(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[0.0, 2.0]]])))
    0.0
    """
    return F.cosine_similarity(vectors.float(), others.float(), dim=-1).mean()
