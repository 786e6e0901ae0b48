"""Tracks → batches of a run."""

from __future__ import annotations

import hashlib
import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jukemir_like.errors import RequestError
from jukemir_like.records import printable
from jukemir_like.stemjepa import checkpoint, config, stems
from jukemir_like.stemjepa.settings import Data, Training
from jukemir_like.stemjepa.training.places import Place

_VALID_SEED = 1
_MOST_TOLD = 5


@dataclass(frozen=True)
class Material:
    """The tracks of a run.

    Args:
        train: to train on.
        valid: held out; may be empty.
        sources: names of the stems.
        failed: name → why it could not be used.
        notes: further lines worth saying.
    """

    train: list[stems.Track]
    valid: list[stems.Track]
    sources: tuple[str, ...]
    failed: dict[str, str]
    notes: list[str]

    def digest(self) -> str:
        """SHA-256 over names, lengths and formats of the tracks: another selection of tracks, another digest."""
        told = hashlib.sha256()
        for part in (self.train, self.valid):
            for track in part:
                told.update(f"{track.name}\0{track.sample_rate}\0{track.frames}\0{track.channels}\n".encode(errors="surrogateescape"))
            told.update(b"\n")
        return told.hexdigest()


def material(settings: Training, *, workers: int = 1) -> Material:
    """Finds the tracks and divides them.

    Raises:
        RequestError: no folder is named, or none of its tracks can be trained on.
    """
    data, count = settings.data, settings.model.predictor.num_sources
    if not data.data_path:
        raise RequestError("no data: give data.data_path=FOLDER, or data=NAME for a configuration configs/data/NAME.yaml")
    found = stems.find(_folder(data, data.data_path), count, workers=workers, sources=data.sources)
    failed, notes = dict(found.failures), list(found.notes)
    if data.valid_path is not None:
        held_out = stems.find(_folder(data, data.valid_path), count, workers=workers, sources=data.sources)
        train, valid = list(found.tracks), list(held_out.tracks)
        failed |= {f"{data.valid_path}/{name}": reason for name, reason in held_out.failures.items()}
    else:
        train, valid = (list(part) for part in stems.split(found, data.valid_fraction, settings.seed))
    sources = data.sources or found.sources or checkpoint.default_sources(settings.model)
    config.check_sources(sources, count)
    return Material(train, valid, tuple(sources), failed, notes)


def tell(failed: dict[str, str]) -> None:
    """One line for each of the first tracks that could not be used, and one for the rest."""
    for name, reason in itertools.islice(sorted(failed.items()), _MOST_TOLD):
        print(f"jukemir-like: left out: {printable(name)}: {reason}", file=sys.stderr)  # noqa: T201
    if len(failed) > _MOST_TOLD:
        print(f"jukemir-like: left out: {len(failed) - _MOST_TOLD:,} more tracks", file=sys.stderr)  # noqa: T201


def with_statistics(settings: Training, train: Sequence[stems.Track]) -> Training:
    """The same run, its front-end standardised by what the data measure, where ``data.statistics`` asks for it."""
    if not settings.data.statistics:
        return settings
    workers = settings.data.dataloader.num_workers
    mean, std = stems.statistics(train, settings.data, settings.model, settings.seed, workers=workers)
    return replace(settings, model=settings.model.with_statistics(mean, std))


def micro_batch(settings: Training, place: Place) -> int:
    """Examples a device and micro-batch.

    Raises:
        RequestError: the batch cannot be divided so.
    """
    parts = place.world_size * settings.trainer.accumulate
    size, rest = divmod(settings.data.dataloader.batch_size, parts)
    if rest or not size:
        raise RequestError(
            f"data.dataloader.batch_size {settings.data.dataloader.batch_size} cannot be divided over {place.world_size} devices "
            f"and {settings.trainer.accumulate} accumulated batches: make it a multiple of {parts}"
        )
    return size


def train_loader(settings: Training, tracks: Sequence[stems.Track], place: Place, step: int) -> Any:
    """Batches from step ``step`` to the end of the run, the same whether or not there was an interruption."""
    accumulate = settings.trainer.accumulate
    return stems.loader(
        stems.Examples(tracks, settings.data, settings.model, settings.seed),
        batch_size=micro_batch(settings, place),
        first_batch=step * accumulate,
        batches=(settings.trainer.max_steps - step) * accumulate,
        rank=place.rank,
        world_size=place.world_size,
        workers=settings.data.dataloader.num_workers,
    )


def valid_loader(settings: Training, tracks: Sequence[stems.Track], batch_size: int) -> Any:
    """The same batches at each validation: an example or more of every held-out track, without augmentation."""
    size = min(batch_size, max(4 * len(tracks), 2))
    plain = replace(settings.data, augmentation=type(settings.data.augmentation)())
    examples = stems.Examples(tracks, plain, settings.model, _VALID_SEED)
    return stems.loader(examples, batch_size=size, batches=max(1, len(tracks) // size), workers=0)


def _folder(data: Data, folder: str) -> Path:
    path = Path(folder).expanduser()
    return stems.local_copy(path) if data.local_dir else path
