"""A manifest for Kubernetes: an Indexed Job with a pod for each batch of an extraction.

The pods are confined as :mod:`jukemir_like.launch.confinement` says of Docker: not root, a read-only root with a ``/tmp`` of its own, no
capabilities, no new privileges, only the folders that are needed. They need no network; whether they have one is for the cluster to say.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jukemir_like import extract
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.core.files import printable
from jukemir_like.launch import batch_numbers, commands, images, planning, resources
from jukemir_like.launch.images import Mount

PARTIAL_OK = {"JUKEMIR_LIKE_PARTIAL_OK": "1"}
"""What makes this package's images end with 0 where some inputs failed."""
USER = (1000, 1000)
"""User and group of the pods where the calling user is root."""

_MOST_COMPLETIONS = 100_000  # with a limit of retries per index
_CLAIM_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@dataclass(frozen=True)
class _Volume:
    name: str
    claim: str | None = None
    path: str | None = None
    type: str = "Directory"


@dataclass(frozen=True)
class _VolumeMount:
    volume: str
    target: str
    writable: bool
    sub_path: str = ""


def manifest(
    representation: str, input: str | None, output: str | None, dataset: str | None, cache: str | None, *,  # noqa: A002
    batch_size: int, gpus: bool = False, image: str | None = None, parallel: int = 32, cpus: int | None = None,
    memory: float | None = None, claims: Mapping[str, str] | None = None, user: tuple[int, int] | None = None, **options: Any,
) -> str:  # fmt: skip
    """The manifest, YAML, of a Job that runs every batch of an extraction.

    Args:
        representation, input, output, dataset, cache, options: as those of the command ``extract``.
        batch_size: files per batch.
        gpus: whether each pod gets an ``nvidia.com/gpu``.
        image: to be used instead of the representation's own.
        parallel: pods that run at the same time, at most.
        cpus, memory: of each pod: processors, GB; None: what the representation needs.
        claims: name of a PersistentVolumeClaim → folder of this machine that holds the same files; empty: the nodes see the folders under
            the same paths as this machine does (``hostPath``).
        user: user and group of the pods, not root; None: the calling user's, or :data:`USER` where that is root.

    Raises:
        RequestError: the folder is missing or has no audio in it, a folder is in none of the claims, or the representation's image does not
            take one of the options.
    """
    folders = Cache.default(cache)
    representation = extract.kept_name(representation, options.get("weights"), dataset, folders)
    source, target = extract.folders(representation, input, output, dataset, folders, layers=options.get("layers"))
    files, batches = batch_numbers.count(source, batch_size)
    if batches > _MOST_COMPLETIONS:
        raise RequestError(f"{batches:,} batches are more than a Job may have ({_MOST_COMPLETIONS:,}): give a larger --batch_size")
    if image is not None and image.endswith(".sif"):
        raise RequestError(f"{image} is for Apptainer: Kubernetes needs the name of an image")
    is_own = images.family_of(representation, planning.described_by(representation, options.get("card"), folders)).all_options
    needed = resources.of_batch(
        representation, batch_size, folders, card=options.get("card"), gpus=gpus, memory=memory, cpus=cpus or options.get("workers")
    )
    if is_own:
        options["workers"] = options.get("workers") or needed.cpus  # not one per processor of the node
    container = planning.extraction(representation, input, output, dataset, cache, batch_size=batch_size, **options)
    user_id, group = user or ((os.getuid(), os.getgid() or USER[1]) if os.getuid() else USER)
    if user_id == 0:
        raise RequestError("a pod must not run as root: give another --user")
    volumes, mounts = _volumes(container.mounts, claims or {})
    text: str = _template().render(
        title=f"{representation} of {files:,} files in {batches:,} batches of {batch_size}: an Indexed Job, a pod for each batch.",
        collect=commands.collect(source, target, batch_size),
        name=resources.job_name(representation),
        completions=batches,
        parallelism=min(parallel, batches),
        user=user_id,
        group=group,
        image=image or container.image,
        command=[_escaped(word) for word in container.entrypoint or ()],
        arguments=[_escaped(word) for word in container.arguments],
        env=PARTIAL_OK if is_own else {},
        cpus=needed.cpus,
        memory=f"{needed.mebibytes}Mi",
        gpus=needed.gpus,
        mounts=mounts,
        volumes=volumes,
    )
    return text


def _volumes(mounts: Sequence[Mount], claims: Mapping[str, str]) -> tuple[list[_Volume], list[_VolumeMount]]:
    """The volumes of the pods, and what of them is mounted where."""
    volumes: dict[tuple[str | None, str | None], _Volume] = {}
    volume_mounts = []
    folders = {name: planning.absolute(folder) for name, folder in claims.items()}
    unusable = next((name for name in folders if not _CLAIM_NAME.fullmatch(name)), None)
    if unusable is not None:
        raise RequestError(f"{unusable!r} cannot be the name of a PersistentVolumeClaim: write --claim NAME=FOLDER")
    for mount in mounts:
        sub_path, claim, path = "", None, None
        if folders:
            # The innermost folder, where one claim's lies in another's.
            inside = [name for name, folder in folders.items() if mount.source.is_relative_to(folder)]
            if not inside:
                raise RequestError(f"{mount.source} is in none of the folders of --claim: give another --claim NAME=FOLDER")
            claim = max(inside, key=lambda name: len(folders[name].parts))
            sub_path = "" if mount.source == folders[claim] else str(mount.source.relative_to(folders[claim]))
        else:
            path = str(mount.source)
        if (claim, path) not in volumes:
            kind = "File" if path is not None and mount.source.is_file() else "Directory"
            volumes[claim, path] = _Volume(f"volume-{len(volumes)}", claim, path, kind)
        volume_mounts.append(_VolumeMount(volumes[claim, path].name, mount.target, mount.writable, sub_path))
    return list(volumes.values()), volume_mounts


def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(  # noqa: S701 -- values are written as JSON, or are names made here
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"yaml": _yaml, "comment": printable}
    return environment.get_template("indexed_job.yaml")


def _yaml(value: Any) -> str:
    """``value`` as JSON, in which characters that YAML does not allow to stand for themselves are escaped as YAML does."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(character if character.isprintable() else f"\\U{ord(character):08x}" for character in text)


def _escaped(word: str) -> str:
    """``word`` as it is written in a pod's command, where ``$(NAME)`` would stand for a variable."""
    return word.replace("$(", "$$(")
