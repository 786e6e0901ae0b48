"""``meta.json`` and ``dataset.json`` of a processed dataset, written and read.

``process`` writes them, and every later stage reads them here. ``meta.json`` may come from other programs, and ``dataset.json`` from a user
who names the stems of a folder in it (:func:`read_stems`): a file that is not as described here is refused in one line.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jukemir_like.core import files, jsonfiles, largejson
from jukemir_like.core.atomic import atomic_write, write_json
from jukemir_like.core.files import printable
from jukemir_like.core.stems import instrument_name
from jukemir_like.core.version import __version__
from jukemir_like.datasets import deformed
from jukemir_like.datasets.dataset import FOLD, KEYS, OWN_STEMS, PRIMARY_METRICS, SPLITS, Dataset, Item, Task, is_tempo
from jukemir_like.datasets.deformed import DeformedFrom, how_to_make, split_name
from jukemir_like.datasets.registry import is_known

META, DESCRIPTION, WAV_FOLDER = "meta.json", "dataset.json", "wav"
TASK_SHAPE: dict[str, Any] = {"type": set(PRIMARY_METRICS), "labels": [str]}
"""The shape of a task in ``dataset.json``, as :mod:`jukemir_like.core.jsonfiles` describes shapes."""

LARGE_BYTES = 64 << 20
"""Of a ``meta.json``: up to some 100,000 items its records are held in memory."""

_META_SHAPE = {str: {"split?": set(SPLITS), "y?": object, "clip?": {str: object}, "extra?": {str: object}}}
_STEMS_SHAPE: dict[str, Any] = {"stems?": [str]}
_DESCRIPTION_SHAPE = {
    "tasks?": {str: TASK_SHAPE},
    "group?": str,
    **_STEMS_SHAPE,
    "stems_per_track?": bool,
    "items?": {str: int},
    "files?": int,
    "failed?": {str: str},
    "folds?": [str],
    "sources?": {str: object},
    "versions?": {str: str},
    "deformed?": deformed.SHAPE,
}


@dataclass(frozen=True)
class Description:
    """What ``dataset.json`` says.

    Args:
        tasks: by name.
        group: what must not be split when resampling, see :meth:`ProcessedDataset.group_of`.
        stems: names of the channels; None for mono.
        counts: split → number of items.
        failed: uid → why it has no audio.
        sources, versions: what it was made from, and with.
        made_from: the name of the dataset that was processed.
        deformed: where it comes from, if it is a deformed dataset.
        folds: names of its folds, in order; None where it comes in splits.
        stems_per_track: each track has stems of its own, which its record in ``meta.json`` names (:func:`own_stems`); ``stems`` is None.
    """

    tasks: dict[str, Task]
    group: str | None
    stems: tuple[str, ...] | None
    counts: dict[str, int]
    failed: dict[str, str]
    sources: dict[str, Any]
    versions: dict[str, str]
    made_from: str | None = None
    deformed: DeformedFrom | None = None
    folds: tuple[str, ...] | None = None
    stems_per_track: bool = False


def wav_path(folder: Path, uid: str) -> Path:
    """The WAV of an item of the processed dataset in ``folder``.

    >>> wav_path(Path("processed/mine"), "a/b").as_posix()
    'processed/mine/wav/a/b.wav'
    """
    return folder / WAV_FOLDER / f"{uid}.wav"


def write_meta(
    folder: Path,
    dataset: Dataset,
    *,
    failed: Mapping[str, str],
    skipped: Mapping[str, str],
    metadata_only: bool,
    wav_files: int | None = None,
) -> None:
    """Writes ``meta.json`` and ``dataset.json`` of a dataset into ``folder``.

    Args:
        folder: of the processed dataset.
        dataset: what was processed.
        failed: uid → why it has no audio.
        skipped: uid → why it was left out from the start.
        metadata_only: whether no audio was asked for.
        wav_files: how many there are; None: they were not looked at.

    Raises:
        StorageError: a file cannot be written.
    """
    parts = [item.split or (item.extra.get(FOLD) if dataset.folds else None) for item in dataset.items]
    description: dict[str, Any] = {
        "name": dataset.name,
        "options": list(dataset.options),
        "tasks": {name: task.to_json() for name, task in dataset.tasks.items()},
        "group": dataset.group,
        "stems": list(dataset.stems) if dataset.stems else None,
        "items": {part or "none": parts.count(part) for part in (*SPLITS, *(dataset.folds or ()), None) if part in parts},
        "metadata_only": metadata_only,
        "failed": failed,
        "skipped": skipped,
        "sources": dataset.sources,
        "versions": software_versions(),
    }
    description |= {"stems_per_track": True} if dataset.stems_per_item else {}
    description |= {} if dataset.folds is None else {"folds": list(dataset.folds)}
    description |= {} if wav_files is None else {"files": wav_files}
    description |= {} if dataset.understood is None else {"understood": dataset.understood}
    write_json(folder / DESCRIPTION, description)
    with atomic_write(folder / META) as temporary, open(temporary, "w", encoding="ascii", newline="") as file:
        file.writelines(_object_lines((item.uid, _record(item)) for item in dataset.items))


def read_meta(folder: Path) -> tuple[Mapping[str, dict[str, Any]], str]:
    """uid → record of ``meta.json``, and the SHA-256 of the file.

    Of a file of more than :data:`LARGE_BYTES` the records are not held in memory, but read again when they are asked for.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: it is damaged, a split is unknown, or a uid does not name a file below the folder.
    """
    path = folder / META
    with files.damage_errors(path, remedy(folder)):
        if path.stat().st_size > LARGE_BYTES:
            try:
                records = largejson.StoredObject(path, _check_record)
            except largejson.StreamError:
                pass  # what is wrong is said below, in the words for the whole file
            else:
                return records, records.sha256
        data = files.read_regular(path)
        items = jsonfiles.parse(data)
        jsonfiles.check(items, _META_SHAPE)
        for uid in items:
            _check_uid(uid)
    return items, hashlib.sha256(data).hexdigest()


def read_description(folder: Path) -> Description:
    """What ``dataset.json`` says.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: it is damaged.
    """
    path = folder / DESCRIPTION
    value = jsonfiles.read(path, _DESCRIPTION_SHAPE, remedy(folder))
    with files.damage_errors(path, remedy(folder)):
        tasks = {name: parse_task(name, fields) for name, fields in (value.get("tasks") or {}).items()}
        stems = _stems(value)
        folds = _folds(value)
    counts, failed, sources, versions = (value.get(name) or {} for name in ("items", "failed", "sources", "versions"))
    made_from = value["name"] if isinstance(value.get("name"), str) else None
    of = DeformedFrom.from_json(value["deformed"]) if value.get("deformed") else None
    own = value.get("stems_per_track") is True
    return Description(tasks, value.get("group"), stems, counts, failed, sources, versions, made_from, of, folds, own)


def own_stems(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of a track's channels, where each track has stems of its own: ``extra.stems`` of its record in ``meta.json``.

    Raises:
        ValueError: they are no names, fewer than two, or one is a duplicate.

    >>> own_stems({"extra": {"stems": ["Cello", "drums"]}})
    ('cello', 'drums')
    """
    names = (record.get("extra") or {}).get(OWN_STEMS)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("has no list of names as extra.stems in meta.json")
    stems = tuple(map(instrument_name, names))
    if len(stems) < 2 or not all(stems) or len(set(stems)) < len(stems):
        raise ValueError("has fewer than two stems in meta.json, or one without a name, or two of one name")
    return stems


def read_stems(folder: Path) -> tuple[str, ...] | None:
    """``stems`` of the ``dataset.json`` in any folder of audio: names, in the order of channels; None where there are none.

    A user may have written it, with this field alone; other fields are not looked at.

    Raises:
        DamagedFileError: it cannot be read, or they are no names.
    """
    path = folder / DESCRIPTION
    try:
        with files.damage_errors(printable(str(path)), 'write {"stems": ["NAME", …]} into it, or move it away'):
            description = jsonfiles.parse(files.read_regular(path))
            return _stems(description) if isinstance(description, dict) else None
    except FileNotFoundError:
        return None


def read_file_count(folder: Path) -> int | None:
    """How many WAV files the processed dataset in ``folder`` has, as the stage that wrote them has counted.

    The number is there as soon as ``dataset.json`` is, whereas other machines may see the listing of a folder as it was a while ago.

    Returns:
        None where no ``dataset.json`` says so that the stage ``process`` has written.
    """
    try:
        return _count(files.read_regular(folder / DESCRIPTION))
    except OSError:  # who needs more of it than this number reports it
        return None


def _count(data: bytes) -> int | None:
    try:
        description = jsonfiles.parse(data)
    except ValueError:
        return None
    ours = isinstance(description, dict) and isinstance(versions := description.get("versions"), dict) and "jukemir-like" in versions
    count = description.get("files") if ours else None
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None


def parse_task(name: str, fields: Mapping[str, Any]) -> Task:
    """The task with these fields, which have the shape :data:`TASK_SHAPE`.

    Raises:
        ValueError: no labels, a duplicate label, a label of a key task that is no key, or of a tempo task that is no tempo.

    >>> parse_task("genre", {"type": "multiclass", "labels": ["jazz", "rock"]})
    Task(name='genre', type='multiclass', labels=('jazz', 'rock'))
    """
    task = Task.from_json(name, dict(fields))
    if not task.labels or len(set(task.labels)) < len(task.labels):
        raise ValueError(f"is damaged: task {name!r} has {'a duplicate label' if task.labels else 'no labels'}")
    unknown = next((label for label in task.labels if task.type == "key" and label not in KEYS), None)
    if unknown is not None:
        raise ValueError(f"is damaged: task {name!r} is one of keys, and {unknown!r} is none")
    no_tempo = next((label for label in task.labels if task.type == "tempo" and not is_tempo(label)), None)
    if no_tempo is not None:
        raise ValueError(f"is damaged: task {name!r} is one of tempi, and {no_tempo!r} is none")
    return task


def remedy(folder: Path) -> str:
    """What to do about a damaged file of the processed dataset in ``folder``.

    >>> remedy(Path("processed/gtzan_ff"))
    'run `jukemir-like process gtzan_ff` again'
    """
    made_from = _made_from(folder)
    if split_name(folder.name) is None and made_from and made_from != folder.name and is_known(made_from):
        kind = " --stems instruments" if _has_own_stems(folder) else ""
        return f"run `jukemir-like process {made_from} --name {folder.name}{kind}` again"
    if is_known(folder.name) or split_name(folder.name) is not None:
        return f"run `{how_to_make(folder.name)}` again"
    if made_from is None and (folder / DESCRIPTION).exists():  # which is damaged
        return f"run `jukemir-like process` with `--name {folder.name}` again, with the dataset and the options of the first time"
    return f"run `jukemir-like process folder --name {folder.name}` again, with the options of the first time"


def _has_own_stems(folder: Path) -> bool:
    return json.loads(files.read_regular(folder / DESCRIPTION)).get("stems_per_track") is True  # it was read as what it is made from


def _made_from(folder: Path) -> str | None:
    """The dataset that was processed, as its description says; empty where it does not, None where there is none, or it is damaged."""
    try:
        name = json.loads(files.read_regular(folder / DESCRIPTION)).get("name")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return name if isinstance(name, str) else ""


def _stems(description: Mapping[str, Any]) -> tuple[str, ...] | None:
    stems = description.get("stems")
    jsonfiles.check({"stems": stems}, _STEMS_SHAPE)
    if stems and (not all(stems) or len(set(stems)) < len(stems)):
        raise ValueError("is damaged: stems has a duplicate name, or an empty one")
    return tuple(stems) if stems else None


def _folds(description: Mapping[str, Any]) -> tuple[str, ...] | None:
    folds = description.get("folds")
    if folds and (not all(folds) or len(set(folds)) < len(folds)):
        raise ValueError("is damaged: folds has a duplicate name, or an empty one")
    return tuple(folds) if folds else None


def _check_record(uid: str, record: Any) -> None:
    jsonfiles.check({uid: record}, _META_SHAPE)
    _check_uid(uid)


def _check_uid(uid: str) -> None:
    if not files.is_inside(uid):
        raise ValueError(f"is damaged: uid {uid!r} is no name of a file below the dataset's folder")


def _object_lines(fields: Iterable[tuple[str, Any]]) -> Iterator[str]:
    """What :func:`jukemir_like.core.atomic.write_json` writes of a dictionary, without holding all of it."""
    encode = json.JSONEncoder(indent=1, ensure_ascii=True, allow_nan=False).encode
    opening = "{"
    for name, value in fields:
        # The text within a value has no line breaks of its own.
        yield f"{opening}\n {json.dumps(name)}: " + encode(value).replace("\n", "\n ")
        opening = ","
    yield "{}\n" if opening == "{" else "\n}\n"


def _record(item: Item) -> dict[str, Any]:
    record: dict[str, Any] = {"split": item.split, "y": item.y}
    if item.clip is not None:
        record["clip"] = vars(item.clip)
    return record | {"extra": item.extra}


def software_versions() -> dict[str, str]:
    """``versions`` of ``dataset.json``: the software that writes it."""
    versions = {"jukemir-like": __version__, "python": platform.python_version()}
    for package in ("numpy", "soundfile", "soxr"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
