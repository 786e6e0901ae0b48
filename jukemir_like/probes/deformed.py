"""A deformed dataset as a probe sees it: fitted on the clean dataset, tested on the deformed one.

Of splits, train and valid are clean and test is deformed; of folds, the probe of each is fitted on the clean items of the others and tested
on its deformed items. So the probe is that of the clean dataset, to the bit: it is fitted on the same vectors in the same order, and only
tested on others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class Tested:
    """What is tested of a dataset in folds instead of the items that are fitted on: the same items, deformed.

    Args:
        processed: the deformed dataset alone, with its labels.
        vectors: of its items, as rows of the matrix that has the clean ones too.
    """

    processed: ProcessedDataset
    vectors: Vectors


def read_dataset(cache: Cache, name: str, folds: int | None = None) -> ProcessedDataset:
    """The processed dataset ``name``. Of a deformed one, with the items that a probe is fitted on.

    Those are the clean dataset's train and valid before the deformed test; where it is probed in folds, they are the clean dataset's items
    alone, and what is tested comes with the vectors (:func:`read_folded_vectors`).

    Args:
        cache: with both.
        name: of the dataset.
        folds: that are to be drawn; None: none.

    Raises:
        RequestError: it, or the clean dataset, is missing; the clean one was processed again since.
        DamagedFileError: a file is damaged.
    """
    processed = read_processed(cache.processed(name))
    origin = processed.deformed
    if origin is None:
        return processed
    clean = read_processed(cache.processed(origin.dataset))
    in_folds = folds is not None or bool(clean.folds)
    if clean.digest != origin.meta or clean.tasks != processed.tasks:
        raise RequestError(
            f"{origin.dataset} has other items or labels than {name} was made from: run `{_how_to_make(name, in_folds)}` again"
        )
    if in_folds:
        return replace(clean, folder=processed.folder, name=name, digest=processed.digest, deformed=origin)
    fitted = {uid: record for uid, record in clean.items.items() if record.get("split") in ("train", "valid")}
    tested = {uid: record for uid, record in processed.items.items() if record.get("split") == "test"}
    failed = {uid: reason for uid, reason in clean.failed.items() if uid in fitted}
    failed |= {uid: reason for uid, reason in processed.failed.items() if uid in tested}
    return replace(processed, items=fitted | tested, failed=failed)


def read_vectors(cache: Cache, processed: ProcessedDataset, representation: str, uids: Sequence[str], large: Large | None) -> Vectors:
    """Vectors of the items of :func:`read_dataset`; of a deformed dataset, from the folders of the clean and of the deformed one.

    Raises:
        RequestError, StorageError: as :func:`jukemir_like.probes.vectors.read`; or both were computed by different versions, or from other
            audio than there is now.
    """
    origin = processed.deformed
    if origin is None:
        return vectors.read(cache, processed.name, representation, uids, processed.failed, large)
    is_tested = {uid: processed.items[uid].get("split") == "test" for uid in uids}
    of_clean, of_deformed = ([uid for uid in uids if is_tested[uid] is wanted] for wanted in (False, True))
    _check_clean_audio(cache, processed.name, origin, of_deformed, in_folds=False)
    fitted = vectors.read(cache, origin.dataset, representation, of_clean, processed.failed, _share(large, of_clean, uids))
    tested = vectors.read(cache, processed.name, representation, of_deformed, processed.failed, _share(large, of_deformed, uids))
    both, tested = _joined(processed.name, origin, representation, fitted, tested)
    return replace(both, row=both.row | tested.row, missing=both.missing | tested.missing)


def read_tested(cache: Cache, processed: ProcessedDataset, uids: Sequence[str]) -> ProcessedDataset:
    """The deformed dataset alone, of which folds are to be tested.

    Args:
        cache: where it is.
        processed: as :func:`read_dataset` gives it.
        uids: of all items in a fold.

    Raises:
        RequestError: not all of them are deformed.
    """
    tested = read_processed(cache.processed(processed.name))
    missing = sum(uid not in tested.items for uid in uids)
    if missing:
        raise RequestError(
            f"{processed.name} lacks {missing:,} of {len(uids):,} items, and in folds each is tested: "
            f"run `{_how_to_make(processed.name, in_folds=True)}`, and `jukemir-like extract` again"
        )
    return tested


def read_folded_vectors(
    cache: Cache, processed: ProcessedDataset, tested: ProcessedDataset, representation: str, uids: Sequence[str], large: Large | None
) -> tuple[Vectors, Tested]:
    """Vectors of a deformed dataset in folds: of the clean items, which are fitted on, and of the deformed ones, which are tested.

    Both are rows of one matrix. A deformed item without a clean vector is not tested, as it is not for the clean dataset.

    Args:
        cache: where they are.
        processed: as :func:`read_dataset` gives it.
        tested: as :func:`read_tested` gives it.
        representation: whose vectors.
        uids: of all items in a fold.
        large: which vectors are read in chunks.

    Raises:
        RequestError, StorageError: as :func:`read_vectors`.
        ValueError: the dataset is not deformed.
    """
    origin = processed.deformed
    if origin is None:
        raise ValueError(f"{processed.name} is not deformed")
    _check_clean_audio(cache, processed.name, origin, uids, in_folds=True)
    fitted = vectors.read(cache, origin.dataset, representation, uids, processed.failed, _share(large, uids, [*uids, *uids]))
    deformed = vectors.read(cache, processed.name, representation, uids, tested.failed, _share(large, uids, [*uids, *uids]))
    both, deformed = _joined(processed.name, origin, representation, fitted, deformed)
    return both, Tested(tested, deformed)


def folded_without_vectors(of_clean: Vectors, tested: ProcessedDataset, uids: Sequence[str]) -> tuple[Vectors, Tested]:
    """As :func:`read_folded_vectors`, where there are no vectors: for the trivial baselines.

    Args:
        of_clean: of no dimension.
        tested: as :func:`read_tested` gives it.
        uids: of all items in a fold.
    """
    row = {uid: place for uid, place in of_clean.row.items() if uid not in tested.failed}
    missing = {uid: tested.failed[uid] for uid in uids if uid in tested.failed}
    digest = hashlib.sha256("\0".join([of_clean.digest, *row]).encode(errors="surrogateescape")).hexdigest()
    both = replace(of_clean, digest=digest)
    return both, Tested(tested, replace(both, row=row, missing=missing))


def _joined(name: str, origin: DeformedFrom, representation: str, fitted: Vectors, tested: Vectors) -> tuple[Vectors, Vectors]:
    """Both with the same matrix, which has the rows of the second after those of the first."""
    if fitted.signature != tested.signature or fitted.X.shape[1] != tested.X.shape[1]:
        raise RequestError(
            f"vectors of {representation} for {origin.dataset} and {name} were computed by different versions: "
            "run `jukemir-like extract` for both again"
        )
    X: Any
    if isinstance(fitted.X, Rows) or isinstance(tested.X, Rows):
        X = Rows.concatenate([X if isinstance(X, Rows) else Rows.of_array(X) for X in (fitted.X, tested.X)])
    else:
        X = np.concatenate([fitted.X, tested.X])
    digest = hashlib.sha256(f"{fitted.digest} {tested.digest}".encode()).hexdigest()
    row = {uid: len(fitted.row) + place for uid, place in tested.row.items()}
    both = replace(fitted, X=X, digest=digest, origin=fitted.origin or tested.origin)
    return both, replace(both, row=row, missing=tested.missing)


def _check_clean_audio(cache: Cache, name: str, origin: DeformedFrom, tested: Sequence[str], *, in_folds: bool) -> None:
    """Raises where records say that the clean audio changed since it was deformed."""
    clean = cache.processed(origin.dataset)
    now = current_audio.digests(clean, tested)
    made_from: dict[str, set[str]] = {}
    for uid, of_item in records.read_all(cache.processed(name), tested, current_audio.JOURNALS).items():
        if uid in now and (digest := of_item[-1].get("digest")) not in (None, now[uid]):
            made_from[uid] = {digest}
    if changed := current_audio.changed(clean, made_from):
        which = f"{len(changed):,} of {len(tested):,} test items, such as {printable(changed[0])}"
        again = f"run `{_how_to_make(name, in_folds)}`, then extract it again"
        raise RequestError(f"{origin.dataset} has other audio than {name} was made from ({which}): {again}")


def _how_to_make(name: str, in_folds: bool) -> str:
    """The command that writes a deformed dataset; in folds, of all items, as each is tested."""
    return how_to_make(name) + (" --all_items" if in_folds else "")


def _share(large: Large | None, part: Sequence[str], uids: Sequence[str]) -> Large | None:
    """What decides for a part of the vectors as ``large`` does for all, and so as for the clean dataset."""
    return None if large is None else replace(large, above=large.above * len(part) // max(1, len(uids)))


def lineage(origin: DeformedFrom | None) -> dict[str, Any]:
    """The part of ``lineage`` in ``run.json`` on a deformed dataset; empty for others."""
    return {} if origin is None else {"deformed": origin.to_json()}
