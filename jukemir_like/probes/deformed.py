"""A deformed dataset as a probe sees it: train and valid of the clean dataset, test of the deformed one.

So the probe is that of the clean dataset, to the bit: it is fitted on the same vectors in the same order, and only tested on others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jukemir_like.core import records
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.core.rows import Rows
from jukemir_like.datasets.deformed import DeformedFrom, how_to_make
from jukemir_like.datasets.processed import ProcessedDataset, read_processed
from jukemir_like.probes import current_audio, vectors
from jukemir_like.probes.vectors import Large, Vectors


def read_dataset(cache: Cache, name: str, folds: int | None = None) -> ProcessedDataset:
    """The processed dataset ``name``; of a deformed one, its items follow those of the clean dataset's train and valid.

    Args:
        cache: with both.
        name: of the dataset.
        folds: that are to be drawn; None: none. Of a deformed dataset none can be.

    Raises:
        RequestError: it, or the clean dataset, is missing; the clean one was processed again since, or comes in folds.
        DamagedFileError: a file is damaged.
    """
    processed = read_processed(cache.processed(name))
    origin = processed.deformed
    if origin is None:
        return processed
    if folds is not None:
        raise RequestError(f"{name} is deformed, and tested by the probe of {origin.dataset}'s splits: no folds can be drawn of it")
    clean = read_processed(cache.processed(origin.dataset))
    if clean.digest != origin.meta or clean.tasks != processed.tasks:
        raise RequestError(f"{origin.dataset} has other items or labels than {name} was made from: run `{how_to_make(name)}` again")
    if any(record.get("split") != "test" for record in processed.items.values()):
        raise RequestError(
            f"{origin.dataset} comes in folds, each with a probe of its own: only datasets with splits can be probed deformed"
        )
    fitted = {uid: record for uid, record in clean.items.items() if record.get("split") in ("train", "valid")}
    failed = {uid: reason for uid, reason in clean.failed.items() if uid in fitted}
    return replace(processed, items=fitted | dict(processed.items), failed=failed | processed.failed)


def read_vectors(cache: Cache, processed: ProcessedDataset, representation: str, uids: Sequence[str], large: Large | None) -> Vectors:
    """Vectors of the items of :func:`read_dataset`; of a deformed dataset, from the folders of the clean and of the deformed one.

    Raises:
        RequestError, StorageError: as :func:`jukemir_like.probes.vectors.read`; or both were computed by different versions, or from other
            audio than there is now.
    """
    origin = processed.deformed
    if origin is None:
        return vectors.read(cache, processed.name, representation, uids, processed.failed, large)
    _check_clean_audio(cache, processed, origin)
    is_tested = {uid: processed.items[uid].get("split") == "test" for uid in uids}
    of_clean, of_deformed = ([uid for uid in uids if is_tested[uid] is wanted] for wanted in (False, True))
    fitted = vectors.read(cache, origin.dataset, representation, of_clean, processed.failed, _share(large, of_clean, uids))
    tested = vectors.read(cache, processed.name, representation, of_deformed, processed.failed, _share(large, of_deformed, uids))
    if fitted.signature != tested.signature or fitted.X.shape[1] != tested.X.shape[1]:
        raise RequestError(
            f"vectors of {representation} for {origin.dataset} and {processed.name} were computed by different versions: "
            "run `jukemir-like extract` for both again"
        )
    X: Any
    if isinstance(fitted.X, Rows) or isinstance(tested.X, Rows):
        X = Rows.concatenate([X if isinstance(X, Rows) else Rows.of_array(X) for X in (fitted.X, tested.X)])
    else:
        X = np.concatenate([fitted.X, tested.X])
    row = fitted.row | {uid: len(fitted.row) + place for uid, place in tested.row.items()}
    digest = hashlib.sha256(f"{fitted.digest} {tested.digest}".encode()).hexdigest()
    return Vectors(X, row, fitted.missing | tested.missing, digest, fitted.signature, fitted.origin or tested.origin)


def _check_clean_audio(cache: Cache, processed: ProcessedDataset, origin: DeformedFrom) -> None:
    """Raises where records say that the clean audio changed since it was deformed."""
    tested = [uid for uid, record in processed.items.items() if record.get("split") == "test"]
    clean = cache.processed(origin.dataset)
    now = current_audio.digests(clean, tested)
    made_from: dict[str, set[str]] = {}
    for uid, of_item in records.read_all(processed.folder, tested, current_audio.JOURNALS).items():
        if uid in now and (digest := of_item[-1].get("digest")) not in (None, now[uid]):
            made_from[uid] = {digest}
    if changed := current_audio.changed(clean, made_from):
        which = f"{len(changed):,} of {len(tested):,} test items, such as {printable(changed[0])}"
        again = f"run `{how_to_make(processed.name)}`, then extract it again"
        raise RequestError(f"{origin.dataset} has other audio than {processed.name} was made from ({which}): {again}")


def _share(large: Large | None, part: Sequence[str], uids: Sequence[str]) -> Large | None:
    """What decides for a part of the vectors as ``large`` does for all, and so as for the clean dataset."""
    return None if large is None else replace(large, above=large.above * len(part) // max(1, len(uids)))


def lineage(origin: DeformedFrom | None) -> dict[str, Any]:
    """The part of ``lineage`` in ``run.json`` on a deformed dataset; empty for others."""
    return {} if origin is None else {"deformed": origin.to_json()}
