"""Mean and standard deviation of the log-mel of a data set, by which the input of a network is standardised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from jukemir_like.audio.stems.tracks import Track
from jukemir_like.core.errors import RequestError
from jukemir_like.core.progress import Progress
from jukemir_like.stemjepa import config
from jukemir_like.stemjepa.data.examples import Examples
from jukemir_like.stemjepa.data.loading import loader
from jukemir_like.stemjepa.data.loudness import Loudness
from jukemir_like.stemjepa.model import LogMel
from jukemir_like.stemjepa.settings import Data

_BATCH = 16


def log_mel_statistics(
    tracks: Sequence[Track],
    data: Data,
    model: config.Model,
    seed: int,
    *,
    examples: int = 1024,
    workers: int = 0,
    loudness: Loudness | None = None,
) -> tuple[float, float]:
    """Mean and standard deviation (of the population) of the natural log-mel over all frames and bands of contexts and targets.

    Args:
        tracks, data, model, seed, loudness: as in :class:`Examples`; the model's own ``mean`` and ``std`` have no effect.
        examples: number of examples: 0 … ``examples`` - 1 of the seed.
        workers: processes that read; the figures do not depend on them.

    Raises:
        RequestError: all values are equal, so that nothing can be standardised; or as :class:`Examples`.
    """
    if examples < 1:
        raise RequestError(f"statistics over {examples} examples: give 1 or more")
    dataset = Examples(tracks, data, model, seed, loudness=loudness)
    log_mel = LogMel(replace(model.frontend, mean=0.0, std=1.0))
    count, total, squares = 0, 0.0, 0.0
    batch_size = min(_BATCH, examples)
    batches = loader(dataset, batch_size=batch_size, batches=-(-examples // batch_size), workers=workers)
    with torch.inference_mode(), Progress(len(batches), "measuring the data", "part") as bar:
        for number, batch in enumerate(batches):
            left = examples - number * batch_size
            # In float64, and one batch after another: the same bits for any number of workers.
            values = log_mel(torch.cat([batch["context"][:left], batch["target"][:left]])).double()
            count += values.numel()
            total += float(values.sum())
            squares += float(values.square().sum())
            bar.update()
    mean = total / count
    variance = squares / count - mean**2
    if variance < 1e-6:
        raise RequestError("the log-mel of the data is the same everywhere: look at the audio, or set data.statistics=false")
    return mean, variance**0.5
