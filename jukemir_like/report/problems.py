"""What a reader of the page must know: runs that did not end, damaged files that are left out, and outdated scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from jukemir_like.core import records
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.core.resumable import digest_or_none
from jukemir_like.probes.protocols import DEFAULT_PROTOCOL
from jukemir_like.probes.runs import Run


@dataclass
class Problems:
    """Problems with the files of a cache, collected while they are read.

    Args:
        root: the cache's folder.
        unfinished: folders of runs that did not end, relative to ``root``. No fault: they may be running.
        damaged: one line per damaged file, beginning with its path relative to ``root``.
        outdated: one line per run whose labels, vectors or protocol have changed since (see :func:`outdated`).
    """

    root: Path
    unfinished: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Ends the block at a damaged file, and adds the file to ``damaged``."""
        try:
            yield
        except RequestError as error:
            self.add(error)

    def add(self, error: RequestError) -> None:
        """Adds the damaged file that ``error`` is about."""
        self.damaged.append(printable(str(error).replace(f"{self.root}/", "")))

    def lines(self) -> list[str]:
        """Lines for a terminal."""
        return [
            *(f"  did not end: {printable(folder)}" for folder in self.unfinished),
            *(f"  left out: {line}" for line in self.damaged),
            *(f"  old: {printable(line)}" for line in self.outdated),
        ]


def outdated(cache: Cache, runs: Sequence[Run]) -> Iterator[str]:
    """One line per run that was made from another ``meta.json``, or from vectors of another signature, than the cache holds now, or by
    a version of its protocol that gave other numbers.

    Files that were deleted since do not count.
    """
    metas = {name: digest_or_none(cache.processed(name) / "meta.json") for name in {run.dataset for run in runs}}
    signatures = {pair: _signatures(cache, *pair) for pair in {(run.dataset, run.representation) for run in runs}}
    for run in runs:
        lineage, now = run.record["lineage"], signatures[run.dataset, run.representation]
        reasons = []
        if metas[run.dataset] not in (None, lineage.get("meta")):
            reasons.append("other labels")
        if lineage.get("signature") and now and lineage["signature"] not in now:
            reasons.append("vectors of another version")
        where = run.folder.relative_to(cache.root)
        protocol = "" if run.protocol == DEFAULT_PROTOCOL else f" --protocol {run.protocol}"
        again = f"run `jukemir-like probe {run.dataset} {run.representation}{protocol}` again"
        if reasons:
            yield f"{where} was made from {' and '.join(reasons)} than the cache has now: {again}"
        elif run.is_of_other_version:
            yield f"{where} was probed by another version of protocol {run.protocol}, whose numbers differ: {again}"


def _signatures(cache: Cache, dataset: str, representation: str) -> set[str]:
    current = records.read(cache.representation(dataset, representation)).values()
    return {record["signature"] for record in current if record["status"] == "done" and record.get("signature")}
