"""A script for SLURM's ``sbatch``: an array with a task for each batch of an extraction.

A task knows its batch by ``SLURM_ARRAY_TASK_ID``. Apptainer's ``--containall`` hides this variable from the container, so the number is
given as the option ``--batch_idx``. Where there are more batches than an array may have tasks, task T runs the batches T, T + tasks,
T + 2·tasks and so on, one after the other.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jukemir_like import extract, representations
from jukemir_like.core.cache import Cache
from jukemir_like.core.files import printable
from jukemir_like.launch import batch_numbers, commands, images, planning, resources
from jukemir_like.launch.resources import Resources

MAX_ARRAY_SIZE = 1001
"""SLURM's ``MaxArraySize`` unless the cluster sets another: numbers of tasks are smaller."""
CONTAINERS = ("apptainer", "none")


@dataclass(frozen=True)
class ArrayScript:
    """A script for ``sbatch``.

    Args:
        text: the whole file.
        notes: what is to be known or done before it is submitted, one line each.
    """

    text: str
    notes: tuple[str, ...] = ()


def script(
    representation: str, input: str | None, output: str | None, dataset: str | None, cache: str | None, *,  # noqa: A002
    batch_size: int, container: str = "apptainer", gpus: bool = False, image: str | None = None, parallel: int = 32,
    cpus: int | None = None, memory: float | None = None, hours: float | None = None, max_array_size: int = MAX_ARRAY_SIZE,
    only: str | None = None, **options: Any,
) -> ArrayScript:  # fmt: skip
    """The script that runs every batch of an extraction, as an array job.

    Args:
        representation, input, output, dataset, cache, options: as those of the command ``extract``.
        batch_size: files per batch.
        container: ``apptainer``, or ``none``: this program, which must be installed on the nodes.
        gpus: whether each task gets a GPU.
        image: to be used instead of the representation's own; a ``.sif`` file, or the name of an image in a registry.
        parallel: tasks that run at the same time, at most.
        cpus, memory, hours: of each task: processors, GB, time limit per batch; None: what the representation needs.
        max_array_size: the cluster's ``MaxArraySize``.
        only: list of the batches to run, such as ``3,17-20``; None: all.

    Raises:
        RequestError: the folder is missing or has no audio in it, or the representation's image does not take one of the options; without
            an image, also where there is no such representation, or its weights are missing.
    """
    folders = Cache.default(cache)
    representation = extract.kept_name(representation, options.get("weights"), dataset, folders)
    source, target = extract.folders(representation, input, output, dataset, folders, layers=options.get("layers"))
    files, batches = batch_numbers.count(source, batch_size)
    needed = resources.of_batch(
        representation, batch_size, folders, card=options.get("card"), gpus=gpus, memory=memory, hours=hours,
        cpus=cpus or options.get("workers"),
    )  # fmt: skip
    tasks = min(batches, max_array_size - 1)
    chosen = None if only is None else sorted({number % tasks for number in batch_numbers.parse(only, batches)})
    batch = {"batch_size": batch_size, **options}
    described = planning.described_by(representation, options.get("card"), folders)
    if container == "none" or images.family_of(representation, described).all_options:
        # Nothing else tells a container how many of the node's processors are the task's.
        batch["workers"] = options.get("workers") or needed.cpus
    collect = commands.collect(source, target, batch_size)
    collect += "" if max_array_size == MAX_ARRAY_SIZE else f" --max_array_size {max_array_size}"
    notes: list[str] = []
    if container == "none":
        _check_program(representation, folders, options)
        first, *others = commands.extract_arguments(representation, (input, output), dataset, cache, batch)
        line, check = f'{commands.plain([first])} --batch_idx "$batch" {shlex.join(others)}', ""
    else:
        planned = planning.extraction(representation, input, output, dataset, cache, **batch)
        name, check, notes = _image(image or planned.image)
        # The options are the last words of the line.
        line = f'{commands.apptainer(replace(planned, image=name, environment={}), gpus=gpus)} --batch_idx "$batch"'
    if tasks < batches:
        notes.append(
            f"{batches:,} batches are more than an array may have ({tasks:,} tasks, from 0): "
            f"task T runs the batches T, T + {tasks} and so on (see --max_array_size, --batch_size)"
        )
    return ArrayScript(
        _text(representation, files, batches, batch_size, tasks, chosen, parallel, needed, check, line, collect), tuple(notes)
    )


def _check_program(representation: str, cache: Cache, options: Mapping[str, Any]) -> None:
    """Refuses, before there are a thousand tasks that all refuse it, what this program itself cannot extract from this cache.

    Raises:
        RequestError: no such representation or weights, or one that does not take these options.
    """
    chosen = {name: value for name in ("weights", "precision", "device", "card") if (value := options.get(name)) is not None}
    representations.load(representation, cache=cache, **chosen)


def _image(image: str) -> tuple[str, str, list[str]]:
    """The image as tasks use it, a check that it is there, and what to do for it.

    An image of the machine's Docker engine is no use on a node: it is made a ``.sif`` file, in the working folder, first.
    """
    name = image.partition("/")[0]
    if not image.endswith(".sif") and (set(".:") & set(name) or name == "localhost"):
        return (
            image,
            "",
            [f"each task fetches {image}; better build a file of it once: apptainer build FILE.sif docker://{image}, --image FILE.sif"],
        )
    file = Path(image).absolute() if image.endswith(".sif") else Path.cwd() / f"{re.sub(r'[:/]+', '_', image)}.sif"
    build = "" if image.endswith(".sif") else f": apptainer build {shlex.quote(str(file))} docker-daemon:{image}"
    told = shlex.quote(f"there is no {file}{build or ': build it first, by apptainer build'}")
    check = f'[ -e {shlex.quote(str(file))} ] || {{\n    printf "%s\\n" {told} >&2\n    exit 2\n}}\n'
    return str(file), check, [] if file.exists() else [f"build the image first{build or f', as {file}'}"]


def _text(
    representation: str, files: int, batches: int, batch_size: int, tasks: int, chosen: Sequence[int] | None, parallel: int,
    needed: Resources, check: str, line: str, collect: str,
) -> str:  # fmt: skip
    name = resources.job_name(representation)
    numbers = batch_numbers.as_text(range(tasks) if chosen is None else chosen)
    rounds = -(-batches // tasks)
    seconds = replace(needed, seconds=needed.seconds * rounds)
    directives = [
        f"--job-name={name}", f"--array={numbers}%{min(parallel, tasks)}", f"--cpus-per-task={needed.cpus}", f"--mem={needed.mebibytes}M",
        f"--time={seconds.time}", *(["--gres=gpu:1"] if needed.gpus else []), "--requeue", "--open-mode=append",
        f"--output={name}-%A_%a.log",
    ]  # fmt: skip
    head = [
        "#!/bin/sh",
        f"# {representation} of {files:,} files in {batches:,} batches of {batch_size}; submit it by: sbatch FILE",
        "#",
        "# Options of sbatch on its command line (--partition, --account, --time, ...) come before those below. The time limit is made for",
        f"# files of {resources.CLIP_SECONDS:.0f} s. What is finished is kept: a task that was ended, or runs again, goes on where it was.",
        "#",
        "# Some batches again: sbatch --array=3,17 FILE. Which ones, and what failed in them:",
        f"#     {printable(collect)}",
    ]
    return "\n".join([*head, *(f"#SBATCH {directive}" for directive in directives), "", _body(tasks, batches, check, line), ""])


def _body(tasks: int, batches: int, check: str, line: str) -> str:
    several = tasks < batches
    numbers = f'$(seq "$SLURM_ARRAY_TASK_ID" {tasks} {batches - 1})' if several else '"$SLURM_ARRAY_TASK_ID"'
    return f"""\
: "${{SLURM_ARRAY_TASK_ID:?submit this file by sbatch}}"
if [ "$SLURM_ARRAY_TASK_ID" -ge {tasks} ]; then
    echo "there is no task $SLURM_ARRAY_TASK_ID: there are {tasks}, from 0" >&2
    exit 2
fi
{check}code=0
for batch in {numbers}; do
    status=0
    {line} || status=$?
    # 3: finished, but some files could not be used. To SLURM that would be a failure, and a job that waits for this one (afterok) would
    # never start, so it counts as done here; the records and the log have the files. Remove these lines to let it fail.
    if [ "$status" -eq 3 ]; then
        echo "batch $batch: some files failed, see above" >&2
        status=0
    fi
    [ "$status" -eq 0 ] || code=$status
done
exit "$code\""""
