"""``meta.json`` and ``dataset.json`` of a processed dataset, read back: by every stage after ``process``, and by no other reader.

Both come from disks, and the first from other programs too: what is in them is as described here, or is refused in one line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jukemir_like.core import files, jsonfiles
from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import KEYS, PRIMARY_METRICS, SPLITS, Task

META, DESCRIPTION = "meta.json", "dataset.json"
TASK: dict[str, Any] = {"type": set(PRIMARY_METRICS), "labels": [str]}
"""The shape of a task, as :mod:`jukemir_like.core.jsonfiles` has it."""

_META = {str: {"split?": set(SPLITS), "y?": object, "clip?": {str: object}, "extra?": {str: object}}}
_DESCRIPTION = {
    "tasks?": {str: TASK},
    "group?": str,
    "stems?": [str],
    "items?": {str: int},
    "failed?": {str: str},
    "sources?": {str: object},
    "versions?": {str: str},
}


@dataclass(frozen=True)
class Description:
    """What ``dataset.json`` says.

    Args:
        tasks: by name.
        group: what must not be split when resampling, see :meth:`Processed.group_of`.
        stems: names of the channels; None for mono.
        counts: split → number of items.
        failed: uid → why it has no audio.
        sources, versions: what it was made from, and with.
    """

    tasks: dict[str, Task]
    group: str | None
    stems: tuple[str, ...] | None
    counts: dict[str, int]
    failed: dict[str, str]
    sources: dict[str, Any]
    versions: dict[str, str]


@dataclass(frozen=True)
class Processed:
    """A processed dataset.

    Args:
        name: folder name in the cache.
        tasks: by name.
        items: uid → record of ``meta.json``.
        group: what must not be split when resampling, see :meth:`group_of`.
        failed: uid → why it has no audio.
        sources: what it was made from.
        digest: SHA-256 of ``meta.json``.
    """

    name: str
    tasks: dict[str, Task]
    items: dict[str, dict[str, Any]]
    group: str | None
    failed: dict[str, str]
    sources: dict[str, Any]
    digest: str

    def group_of(self, uid: str) -> str:
        """The item's group: a value of ``extra``, else its recording, else itself."""
        record = self.items[uid]
        value = (record.get("extra") or {}).get(self.group) if self.group else None
        return str(value) if value not in (None, "") else self.recording_of(uid)

    def recording_of(self, uid: str) -> str:
        """The recording that the item is a clip of; itself where it is no clip."""
        return str((self.items[uid].get("clip") or {}).get("audio_uid", uid))

    def label_of(self, uid: str, task: str) -> Any:
        """The label as it stands in ``meta.json``, None where there is none."""
        y = self.items[uid].get("y")
        return y if len(self.tasks) == 1 else (y or {}).get(task)


def read(folder: Path) -> Processed:
    """The dataset in ``folder``.

    Raises:
        RequestError: a file is missing.
        DamagedFileError: a file is damaged; a split is unknown, a uid is no name of a file below the folder, labels do not fit the tasks.
    """
    name = folder.name
    try:
        description = read_description(folder)
        items, digest = read_meta(folder)
    except FileNotFoundError as error:
        raise RequestError(
            f"{name} is not in {folder.parent} ({error.filename} is missing): run `jukemir-like process {name}` first"
        ) from error
    if len(description.tasks) != 1:
        with files.damage_errors(folder / META, _remedy(folder)):
            jsonfiles.check(items, {str: {"y?": {str: object}}})  # task → label
    return Processed(name, description.tasks, items, description.group, description.failed, description.sources, digest)


def read_meta(folder: Path) -> tuple[dict[str, dict[str, Any]], str]:
    """uid → record of ``meta.json``, and the file's SHA-256.

    Raises:
        FileNotFoundError: there is none.
        DamagedFileError: it is damaged; a split is unknown, a uid is no name of a file below the folder.
    """
    path = folder / META
    with files.damage_errors(path, _remedy(folder)):
        data = files.read_regular(path)
        items = jsonfiles.parse(data)
        jsonfiles.check(items, _META)
        for uid in items:
            if not files.is_inside(uid):
                raise ValueError(f"is damaged: uid {uid!r} is no name of a file below the dataset's folder")
    return items, hashlib.sha256(data).hexdigest()


def read_description(folder: Path) -> Description:
    """What ``dataset.json`` says.

    Raises:
        FileNotFoundError: there is none.
        DamagedFileError: it is damaged.
    """
    path = folder / DESCRIPTION
    value = jsonfiles.read(path, _DESCRIPTION, _remedy(folder))
    with files.damage_errors(path, _remedy(folder)):
        tasks = {name: task(name, fields) for name, fields in (value.get("tasks") or {}).items()}
    given = {name: value.get(name) or {} for name in ("items", "failed", "sources", "versions")}
    stems = tuple(value["stems"]) if value.get("stems") else None
    return Description(tasks, value.get("group"), stems, given["items"], given["failed"], given["sources"], given["versions"])


def task(name: str, fields: Mapping[str, Any]) -> Task:
    """The task of these fields (of shape :data:`TASK`); ValueError for labels that cannot be: none, one twice, keys that are no keys."""
    made = Task.from_json(name, dict(fields))
    labels = made.labels
    if not labels or len(set(labels)) < len(labels):
        raise ValueError(f"is damaged: task {name!r} has {'no labels' if not labels else 'a label twice'}")
    unknown = next((label for label in labels if made.type == "key" and label not in KEYS), None)
    if unknown is not None:
        raise ValueError(f"is damaged: task {name!r} is one of keys, and {unknown!r} is none")
    return made


def _remedy(folder: Path) -> str:
    return f"run `jukemir-like process {folder.name}` again"
