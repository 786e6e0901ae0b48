"""How much audio a dataset has: by the records of its processing where there are such, else as its declaration says.

The field ``clip`` of ``datasets/<name>/dataset.json`` has, for each dataset that is made of its assets, ``seconds`` of a clip,
``sample_rate`` and ``channels`` of its WAV file, and the ``source`` of this; ``items`` has how many clips there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jukemir_like import datasets
from jukemir_like.core import jsonfiles, records
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import meta
from jukemir_like.downloads import declarations

RECORDS, DECLARATION = "its records", "its declaration"
"""From where an amount is known."""

_CLIP_SHAPE = {"seconds": float, "sample_rate": int, "channels": int, "source": str}


@dataclass(frozen=True)
class Amount:
    """The audio of one dataset.

    Args:
        dataset: its name.
        clips: how many there are of each length: seconds → number.
        download: bytes of its assets; None: not declared of all of them.
        wav: bytes of the processed audio; None: not known.
        known_from: the records of this cache, or the declaration.

    >>> Amount("mine", {30.0: 100, 45.0: 20}).hours
    1.0833333333333333
    """

    dataset: str
    clips: dict[float, int]
    download: int | None = None
    wav: int | None = None
    known_from: str = DECLARATION

    @property
    def count(self) -> int:
        """How many clips."""
        return sum(self.clips.values())

    @property
    def hours(self) -> float:
        """Of audio."""
        return sum(seconds * count for seconds, count in self.clips.items()) / 3600


def amount_of(dataset: str, cache: Cache, songs: int = 600) -> Amount:
    """How much audio ``dataset`` has.

    Args:
        dataset: name, may have options (``giantsteps+unique``), or be a user's own that is processed.
        cache: where its records are looked for.
        songs: how many the embedded dataset has.

    Raises:
        RequestError: there is no such dataset, or nothing says how much it has.

    >>> amount = amount_of("giantsteps_clips", Cache(Path("nowhere")))
    >>> amount.count, round(amount.hours, 1)
    (7035, 58.6)
    """
    folder = cache.processed(dataset)
    if (folder / meta.META).exists():
        done = [record for record in records.read(folder).values() if record["status"] == "done" and record.get("audio_seconds")]
        if done:
            clips: dict[float, int] = {}
            for record in done:
                clips[record["audio_seconds"]] = clips.get(record["audio_seconds"], 0) + 1
            return Amount(dataset, clips, _download(dataset, cache), _wav_bytes(folder), RECORDS)
    assets = datasets.assets(dataset)
    declared = _read(assets)
    base = dataset.partition("+")[0]
    try:
        clip = declared["clip"][base]
        jsonfiles.check(clip, _CLIP_SHAPE)
        splits = None if assets in datasets.COMPOSED else declared["items"].get(dataset, declared["items"][base])
    except (KeyError, TypeError, ValueError) as error:
        raise RequestError(f"nothing says how much audio {dataset} has: process it first (`jukemir-like process {dataset}`)") from error
    count = songs if splits is None else sum(number for split, number in splits.items() if split != "none")
    size = round(count * clip["seconds"] * clip["sample_rate"] * clip["channels"] * 2)
    return Amount(dataset, {float(clip["seconds"]): count}, _download(dataset, cache), size)


def _read(assets: str) -> dict[str, Any]:
    path = declarations.declaration_folder(assets) / "dataset.json"
    found: dict[str, Any] = jsonfiles.read(path, {str: object}, "correct the declaration")
    return found


def _download(dataset: str, cache: Cache) -> int | None:
    """Bytes of all assets that are downloaded: as declared, else of the file that is here. What is made here is not downloaded.

    Lists of labels of which no size is declared are not counted: beside the audio they are nothing.
    """
    if not datasets.is_known(dataset):
        return 0
    declaration = declarations.read_declaration(datasets.assets(dataset))
    sizes = []
    for asset in declaration.assets:
        if asset.kind != "extra" and (not asset.only_for or dataset in asset.only_for):
            path = declaration.folder(cache) / asset.path
            size = path.stat().st_size if asset.size is None and path.is_file() else asset.size
            if size is not None or asset.kind != "annotations":
                sizes.append(size)
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def _wav_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / meta.WAV_FOLDER).rglob("*.wav"))
