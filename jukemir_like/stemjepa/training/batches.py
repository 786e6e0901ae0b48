"""The tracks of a run, and the batches that are made from them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from jukemir_like.audio.stems.tracks import StemFolder, Track, numbered, split
from jukemir_like.core import machine
from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.core.stems import instrument_name
from jukemir_like.datasets.instrument_families import families, family_of, is_held_out
from jukemir_like.stemjepa import checkpoint, config, instrument_names
from jukemir_like.stemjepa.data.examples import Examples
from jukemir_like.stemjepa.data.finding import find, find_ensembles
from jukemir_like.stemjepa.data.loading import loader
from jukemir_like.stemjepa.data.local_copy import local_copy
from jukemir_like.stemjepa.data.loudness import Loudness
from jukemir_like.stemjepa.data_settings import Data
from jukemir_like.stemjepa.settings import Training
from jukemir_like.stemjepa.training.devices import Placement

MOST_WORKERS = {"cpu": 2, "cuda": 8}
"""Processes that read, per device, where the settings do not say how many."""

_VALID_SEED = 1
_MAX_LINES = 5  # of tracks that are left out


@dataclass(frozen=True)
class TrainingTracks:
    """The tracks of a run.

    Args:
        train: tracks to train on.
        valid: held-out tracks; may be empty.
        sources: names of the stems.
        failed: name of each track that cannot be used → the reason.
        notes: lines that say how the folder was understood.
        folders: their names, where there are several; a track's ``folder`` is the place in them.
        shares: of the folders; none: by their numbers of tracks.
    """

    train: list[Track]
    valid: list[Track]
    sources: tuple[str, ...]
    failed: dict[str, str]
    notes: list[str]
    folders: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """How the data were understood, as JSON values."""
        counts = {"train": len(self.train), "valid": len(self.valid)}
        described = {"tracks": counts, "sources": list(self.sources), "notes": self.notes, "left_out": self.failed}
        return described | ({"folders": self.by_folder()} if self.folders else {})

    def by_folder(self) -> list[dict[str, Any]]:
        """Of each of several folders its name, share, digest, and numbers of tracks."""
        described = []
        for number, name in enumerate(self.folders):
            train, valid = ([track for track in part if track.folder == number] for part in (self.train, self.valid))
            part = replace(self, train=train, valid=valid)
            share = self.shares[number] / sum(self.shares) if self.shares else len(train) / len(self.train)
            described.append({"name": name, "share": round(share, 6), "train": len(train), "valid": len(valid), "digest": part.digest()})
        return described

    def digest(self) -> str:
        """SHA-256 over names, lengths and formats of the tracks: another selection of tracks has another digest."""
        digest = hashlib.sha256()
        for part in (self.train, self.valid):
            for track in part:
                names = f"\0{list(track.stems)}" if track.stems else ""
                line = f"{track.name}\0{track.sample_rate}\0{track.frames}\0{track.channels}{names}\n"
                digest.update(line.encode(errors="surrogateescape"))
            digest.update(b"\n")
        return digest.hexdigest()


def find_tracks(settings: Training, *, workers: int = 1) -> TrainingTracks:
    """Finds the tracks in the folders that the settings name, and divides them into training and held-out ones.

    Args:
        settings: of the run.
        workers: processes that read headers of files.

    Raises:
        RequestError: no folder is named, or none of its tracks can be trained on.
    """
    data = settings.data
    if not data.folders:
        raise RequestError("no data: give data.data_path=FOLDER, or data=NAME for a configuration configs/data/NAME.yaml")
    return _with_instruments(_of_folders(settings, workers), data) if data.stems == "instruments" else _of_folders(settings, workers)


def with_instruments(settings: Training, tracks: TrainingTracks) -> Training:
    """Settings whose network has an instrument for each name of ``tracks``, where each track has stems of its own; else as they are."""
    if settings.data.stems != "instruments":
        return settings
    model = settings.model
    return replace(settings, model=replace(model, predictor=replace(model.predictor, num_sources=len(tracks.sources))))


def wordings(settings: Training, tracks: TrainingTracks) -> list[tuple[str, ...]]:
    """How the name of each instrument may be said in training: itself, its synonyms, but for those that are held out, and its family."""
    data = settings.data
    if not data.synonyms:
        return [(name,) for name in tracks.sources]
    said = instrument_names.wordings(tracks.sources, but=lambda name: bool(data.held_out) and is_held_out(name, data.held_out))
    every = {instrument_names.words(name) for of_name in said for name in of_name}
    by_family = [family_of(name) for name in tracks.sources]
    return [
        (*of_name, family) if family is not None and instrument_names.words(family) not in every else of_name
        for of_name, family in zip(said, by_family, strict=True)
    ]


def _with_instruments(tracks: TrainingTracks, data: Data) -> TrainingTracks:
    """The tracks with numbers of their stems' instruments: places in the sorted names of those to train on, without those held out.

    Raises:
        RequestError: fewer than two names are left, or a name that is held out is that of no family and of no stem.
    """
    every = Counter(name for track in tracks.train for name in track.stems)
    known = {*every, *(name for track in tracks.valid for name in track.stems), *families()}
    unknown = sorted(name for name in data.held_out if instrument_name(name) not in known)
    if unknown:
        raise RequestError(f"data.held_out {', '.join(unknown)}: no stem is called so; families are {', '.join(families())}")
    held_out = {name: count for name, count in every.items() if is_held_out(name, data.held_out)}
    sources = tuple(sorted(set(every) - set(held_out)))
    if len(sources) < 2:
        raise RequestError(f"{len(sources)} instruments are left to train on, and two are needed: hold out fewer")
    notes = list(tracks.notes)
    if data.held_out:
        stems = f"{sum(held_out.values()):,} stems of {len(held_out)} names: {', '.join(sorted(held_out)) or 'none'}"
        notes.append(f"held out of the tracks to train on, as targets and in mixes: {stems}")
    train, valid = ([numbered(track, sources) for track in part] for part in (tracks.train, tracks.valid))
    return replace(tracks, train=train, valid=valid, sources=sources, notes=notes)


def _of_folders(settings: Training, workers: int) -> TrainingTracks:
    data = settings.data
    if len(data.folders) == 1:
        return _tracks_of(settings, data.folders[0], workers)
    names = _names(data.folders)
    parts: list[TrainingTracks] = []
    for number, (name, folder) in enumerate(zip(names, data.folders, strict=True)):
        part = _tracks_of(settings, folder, workers)
        if parts and part.sources != parts[0].sources:
            raise RequestError(
                f"the stems of {printable(name)} are {', '.join(part.sources)}, those of {printable(names[0])} "
                f"{', '.join(parts[0].sources)}: give folders of the same stems in the same order"
            )
        failed = {f"{name}/{track}": reason for track, reason in part.failed.items()}
        train, valid = _of_folder(part.train, number, name), _of_folder(part.valid, number, name)
        parts.append(replace(part, train=train, valid=valid, failed=failed, notes=[f"{name}: {note}" for note in part.notes]))
    if data.valid_path is None:  # from each folder in turn, as a validation uses the first tracks
        valid = [track for turn in zip_longest(*(part.valid for part in parts)) for track in turn if track is not None]
    else:
        valid = [replace(track, folder=-1) for track in parts[0].valid]
    return TrainingTracks(
        train=[track for part in parts for track in part.train],
        valid=valid,
        sources=parts[0].sources,
        failed={name: reason for part in parts for name, reason in part.failed.items()},
        notes=[note for part in parts for note in part.notes],
        folders=names,
        shares=data.shares,
    )


def _names(folders: Sequence[str]) -> tuple[str, ...]:
    """The last parts of the paths, with a number where two are the same.

    Raises:
        RequestError: one folder is another one, or in it.
    """
    paths = [Path(folder).expanduser().resolve() for folder in folders]
    for number, path in enumerate(paths):
        for other in paths[:number]:
            if path.is_relative_to(other) or other.is_relative_to(path):
                one, two = printable(str(path)), printable(str(other))
                raise RequestError(f"data.data_path names {one} and {two}, and one is in the other: its tracks would count twice")
    names: list[str] = []
    for path in paths:
        count = sum(known.name == path.name for known in paths[: len(names)])
        names.append(f"{path.name} {count + 1}" if count else path.name)
    return tuple(names)


def _of_folder(tracks: Sequence[Track], number: int, name: str) -> list[Track]:
    return [replace(track, name=f"{name}/{track.name}", folder=number) for track in tracks]


def _tracks_of(settings: Training, folder: str, workers: int) -> TrainingTracks:
    """The tracks of one folder, and those of ``data.valid_path`` or a part of them as held out."""
    data, count = settings.data, settings.model.predictor.num_sources
    found = _find(data, folder, count, data.sources, workers)
    if data.stems == "instruments":
        sources: tuple[str, ...] = ()  # whose order only all tracks of all folders give
    else:
        sources = tuple(data.sources or found.sources or checkpoint.default_sources(settings.model))
        config.check_sources(sources, count)
    failed, notes = dict(found.failures), list(found.notes)
    if data.valid_path is not None:
        # By the same names in the same order: a stem has the same number in both folders.
        held_out = _find(data, data.valid_path, count, tuple(sources) if data.sources or found.sources or count == 4 else None, workers)
        train, valid = split(_without(found, folder, data.valid_path), 0, settings.seed)[0], list(held_out.tracks)
        failed |= {f"{data.valid_path}/{name}": reason for name, reason in held_out.failures.items()}
        notes += [f"held out: {note}" for note in held_out.notes]
    else:
        train, valid = (list(part) for part in split(found, data.valid_fraction, settings.seed))
    used = {track.name for track in train} | ({track.name for track in valid} if data.valid_path is None else set())
    if unused := Counter(track.split or "held out" for track in found.tracks if track.name not in used):
        notes.append(f"in neither part: {', '.join(f'{number:,} {name}' for name, number in sorted(unused.items()))}")
    return TrainingTracks(train, valid, tuple(sources), failed, notes)


def left_out_lines(failed: Mapping[str, str]) -> list[str]:
    """One line for each of the first tracks that cannot be used, and one for the rest.

    >>> left_out_lines({"song.wav": "has one channel"})
    ['left out: song.wav: has one channel']
    """
    lines = [f"left out: {printable(name)}: {reason}" for name, reason in sorted(failed.items())[:_MAX_LINES]]
    if len(failed) > _MAX_LINES:
        lines.append(f"left out: {len(failed) - _MAX_LINES:,} more tracks")
    return lines


def refused_lines(tracks: Sequence[Track]) -> list[str]:
    """Lines about tracks whose samples turned out to be unusable when they were read in training, and how many they are."""
    refused = Loudness().refused(tracks)
    lines = left_out_lines(refused)
    if refused:
        lines.append(f"left out during training: {len(refused):,} of {len(tracks):,} tracks")
    return lines


def micro_batch_size(settings: Training, placement: Placement) -> int:
    """Examples per device and accumulated batch.

    Raises:
        RequestError: the batch cannot be divided evenly.

    >>> micro_batch_size(Training(), Placement("cuda", devices=4))
    64
    """
    parts = placement.world_size * settings.trainer.accumulate
    size, rest = divmod(settings.data.dataloader.batch_size, parts)
    if rest or not size:
        raise RequestError(
            f"data.dataloader.batch_size {settings.data.dataloader.batch_size} cannot be divided over {placement.world_size} devices "
            f"and {settings.trainer.accumulate} accumulated batches: make it a multiple of {parts}"
        )
    return size


def loader_workers(settings: Training, placement: Placement) -> int:
    """Processes that read for this process: ``num_workers``; where it is None, as many as this node's processors allow.

    A GPU uses examples faster than one processor makes them, so all processors but one are given to reading, 8 per GPU at most. Where the
    processors train, two read at most, for they compete with training.

    >>> loader_workers(Training.from_dict({"data": {"dataloader": {"num_workers": 3}}}), Placement("cuda", devices=4))
    3
    """
    wanted = settings.data.dataloader.num_workers
    if wanted is not None:
        return wanted
    processors = machine.cpus_per_process(placement.devices)
    return max(1, min(processors - 1, MOST_WORKERS[placement.accelerator]))


def train_loader(settings: Training, tracks: Sequence[Track], placement: Placement, step: int) -> Any:
    """Batches of this process from step ``step`` to the end of the run; the same, whether or not the run was interrupted."""
    accumulate = settings.trainer.accumulate
    return loader(
        Examples(tracks, settings.data, settings.model, settings.seed),
        batch_size=micro_batch_size(settings, placement),
        first_batch=step * accumulate,
        batches=(settings.trainer.max_steps - step) * accumulate,
        rank=placement.rank,
        world_size=placement.world_size,
        workers=loader_workers(settings, placement),
        pin_memory=placement.accelerator == "cuda",
    )


class ValidBatches(Dataset[dict[str, NDArray[Any]]]):
    """``batches[n]``: the same at each validation, without augmentation; together at least one example per held-out track.

    Args:
        settings: of the run.
        tracks: held out.
        batch_size: examples per batch, at most.
    """

    def __init__(self, settings: Training, tracks: Sequence[Track], batch_size: int) -> None:
        self.size = min(batch_size, max(4 * len(tracks), 2))
        plain = replace(settings.data, augmentation=type(settings.data.augmentation)(), shares=())
        self.examples = Examples(tracks, plain, settings.model, _VALID_SEED)

    def __len__(self) -> int:
        return max(1, len(self.examples.tracks) // self.size)

    def __getitem__(self, number: int) -> dict[str, NDArray[Any]]:
        examples = [self.examples[number * self.size + place] for place in range(self.size)]
        return {name: np.stack([example[name].numpy() for example in examples]) for name in examples[0]}


def _find(data: Data, folder: str, count: int, sources: tuple[str, ...] | None, workers: int) -> StemFolder:
    """Tracks of a folder, or of its copy on this node's disk."""
    path = Path(folder).expanduser()
    failures: dict[str, str] = {}
    if data.local_dir:
        path = local_copy(path, on_error=failures.__setitem__)
    own = data.stems == "instruments"
    found = find_ensembles(path, workers=workers) if own else find(path, count, workers=workers, sources=sources)
    return replace(found, failures=failures | found.failures)


def _without(found: StemFolder, folder: str, held_out: str) -> StemFolder:
    """The tracks of ``folder`` that are not in ``held_out``, which may be a part of it."""
    whole, part = (Path(path).expanduser().resolve() for path in (folder, held_out))
    if not part.is_relative_to(whole):
        return found
    inside = part.relative_to(whole).as_posix()
    tracks = [] if inside == "." else [track for track in found.tracks if not f"{track.name}/".startswith(f"{inside}/")]
    return replace(found, tracks=tracks)
