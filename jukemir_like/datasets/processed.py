"""Processed datasets: opened from the cache, for notebooks (:func:`load_dataset`) and for the stages (:func:`read_processed`).

``meta`` reads and writes the files; here they become one :class:`ProcessedDataset` with labels, splits and groups as arrays, audio, a table
for pandas, and what to cite.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jukemir_like.core import files, jsonfiles
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import DamagedFileError, InputError, RequestError
from jukemir_like.datasets import citation, meta, registry
from jukemir_like.datasets.dataset import FOLD, Task, label_encoder
from jukemir_like.datasets.deformed import DeformedFrom, how_to_make, split_name

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]


def load_dataset(name: str, cache: str | os.PathLike[str] | Cache | None = None) -> ProcessedDataset:
    """Opens a processed dataset of the cache.

    Args:
        name: such as ``gtzan_ff``, ``magnatagatune+tagged_only`` or the ``--name`` of your own dataset.
        cache: None: ``$JUKEMIR_LIKE_CACHE_DIR``, else ``~/.jukemir_like``; or the folder of another cache.

    Raises:
        RequestError: it has not been processed (the message names the commands), or the name is unknown (it names those that exist).
        DamagedFileError: ``meta.json`` or ``dataset.json`` is damaged.

    >>> data = load_dataset("synthband")                                    # doctest: +SKIP
    >>> len(data), list(data.tasks)                                         # doctest: +SKIP
    (600, ['key', 'genre', 'tags', 'emotion', 'tempo'])
    >>> genre = data.labels("genre")                                        # doctest: +SKIP
    >>> genre.values[data.splits == "test"]                                 # doctest: +SKIP
    array(['jazz', 'jazz', 'jazz', ...
    >>> samples, sample_rate = data.audio(data.uids[0])                     # doctest: +SKIP
    >>> print(data.cite())                                                  # doctest: +SKIP
    """
    folders = cache if isinstance(cache, Cache) else Cache.default(cache)
    folder = folders.processed(name)
    if not (folder / meta.META).exists():
        raise RequestError(_not_processed(name, folders))
    return read_processed(folder)


def read_processed(folder: Path) -> ProcessedDataset:
    """The dataset in ``folder``.

    Raises:
        RequestError: a file is missing.
        DamagedFileError: a file is damaged, or the labels do not fit the tasks.
    """
    name = folder.name
    try:
        description = meta.read_description(folder)
        items, digest = meta.read_meta(folder)
    except FileNotFoundError as error:
        raise RequestError(f"{name} is not in {folder.parent} ({error.filename} is missing): run `{how_to_make(name)}` first") from error
    if len(description.tasks) != 1:
        with files.damage_errors(folder / meta.META, meta.remedy(folder)):
            for uid, record in items.items():
                jsonfiles.check({uid: record}, {str: {"y?": {str: object}}})  # task → label
    return ProcessedDataset(
        folder=folder,
        name=name,
        tasks=description.tasks,
        items=items,
        group=description.group,
        stems=description.stems,
        stems_per_track=description.stems_per_track,
        failed=description.failed,
        sources=description.sources,
        digest=digest,
        made_from=description.made_from,
        deformed=description.deformed,
        folds=description.folds,
    )


@dataclass(frozen=True)
class Labels:
    """The labels of one task, one per item, in the order of :attr:`ProcessedDataset.uids`. ``numpy.asarray`` gives the values.

    Args:
        task: name, type and labels of the task.
        values: multiclass and key: names of classes, ``(items,)``, ``""`` where missing; multilabel: booleans ``(items, tags)``, no tag
            where missing; regression: float64 ``(items, outputs)``, NaN where missing; tempo: float64 ``(items,)``, NaN where missing.
        missing: which items have no label: booleans ``(items,)``.
    """

    task: Task
    values: np.ndarray
    missing: NDArray[np.bool_]

    @property
    def names(self) -> tuple[str, ...]:
        """The classes, or what the columns of ``values`` are: tags or outputs."""
        return self.task.labels

    def __len__(self) -> int:
        return len(self.values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        # None, as NumPy 2 passes it, means: copy only if the type differs.
        return np.array(self.values, dtype) if copy else np.asarray(self.values, dtype)


@dataclass(frozen=True)
class ProcessedDataset:
    """A processed dataset: its items with split, group, labels and audio, in the order of ``meta.json``. Iterating gives the uids.

    Args:
        folder: of ``meta.json``, ``dataset.json`` and ``wav/``.
        name: folder name in the cache.
        tasks: what its labels answer, by name.
        items: uid → record of ``meta.json``.
        group: the key of ``extra`` whose items must not be split when resampling, see :meth:`group_of`; None: there is none.
        stems: names of the channels; None for mono.
        failed: uid → why it has no audio.
        sources: digests or parameters of what it was made from.
        digest: SHA-256 of ``meta.json``.
        made_from: the name that it was processed by, which ``--name`` may have changed; None where ``dataset.json`` does not say.
        deformed: where it comes from, if it is a deformed dataset.
        folds: names of the folds that it comes in, in order; None where it comes in splits.
        stems_per_track: each track has stems of its own, named in its record's ``extra``.
    """

    folder: Path
    name: str
    tasks: dict[str, Task]
    items: Mapping[str, dict[str, Any]]
    group: str | None
    stems: tuple[str, ...] | None
    failed: dict[str, str]
    sources: dict[str, Any]
    digest: str
    made_from: str | None
    deformed: DeformedFrom | None = None
    folds: tuple[str, ...] | None = None
    stems_per_track: bool = False

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[str]:
        return iter(self.items)

    def __contains__(self, uid: object) -> bool:
        return uid in self.items

    def __repr__(self) -> str:
        return f"ProcessedDataset({self.name!r}, {len(self):,} items, tasks: {', '.join(self.tasks) or 'none'})"

    @cached_property
    def uids(self) -> list[str]:
        """The uid of every item; the order of all arrays."""
        return list(self.items)

    @cached_property
    def splits(self) -> NDArray[np.str_]:
        """The split of every item, ``(items,)``: train, valid, test, or ``""`` for an item in no split."""
        return np.array([record.get("split") or "" for record in self.items.values()], np.str_)

    @cached_property
    def groups(self) -> NDArray[np.str_] | None:
        """The group of every item, ``(items,)``, see :meth:`group_of`; None where every item is a group by itself."""
        groups = [self.group_of(uid) for uid in self.items]
        return None if groups == self.uids else np.array(groups, np.str_)

    def labels(self, task: str | None = None) -> Labels:
        """The labels of one task.

        Args:
            task: its name; may be left out where the dataset has one task.

        Raises:
            RequestError: no such task, or a label that the task does not have.
        """
        chosen = self._task(task)
        encode = label_encoder(chosen)
        missing = np.zeros(len(self), bool)
        values: np.ndarray
        if chosen.type in ("multiclass", "key"):
            values = np.full(len(self), "", f"<U{max(map(len, chosen.labels))}")
        elif chosen.type == "tempo":
            values = np.full(len(self), np.nan)
        else:
            values = np.full((len(self), len(chosen.labels)), *((False, bool) if chosen.type == "multilabel" else (np.nan, np.float64)))
        for row, uid in enumerate(self.items):
            label = self.label_of(uid, chosen.name)
            missing[row] = label is None or label == ""
            if missing[row]:
                continue
            try:
                encoded = encode(label)
            except (ValueError, TypeError, OverflowError) as error:
                where = f"label of {uid} in {self.name}"
                raise RequestError(f"{where} does not fit task {chosen.name}: {error}; correct it and process again") from error
            values[row] = chosen.labels[encoded] if values.dtype.kind == "U" else encoded
        return Labels(chosen, values, missing)

    def path(self, uid: str) -> Path:
        """The WAV of an item: 16-bit PCM at the source's rate. It does not exist where the item failed or no audio was asked for.

        Raises:
            RequestError: no such item.
        """
        if uid not in self.items:
            raise RequestError(f"{self.name} has no item {uid!r}: its {len(self):,} uids begin with {', '.join(self.uids[:3]) or 'none'}")
        return meta.wav_path(self.folder, uid)

    def audio(self, uid: str) -> tuple[NDArray[np.float32], int]:
        """The samples of an item and their rate.

        Returns:
            float32 in [-1, 1): ``(samples,)``, or ``(stems, samples)`` for a dataset of stems; and the sample rate in Hz.

        Raises:
            RequestError: no such item, or it has no audio; the message says why.
            DamagedFileError: its WAV is damaged.
        """
        # Imported here: of all that reads meta.json, only this decodes audio.
        from jukemir_like import audio

        path = self.path(uid)
        if not path.exists():
            reason = self.failed.get(uid) or (self.items[uid].get("extra") or {}).get("skipped")
            raise RequestError(f"{uid} of {self.name} has no audio: {reason or f'{path} is missing, {meta.remedy(self.folder)}'}")
        try:
            decoded = audio.decode(path)
        except InputError as error:
            raise DamagedFileError(f"{path} {error}: {meta.remedy(self.folder)}") from error
        samples = decoded.samples[0] if self.stems is None and len(decoded.samples) == 1 else decoded.samples
        return samples, decoded.sample_rate

    def to_pandas(self) -> pd.DataFrame:
        """A table with one row per item, indexed by uid.

        Columns: ``split``; ``group``, where there are groups; of each task the class under the task's name, or one column ``TASK.LABEL``
        per tag (true, false) or number; then what ``meta.json`` has of the clip (``clip.clip_offset`` …) and of anything else
        (``extra.artist`` …). Missing values are None or NaN, as pandas shows them.

        Raises:
            RequestError: pandas is not installed, or as :meth:`labels`.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise RequestError("to_pandas needs pandas, which is not installed: run `pip install pandas`") from error

        columns: dict[str, Any] = {"split": [split or None for split in self.splits.tolist()]}
        if self.groups is not None:
            columns["group"] = self.groups
        for task in self.tasks:
            labels = self.labels(task)
            values = labels.values
            if labels.missing.any() and values.dtype.kind in "Ub":  # NaN already stands for missing numbers
                values = values.astype(object)
                values[labels.missing] = None
            if values.ndim == 1:
                columns[task] = values
            else:
                columns |= {f"{task}.{name}": values[:, number] for number, name in enumerate(labels.names)}
        for part in ("clip", "extra"):
            records = [record.get(part) or {} for record in self.items.values()]
            for key in dict.fromkeys(key for record in records for key in record):
                columns[f"{part}.{key}"] = pd.Series([record.get(key) for record in records], self.uids)
        return pd.DataFrame(columns, pd.Index(self.uids, name="uid"))

    def cite(self) -> str:
        """Title, licence, citation (BibTeX where there is one) and known faults of the dataset, as text.

        Raises:
            RequestError: the declaration of the dataset cannot be read.
        """
        return citation.cite(self.name, (self.name, self.made_from, None if self.deformed is None else self.deformed.dataset))

    def group_of(self, uid: str) -> str:
        """The item's group: the value of ``extra`` that :attr:`group` names, else its recording, else itself."""
        record = self.items[uid]
        value = (record.get("extra") or {}).get(self.group) if self.group else None
        return str(value) if value not in (None, "") else _recording(uid, record)

    def fold_of(self, uid: str) -> str | None:
        """The fold that the item is in; None where it is in none of :attr:`folds`."""
        fold = (self.items[uid].get("extra") or {}).get(FOLD)
        return str(fold) if fold is not None and str(fold) in (self.folds or ()) else None

    def recording_of(self, uid: str) -> str:
        """The recording that the item is a clip of; itself where it is no clip."""
        return _recording(uid, self.items[uid])

    def label_of(self, uid: str, task: str) -> Any:
        """The label as ``meta.json`` has it; None where it is missing."""
        y = self.items[uid].get("y")
        return y if len(self.tasks) == 1 else (y or {}).get(task)

    def _task(self, name: str | None) -> Task:
        if name is None and len(self.tasks) == 1:
            return next(iter(self.tasks.values()))
        if name not in self.tasks:
            problem = f"has {len(self.tasks) or 'no'} tasks" if name is None else f"has no task {name!r}"
            raise RequestError(f"{self.name} {problem}" + (f": choose from {', '.join(self.tasks)}" if self.tasks else ""))
        return self.tasks[name]


def _recording(uid: str, record: Mapping[str, Any]) -> str:
    return str((record.get("clip") or {}).get("audio_uid", uid))


def _not_processed(name: str, folders: Cache) -> str:
    """What to do about a dataset that is not among the processed ones of a cache."""
    if split_name(name) is not None:
        return f"{name} is not in {folders.root}: run `{how_to_make(name)}` first"
    if name.partition("+")[0] in registry.names():
        registry.assets(name)  # raises for unknown options, with those that exist
        option = "" if folders.root == Cache.default().root else f" --cache {folders.root}"
        return (
            f"{name} is not processed in {folders.root}: run `jukemir-like download {name}{option}`, "
            f"then `jukemir-like process {name}{option}`"
        )
    processed = sorted(path.parent.name for path in (folders.root / "processed").glob(f"*/{meta.META}"))
    alike = [known for known in registry.names() if registry.assets(known) == name]
    hint = f" (the datasets of its download are {', '.join(alike)})" if alike else ""
    return (
        f"unknown dataset {name!r}{hint}: processed in {folders.root} are {', '.join(processed) or 'none'}; `jukemir-like process` "
        f"knows {', '.join(registry.names())}, and `folder` for your own audio"
    )
