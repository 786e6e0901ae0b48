"""A SLURM cluster, asked through its own programs: what a partition has, whether jobs can be submitted, what became of one.

It is asked as little as possible, as its controller serves everybody.
"""

from __future__ import annotations

import getpass
import re
import shutil
import subprocess
import time
from dataclasses import replace

from jukemir_like.core.errors import RequestError
from jukemir_like.launch.resources import Node

MOST_PROCESSORS = 8
"""Of one job: more of them wait longer for a node that has them free."""

_ASK_SECONDS = 30.0
_DEFAULT_ARRAY_SIZE = 1001  # SLURM's own


def check_submission(partition: str | None, account: str | None) -> None:
    """Raises where the cluster would refuse any job.

    Raises:
        RequestError: there is no ``sbatch`` here, or it refuses: no such partition or account, say.
    """
    if shutil.which("sbatch") is None:
        raise RequestError(
            "there is no sbatch here to submit jobs with: run it on a login node of a SLURM cluster, or leave RUNNER=slurm out"
        )
    wanted = [f"--{option}={value}" for option, value in {"partition": partition, "account": account}.items() if value]
    tried = _run(["sbatch", "--test-only", *wanted, "--wrap=true"])
    if tried.returncode != 0:
        lines = [line.removeprefix("sbatch: error: ") for line in tried.stderr.splitlines() if line.strip()]
        reason = lines[0] if lines else "it does not say why"
        raise RequestError(f"SLURM refuses jobs of {' '.join(wanted) or 'its default partition'}: {reason}")


def read_node(partition: str | None) -> Node:
    """What a node of ``partition`` has for one job (None: of the cluster's default partition), at most :data:`MOST_PROCESSORS`.

    Where its nodes differ, it is one of those with most GPUs: what fits on it can be run, also by jobs that need no GPU.

    Raises:
        RequestError: SLURM does not answer, or has no such partition.
    """
    answer = _ask(["sinfo", "--noheader", "--format=%R|%c|%m|%l|%G|%P", *([f"--partition={partition}"] if partition else [])])
    rows = [row for row in (line.split("|") for line in answer.splitlines()) if len(row) == 6]
    rows = rows if partition else [row for row in rows if row[5].endswith("*")] or rows
    if not rows:
        raise RequestError(f"SLURM has no partition {partition}: `sinfo` lists them")
    limits = [minutes for row in rows if (minutes := to_minutes(row[3])) is not None]
    nodes = [Node(min(MOST_PROCESSORS, _number(row[1])), _number(row[2]), count_gpus(row[4])) for row in rows]
    return replace(max(nodes, key=lambda node: (node.gpus, node.processors, node.memory)), minutes=min(limits, default=None))


def to_minutes(limit: str) -> int | None:
    """Whole minutes of a time limit as SLURM writes it; None where there is none.

    >>> [to_minutes(limit) for limit in ("30:00", "2:00:00", "1-00:00:30", "infinite")]
    [30, 120, 1440, None]
    """
    days, _, clock = limit.strip().rpartition("-")
    parts = clock.split(":")
    if not all(part.isdigit() for part in parts) or len(parts) not in (2, 3):
        return None
    hours, minutes = (int(parts[0]), int(parts[1])) if len(parts) == 3 else (0, int(parts[0]))
    return 1440 * int(days or 0) + 60 * hours + minutes


def count_gpus(resources: str) -> int:
    """GPUs among the generic resources of a node, as ``sinfo`` writes them.

    >>> [count_gpus(text) for text in ("(null)", "gpu:4", "gpu:a100:2(S:0-1),gpu:h100:4(S:0,1)", "shard:8")]
    [0, 4, 6, 0]
    """
    return sum(int(number) for number in re.findall(r"(?:^|,)gpu(?::[^:,()]+)?:(\d+)", resources))


def has_accounting() -> bool:
    """Whether ``sacct`` tells what became of jobs: without it ``squeue`` does, for some minutes after their end."""
    return shutil.which("sacct") is not None and _run(["sacct", "--allocations", "--noheader", "--starttime=now"]).returncode == 0


def read_array_size() -> int:
    """How many tasks an array may have, counted from 1."""
    answer = re.search(r"MaxArraySize\s*=\s*(\d+)", _run(["scontrol", "show", "config"]).stdout)
    return (int(answer[1]) if answer else _DEFAULT_ARRAY_SIZE) - 1


def read_state(job: str) -> str:
    """What became of a job, such as ``OUT_OF_MEMORY``; empty where SLURM does not know any more.

    Args:
        job: its number, or that of an array's task: ``12_3``.
    """
    for command, pattern in (
        (["sacct", f"--jobs={job}", "--allocations", "--noheader", "--parsable2", "--format=State"], r"^(\w+)"),
        (["scontrol", "show", "job", "--oneliner", job], r"JobState=(\w+)"),
    ):
        if shutil.which(command[0]) and (answer := re.search(pattern, _run(command).stdout)):
            return answer[1]
    return ""


def cancel(name: str, *, seconds: float = 30.0) -> int:
    """Cancels this user's jobs whose names begin with ``name``, and waits until they have ended, for ``seconds`` at most.

    Returns:
        How many there were; an array counts as one.
    """
    first: set[str] | None = None
    deadline = time.monotonic() + seconds
    while jobs := _jobs(name):
        if first is None:
            first = jobs
            _run(["scancel", *sorted(jobs)])
        if time.monotonic() > deadline:
            break
        time.sleep(0.5)
    return len(first or ())


def has_jobs(name: str) -> bool:
    """Whether jobs of this user are in the queue whose names begin with ``name``; also where SLURM does not answer, as they may be."""
    answer = _run(["squeue", "--noheader", f"--user={getpass.getuser()}", "--format=%j"])
    return answer.returncode != 0 or any(line.startswith(name) for line in answer.stdout.splitlines())


def read_memory_seconds() -> int:
    """How long the controller remembers a job that has ended (``MinJobAge``)."""
    answer = re.search(r"MinJobAge\s*=\s*(\d+)", _run(["scontrol", "show", "config"]).stdout)
    return int(answer[1]) if answer else 0


def _jobs(name: str) -> set[str]:
    answer = _run(["squeue", "--noheader", f"--user={getpass.getuser()}", "--format=%F|%j"]).stdout
    rows = (line.partition("|") for line in answer.splitlines())
    return {number.strip() for number, _, job_name in rows if job_name.startswith(name)}


def _number(text: str) -> int:
    found = re.match(r"\d+", text.strip())
    return int(found[0]) if found else 0


def _ask(command: list[str]) -> str:
    answer = _run(command)
    if answer.returncode != 0:
        reason = " ".join(answer.stderr.split()) or f"exit code {answer.returncode}"
        raise RequestError(f"SLURM does not answer {command[0]}: {reason}")
    return answer.stdout


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Its answer; one that does not come, or cannot, is exit code 1."""
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_ASK_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))
