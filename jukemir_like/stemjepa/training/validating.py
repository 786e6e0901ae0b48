"""How well a network in training does on tracks that are held out: retrieval, loss, collapse."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.files import printable
from jukemir_like.stemjepa import data, model
from jukemir_like.stemjepa.model import Views
from jukemir_like.stemjepa.retrieval import embedding, evaluation
from jukemir_like.stemjepa.settings import Training
from jukemir_like.stemjepa.training import feeding, monitors
from jukemir_like.stemjepa.training.module import Module

MOST_SECONDS = 32.0
"""So much of each track, from its beginning, is looked for and in."""

MOST_EXAMPLES = 64
"""Of a batch, whatever the devices: the contrastive loss depends on it."""


class Validation:
    """Figures of a network on held-out tracks. Nothing is drawn from the run's random numbers, and nothing of the network changes.

    Args:
        settings: of the run.
        tracks: held out; the first ``trainer.valid_tracks`` of them are used.
        sources: names of the stems.
    """

    def __init__(self, settings: Training, tracks: list[data.Track], sources: tuple[str, ...]) -> None:
        self.settings, self.sources = settings, sources
        self.batch_size = min(settings.data.dataloader.batch_size, MOST_EXAMPLES)
        self.tracks = tracks[: settings.trainer.valid_tracks]

    def __call__(self, module: Module) -> dict[str, float]:
        """All figures by name, ``valid/…``. Tracks that cannot be used end no training: one line says why there are none."""
        if not self.tracks:
            return {}
        started = time.perf_counter()
        try:
            figures = self._retrieval(module) | self._loss(module)
        except (InputError, RequestError) as error:
            print(f"jukemir-like: nothing is validated: {error}", file=sys.stderr)  # noqa: T201
            self.tracks = []
            return {}
        figures["seconds"] = time.perf_counter() - started
        return {f"valid/{name}": value for name, value in figures.items()}

    def _retrieval(self, module: Module) -> dict[str, float]:
        bf16 = self.settings.trainer.precision == "bf16"
        size = embedding.BATCH_SIZE if module.device.type == "cpu" else MOST_EXAMPLES
        embedded = embedding.embed_tracks(module.network, self._waves(), batch_size=size, bf16=bf16)
        figures: dict[str, float] = {}
        for score in evaluation.evaluate(embedded, self.sources, resamples=0).scores:
            name = f"{score.pool}/{score.metric}"
            if score.instrument == evaluation.ALL:
                figures[name] = score.value
                if score.metric == "R@1":
                    figures[f"{name} by chance"] = score.chance
            elif score.pool == "same-instrument" and score.metric == "R@1":
                figures[f"{name}/{score.instrument}"] = score.value
        return figures

    def _waves(self) -> Iterator[np.ndarray]:
        sample_rate = self.settings.model.frontend.sample_rate
        most = round(MOST_SECONDS * sample_rate)
        for track in list(self.tracks):
            try:
                yield np.ascontiguousarray(data.read_whole(track, sample_rate)[:, :most])
            except InputError as error:
                self.tracks.remove(track)
                print(f"jukemir-like: held-out track {printable(track.name)} {error}: left out", file=sys.stderr)  # noqa: T201

    @torch.no_grad()
    def _loss(self, module: Module) -> dict[str, float]:
        network, batches = module.network, 0
        sums = dict.fromkeys(("predictive", "contrastive", "spread", "effective_rank", "teacher_student_cosine"), 0.0)
        for batch in feeding.valid_loader(self.settings, self.tracks, self.batch_size):
            there = {name: values.to(module.device) for name, values in batch.items()}
            with torch.autocast(module.device.type, torch.bfloat16, enabled=self.settings.trainer.precision == "bf16"):
                views: Views = network(there["context"], there["target"], there["source"])
                heard = network.encoder(network.frontend(there["target"]))
            for name, value in _figures(module, views, heard, there["track"]).items():
                sums[name] += value
            batches += 1
        means: dict[str, Any] = {name: total / batches for name, total in sums.items()}
        return {f"loss_{name}" if name in ("predictive", "contrastive") else name: value for name, value in means.items()}


def _figures(module: Module, views: Views, heard: Tensor, track: Tensor) -> dict[str, float]:
    query, key = module.network.pooled(views.prediction), module.network.pooled(views.target)
    rows = model.contrastive_loss(query, key, module.settings.objective.temperature, track[:, None] == track[None])
    return {
        "predictive": float(model.predictive_loss(views.prediction, views.target).mean()),
        "contrastive": float(rows.mean()),
        "spread": float(monitors.spread(key)) if len(key) > 1 else float("nan"),
        "effective_rank": float(monitors.effective_rank(key)),
        "teacher_student_cosine": float(monitors.likeness(heard, views.target)),
    }
