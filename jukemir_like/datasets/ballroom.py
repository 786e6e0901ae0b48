"""Ballroom: 698 excerpts of 30 s of dance music, each with its dance and its tempo (Gouyon et al., IEEE TASLP 2006).

The audio lies in a folder per dance, and the folder is the label; ``ballroomGroundTruth/<name>.bpm`` in the archive of annotations is the
tempo. A uid is the file's name, as in ``Media-105901`` or ``Albums-Cafe_Paradiso-05``.

No split is published. Here a record is in one split only, which its name decides
(:func:`jukemir_like.datasets.annotations.split_of_group`). The record is taken from the name of the file: what stands before its last two
digits, see :func:`record_of`.
"""

from __future__ import annotations

import re
from pathlib import Path

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets.annotations import AnnotationFile, decode_text, split_of_group
from jukemir_like.datasets.dataset import TEMPI, Dataset, Item, Task, is_tempo

DANCES = (
    "ChaChaCha", "Jive", "Quickstep", "Rumba-American", "Rumba-International", "Rumba-Misc", "Samba", "Tango", "VienneseWaltz", "Waltz",
)  # fmt: skip
GENRES = ("ChaChaCha", "Jive", "Quickstep", "Rumba", "Samba", "Tango", "VienneseWaltz", "Waltz")
"""The eight dances that papers report: the three folders of rumba are one."""
TASKS = {"genre": Task("genre", "multiclass", GENRES), "tempo": Task("tempo", "tempo", TEMPI)}

_TEMPI = ("data2.tar.gz", "BALLROOM_TEMPO")
_ITEMS = 698


def dataset(folder: Path, name: str = "ballroom") -> Dataset:
    """The excerpts that are in the unpacked archive of audio.

    Raises:
        RequestError: there is no audio, or not 698 files; the archive of tempi is missing or damaged; an excerpt has no tempo.
    """
    source = AnnotationFile(folder / _TEMPI[0], _TEMPI[1])
    tempi = _tempi(source)
    items: dict[str, Item] = {}
    for dance, path in _audio(folder):
        uid = path.stem
        if uid in items:
            raise RequestError(f"{path}: {uid} is a duplicate of {items[uid].source}; run `jukemir-like download BALLROOM_AUDIO` again")
        if uid not in tempi:
            raise RequestError(f"{source.path} has no {uid}.bpm; run `jukemir-like download {source.tag}` again")
        y = {"genre": dance.partition("-")[0], "tempo": tempi[uid]}
        record = record_of(uid)
        items[uid] = Item(uid, split_of_group(record), y, path, extra={"dance": dance, "record": record})
    if len(items) != _ITEMS:
        raise RequestError(
            f"{folder / 'unpacked' / 'data1'} holds {len(items):,} excerpts, not {_ITEMS:,}: run `jukemir-like download BALLROOM_AUDIO`"
        )
    sources = {"annotations": {_TEMPI[0]: source.digest()}}
    return Dataset(name, dict(TASKS), [items[uid] for uid in sorted(items)], group="record", sources=sources)


def record_of(uid: str) -> str:
    """The record that an excerpt is of, by its name: all but the number of the track.

    >>> record_of("Albums-Cafe_Paradiso-05"), record_of("Media-105901")
    ('Albums-Cafe_Paradiso', 'Media-1059')
    """
    return re.sub(r"-?\d\d$", "", uid, flags=re.ASCII)


def _tempi(source: AnnotationFile) -> dict[str, float]:
    """Excerpt → beats per minute."""
    tempi = {}
    for name, data in source.members(lambda name: name.endswith(".bpm") and not Path(name).name.startswith(".")).items():
        text = decode_text(data, f"{source.path}, {name}").strip()
        if not is_tempo(text):
            raise RequestError(f"{source.path}, {name}: {text[:40]!r} is no tempo; run `jukemir-like download {source.tag}` again")
        tempi[Path(name).stem] = float(text)
    return tempi


def _audio(folder: Path) -> list[tuple[str, Path]]:
    """Dance and file of every excerpt."""
    root = folder / "unpacked" / "data1"
    if (root / "BallroomData").is_dir():
        root /= "BallroomData"
    return [(dance, path) for dance in DANCES for path in sorted((root / dance).glob("*.wav")) if not path.name.startswith(".")]
