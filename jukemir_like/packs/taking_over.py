"""Vectors of an archive into the cache: checked, with records, all of them or none.

They are written into a hidden folder beside the final one, which is renamed at the end: a folder of the final name is complete. A folder
that holds vectors computed here, or from another archive, is never written to.
"""

from __future__ import annotations

import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from jukemir_like.core import records
from jukemir_like.core.atomic import make_folder, storage_errors
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import check_free_space, printable
from jukemir_like.core.locks import locked
from jukemir_like.core.progress import Progress
from jukemir_like.core.records import Record, Summary
from jukemir_like.core.resumable import digest_or_none
from jukemir_like.datasets import meta
from jukemir_like.packs import origin
from jukemir_like.packs.origin import Origin
from jukemir_like.representations.names import parse

_JOURNAL = "taken-over"
_NO_VECTOR = "has no vector in the archive"
_MOST_NAMED = 3


@dataclass(frozen=True)
class Arrival:
    """One item of an archive.

    Args:
        uid: of the item.
        record: of its vector, or why there is none (status ``failed``).
        data: bytes of the ``.npy`` file; None where there is no vector.
    """

    uid: str
    record: Record
    data: bytes | None


class Source(ABC):
    """An archive of vectors of one representation of one dataset.

    Attributes:
        dataset: as it is called in the cache.
        representation: as the archive calls it.
        dimension: length of its vectors.
        origin: whose they are.
        size: bytes of the archive, by which free space is checked.
        count: number of its vectors, for the progress.
        notes: what else the user should know; complete after :meth:`arrivals`.
    """

    dataset: str
    representation: str
    dimension: int
    origin: Origin
    size: int
    count: int
    notes: list[str]

    @abstractmethod
    def arrivals(self) -> Iterator[Arrival]:
        """The items, checked one by one, in the archive's order.

        Raises:
            RequestError: the archive is damaged, or not what it should be.
        """

    def unprocessed_notes(self, uids: Collection[str]) -> list[str]:
        """What can be said of ``uids`` where the dataset is not processed in this cache."""
        return [f"{self.dataset} is not processed in this cache: the {len(uids):,} uids could not be checked against it"]


@dataclass
class TakingOver(Summary):
    """What was taken over: a :class:`Summary` of vectors.

    Args:
        dimension: of the vectors.
        folder: where they are.
    """

    dimension: int = 0
    folder: Path = field(default_factory=Path)

    def text(self, most: int = 20) -> str:
        """The closing lines: one of figures, one per note, one per item without a vector (``most`` at most), and the folder."""
        first, *others = super().text(most).split("\n")
        figures = f"{first.partition(';')[0]}; vectors of {self.dimension:,} numbers in {self.seconds:.1f} s"
        return "\n".join([figures, *others, f"  in {self.folder}"])


def take_over(source: Source, cache: Cache, name: str) -> TakingOver:
    """Brings the vectors of ``source`` into ``cache`` as representation ``name``. Those that an earlier call has brought there are kept.

    Items of the processed dataset that have no vector in the archive are in ``failed``.

    Raises:
        RequestError: the folder holds other vectors, the archive is damaged or has no vector of the dataset.
        StorageError: the disk is full, or the cache cannot be written.
    """
    started = time.perf_counter()
    folder = cache.representation(source.dataset, name)
    summary = TakingOver(f"take over {name} of {source.dataset}", dimension=source.dimension, folder=folder)
    items = _Items.read(cache, source.dataset)
    with locked(folder.parent / f".{folder.name}.lock"):
        if _is_free(folder, name, source.origin):
            check_free_space(folder, source.size, f"no room in {folder} for vectors", advice="free some space, or give another --cache")
            uids, failed = _bring(source, folder, items)
            summary.done = len(uids)
        else:
            uids, failed = _recorded(folder)
            summary.kept = len(uids)
    summary.failed = failed
    summary.notes = [f"from {source.origin}", f"licence: {printable(source.origin.licence)}", *source.notes]
    if items is None:
        summary.notes += source.unprocessed_notes(uids)
    else:
        summary.failed |= dict.fromkeys(sorted(items.with_audio - set(uids) - failed.keys()), _NO_VECTOR)
        unknown = sorted(set(uids) - items.all)
        if unknown:
            summary.notes.append(f"{len(unknown):,} vectors are of no item of {source.dataset} and are not used: {_some(unknown)}")
    summary.seconds = time.perf_counter() - started
    return summary


@dataclass(frozen=True)
class _Items:
    """The uids of a processed dataset: all, and those that are in a split and have audio (or would have, if audio had been asked for)."""

    all: frozenset[str]
    with_audio: frozenset[str]

    @classmethod
    def read(cls, cache: Cache, dataset: str) -> _Items | None:
        """Those of ``dataset``; None where it is not processed."""
        try:
            items, _ = meta.read_meta(cache.processed(dataset))
            failed = meta.read_description(cache.processed(dataset)).failed
        except FileNotFoundError:
            return None
        without = {uid for uid, record in items.items() if record.get("split") is None or "skipped" in (record.get("extra") or {})}
        return cls(frozenset(items), frozenset(items) - without - failed.keys())


def own_name(representation: str, word: str) -> str:
    """A name for vectors of a pack where others of the representation may be.

    >>> own_name("mfcc", "ada"), own_name("mert-95m@layer=7", "ada")
    ('mfcc-from-ada', 'mert-95m-from-ada@layer=7')
    """
    name = parse(representation)
    return str(replace(name, base=f"{name.base}-from-{word}"))


def is_taken_over(folder: Path, sha256: str) -> bool:
    """Whether ``folder`` holds, to the byte, what was taken over from the archive with this digest."""
    earlier = origin.read(folder)
    if earlier is None or earlier.sha256 != sha256:
        return False
    recorded = [record for record in records.read(folder).values() if record["status"] == "done"]
    return bool(recorded) and all(digest_or_none(folder / f"{_uid(record)}.npy") == record.get("output_digest") for record in recorded)


def _is_free(folder: Path, name: str, wanted: Origin) -> bool:
    """Whether vectors can be brought to ``folder``; False: they are there already. RequestError where others are."""
    earlier = origin.read(folder)
    if earlier is not None and earlier.sha256 == wanted.sha256:
        return not is_taken_over(folder, wanted.sha256)
    if next(folder.rglob("*.npy"), None) is not None:
        whose = "were computed here" if earlier is None else f"were taken over from {earlier}"
        raise RequestError(
            f"{folder} holds vectors that {whose}: remove it first, or give the ones of a pack a name of their own, "
            f"--representation {own_name(name, 'WORD')}"
        )
    return True


def _bring(source: Source, folder: Path, items: _Items | None) -> tuple[list[str], dict[str, str]]:
    """Writes the vectors; returns the uids that have one, and the others with the reason."""
    unfinished, replaced = (folder.parent / f".{folder.name}.{state}" for state in ("taking-over", "replaced"))
    uids, failed = [], {}
    with storage_errors(folder):
        for leftover in (unfinished, replaced):  # of a process that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        make_folder(unfinished)
        try:
            with records.Journal(unfinished, _JOURNAL) as journal, Progress(source.count, f"take over {folder.name}", "vector") as bar:
                for arrival in source.arrivals():
                    journal.append(arrival.record)
                    if arrival.data is None:
                        failed[arrival.uid] = str(arrival.record["reason"])
                    else:
                        path = unfinished / f"{arrival.uid}.npy"
                        path.parent.mkdir(parents=True, exist_ok=True)
                        path.write_bytes(arrival.data)
                        uids.append(arrival.uid)
                    bar.update(1)
            if not uids:
                first = f", the first: {printable(next(iter(failed)))} {next(iter(failed.values()))}" if failed else ""
                raise RequestError(f"{source.origin.source} has no vector of {source.dataset}{first}: is it the right archive?")
            if items is not None and items.all.isdisjoint(uids):
                raise RequestError(
                    f"no uid of {source.origin.source} is one of {source.dataset} as processed here: is it the same dataset?"
                )
            origin.write(unfinished, source.origin)
            if folder.exists():
                folder.rename(replaced)
            unfinished.rename(folder)
        finally:
            for leftover in (unfinished, replaced):
                shutil.rmtree(leftover, ignore_errors=True)
    return uids, failed


def _recorded(folder: Path) -> tuple[list[str], dict[str, str]]:
    """What an earlier call has brought to ``folder``, as :func:`_bring` returns it."""
    recorded = records.read(folder).values()
    uids = [_uid(record) for record in recorded if record["status"] == "done"]
    return uids, {_uid(record): str(record.get("reason")) for record in recorded if record["status"] == "failed"}


def _uid(record: Record) -> str:
    return str(PurePosixPath(record["input"]).with_suffix(""))


def _some(names: Collection[str]) -> str:
    shown = ", ".join(printable(name) for name in list(names)[:_MOST_NAMED])
    return shown if len(names) <= _MOST_NAMED else f"{shown}, …"
