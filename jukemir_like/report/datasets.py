"""The datasets of the page: their descriptions, and what an audit found of them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from jukemir_like import datasets
from jukemir_like.audit import audit, findings
from jukemir_like.core import jsonfiles
from jukemir_like.core.cache import Cache
from jukemir_like.datasets.meta import read_description
from jukemir_like.downloads.declarations import declaration_folder
from jukemir_like.report.problems import Problems


@dataclass(frozen=True)
class DatasetDescription:
    """A dataset, by its ``dataset.json`` and its declaration.

    Args:
        name: folder name in the cache.
        summary: one sentence of its declaration; empty for a user's own dataset.
        tasks: name → type.
        items: split → number.
        group: field whose items are resampled together.
        failed: number of items without audio.
        sources, versions: what it was made from, and the versions of the software.
    """

    name: str
    summary: str
    tasks: dict[str, str]
    items: dict[str, int]
    group: str | None
    failed: int
    sources: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def describe(cache: Cache, names: Iterable[str], problems: Problems) -> list[DatasetDescription]:
    """The datasets that are still in the cache; damaged files are added to ``problems``."""
    descriptions = []
    for name in dict.fromkeys(names):
        with problems.collecting(), suppress(FileNotFoundError):
            description = read_description(cache.processed(name))
            tasks: dict[str, str] = {task.name: task.type for task in description.tasks.values()}
            counts, group, failed = description.counts, description.group, len(description.failed)
            made_of = description.sources, description.versions
            descriptions.append(DatasetDescription(name, _summary(name), tasks, counts, group, failed, *made_of))
    return descriptions


def audits(cache: Cache, names: Iterable[str], problems: Problems) -> dict[str, dict[str, Any]]:
    """Dataset → anchor, sentences and rows of its audit, if it has one of its present ``meta.json``; damaged files join ``problems``."""
    audited = {}
    for number, name in enumerate(dict.fromkeys(names)):
        content = None
        with problems.collecting():
            content = audit.read(cache, name)
        if content is not None:
            rows = [row._asdict() for row in findings.rows(content)]
            audited[name] = {"anchor": f"audit-{number}", "sentences": findings.sentences(content), "rows": rows}
    return audited


def _summary(name: str) -> str:
    """The sentence in a dataset's declaration; empty if there is none."""
    try:
        folder = declaration_folder(datasets.assets(name) if datasets.is_known(name) else name)
        declaration = jsonfiles.read(folder / "dataset.json", {"summary?": str}, "correct it")
    except FileNotFoundError:
        return ""
    return declaration.get("summary") or ""
