"""Stamps of the workflow, which say that a stage has ended: those that must not count are removed before Snakemake looks at them.

They are in ``.stages/`` of the cache, ``<stage>/<dataset>/<representation>/…``. Stages keep their own finished files, so a stamp that is
removed costs no more than a look.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from jukemir_like import datasets
from jukemir_like.core.atomic import file_system_time, write_json
from jukemir_like.core.cache import POOLS

STAMPS = Path(".stages")
"""In the cache, as are the next."""
AGAIN = STAMPS / "again"
"""Names the downloads in which something was missing."""
LOGS = STAMPS / "logs"
PAGE = Path("report", "index.html")
UNFINISHED = STAMPS / "unfinished"
"""A run has begun, and not ended well; holds which run, and the times of the stamps before it."""

_NOT_STAMPS = (LOGS.name, AGAIN.name)


def remove_ahead(cache: Path) -> list[str]:
    """Removes stamps of a time to come, of a clock that ran ahead: nothing would be newer.

    Returns what has to be made again, so that they run.
    """
    now = file_system_time(cache)
    stamps = [path for path in (cache / STAMPS).rglob("*") if not path.is_relative_to(cache / LOGS) and path.is_file()]
    ahead = [path for path in [*stamps, cache / PAGE] if path.is_file() and path.stat().st_mtime > now]
    for path in set(ahead) - {cache / PAGE}:
        path.unlink()
    if ahead:
        print(f"{len(ahead)} stages ended at a time that is still to come: a clock was wrong; they are run again", file=sys.stderr)  # noqa: T201
    return [str(PAGE)] if ahead else []


def begin(cache: Path, run: str) -> None:
    """Notes that a run begins, and which stamps there are before it."""
    (cache / STAMPS).mkdir(exist_ok=True)
    write_json(cache / UNFINISHED, {"run": run, "stamps": _times(cache)})


def remove_unfounded(cache: Path) -> list[str]:
    """Removes the stamps of the run that has begun last, if one of them says of a stage that it has ended and the stage does not.

    Snakemake writes such: a job of a cluster that waits in vain for a file to appear ends well without having run its stage, and each task
    of an array stamps the first one. What stands on such a stage may be wrong too, so all stamps of that run go.

    Returns the stages that have not ended, as ``probe/synthband/mfcc/linear-0``; empty: all stamps count.
    """
    try:
        noted = json.loads((cache / UNFINISHED).read_text())
        run, before = noted["run"], noted["stamps"]
    except (OSError, ValueError, TypeError, KeyError):  # none has begun, or of a version that noted nothing
        return []
    new = [name for name, time in _times(cache).items() if before.get(name) != time]
    unfounded = [name for name in new if _ended_in(cache / LOGS / f"{name}.log.ended") != run]
    if unfounded:
        for name in new:
            (cache / STAMPS / name).unlink()
    return unfounded


def _times(cache: Path) -> dict[str, int]:
    """When each stamp was written last, in ns, by its name."""
    folders = [path for path in (cache / STAMPS).iterdir() if path.is_dir() and path.name not in _NOT_STAMPS]
    stamps = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(cache / STAMPS).as_posix(): path.stat().st_mtime_ns for path in stamps}


def _ended_in(path: Path) -> str | None:
    return path.read_text().strip() if path.is_file() else None


def forget_removed(cache: Path) -> None:
    """Removes the stamps of extractions whose folder of vectors was removed: when vectors are needed, they are computed again."""
    for stage in ("extract", "extract_layers"):
        for stamps in (cache / STAMPS / stage).glob("*/*"):
            vectors = cache / "representations" / stamps.parent.name
            there = [path.name for path in vectors.iterdir() if path.is_dir()] if vectors.is_dir() else []
            if not any(_is_of(name, stamps.name, all_layers=stage == "extract_layers") for name in there):
                shutil.rmtree(stamps)


def of_incomplete_downloads(cache: Path, wanted: Iterable[str]) -> list[str]:
    """Stamps of the downloads of datasets in which something was missing: they are tried once more; what is there is kept."""
    known = {datasets.assets(dataset) for dataset in wanted if datasets.is_known(dataset)}
    return [str(STAMPS / "download" / path.name) for path in sorted((cache / AGAIN).glob("*")) if path.name in known]


def _is_of(folder: str, representation: str, all_layers: bool) -> bool:
    """Whether a folder is the one of a representation, or of any of its layers; both names as paths spell them."""
    if not all_layers:
        return folder == representation
    base, _, pool = representation.rpartition(".")
    names = [(representation, ""), *([(base, f".{pool}")] if pool in POOLS else [])]
    return any(re.fullmatch(rf"{re.escape(name)}\.layer[^.]+{re.escape(pool)}", folder) for name, pool in names)
