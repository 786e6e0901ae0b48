"""FMA small: 8,000 excerpts of 30 s of the Free Music Archive in eight genres, 1,000 of each (Defferrard et al., ISMIR 2017).

``tracks.csv`` of ``fma_metadata.zip`` has a row per track of the archive; its header is two rows, a group and a name (``set``, ``split``),
before one that holds only ``track_id``. Rows whose ``set, subset`` is ``small`` are used; ``set, split`` is the split, in which no artist
is in two of them, and ``track, genre_top`` the label. A uid is the track's number with six digits, as its file is called.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets.annotations import AnnotationFile, decode_text
from jukemir_like.datasets.dataset import Dataset, Item, Task

GENRES = ("Electronic", "Experimental", "Folk", "Hip-Hop", "Instrumental", "International", "Pop", "Rock")
TASKS = {"genre": Task("genre", "multiclass", GENRES)}
SILENT = dict.fromkeys(("099134", "108925", "133297"), "its MP3 in the published archive has no audio")
"""uid → why it has no audio and no split."""

_METADATA = ("unpacked/fma_metadata/fma_metadata/tracks.csv", "FMA_METADATA")
_SPLITS = {"training": "train", "validation": "valid", "test": "test"}
_COLUMNS = {
    "subset": ("set", "subset"),
    "split": ("set", "split"),
    "genre": ("track", "genre_top"),
    "title": ("track", "title"),
    "artist": ("artist", "id"),
    "artist_name": ("artist", "name"),
    "album": ("album", "id"),
}
_ITEMS = 8000


def small_dataset(folder: Path, name: str = "fma_small") -> Dataset:
    """The tracks of the small subset.

    Raises:
        RequestError: the table is missing, has a row that does not fit, or not 8,000 of the small subset.
    """
    source = AnnotationFile(folder / _METADATA[0], _METADATA[1])
    items: dict[str, Item] = {}
    for line, track, row in _rows(source):
        if row["subset"] != "small":
            continue
        if not track.isdecimal():
            raise _error(source, line, f"track_id {track[:20]!r} is not a number")
        uid = f"{int(track):06d}"
        if uid in items:
            raise _error(source, line, f"track {track} is a duplicate")
        if row["split"] not in _SPLITS or row["genre"] not in GENRES:
            raise _error(source, line, f"track {track} has the split {row['split'][:20]!r} and the genre {row['genre'][:20]!r}")
        extra = {key: row[key] for key in ("artist", "artist_name", "album", "title")}
        audio: Path | None = folder / "unpacked" / "fma_small" / "fma_small" / uid[:3] / f"{uid}.mp3"
        split: str | None = _SPLITS[row["split"]]
        if uid in SILENT:
            extra["skipped"], audio, split = SILENT[uid], None, None
        items[uid] = Item(uid, split, row["genre"], audio, extra=extra)
    if len(items) != _ITEMS:
        raise RequestError(f"{source.path} has {len(items):,} tracks of the small subset, not {_ITEMS:,}; download it again")
    return Dataset(name, dict(TASKS), list(items.values()), group="artist", sources={"annotations": {"tracks.csv": source.digest()}})


def _rows(source: AnnotationFile) -> Iterator[tuple[int, str, dict[str, str]]]:
    """Line, track and the columns that are used, of each row."""
    path = source.path
    reader = csv.reader(io.StringIO(decode_text(source.read(), str(path)), newline=""))
    try:
        with _cells_of_any_length():
            columns = list(zip(next(reader, []), next(reader, []), strict=False))
            missing = next((column for column in _COLUMNS.values() if column not in columns), None)
            if missing or (next(reader, [""])[0] != "track_id"):
                raise RequestError(f"{path} has no column {', '.join(missing or ('track_id',))!r}; download it again")
            index = {name: columns.index(column) for name, column in _COLUMNS.items()}
            for cells in reader:
                if len(cells) != len(columns):
                    raise _error(source, reader.line_num, f"{len(cells)} cells where the header has {len(columns)}")
                yield reader.line_num, cells[0], {name: cells[place].strip() for name, place in index.items()}
    except csv.Error as error:
        raise _error(source, reader.line_num, str(error)) from error


@contextmanager
def _cells_of_any_length() -> Iterator[None]:
    """Biographies of artists are cells of the table."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _error(source: AnnotationFile, line: int, what: str) -> RequestError:
    return RequestError(f"{source.path}, line {line}: {what}; download it again")
