"""Which stages of a workflow have failed, and why: from the files that they leave beside their logs.

``STAGE.log.failed`` holds the exit code of a stage that has failed; ``STAGE.log.job`` the number of the job of a cluster in which one has
begun and did not end by itself. What SLURM did to a job, only SLURM can tell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from jukemir_like.core.errors import BUG, INTERRUPTED
from jukemir_like.launch import cluster

_ENDINGS = ("*.failed", "*.job")
_SAID_OF_JOBS = re.compile(r"\S.*error message was.*|SLURM-job .* SLURM status is: '\w+'")
_MOST_LINES = 20


@dataclass(frozen=True)
class Failure:
    """A stage that has failed.

    Args:
        stage: which one, and of what: ``extract gtzan_ff mfcc 256-0``.
        why: how it ended.
        words: the last line that it said.
        log: all that it said.
        code: its exit code.
    """

    stage: str
    why: str
    words: str
    log: Path
    code: int


def find(folder: Path) -> list[Failure]:
    """The stages that have failed, in the order in which they did; ``folder`` holds the logs."""
    ended = sorted((path for ending in _ENDINGS for path in folder.rglob(ending)), key=lambda path: path.stat().st_mtime_ns)
    return [_failure(folder, log) for log in dict.fromkeys(path.with_suffix("") for path in ended)]


def forget(folder: Path) -> None:
    """Removes what earlier failures have left."""
    for ending in _ENDINGS:
        for path in folder.rglob(ending):
            path.unlink()


def said_of_jobs(log: Path) -> list[str]:
    """What Snakemake has said of jobs that SLURM did not take, or that ended before their stage began; of nothing such, its last words."""
    lines = [line.rstrip() for line in log.read_text(errors="replace").splitlines() if line.strip()] if log.is_file() else []
    said = dict.fromkeys(match[0] for line in lines if (match := _SAID_OF_JOBS.search(line)))
    return list(said)[:_MOST_LINES] or lines[-_MOST_LINES:]


def _failure(folder: Path, log: Path) -> Failure:
    failed, job = (log.with_name(f"{log.name}.{ending}") for ending in ("failed", "job"))
    text = failed.read_text().strip() if failed.is_file() else ""
    code = int(text) if text.isdigit() else BUG
    if job.is_file():
        number = job.read_text().strip()
        why = f"job {number}: {cluster.read_state(number) or 'SLURM does not know any more what became of it'}"
    else:
        why = f"killed by signal {code - 128}" if code > 128 and code != INTERRUPTED else f"exit code {code}"
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] if log.is_file() else []
    stage = " ".join(log.relative_to(folder).with_suffix("").parts)
    return Failure(stage, why, lines[-1] if lines else "it said nothing", log, code)
