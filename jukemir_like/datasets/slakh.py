"""Slakh2100 (redux) and BabySlakh: music rendered from MIDI files, one file per instrument (Manilow et al., WASPAA 2019).

A song is a folder ``TrackNNNNN``: ``metadata.yaml`` names program and class of each instrument ``SNN``, whose audio is
``stems/SNN.flac`` (BabySlakh: ``.wav``). In Slakh2100 the songs lie in ``train``, ``validation``, ``test`` and ``omitted``. Those
that are omitted have the MIDI file of another song, and are left out. BabySlakh, the first 20 songs at 16 kHz, has no splits.

The MIDI files are those that the Lakh MIDI Dataset matched to recordings; two of them may be of one recording. So songs of one recording
stay together when scores are resampled. Some are in two of the published splits: how many, ``sources`` says.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import multitracks, yaml_metadata
from jukemir_like.datasets.dataset import Dataset
from jukemir_like.datasets.multitracks import Song, Source

_SPLITS = {"train": "train", "validation": "valid", "test": "test", "omitted": None}
_OMITTED = "published as omitted: its MIDI file is that of another song"
_METADATA, _STEMS = "metadata.yaml", "stems"
_SUFFIXES = (".flac", ".wav")
_SONG, _SOURCE = re.compile(r"Track[0-9]+"), re.compile(r"S[0-9]+")
_SHAPE = {
    "UUID?": str,
    "lmd_midi_dir?": str,
    "stems": {str: {"midi_program_name?": str, "inst_class?": str, "audio_rendered?": str}},
}


def dataset(
    folder: Path, name: str = "slakh2100", *, stems_table: Path | None = None, refuse_unknown: bool = False, instruments: bool = False
) -> Dataset:
    """The songs of Slakh2100, with the published splits.

    Args:
        folder: of the raw assets.
        name: of the dataset.
        stems_table: the user's table of channels; None: the one that is declared.
        refuse_unknown: raise an error for instruments that the table does not have.
        instruments: a channel for each instrument of a song, under its own name.

    Raises:
        RequestError: there are no songs, a description is damaged, or the table does not fit.
    """
    root = _root(folder / "unpacked" / "slakh2100_flac_redux", lambda path: (path / "train").is_dir() or (path / "test").is_dir(), name)
    songs = [
        _song(path, split, _OMITTED if split is None else None)
        for part, split in _SPLITS.items()
        for path in _song_folders(root / part)
    ]  # fmt: skip
    return _dataset(name, root, songs, stems_table, refuse_unknown, instruments)


def baby_dataset(
    folder: Path, name: str = "babyslakh", *, stems_table: Path | None = None, refuse_unknown: bool = False, instruments: bool = False
) -> Dataset:
    """The songs of BabySlakh, in no split. Arguments and errors are those of :func:`dataset`."""
    root = _root(folder / "unpacked" / "babyslakh_16k", lambda path: any(_song_folders(path)), name)
    return _dataset(name, root, [_song(path, None, None) for path in _song_folders(root)], stems_table, refuse_unknown, instruments)


def _dataset(name: str, root: Path, songs: list[Song], stems_table: Path | None, refuse_unknown: bool, instruments: bool) -> Dataset:
    if not songs:
        raise RequestError(f"{root} holds no folder TrackNNNNN with a {_METADATA}: run `jukemir-like download {name}`")
    uids = [song.uid for song in songs]
    duplicate = next((uid for uid in uids if uids.count(uid) > 1), None) if len(set(uids)) < len(uids) else None
    if duplicate is not None:
        raise RequestError(f"{root} holds {duplicate} in two splits: run `jukemir-like download {name}`")
    splits = defaultdict(set)
    for song in songs:
        if song.split is not None:
            splits[song.extra["recording"]].add(song.split)
    shared = sum(len(of_recording) > 1 for of_recording in splits.values())
    not_rendered = sum(song.extra["not_rendered"] for song in songs)
    sources = {"songs": len(songs), "recordings_in_several_splits": shared, "not_rendered": not_rendered}
    table = multitracks.table_of("slakh2100", stems_table)
    ordered = sorted(songs, key=lambda song: song.uid)
    if instruments:
        made = multitracks.instruments_dataset(name, ordered, table, group="recording", renamed=stems_table is not None, sources=sources)
    else:
        made = multitracks.stems_dataset(name, ordered, table, group="recording", refuse_unknown=refuse_unknown, sources=sources)
    notes = [f"instruments without a file, which are described as not rendered: {not_rendered:,}"] * bool(not_rendered)
    notes += [f"recordings with MIDI files in several of the published splits: {shared:,}"] * bool(shared)
    return replace(made, notes=(*made.notes, *notes))


def _song(folder: Path, split: str | None, left_out: str | None) -> Song:
    described = yaml_metadata.read(folder / _METADATA, _SHAPE, "download the dataset again")
    midi = described.get("UUID") or folder.name
    # lmd_matched/O/O/H/TROOHTB128F931F9DF/<MIDI file>: the recording that the MIDI file was matched to
    recording = next((part for part in (described.get("lmd_midi_dir") or "").split("/") if re.fullmatch(r"TR[A-Z0-9]{16}", part)), midi)
    sources = tuple(_sources(folder, described["stems"]))
    extra = {"recording": recording, "midi": midi, "not_rendered": len(described["stems"]) - len(sources)}
    return Song(folder.name, split, folder, sources, extra, left_out)


def _sources(folder: Path, stems: dict[str, Any]) -> Iterator[Source]:
    """The instruments that have audio.

    ``audio_rendered`` tells only where there is no file: BabySlakh says false of all of them.
    """
    there = {path.name for path in (folder / _STEMS).glob("S*")}
    usual = ".wav" if any(name.endswith(".wav") for name in there) else ".flac"
    for key, stem in sorted(stems.items()):
        if not _SOURCE.fullmatch(key):
            raise RequestError(f"{folder / _METADATA}: {key[:40]!r} is no instrument SNN; download the dataset again")
        found = next((f"{key}{suffix}" for suffix in _SUFFIXES if f"{key}{suffix}" in there), None)
        if found or stem.get("audio_rendered") == "true":  # of the latter, processing says that the file is missing
            names = tuple(filter(None, (stem.get("midi_program_name"), stem.get("inst_class")))) or (key,)
            yield Source(f"{_STEMS}/{found or key + usual}", names)


def _song_folders(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob(f"*/{_METADATA}") if _SONG.fullmatch(path.parent.name))


def _root(unpacked: Path, is_root: Any, name: str) -> Path:
    """The folder of the songs, or of their splits: the archive's, or a top folder in it."""
    for root in (unpacked, *sorted(path for path in unpacked.glob("*") if path.is_dir())):
        if is_root(root):
            return root
    raise RequestError(f"{unpacked} holds no songs: run `jukemir-like download {name}`")
