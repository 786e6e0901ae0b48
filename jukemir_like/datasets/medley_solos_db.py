"""Medley-solos-DB: clips of 3 s of eight solo instruments (Lostanlen and Cella, ISMIR 2016).

``Medley-solos-DB_metadata.csv`` has a row per clip: subset, instrument and its number, song, and the uuid4 that is its uid. The subsets are
the splits; training and validation are of MedleyDB, test is of solosDB: other recordings, other players. Clips of one song stay together
when scores are resampled.
"""

from __future__ import annotations

import re
from pathlib import Path

from jukemir_like.datasets.annotations import AnnotationFile, read_table
from jukemir_like.datasets.dataset import Dataset, Item, Task

INSTRUMENTS = ("clarinet", "distorted electric guitar", "female singer", "flute", "piano", "tenor saxophone", "trumpet", "violin")
"""In the order of their published numbers."""
TASKS = {"instrument": Task("instrument", "multiclass", INSTRUMENTS)}

_METADATA = ("Medley-solos-DB_metadata.csv", "MEDLEY_SOLOS_DB_METADATA")
_COLUMNS = ("subset", "instrument", "instrument_id", "song_id", "uuid4")
_SPLITS = {"training": "train", "validation": "valid", "test": "test"}
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def dataset(folder: Path, name: str = "medley_solos_db") -> Dataset:
    """The clips that the table in ``folder`` lists.

    Raises:
        RequestError: the table is missing, or has a row that does not fit.
    """
    source = AnnotationFile(folder / _METADATA[0], _METADATA[1])
    table = read_table(source.read(), str(source.path), _COLUMNS, ",")
    audio = folder / "unpacked" / "Medley-solos-DB"
    if (audio / "Medley-solos-DB").is_dir():  # a folder of the user's, packed with its own name
        audio /= "Medley-solos-DB"
    items: dict[str, Item] = {}
    for line, row in table.records():
        uid, subset, instrument, number, song = (row[column] for column in ("uuid4", "subset", "instrument", "instrument_id", "song_id"))
        if not _UUID.fullmatch(uid):
            raise table.error(line, f"{uid[:60]!r} is no uuid4")
        if uid in items:
            raise table.error(line, f"clip {uid} is a duplicate, first in {items[uid].split}")
        if subset not in _SPLITS:
            raise table.error(line, f"subset {subset[:40]!r} is not one of {', '.join(_SPLITS)}")
        if instrument not in INSTRUMENTS or number != str(INSTRUMENTS.index(instrument)):
            raise table.error(line, f"instrument {instrument[:40]!r} with number {number[:40]!r} is none of the eight")
        if not song.isdecimal():
            raise table.error(line, f"song_id {song[:40]!r} is not a number")
        path = audio / f"Medley-solos-DB_{subset}-{number}_{uid}.wav"
        items[uid] = Item(uid, _SPLITS[subset], instrument, path, extra={"song": song})
    return Dataset(name, dict(TASKS), list(items.values()), group="song", sources={"annotations": {_METADATA[0]: source.digest()}})
