"""MedleyDB 1 and 2: 196 songs with a file per instrument (Bittner et al., ISMIR 2014 and 2016).

A song is a folder ``Artist_Title`` with ``Artist_Title_STEMS/Artist_Title_STEM_NN.wav``. Which instrument each of them is says
``Artist_Title_METADATA.yaml``: in the song's folder, or in a folder ``Metadata``, as in the repository of the dataset.

No split is published. Here all songs of an artist are in one split, which the artist's name decides
(:func:`jukemir_like.datasets.annotations.split_of_group`), but for the artists who have a song in MUSDB18: they are train. So nothing of a
model that was trained on MUSDB18 was heard that is valid or test here. The artist is what stands before the underscore; eight
songs by composers are sung by the same two singers at New York University, and count as of one artist.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import multitracks, yaml_metadata
from jukemir_like.datasets.annotations import normalised_artist, split_of_group
from jukemir_like.datasets.dataset import Dataset
from jukemir_like.datasets.multitracks import Song, Source
from jukemir_like.datasets.stems_table import StemsTable

IN_MUSDB18 = frozenset(
    {
        "AClassicEducation", "AimeeNorwich", "AlexanderRoss", "Auctioneer", "AvaLuna", "BigTroubles", "CelestialShore",
        "ClaraBerryAndWooldog", "Creepoid", "DreamersOfTheGhetto", "FacesOnFilm", "Grants", "HeladoNegro", "HezekiahJones", "HopAlong",
        "InvisibleFamiliars", "Lushlife", "MatthewEntwistle", "Meaxic", "MusicDelta", "NightPanther", "PortStWillow", "SecretMountains",
        "Snowmine", "StevenClark", "StrandOfOaks", "SweetLights", "TheDistricts", "TheScarletBrand", "TheSoSoGlos",
    }
)  # fmt: skip
"""Artists of the 46 songs that MUSDB18's list of songs says to be from MedleyDB, as they are spelled here."""
SUNG_AT_NYU = frozenset({"Debussy", "Handel", "Mozart", "Schubert", "Schumann", "Wolf"})
"""Composers of the songs that MedleyDB's index of artists lists under two singers."""

DRUM_KIT = frozenset({"drum set", "drum machine", "kick drum", "snare drum", "toms", "high hat", "cymbal"})
"""Instruments that are one, ``drums``, where each instrument has a channel of its own."""

_METADATA = "_METADATA.yaml"
_DEPTHS = range(1, 5)  # of songs' folders below unpacked/
_SHAPE = {
    "artist?": str,
    "title?": str,
    "genre?": str,
    "has_bleed?": str,
    "stems": {str: {"filename": str, "instrument": (str, [str])}},
}


def dataset(
    folder: Path, name: str = "medleydb", *, stems_table: Path | None = None, refuse_unknown: bool = False, instruments: bool = False
) -> Dataset:
    """The songs below ``folder/unpacked``.

    Args:
        folder: of the raw assets.
        name: of the dataset.
        stems_table: the user's table of channels; None: the one that is declared.
        refuse_unknown: raise an error for instruments that the table does not have.
        instruments: a channel for each instrument of a song, under its own name.

    Raises:
        RequestError: there are no songs, none of them has a description, one is damaged, or the table does not fit.
    """
    unpacked = folder / "unpacked"
    below = ["*/" * depth for depth in _DEPTHS]
    folders: dict[str, Path] = {}
    for path in sorted(
        {path.parent for pattern in below for path in unpacked.glob(f"{pattern}*_STEMS") if path.name == f"{path.parent.name}_STEMS"}
    ):
        if path.name in folders:
            raise RequestError(f"{path} and {folders[path.name]} are the same song: remove one of them")
        folders[path.name] = path
    if not folders:
        raise RequestError(f"{unpacked} holds no folder Artist_Title/Artist_Title_STEMS: run `jukemir-like download {name} --from DIR`")
    described = {
        path.name.removesuffix(_METADATA): path for pattern in below for path in sorted(unpacked.glob(f"{pattern}Metadata/*{_METADATA}"))
    }
    described |= {uid: path / f"{uid}{_METADATA}" for uid, path in folders.items() if (path / f"{uid}{_METADATA}").is_file()}
    if not folders.keys() & described.keys():
        raise RequestError(f"{unpacked} holds no description of its songs, *{_METADATA}: run `jukemir-like download MEDLEYDB_METADATA`")
    table = multitracks.table_of("medleydb", stems_table)
    songs = [_song(folders[uid], described.get(uid), table) for uid in sorted(folders)]
    if instruments:
        renamed = stems_table is not None
        return multitracks.instruments_dataset(name, songs, table, group="performer", renamed=renamed, sources={"songs": len(songs)})
    return multitracks.stems_dataset(name, songs, table, group="performer", refuse_unknown=refuse_unknown, sources={"songs": len(songs)})


def performer_of(uid: str) -> str:
    """Who plays or sings a song, by its name: what must not be in two splits.

    >>> performer_of("LizNelson_Rainfall"), performer_of("Mozart_DiesBildnis")
    ('LizNelson', 'NYU singers')
    """
    artist = uid.partition("_")[0]
    return "NYU singers" if artist in SUNG_AT_NYU else artist


def _song(folder: Path, metadata: Path | None, table: StemsTable) -> Song:
    uid, performer = folder.name, performer_of(folder.name)
    extra: dict[str, Any] = {"performer": performer}
    if metadata is None:
        return Song(uid, None, folder, (), extra, f"there is no {uid}{_METADATA} that says what its stems are")
    described = yaml_metadata.read(metadata, _SHAPE, "run `jukemir-like download MEDLEYDB_METADATA` again")
    artist = described.get("artist") or performer
    extra |= {"artist": performer, "artist_name": artist, "title": described.get("title") or "", "genre": described.get("genre") or ""}
    extra |= {"has_bleed": described.get("has_bleed") == "yes", "musdb18": performer in IN_MUSDB18}
    sources = tuple(
        Source(f"{uid}_STEMS/{stem['filename']}", names := _names(stem["instrument"], table), "drums" if names[0] in DRUM_KIT else None)
        for _, stem in sorted(described["stems"].items())
    )
    split = "train" if performer in IN_MUSDB18 else split_of_group(normalised_artist(performer))
    return Song(uid, split, folder, sources, extra)


def _names(instrument: str | list[str], table: StemsTable) -> tuple[str, ...]:
    """The name of a stem; of one with several instruments that are not all in one channel, all of their names."""
    instruments = [instrument] if isinstance(instrument, str) else instrument
    if len({table.channel([one]) for one in instruments}) == 1:
        return (instruments[0],)
    return (", ".join(instruments) or "no instrument",)
