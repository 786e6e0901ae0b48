"""A pack → checked vectors. It may come from anybody: nothing of it is used that its card and records do not describe to the byte.

No path in it is followed: members must have the names that follow from the card, in its order. No more of a member is read than it may
have, so what an archive declares, or unpacks to, does not matter. Links are refused. What is wrong is one line, a RequestError.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from jukemir_like.core import files, jsonfiles
from jukemir_like.core.errors import InputError, JukemirLikeError, RequestError
from jukemir_like.core.files import printable
from jukemir_like.core.records import Record
from jukemir_like.downloads import archives
from jukemir_like.downloads.archives import Member
from jukemir_like.packs.card import CARD, LICENCE, NOT_STATED, RECORD_SHAPE, Card, check_vector
from jukemir_like.packs.origin import Origin
from jukemir_like.packs.taking_over import Arrival, Source

_MAX_TEXT_BYTES = {CARD: 64 << 20, LICENCE: 1 << 20}
_MAX_RECORDS_BYTES = 256 << 20
_MAX_HEADER_BYTES = 1 << 12
_MAX_REASON_CHARACTERS = 500
_MAGIC = b"PK\x03\x04"


def is_pack(path: Path) -> bool:
    """Whether the file begins as packs do; it may still be none, or damaged.

    Raises:
        RequestError: it cannot be read.
    """
    try:
        with files.open_regular(path) as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError as error:
        raise RequestError(f"{path} {files.refusal(error)}: give a pack, or an archive that was published") from error


class Pack(Source):
    """A pack that was made by :func:`jukemir_like.packs.packing.pack`.

    Attributes:
        card: what it says of itself.

    Args:
        path: the file.

    Raises:
        RequestError: it is not a pack, or its card is damaged.
    """

    def __init__(self, path: Path):
        self._path, self.notes = path, []
        with self._damage(), files.open_regular(path) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
            self.size = file.tell()
            file.seek(0)
            members = archives.members(file, ".zip")  # kept while its first member is read: it closes the archive when it goes
            self.card = self._card(next(members, None))
        card = self.card
        self.dataset, self.representation, self.dimension, self.count = card.dataset, card.representation, card.dimension, len(card.vectors)
        if self.count * self.dimension * 4 > self.size:
            raise self._refused("declares more than it holds")
        made_with = next((f"{name} {version}" for name, version in card.versions.items()), None)
        self.origin = Origin(path.name, sha256, card.made_by, card.made, made_with, card.licence["vectors"])
        first = card.taken_over
        if first is not None:  # who packed them again did not compute them
            made_by = f"{first.made_by or NOT_STATED} ({first.source}), packed again by {card.made_by or NOT_STATED}"
            self.origin = replace(self.origin, made_by=made_by, made=first.made, made_with=first.made_with)
            self.notes.append(f"the pack was made of vectors that were taken over from {first}")

    def arrivals(self) -> Iterator[Arrival]:
        """The vectors, in the order of their uids, then the items that have none."""
        with self._damage(), files.open_regular(self._path) as file:
            yield from self._arrivals(file)

    def _arrivals(self, file: BinaryIO) -> Iterator[Arrival]:
        card = self.card
        members = archives.members(file, ".zip")
        if self._card(next(members, None)) != card:
            raise ValueError("was changed while it was read")
        _read(next(members, None), LICENCE, _MAX_TEXT_BYTES[LICENCE])
        recorded = _parse_records(_read(next(members, None), card.records_member, _MAX_RECORDS_BYTES), card)
        for uid, digest in card.vectors.items():
            name = f"{card.folder}/{uid}.npy"
            data = _read(next(members, None), name, _MAX_HEADER_BYTES + 4 * card.dimension)
            if hashlib.sha256(data).hexdigest() != digest:
                raise ValueError(f"is damaged: {name} in it has another digest than its card says")
            try:
                check_vector(data, card.dimension)
            except ValueError as error:
                raise ValueError(f"is damaged: {name} in it {error}") from error
            yield Arrival(uid, recorded.pop(uid), data)
        surplus = next(members, None)
        if surplus is not None:
            raise ValueError(f"holds {surplus.name[:60]!a}, which its card does not name")
        for uid, record in recorded.items():
            yield Arrival(uid, record, None)

    def _card(self, member: Member | None) -> Card:
        if member is None or member.name != CARD:
            raise ValueError(f"is not a pack: its first member is not {CARD}")
        return Card.from_bytes(_read(member, CARD, _MAX_TEXT_BYTES[CARD]))

    @contextmanager
    def _damage(self) -> Iterator[None]:
        """Turns whatever an archive of somebody else makes the standard library raise into one line."""
        try:
            yield
        except InputError as error:
            raise self._refused(str(error)) from error
        except JukemirLikeError:
            raise
        except zipfile.BadZipFile as error:
            raise self._refused(f"is damaged, or not a pack ({error})") from error
        except OSError as error:
            raise self._refused(files.refusal(error)) from error
        except ValueError as error:
            raise self._refused(str(error)) from error
        except Exception as error:  # zipfile's, of bytes that are no archive: struct.error, OverflowError, NotImplementedError …
            raise self._refused(f"is damaged, or not a pack ({type(error).__name__})") from error

    def _refused(self, reason: str) -> RequestError:
        return RequestError(f"{self._path} {printable(reason)}: get it again from whoever made it; nothing was taken over")


def _read(member: Member | None, name: str, most: int) -> bytes:
    """The bytes of a member, which must have this name and at most so many bytes."""
    if member is None or member.name != name:
        raise ValueError(f"is damaged: it {f'holds {member.name[:60]!a}' if member else 'ends'} where {name} should be")
    if member.kind != "file":
        raise ValueError(f"holds {name} as a link or a folder, not as a file")
    with member.open() as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        raise ValueError(f"holds a {name} of more than the {most:,} bytes that it may have")
    return data


def _parse_records(data: bytes, card: Card) -> dict[str, Record]:
    """uid → record: of every vector, with its digest and the pack's signature, and of items that have none."""
    found: dict[str, Record] = {}
    for number, line in enumerate(data.splitlines(), start=1):
        where = f"is damaged: record {number:,} in it"
        try:
            record = jsonfiles.parse(line)
            jsonfiles.check(record, RECORD_SHAPE)
        except ValueError as error:
            raise ValueError(f"{where} {error}") from error
        record = {name.removesuffix("?"): record.get(name.removesuffix("?")) for name in RECORD_SHAPE}
        record["reason"] = record["reason"] and printable(record["reason"][:_MAX_REASON_CHARACTERS])  # it is shown on terminals
        uid = str(PurePosixPath(record["input"]).with_suffix(""))
        if not files.is_inside(record["input"]) or uid in found or min(record["audio_seconds"], record["seconds"]) < 0:
            raise ValueError(f"{where} is impossible, or not the only one of its item")
        described = (record["status"], record["output_digest"], record["signature"]) == ("done", card.vectors.get(uid), card.signature)
        if (uid in card.vectors and not described) or (uid not in card.vectors and record["status"] != "failed"):
            raise ValueError(f"{where} and the card do not fit")
        found[uid] = record
    if card.vectors.keys() - found.keys():
        raise ValueError("is damaged: a vector in it has no record")
    return found
