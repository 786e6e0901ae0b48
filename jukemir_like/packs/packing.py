"""Vectors of the cache → a pack: one file that another cache takes over. :mod:`jukemir_like.packs.card` says what is in it."""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from jukemir_like import datasets, representations
from jukemir_like.core import files, records
from jukemir_like.core.atomic import atomic_write
from jukemir_like.core.cache import Cache, representation_folder
from jukemir_like.core.errors import DamagedFileError, InputError, RequestError, StorageError
from jukemir_like.core.files import printable
from jukemir_like.core.progress import Progress
from jukemir_like.core.records import Record
from jukemir_like.core.vector_folder import VectorFolder
from jukemir_like.core.version import __version__
from jukemir_like.datasets import meta
from jukemir_like.downloads.declarations import read_declaration
from jukemir_like.downloads.summary import format_bytes
from jukemir_like.packs import origin
from jukemir_like.packs.card import CARD, LICENCE, NOT_STATED, RECORD_SHAPE, Card, check_vector

_DATE = (1980, 1, 1, 0, 0, 0)  # of all members: same vectors, same bytes


@dataclass(frozen=True)
class Packed:
    """A written pack; as text, what to tell whoever gets it.

    Args:
        path: the file.
        card: what it says of itself.
        size: bytes.
        sha256: digest.
        notes: what was left out.
        seconds: that it took.
    """

    path: Path
    card: Card
    size: int
    sha256: str
    notes: list[str]
    seconds: float

    def __str__(self) -> str:
        card = self.card
        figures = f"{len(card.vectors):,} vectors of {card.dimension:,} numbers, {format_bytes(self.size)} in {self.seconds:.1f} s"
        licences = "; ".join(f"{of}: {text}" for of, text in card.licence.items())
        lines = [f"pack {card.representation} of {card.dataset}: {figures}", *(f"  {note}" for note in self.notes)]
        return "\n".join([*lines, f"  licence: {printable(licences)}", f"  sha256: {self.sha256}", f"written: {self.path}"])


def pack(
    cache: Cache, dataset: str, representation: str, output: Path | None = None, *, made_by: str | None = None, licence: str | None = None
) -> Packed:
    """Writes the vectors of a representation, with their records, into one file.

    Args:
        cache: where they are.
        dataset, representation: names.
        output: the file, which is replaced if it exists; None: ``<dataset>-<representation>.zip`` in the working folder.
        made_by: who you are, as those who take the vectors over will read it; None: it is not stated.
        licence: of the vectors; None: it is not stated.

    Raises:
        RequestError: there are no vectors; one is not what its record says, has none, or is of another version than the others; the name
            of ``output`` is too long.
        StorageError: ``output`` cannot be written.
    """
    started = time.perf_counter()
    folder = cache.representation(dataset, representation)
    again = f"run `jukemir-like extract {representation} --dataset {dataset}` again"
    vectors = VectorFolder(folder, again)
    written, notes = _records(vectors, again), []
    done = {uid: record for uid, record in written.items() if record["status"] == "done"}
    meta_digest = None
    try:
        items, meta_digest = meta.read_meta(cache.processed(dataset))
    except FileNotFoundError:
        notes.append(f"{dataset} is not processed in this cache: whether the uids are its own was not checked")
    else:
        others = done.keys() - items.keys()
        done = {uid: record for uid, record in done.items() if uid in items}
        written = {uid: record for uid, record in written.items() if uid in items}
        if others:
            notes.append(f"left out: {len(others):,} vectors of no item of {dataset}, such as {printable(min(others))}")
    if not done:
        raise RequestError(f"no vectors of {representation} for {dataset} in {folder}: {again.removesuffix(' again')}")
    failed = len(written) - len(done)
    notes += [f"{failed:,} items have no vector: the pack has the reasons"] if failed else []
    signatures = sorted({str(record["signature"]) for record in done.values()})
    if len(signatures) > 1:
        shown = ", ".join(printable(signature[:20]) for signature in signatures[:5])
        raise RequestError(f"vectors in {folder} were computed by different versions of {representation} ({shown}): {again}")
    earlier = origin.read(folder)
    known = _representation(cache, representation, signatures[0])
    last = max(record["time"] for record in done.values())
    card = Card(
        dataset,
        representation,
        _dimension(vectors, min(done), again),
        signatures[0],
        {uid: str(done[uid]["output_digest"]) for uid in sorted(done)},
        {"vectors": licence or (earlier.licence if earlier else NOT_STATED), **_licences(cache, dataset, known)},
        (earlier.made if earlier else None) or datetime.fromtimestamp(last, UTC).strftime("%Y-%m-%d"),
        {"jukemir-like": __version__, "numpy": version("numpy")},
        made_by,
        None if known is None else known.parameters,
        meta_digest,
        earlier,
    )
    try:
        card.check()
    except ValueError as error:
        raise RequestError(f"{folder} cannot be packed: it {error}") from error
    path = Path(f"{dataset}-{representation_folder(representation)}.zip") if output is None else output
    try:
        _write(path, card, written, vectors, again)
    except InputError as error:  # of the file's name
        raise RequestError(f"{path} {error}: give another --output") from error
    except OSError as error:  # what atomic_write has no words for
        raise StorageError(f"cannot write {path}: {error.strerror or error}: give another --output") from error
    return Packed(path, card, path.stat().st_size, files.sha256(path), notes, time.perf_counter() - started)


def _write(path: Path, card: Card, written: Mapping[str, Record], vectors: VectorFolder, again: str) -> None:
    lines = [json.dumps(_plain(written[uid]), sort_keys=True, allow_nan=False) for uid in sorted(written)]
    texts = {CARD: card.to_bytes(), LICENCE: _licence_text(card).encode(), card.records_member: ("\n".join(lines) + "\n").encode()}
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, data in texts.items():
            archive.writestr(_member(name), data)
        with Progress(len(card.vectors), f"pack {card.representation}", "vector") as bar:
            for uid, digest in card.vectors.items():
                archive.writestr(_member(f"{card.folder}/{uid}.npy"), _vector(vectors, uid, digest, card.dimension, again))
                bar.update(1)


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _DATE)
    member.create_system, member.external_attr = 3, 0o100644 << 16  # of Unix, on every system
    return member


def _vector(vectors: VectorFolder, uid: str, digest: str, dimension: int, again: str) -> bytes:
    """The bytes of a vector's file, checked."""
    data = _read(vectors, uid, again)
    with files.damage_errors(vectors.where(uid), again):
        if hashlib.sha256(data).hexdigest() != digest:
            raise ValueError(f"{vectors.words(uid)}is not what was written there: it was changed since")
        check_vector(data, dimension)
    return data


def _dimension(vectors: VectorFolder, uid: str, again: str) -> int:
    data = _read(vectors, uid, again)
    with files.damage_errors(vectors.where(uid), again):
        return check_vector(data)


def _read(vectors: VectorFolder, uid: str, again: str) -> bytes:
    path = vectors.where(uid)
    try:
        with files.damage_errors(path, again):
            return vectors.read(uid)
    except FileNotFoundError as error:
        raise DamagedFileError(f"{path} is missing, although its record says that it was written: {again}") from error


def _records(vectors: VectorFolder, again: str) -> dict[str, Record]:
    """uid → the record of its vector as it is now, or the last one of an item that has none.

    Raises:
        DamagedFileError: a vector has no record.
    """
    found: dict[str, Record] = {}
    for name, of_input in records.read_all(vectors.folder).items():
        uid = str(PurePosixPath(name).with_suffix(""))
        path = vectors.where(uid)
        try:
            with files.damage_errors(path, again):
                digest = hashlib.sha256(vectors.read(uid)).hexdigest()
        except FileNotFoundError:
            if of_input[-1]["status"] == "failed":
                found[uid] = of_input[-1]
            continue
        describing = [record for record in of_input if record.get("output_digest") == digest and record.get("signature")]
        if not describing:
            raise DamagedFileError(f"{path} {vectors.words(uid)}is not what its record says, or has none: {again}")
        found[uid] = describing[-1]
    unknown = next((name for name in vectors.names() if name not in found), None)
    if unknown is not None:
        where = f"{vectors.where(unknown)} {vectors.words(unknown)}".strip()
        raise DamagedFileError(f"{where} has no record of what computed it: {again}, or remove it")
    return found


def _plain(record: Record) -> Record:
    """The documented fields of a record."""
    defaults = {"signature": "", "audio_seconds": 0.0, "seconds": 0.0, "time": 0.0}
    names = [name.removesuffix("?") for name in RECORD_SHAPE]
    return {name: value for name in names if (value := record.get(name, defaults.get(name))) is not None}


def _representation(cache: Cache, name: str, signature: str) -> representations.Representation | None:
    """The representation whose vectors have this signature; None where it is not known here, as it is."""
    try:
        known = representations.load(name, cache=cache)
    except RequestError:  # taken over, or of another package, or its weights are not here
        return None
    return known if known.signature == signature else None


def _licences(cache: Cache, dataset: str, known: representations.Representation | None) -> dict[str, str]:
    """Of the dataset, by its declaration, and of the representation, by its card where it has one."""
    try:
        description = meta.read_description(cache.processed(dataset))
        made_from = (description.deformed.dataset if description.deformed else description.made_from) or dataset
    except FileNotFoundError:
        made_from = dataset
    of_dataset = read_declaration(datasets.assets(made_from)).licence if datasets.is_known(made_from) else NOT_STATED
    of_representation: Any = getattr(getattr(known, "card", None), "licence", None)
    return {"dataset": of_dataset, "representation": str(of_representation or NOT_STATED)}


def _licence_text(card: Card) -> str:
    lines = [
        f"Vectors of the representation {card.representation}, computed from the dataset {card.dataset}.",
        "",
        f"Licence of the vectors:        {card.licence['vectors']}",
        f"Licence of the dataset:        {card.licence['dataset']}",
        f"Licence of the representation: {card.licence['representation']}",
    ]
    return "\n".join(lines) + "\n"
