"""MUSDB18 and MUSDB18-HQ: 150 songs in four stems. No labels: they are for training on stems and for retrieval.

The folders are the annotations: the songs of ``test/`` are test; of the 100 in ``train/`` the 14 of :data:`VALID` are valid, as is usual.
MUSDB18 has one ``.stem.mp4`` per song (AAC, up to 16 kHz), MUSDB18-HQ one folder of WAV files per song. A uid is the song's name,
``Artist - Title``.
"""

from __future__ import annotations

from pathlib import Path

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets.dataset import Dataset, Item

STEMS = ("bass", "drums", "other", "vocals")
VALID = frozenset(
    {
        "ANiMAL - Rockshow",
        "Actions - One Minute Smile",
        "Alexander Ross - Goodbye Bolero",
        "Clara Berry And Wooldog - Waltz For My Victims",
        "Fergessen - Nos Palpitants",
        "James May - On The Line",
        "Johnny Lokke - Promises & Lies",
        "Leaf - Summerghost",
        "Meaxic - Take A Step",
        "Patrick Talbot - A Reason To Leave",
        "Skelpolu - Human Mistakes",
        "Traffic Experiment - Sirens",
        "Triviul - Angelsaint",
        "Young Griffo - Pennies",
    }
)
"""Songs of ``train/`` that are valid."""

_SUFFIX = ".stem.mp4"


def dataset(folder: Path, name: str = "musdb18") -> Dataset:
    """The ``.stem.mp4`` files of MUSDB18.

    Raises:
        RequestError: they are not there.
    """
    root = _root(folder, "musdb18")
    files = [(path.parent.name, path.name.removesuffix(_SUFFIX), path) for path in _children(root) if path.name.endswith(_SUFFIX)]
    return _dataset(name, root, files, f"*{_SUFFIX}")


def hq_dataset(folder: Path, name: str = "musdb18hq") -> Dataset:
    """The folders of WAV files of MUSDB18-HQ.

    Raises:
        RequestError: they are not there.
    """
    root = _root(folder, "musdb18hq")
    return _dataset(name, root, [(path.parent.name, path.name, path) for path in _children(root) if path.is_dir()], "*/")


def _dataset(name: str, root: Path, songs: list[tuple[str, str, Path]], pattern: str) -> Dataset:
    if not songs:
        raise RequestError(f"{root} holds no train/{pattern} or test/{pattern}: run `jukemir-like download {name}`")
    items = []
    for part, song, path in sorted(songs, key=lambda song: song[1]):
        split = "valid" if part == "train" and song in VALID else part
        artist, _, title = song.partition(" - ")
        items.append(Item(song, split, {}, path, extra={"artist": artist, "title": title, "recording": song}))
    return Dataset(name, {}, items, group="artist", stems=STEMS, sources={"songs": len(items)})


def _root(folder: Path, archive: str) -> Path:
    """The folder that holds ``train`` and ``test``: the archive's, or a top folder in it."""
    unpacked = folder / "unpacked" / archive
    for root in (unpacked, *sorted(path for path in unpacked.glob("*") if path.is_dir() and path.name not in ("train", "test"))):
        if (root / "train").is_dir() or (root / "test").is_dir():
            return root
    raise RequestError(f"{unpacked} holds no folder train or test: run `jukemir-like download {archive}`")


def _children(root: Path) -> list[Path]:
    return [path for part in ("train", "test") for path in (root / part).glob("*") if not path.name.startswith(".")]
