"""Scores whose labels or vectors have been made anew since: they are shown, and said to be old."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jukemir_like.core import records
from jukemir_like.core.cache import Cache
from jukemir_like.core.stage import digest_or_none
from jukemir_like.probes.results import Run


def outdated(cache: Cache, runs: Sequence[Run]) -> Iterator[str]:
    """A line for each of ``runs`` that was made from another ``meta.json``, or vectors of another signature, than are there now.

    What is not there any more says nothing.
    """
    metas = {name: digest_or_none(cache.processed(name) / "meta.json") for name in {run.dataset for run in runs}}
    signatures = {pair: _signatures(cache, *pair) for pair in {(run.dataset, run.representation) for run in runs}}
    for run in runs:
        lineage, now = run.record["lineage"], signatures[run.dataset, run.representation]
        older = []
        if metas[run.dataset] not in (None, lineage.get("meta")):
            older.append("other labels")
        if lineage.get("signature") and now and lineage["signature"] not in now:
            older.append("vectors of another version")
        if older:
            again = f"run `jukemir-like probe {run.dataset} {run.representation}` again"
            yield f"{run.folder.relative_to(cache.root)} was made from {' and '.join(older)} than are there now: {again}"


def _signatures(cache: Cache, dataset: str, representation: str) -> set[str]:
    found = records.read(cache.representation(dataset, representation)).values()
    return {record["signature"] for record in found if record["status"] == "done" and record.get("signature")}
