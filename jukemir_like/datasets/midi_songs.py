"""A folder of MIDI files as a dataset of stems: which songs can be used, with which soundfont, in which split.

A song is a file. Its instruments are put into channels by a table (:mod:`.stems_table`), as the sources of other multitrack datasets
are, and rendered when the dataset is processed. Left out, each with its reason: files that cannot be read, copies of another file, songs
with too little music or with all instruments in one channel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jukemir_like.core import files
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.files import printable
from jukemir_like.core.parallel import map_unordered
from jukemir_like.core.progress import Progress
from jukemir_like.datasets import multitracks, stems_table, unlabelled
from jukemir_like.datasets.dataset import Dataset, Item
from jukemir_like.datasets.multitracks import Song, Source
from jukemir_like.midi import reading, soundfonts
from jukemir_like.midi.rendering import Rendering
from jukemir_like.midi.soundfonts import Soundfont

SHORTEST_SECONDS = 6.0
"""From the first note to the end of the last one."""

_GROUP = "folder"
_PACKAGE = Path(reading.__file__).parent
_STEMS, _FAMILIES = _PACKAGE / "stems.csv", _PACKAGE / "families.csv"


@dataclass(frozen=True)
class _Contents:
    """What is in a file: the digest of its bytes, names and families of its instruments; and why it is not used, None where it is."""

    sha256: str
    instruments: tuple[tuple[str, ...], ...] = ()
    families: tuple[int, ...] = ()
    left_out: str | None = None


def midi_dataset(
    folder: Path,
    *,
    name: str = "midi",
    soundfont_folder: Path | None = None,
    own_table: Path | None = None,
    keep_families: bool = False,
    instruments: bool = False,
    refuse_unknown: bool = False,
    seed: int = 0,
    workers: int = 1,
) -> Dataset:
    """The songs of ``folder`` and its sub-folders.

    Args:
        folder: MIDI files (.mid, .midi, .kar).
        name: of the dataset.
        soundfont_folder: of .sf2 and .sf3 files; None: the soundfont that pretty_midi carries.
        own_table: which instrument is in which channel; None: the package's, of the four usual stems.
        keep_families: the package's table of the families of General MIDI instead.
        instruments: a channel for each instrument of a song, under its name in General MIDI; drums under ``drums``.
        refuse_unknown: raise an error for instruments that the table does not name.
        seed: of the soundfont that each song gets, and of the splits.
        workers: processes that read the files.

    Returns:
        The dataset. Songs of one folder are in one split, if there are several folders; each song is a group by itself otherwise.

    Raises:
        RequestError: there are no MIDI files, soundfonts or table; a package is missing.
    """
    if not folder.is_dir():
        raise RequestError(f"{printable(str(folder))} is not a folder: give --audio the folder of MIDI files")
    table = stems_table.read(own_table or (_FAMILIES if keep_families else _STEMS))
    fonts = soundfonts.find(soundfont_folder)
    paths = soundfonts.below(folder, reading.EXTENSIONS)
    if not paths:
        raise RequestError(f"{printable(str(folder))} holds no MIDI files ({', '.join(reading.EXTENSIONS)})")
    contents = _read_all(paths, workers)
    songs = _songs(folder, paths, contents)
    described = {"midi": {"files": len(paths), "seed": seed, "soundfonts": [font.to_json() for font in fonts]}}
    if instruments:
        made = multitracks.instruments_dataset(name, songs, table, group=_GROUP, renamed=own_table is not None, sources=described)
    else:
        made = multitracks.stems_dataset(name, songs, table, group=_GROUP, refuse_unknown=refuse_unknown, sources=described)
    items = [_rendered(item, contents[path], fonts, seed) for item, path in zip(made.items, paths, strict=True)]
    has_groups = len({path.parent for path in paths}) > 1
    items, note = unlabelled.in_splits(items, [item.rendering is not None for item in items], _GROUP if has_groups else None, seed)
    notes = (
        f"MIDI files: {len(paths):,}, of which {sum(item.rendering is not None for item in items):,} can be rendered",
        *made.notes,
        note,
    )
    return replace(made, items=items, group=_GROUP if has_groups else None, notes=(*notes, *_soundfont_lines(items)))


def _read_all(paths: Sequence[Path], workers: int) -> dict[Path, _Contents]:
    contents: dict[Path, _Contents] = {}
    with Progress(len(paths), "reading MIDI files", "file") as bar:
        for path, result in map_unordered(_read, paths, workers):
            if isinstance(result, InputError):  # of a worker that died
                result = _Contents("", left_out=str(result))
            if isinstance(result, Exception):
                raise result
            contents[path] = result
            bar.update()
    return contents


def _read(path: Path) -> _Contents:
    """Runs in a worker."""
    try:
        content = files.read_regular(path)
    except OSError as error:
        return _Contents("", left_out=files.refusal(error))
    digest = reading.sha256(content)
    try:
        instruments = reading.parse(content)
    except InputError as error:
        return _Contents(digest, left_out=str(error))
    names = tuple(instrument.names for instrument in instruments)
    if reading.end_seconds(instruments) - reading.start_seconds(instruments) < SHORTEST_SECONDS:
        return _Contents(digest, left_out=f"too short: less than {SHORTEST_SECONDS:g} s of music")
    return _Contents(digest, names, tuple(instrument.family for instrument in instruments))


def _songs(folder: Path, paths: Sequence[Path], contents: dict[Path, _Contents]) -> list[Song]:
    """A song for each file, in the same order."""
    relative = [path.relative_to(folder).as_posix() for path in paths]
    uids = unlabelled.uids(relative)
    first: dict[str, str] = {}  # digest → uid
    songs = []
    for path, uid in zip(paths, uids, strict=True):
        found = contents[path]
        extra: dict[str, Any] = {_GROUP: printable(path.parent.relative_to(folder).as_posix()), "sha256": found.sha256}
        left_out = found.left_out
        original = first.setdefault(found.sha256, uid) if found.sha256 else uid
        if original != uid:
            left_out = "is a copy: another file has the same bytes"
            extra["copy_of"] = original
        sources = tuple(Source(str(place), names) for place, names in enumerate(found.instruments))
        songs.append(Song(uid, None, path, sources, extra, left_out))
    return songs


def _rendered(item: Item, contents: _Contents, fonts: Sequence[Soundfont], seed: int) -> Item:
    """An item of the table's channels with its soundfont, and its instruments by their places in the file."""
    if item.stem_files is None:
        return item
    places = tuple(tuple(map(int, of_stem)) for of_stem in item.stem_files)
    font = soundfonts.draw(fonts, seed, contents.sha256, {contents.families[place] for of_stem in places for place in of_stem})
    if font is None:
        return Item(item.uid, None, {}, None, extra=item.extra | {"skipped": "no soundfont has all of its families of instruments"})
    extra = item.extra | {"soundfont": font.name, "soundfont_sha256": font.sha256}
    return replace(item, stem_files=None, rendering=Rendering(font, places), extra=extra)


def _soundfont_lines(items: Sequence[Item]) -> list[str]:
    fonts = {item.rendering.soundfont for item in items if item.rendering is not None}
    counts = Counter(item.rendering.soundfont for item in items if item.rendering is not None)
    return [
        f"soundfont {printable(font.path.name)} ({font.copyright or 'copyright not stated'}): {counts[font]:,} songs"
        for font in sorted(fonts, key=lambda font: font.sha256)
    ]
