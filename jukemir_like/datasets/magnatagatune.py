"""MagnaTagATune: 25,863 clips of 29 s from Magnatune's catalogue, tagged by players of the game TagATune.

``clip_info_final.csv`` has 31,382 rows; those without an ``mp3_path`` have neither audio nor tags. A clip's split is the folder of its
file, the first character of the path: 0–b train, c valid, d–f test. The labels are the 50 tags that most rows of
``annotations_final.csv`` have (on a tie the earlier column); ``extra.y_all`` keeps all 188. Three files are corrupt, see :data:`CORRUPT`.

Option ``tagged_only``: without the clips that have none of the 50 tags. Option ``artist_clean``: an artist is in one split only, see
:func:`jukemir_like.datasets.annotations.artist_clean`; it is decided on all clips, so both options together give a subset of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jukemir_like.datasets.annotations import AnnotationFile, AnnotationTable, artist_clean, read_table
from jukemir_like.datasets.dataset import Dataset, Item, Task

CORRUPT = dict.fromkeys(("35644", "55753", "57881"), "its MP3 in the published archive is corrupt")
"""uid → why it has no audio and no split."""

TAGS = 50
_CLIPS = ("clip_info_final.csv", "MAGNATAGATUNE_CLIP_METADATA")
_ANNOTATIONS = ("annotations_final.csv", "MAGNATAGATUNE_ANNOTATIONS")
_COLUMNS = ("clip_id", "track_number", "title", "artist", "album", "url", "segmentStart", "segmentEnd", "mp3_path")
_SPLITS = {**dict.fromkeys("0123456789ab", "train"), "c": "valid", **dict.fromkeys("def", "test")}


def dataset(folder: Path, name: str = "magnatagatune", options: frozenset[str] = frozenset()) -> Dataset:
    """The clips that the two tables in ``folder`` list.

    Raises:
        RequestError: a table is missing, or has a row that does not fit.
    """
    sources = {file: AnnotationFile(folder / file, tag) for file, tag in (_CLIPS, _ANNOTATIONS)}
    clips, annotations = (
        read_table(source.read(), str(source.path), columns, "\t")
        for source, columns in zip(sources.values(), (_COLUMNS, ("clip_id", "mp3_path")), strict=True)
    )
    records = _clips(clips)
    tags = _tags(annotations, records)
    top = top_tags(annotations.header, tags.values())
    items = [_item(folder, uid, record, tags.get(uid), top) for uid, record in records.items()]
    if "artist_clean" in options:
        items = artist_clean(items)
    if "tagged_only" in options:
        items = [item for item in items if item.y]
    digests = {file: source.digest() for file, source in sources.items()}
    task = Task("tags", "multilabel", top)
    return Dataset(name, {"tags": task}, items, group="artist", sources={"annotations": digests}, options=tuple(sorted(options)))


def top_tags(columns: list[str], tagged: Iterable[list[str]]) -> tuple[str, ...]:
    """The :data:`TAGS` tags that most clips have, most frequent first; on a tie the one that comes first in ``columns``.

    >>> top_tags(["rock", "slow"], [["slow"], ["slow", "rock"]])
    ('slow', 'rock')
    """
    counts = Counter(tag for tags in tagged for tag in tags)
    return tuple(sorted(counts, key=lambda tag: (-counts[tag], columns.index(tag)))[:TAGS])


def _clips(clips: AnnotationTable) -> dict[str, dict[str, str]]:
    """Row of ``clip_info_final.csv`` by uid."""
    clip_of: dict[str, dict[str, str]] = {}
    for line, record in clips.records():
        uid = _uid(clips, line, record["clip_id"])
        if uid in clip_of:
            raise clips.error(line, f"clip {record['clip_id']} is a duplicate")
        if record["mp3_path"] and (record["mp3_path"][0] not in _SPLITS or record["mp3_path"][1:2] != "/"):
            raise clips.error(line, f"mp3_path {record['mp3_path'][:60]!r} is in none of the folders 0 to f")
        if not (record["segmentStart"].isdecimal() and record["segmentEnd"].isdecimal()):
            raise clips.error(line, f"segment {record['segmentStart']!r} to {record['segmentEnd']!r} is not in seconds")
        clip_of[uid] = record
    return clip_of


def _tags(annotations: AnnotationTable, records: dict[str, dict[str, str]]) -> dict[str, list[str]]:
    """uid → all its tags, in the order of the columns."""
    key_columns = {name: annotations.header.index(name) for name in ("clip_id", "mp3_path")}
    columns = [(index, name) for index, name in enumerate(annotations.header) if index not in key_columns.values()]
    tags_of: dict[str, list[str]] = {}
    for line, cells in annotations.rows:
        uid = _uid(annotations, line, cells[key_columns["clip_id"]].strip())
        if uid in tags_of:
            raise annotations.error(line, f"clip {int(uid)} is a duplicate")
        if uid not in records or records[uid]["mp3_path"] != cells[key_columns["mp3_path"]].strip():
            raise annotations.error(line, f"clip {int(uid)} with this mp3_path is not in {_CLIPS[0]}")
        if cells.count("0") + cells.count("1") < len(columns):
            cells = _flags(annotations, line, cells, columns)
        tags_of[uid] = [name for index, name in columns if cells[index] == "1"]
    return tags_of


def _flags(annotations: AnnotationTable, line: int, cells: list[str], columns: list[tuple[int, str]]) -> list[str]:
    """The cells without spaces. Called only for rows that are not all 0 and 1 as they stand: checking each cell of the table is slow."""
    cells = [cell.strip() for cell in cells]
    for index, name in columns:
        if cells[index] not in ("0", "1"):
            raise annotations.error(line, f"tag {name!r} is {cells[index][:20]!r}, not 0 or 1")
    return cells


def _uid(rows: AnnotationTable, line: int, clip_id: str) -> str:
    if not clip_id.isdecimal():
        raise rows.error(line, f"clip_id {clip_id[:20]!r} is not a number")
    return f"{int(clip_id):05d}"


def _item(folder: Path, uid: str, record: dict[str, str], tags: list[str] | None, top: tuple[str, ...]) -> Item:
    path = record["mp3_path"] if uid not in CORRUPT else ""
    extra: dict[str, Any] = {field: record[field] for field in ("artist", "album", "title", "track_number", "url", "mp3_path")}
    extra["recording"] = f"{record['url']} {record['track_number']}"
    extra |= {"segment_start": float(record["segmentStart"]), "segment_end": float(record["segmentEnd"]), "y_all": tags}
    if uid in CORRUPT:
        extra["skipped"] = CORRUPT[uid]
    source = folder / "unpacked" / "mp3" / path if path else None
    y = None if tags is None else [tag for tag in tags if tag in top]
    return Item(uid, _SPLITS[path[0]] if path else None, y, source, extra=extra)
