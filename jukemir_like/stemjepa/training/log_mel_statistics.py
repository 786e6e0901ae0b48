"""Mean and standard deviation of the data's log-mel, which standardise what the networks see.

They are estimated from the first examples of the run. Examples are added until the estimate is good enough, or all of the material has been
heard once: three short songs do not take as long as a thousand. The estimate is kept in the cache, so that the next run on the same files
does not measure them again.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch

from jukemir_like.audio.stems.tracks import Track
from jukemir_like.core import jsonfiles
from jukemir_like.core.atomic import write_json
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import JukemirLikeError, RequestError
from jukemir_like.core.progress import Progress
from jukemir_like.stemjepa import config
from jukemir_like.stemjepa.data.examples import Examples
from jukemir_like.stemjepa.data.loading import loader
from jukemir_like.stemjepa.data.loudness import Loudness
from jukemir_like.stemjepa.data_settings import Data
from jukemir_like.stemjepa.model import LogMel

LEAST_EXAMPLES, MOST_EXAMPLES = 64, 1024
TOLERANCE = 0.02
"""Of the standard deviation: examples are added until the standard errors of mean and standard deviation are both below it."""

_RECIPE = 1  # of the estimate; part of the key under which it is kept
_BATCH = 16
_DIGITS = 7  # so that the last bits, which depend on the number of threads, make no difference


@dataclass(frozen=True)
class Statistics:
    """Of the natural log-mel.

    Args:
        mean, std: over all frames and bands of contexts and targets; the standard deviation is that of the population.
        examples: from how many examples.
        mean_error, std_error: standard errors, from the differences between examples; NaN of one example.
    """

    mean: float
    std: float
    examples: int
    mean_error: float
    std_error: float

    def line(self, *, kept: bool) -> str:
        """What is said of it.

        Args:
            kept: it is from the cache.
        """
        source = "in the cache" if kept else "measured"
        return (
            f"log-mel of the data: mean {self.mean:.3f} ± {self.mean_error:.3f}, standard deviation {self.std:.3f} ± {self.std_error:.3f}, "
            f"{source}, from {self.examples:,} examples"
        )


def measured_or_kept(
    tracks: Sequence[Track], data: Data, model: config.Model, seed: int, *, workers: int = 0, folder: Path | None = None
) -> tuple[Statistics, bool]:
    """What :func:`measure` returns, and whether it was in the cache; then nothing is measured.

    Args:
        tracks, data, model, seed, workers: as in :func:`measure`.
        folder: where estimates are kept; None: ``stems`` of the cache. Where it cannot be written, they are measured each time.

    Raises:
        RequestError: as :func:`measure`.
    """
    path = None
    with suppress(OSError):  # a file is gone: the reading of examples says which, and goes on without it
        key = _key(tracks, data, model, seed)
        path = (folder or Cache.default().root / "stems") / f"statistics-{key}.json"
        kept = _read(path)
        if kept is not None:
            return kept, True
    statistics = measure(tracks, data, model, seed, workers=workers)
    if path is not None:
        with suppress(JukemirLikeError, OSError):  # it only saves time
            write_json(path, {name: value if math.isfinite(value) else None for name, value in asdict(statistics).items()})
    return statistics, False


def measure(
    tracks: Sequence[Track],
    data: Data,
    model: config.Model,
    seed: int,
    *,
    least: int = LEAST_EXAMPLES,
    most: int = MOST_EXAMPLES,
    tolerance: float = TOLERANCE,
    workers: int = 0,
    loudness: Loudness | None = None,
) -> Statistics:
    """Mean and standard deviation of the log-mel over the first examples of a run.

    Examples are the units of which the standard errors are computed, because the frames of one are alike: with the mean mᵢ and the mean
    square sᵢ of every example, the error of the mean is that of the average of mᵢ, and the error of the standard deviation σ around μ that
    of the average of (sᵢ - 2 μ mᵢ) / 2σ (the delta method).

    Args:
        tracks, data, model, seed, loudness: as in :class:`Examples`; the model's own ``mean`` and ``std`` have no effect.
        least, most: examples, at least and at most.
        tolerance: of the standard deviation; below it, the errors are small enough.
        workers: processes that read; the figures do not depend on them.

    Raises:
        RequestError: all values are equal, so that nothing can be standardised; or as :class:`Examples`.
    """
    if not 1 <= least <= most:
        raise RequestError(f"statistics over {least} to {most} examples: give 1 or more, and at most no fewer than at least")
    log_mel = LogMel(replace(model.frontend, mean=0.0, std=1.0))
    seconds = sum(track.frames / track.sample_rate for track in tracks)
    enough_to_hear_all = max(least, math.ceil(seconds / model.encoder.chunk_seconds))
    most = min(most, enough_to_hear_all)
    batch_size = min(_BATCH, most)
    batches = loader(
        Examples(tracks, data, model, seed, loudness=loudness), batch_size=batch_size, batches=-(-most // batch_size), workers=workers
    )
    moments: list[np.ndarray] = []  # of the examples of each batch: mean, mean square
    with torch.inference_mode(), Progress(most, "measuring the data", "example") as bar:
        for batch in batches:
            left = most - sum(map(len, moments))
            values = log_mel(torch.stack([batch["context"][:left], batch["target"][:left]], dim=1)).flatten(1).numpy().astype(np.float64)
            moments.append(np.stack([values.mean(1), np.square(values).mean(1)], axis=1))
            bar.update(len(values))
            statistics = _estimate(np.concatenate(moments))
            error = max(statistics.mean_error, statistics.std_error)
            if statistics.examples >= least and error <= tolerance * statistics.std:
                break
    if statistics.std**2 < 1e-6:
        raise RequestError("the log-mel of the data is the same everywhere: look at the audio, or set data.statistics=false")
    return statistics


def _estimate(moments: np.ndarray) -> Statistics:
    """From mean and mean square of each example, shape ``(examples, 2)``."""
    count = len(moments)
    mean, square = moments.mean(0)
    std = max(float(square - mean**2), 0.0) ** 0.5
    influence = (moments[:, 1] - 2 * mean * moments[:, 0]) / (2 * std) if std else np.zeros(count)
    errors = [float(values.std(ddof=1)) / count**0.5 if count > 1 else math.nan for values in (moments[:, 0], influence)]
    mean, std, *errors = (float(f"{value:.{_DIGITS}g}") for value in (mean, std, *errors))
    return Statistics(mean, std, count, *errors)


def _key(tracks: Sequence[Track], data: Data, model: config.Model, seed: int) -> str:
    """Digest of all that decides the estimate: the files with their sizes and times of change, how they are sampled, the front-end."""
    files = [
        [(str(file.absolute()), status.st_size, status.st_mtime_ns) for file in track.files for status in (file.stat(),)]
        + [(track.name, track.sample_rate, track.frames, track.channels, *([track.numbers] if track.numbers else []))]
        for track in tracks
    ]
    frontend = {name: value for name, value in asdict(model.frontend).items() if name not in ("mean", "std")}
    sampling = {"context": data.context, "silence_db": data.silence_db, "augmentation": asdict(data.augmentation), "seed": seed}
    limits = {"least": LEAST_EXAMPLES, "most": MOST_EXAMPLES, "tolerance": TOLERANCE, "batch": _BATCH}
    versions = {"recipe": _RECIPE, "torch": torch.__version__, "numpy": np.__version__, "soxr": soxr.__version__}
    parts = [files, frontend, model.chunk_samples, sampling, limits, versions]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode(errors="surrogateescape")).hexdigest()[:32]


def _read(path: Path) -> Statistics | None:
    """An estimate that was kept; None: there is none, or the file is damaged."""
    shape: dict[str, Any] = {"mean": float, "std": float, "examples": int, "mean_error": (None, float), "std_error": (None, float)}
    with suppress(JukemirLikeError, OSError):
        values = jsonfiles.read(path, shape, "remove it")
        if values["std"] > 0:
            numbers: dict[str, Any] = {name: math.nan if values[name] is None else values[name] for name in shape}
            return Statistics(**numbers)
    return None
