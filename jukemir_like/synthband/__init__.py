"""synthband: the embedded dataset. Songs are composed by rules from a seed and rendered with sampled instruments; nothing is downloaded.

Read in this order: ``genres``, ``progressions`` and ``grooves`` are the musical tables; ``artist`` says who plays song i, ``plan`` its
tempo, form and chords; ``bass``, ``drums``, ``accompaniment`` and ``melody`` write the stems, ``compose`` gathers them; ``labels``
answers the questions; ``performance``, ``soundfont``, ``studio`` and ``render`` make it sound; ``fill`` fills a folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jukemir_like.core import files, jsonfiles
from jukemir_like.core.errors import RequestError
from jukemir_like.core.records import Summary
from jukemir_like.datasets import SPLITS, Dataset, Item

SAMPLE_RATE = 22050
SECONDS = 30.0
STEMS = ("bass", "drums", "other", "vocals")

_REMEDY = "run `jukemir-like download synthband`"
_SONG = {"uid": str, "split": set(SPLITS), "y": {str: object}, "extra": {str: object}}


def download(folder: Path, *, songs: int = 600, seed: int = 0, workers: int = 1) -> Summary:
    """Makes the dataset in ``folder``: see :func:`jukemir_like.synthband.fill.fill`."""
    # Imported here: rendering needs scipy, reading a finished folder does not.
    from jukemir_like.synthband.fill import fill

    return fill(folder, songs=songs, seed=seed, workers=workers)


def dataset(folder: Path, name: str = "synthband") -> Dataset:
    """The songs in ``folder`` as a mono dataset with five tasks: key, genre, tags, emotion, tempo.

    Raises:
        RequestError: ``folder`` does not hold a finished synthband.
    """
    return _dataset(folder, name, None)


def stems_dataset(folder: Path, name: str = "synthband_stems") -> Dataset:
    """The same songs with a channel a stem: bass, drums, other, vocals.

    Raises:
        RequestError: ``folder`` does not hold a finished synthband.
    """
    return _dataset(folder, name, STEMS)


def _dataset(folder: Path, name: str, stems: tuple[str, ...] | None) -> Dataset:
    from jukemir_like.synthband.labels import TASKS

    try:
        description: dict[str, Any] = jsonfiles.read(folder / "synthband.json", {str: object}, _REMEDY)
        annotations = folder / "annotations.jsonl"
        with files.damage_errors(annotations, _REMEDY):
            lines = [jsonfiles.parse(line) for line in files.read_regular(annotations).splitlines()]
            jsonfiles.check(lines, [_SONG])
            items = [
                Item(line["uid"], line["split"], line["y"], files.inside(folder / "stems", f"{line['uid']}.wav"), extra=line["extra"])
                for line in lines
            ]
    except FileNotFoundError as error:
        raise RequestError(f"{folder} does not hold a finished synthband: {_REMEDY}") from error
    return Dataset(name, dict(TASKS), items, group="artist", stems=stems, sources={"synthband": description})
