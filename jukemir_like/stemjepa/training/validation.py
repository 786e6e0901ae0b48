"""How well a network in training does on held-out tracks: retrieval, loss, and signs of collapse.

A collapsed network maps everything to the same vector, and predicts its constant targets perfectly: the loss does not show it. So three
measures of collapse (:func:`spread`, :func:`effective_rank`, :func:`mean_cosine`) are computed here, and in training as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from jukemir_like.audio.stems.reading import read_whole
from jukemir_like.audio.stems.tracks import Track
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.files import printable
from jukemir_like.stemjepa import model
from jukemir_like.stemjepa.model import Views
from jukemir_like.stemjepa.retrieval import embedding, evaluation
from jukemir_like.stemjepa.settings import Training
from jukemir_like.stemjepa.training import batches
from jukemir_like.stemjepa.training.module import TrainingModule

MAX_SECONDS = 32.0
"""Of each track, from its beginning, that retrieval uses."""

MAX_EXAMPLES = 64
"""Per batch, on any number of devices, because the contrastive loss depends on the size of the batch."""


class Validation:
    """Computes metrics of a network on held-out tracks. It uses none of the run's random numbers and changes nothing of the network.

    Args:
        settings: of the run.
        tracks: held out; the first ``trainer.valid_tracks`` of them are used.
        sources: names of the stems.
        say: prints a line.
    """

    def __init__(self, settings: Training, tracks: list[Track], sources: tuple[str, ...], say: Callable[[str], None]) -> None:
        self.settings, self.sources, self.say = settings, sources, say
        self.batch_size = min(settings.data.dataloader.batch_size, MAX_EXAMPLES)
        self.tracks = tracks[: settings.trainer.valid_tracks]

    def __call__(self, module: TrainingModule) -> dict[str, float]:
        """All metrics by name, ``valid/…``; none where the tracks cannot be used, which one line says: training continues."""
        if not self.tracks:
            return {}
        started = time.perf_counter()
        try:
            metrics = self._retrieval(module) | self._loss(module)
        except (InputError, RequestError) as error:
            self.say(f"nothing is validated: {error}")
            self.tracks = []
            return {}
        metrics["seconds"] = time.perf_counter() - started
        return {f"valid/{name}": value for name, value in metrics.items()}

    def _retrieval(self, module: TrainingModule) -> dict[str, float]:
        bf16 = self.settings.trainer.precision == "bf16"
        size = embedding.BATCH_SIZE if module.device.type == "cpu" else MAX_EXAMPLES
        embedded = embedding.embed_tracks(module.network, self._waves(), batch_size=size, bf16=bf16)
        metrics: dict[str, float] = {}
        for score in evaluation.evaluate(embedded, self.sources, resamples=0).scores:
            name = f"{score.pool}/{score.metric}"
            if score.instrument == evaluation.ALL:
                metrics[name] = score.value
                if score.metric == "R@1":
                    metrics[f"{name} by chance"] = score.chance
            elif score.pool == "same-instrument" and score.metric == "R@1":
                metrics[f"{name}/{score.instrument}"] = score.value
        return metrics

    def _waves(self) -> Iterator[np.ndarray]:
        """The beginning of each track, ``(stems, samples)``."""
        sample_rate = self.settings.model.frontend.sample_rate
        samples = round(MAX_SECONDS * sample_rate)
        for track in list(self.tracks):
            try:
                yield np.ascontiguousarray(read_whole(track, sample_rate)[:, :samples])
            except InputError as error:
                self.tracks.remove(track)
                self.say(f"held-out track {printable(track.name)} {error}: left out")

    @torch.no_grad()
    def _loss(self, module: TrainingModule) -> dict[str, float]:
        """Losses and measures of collapse, averaged over the batches."""
        network, count = module.network, 0
        sums = dict.fromkeys(("predictive", "contrastive", "spread", "effective_rank", "teacher_student_cosine"), 0.0)
        for batch in batches.valid_loader(self.settings, self.tracks, self.batch_size):
            on_device = {name: values.to(module.device) for name, values in batch.items()}
            with torch.autocast(module.device.type, torch.bfloat16, enabled=self.settings.trainer.precision == "bf16"):
                views: Views = network(on_device["context"], on_device["target"], on_device["source"])
                student = network.encoder(network.frontend(on_device["target"]))
            for name, value in _batch_metrics(module, views, student, on_device["track"]).items():
                sums[name] += value
            count += 1
        means: dict[str, Any] = {name: total / count for name, total in sums.items()}
        return {f"loss_{name}" if name in ("predictive", "contrastive") else name: value for name, value in means.items()}


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
