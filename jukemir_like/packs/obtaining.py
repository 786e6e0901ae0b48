"""What ``download DATASET --representation NAME`` does: published vectors are downloaded, or a pack is opened, and taken over."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jukemir_like.core import files
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.core.records import Summary
from jukemir_like.downloads.download import download
from jukemir_like.downloads.summary import describe_selection
from jukemir_like.downloads.verification import AssetFolder
from jukemir_like.packs import published, taking_over
from jukemir_like.packs.published import PublishedArchive
from jukemir_like.packs.reading import Pack, is_pack
from jukemir_like.representations.names import parse

_WORD = re.compile(r".*-from-([\w.+]+)", re.ASCII)


def obtain(dataset: str, representation: str, cache: Cache, copy: Path | None = None, **options: Any) -> list[Summary]:
    """Brings vectors that were computed elsewhere into ``cache``.

    Args:
        dataset: whose vectors.
        representation: published vectors: ``NAME`` or ``NAME-jukemir``. Of a pack: its representation, or a name of their own for the
            vectors, ``NAME-from-WORD``, where there may be others.
        cache: where they are brought.
        copy: a pack; or an archive that was published, or a folder that holds it. None: it is downloaded.
        options: of :func:`jukemir_like.downloads.download.download`.

    Returns:
        What was downloaded, if anything had to be, and what was taken over. A download that failed is the last.

    Raises:
        RequestError: there are no such vectors, the pack is damaged or of something else, or other vectors are there.
        StorageError: the cache cannot be written.
    """
    if copy is not None and copy.is_file() and is_pack(copy):
        return [taking_over.take_over(_open(copy, dataset, representation), cache, representation)]
    name = published.full_name(representation)
    asset = published.asset(dataset, representation)
    if copy is not None and not copy.is_dir():
        if not copy.exists():
            raise RequestError(f"{copy} does not exist: give a pack, an archive that was published, or a folder that holds it")
        digest = _digest(copy)
        if digest != asset.sha256:
            digests = f"its sha256 is {digest[:12]}…, not {str(asset.sha256)[:12]}…"
            raise RequestError(f"{copy} is neither a pack nor {asset.path} as it was published ({digests}): give another file")
        return [taking_over.take_over(PublishedArchive(copy, dataset, representation), cache, name)]
    selection = published.selection(dataset, representation)
    ((declaration, _),) = selection
    archive = AssetFolder(declaration, cache.dataset(declaration.name)).file(asset)
    done: list[Summary] = []
    if not taking_over.is_taken_over(cache.representation(dataset, name), str(asset.sha256)):
        done.append(download(selection, cache, own_copy=copy, **options))
        if done[0].failed:
            return done
    return [*done, taking_over.take_over(PublishedArchive(archive, dataset, representation), cache, name)]


def describe(dataset: str, representation: str, cache: Cache, copy: Path | None = None) -> str:
    """What :func:`obtain` would do; nothing is written.

    Raises:
        RequestError: as :func:`obtain`.
    """
    if copy is None or copy.is_dir() or not is_pack(copy):
        return describe_selection(published.selection(dataset, representation), cache)
    pack = _open(copy, dataset, representation)
    folder = cache.representation(dataset, representation)
    figures = f"{pack.count:,} vectors of {pack.dimension:,} numbers"
    return f"{pack.origin}\n  {figures}\n  licence:  {printable(pack.origin.licence)}\n  folder:   {folder}"


def _open(path: Path, dataset: str, representation: str) -> Pack:
    pack = Pack(path)
    if pack.dataset != dataset:
        raise RequestError(f"{path} is a pack of dataset {pack.dataset}, not of {dataset}: give the one that you mean")
    word = _WORD.fullmatch(parse(representation).base)
    if representation not in (pack.representation, taking_over.own_name(pack.representation, word[1]) if word else None):
        raise RequestError(
            f"{path} is a pack of {pack.representation}, not of {representation}: give --representation {pack.representation}, "
            f"or {taking_over.own_name(pack.representation, 'WORD')} for a name of its own"
        )
    if published.is_published(parse(representation).base):  # it may hold anything
        own = taking_over.own_name(pack.representation, "WORD")
        raise RequestError(f"{representation} is the name of published vectors, and {path} is a pack: give --representation {own}")
    return pack


def _digest(path: Path) -> str:
    try:
        return files.sha256(path)
    except OSError as error:
        raise RequestError(f"{path} {files.refusal(error)}: give a pack, or an archive that was published") from error
