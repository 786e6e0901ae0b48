"""Tracks → batches of a run."""

from __future__ import annotations

import hashlib
import itertools
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.stemjepa import checkpoint, config
from jukemir_like.stemjepa import data as stems
from jukemir_like.stemjepa.data.examples import Examples
from jukemir_like.stemjepa.data.loading import loader
from jukemir_like.stemjepa.data.local_copy import local_copy
from jukemir_like.stemjepa.data.loudness import Loudness
from jukemir_like.stemjepa.data.normalisation import log_mel_statistics
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

    def told(self) -> dict[str, Any]:
        """What was understood, for the run's folder."""
        counts = {"train": len(self.train), "valid": len(self.valid)}
        return {"tracks": counts, "sources": list(self.sources), "notes": self.notes, "left_out": self.failed}

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
    found = _find(data, data.data_path, count, data.sources, workers)
    sources = data.sources or found.sources or checkpoint.default_sources(settings.model)
    config.check_sources(sources, count)
    failed, notes = dict(found.failures), list(found.notes)
    if data.valid_path is not None:
        # By the same names in the same order: a stem has one number, whichever folder it comes from.
        held_out = _find(data, data.valid_path, count, tuple(sources) if data.sources or found.sources or count == 4 else None, workers)
        train, valid = stems.split(_without(found, data.data_path, data.valid_path), 0, settings.seed)[0], list(held_out.tracks)
        failed |= {f"{data.valid_path}/{name}": reason for name, reason in held_out.failures.items()}
        notes += [f"held out: {note}" for note in held_out.notes]
    else:
        train, valid = (list(part) for part in stems.split(found, data.valid_fraction, settings.seed))
    used = {track.name for track in train} | ({track.name for track in valid} if data.valid_path is None else set())
    if unused := Counter(track.split or "held out" for track in found.tracks if track.name not in used):
        notes.append(f"in neither part: {', '.join(f'{number:,} {split}' for split, number in sorted(unused.items()))}")
    return Material(train, valid, tuple(sources), failed, notes)


def _find(data: Data, folder: str, count: int, sources: tuple[str, ...] | None, workers: int) -> stems.StemFolder:
    """Tracks of a folder, or of its copy on this node's disk."""
    path = Path(folder).expanduser()
    missed: dict[str, str] = {}
    if data.local_dir:
        path = local_copy(path, on_error=missed.__setitem__)
    found = stems.find(path, count, workers=workers, sources=sources)
    return replace(found, failures=missed | found.failures)


def _without(found: stems.StemFolder, folder: str, held_out: str) -> stems.StemFolder:
    """What was found in ``folder`` but not in ``held_out``, which may be a part of it."""
    whole, part = (Path(path).expanduser().resolve() for path in (folder, held_out))
    if not part.is_relative_to(whole):
        return found
    inside = part.relative_to(whole).as_posix()
    tracks = [] if inside == "." else [track for track in found.tracks if not f"{track.name}/".startswith(f"{inside}/")]
    return replace(found, tracks=tracks)


def set_aside(tracks: Sequence[stems.Track]) -> None:
    """Says which tracks turned out to be of no use while they were trained on, and how many they are."""
    refused = Loudness().refused(tracks)
    tell(refused)
    if refused:
        print(f"jukemir-like: set aside in training: {len(refused):,} of {len(tracks):,} tracks", file=sys.stderr)  # noqa: T201


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
    mean, std = log_mel_statistics(train, settings.data, settings.model, settings.seed, workers=workers)
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
    return loader(
        Examples(tracks, settings.data, settings.model, settings.seed),
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
    examples = Examples(tracks, plain, settings.model, _VALID_SEED)
    return loader(examples, batch_size=size, batches=max(1, len(tracks) // size), workers=0)
