"""MoisesDB: 240 songs of 45 artists, with all their tracks in a taxonomy of eleven stems (Pereira et al., ISMIR 2023).

A song is a folder that is called by a UUID: ``data.json`` has artist, song, genre, and for each stem (``stemName``) its tracks, with
``id``, ``extension`` and ``trackType``; the audio of a track is ``<stemName>/<id>.<extension>``.

No split is published. Here an artist is in one split only, which the name decides, see
:func:`jukemir_like.datasets.annotations.split_of_group`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jukemir_like.core import jsonfiles
from jukemir_like.core.errors import RequestError
from jukemir_like.datasets import multitracks
from jukemir_like.datasets.annotations import normalised_artist, split_of_group
from jukemir_like.datasets.dataset import Dataset
from jukemir_like.datasets.multitracks import Song, Source

_DESCRIPTION = "data.json"
_DEPTHS = range(1, 5)  # of songs' folders below unpacked/: the archive's name, its top folder, moisesdb_v0.1, the song
_SHAPE = {
    "artist?": str,
    "song?": str,
    "genre?": str,
    "stems": [{"stemName": str, "tracks": [{"id": str, "extension": str, "trackType?": str, "has_bleed?": object}]}],
}


def dataset(
    folder: Path, name: str = "moisesdb", *, stems_table: Path | None = None, refuse_unknown: bool = False, instruments: bool = False
) -> Dataset:
    """The songs below ``folder/unpacked``.

    Args:
        folder: of the raw assets.
        name: of the dataset.
        stems_table: the user's table of channels; None: the one that is declared.
        refuse_unknown: raise an error for tracks that the table does not have.
        instruments: a channel for each of a song's stems in the taxonomy, under its own name.

    Raises:
        RequestError: there are no songs, a description is damaged, or the table does not fit.
    """
    unpacked = folder / "unpacked"
    paths = {path for depth in _DEPTHS for path in unpacked.glob("*/" * depth + _DESCRIPTION)}
    songs: dict[str, Song] = {}
    for path in sorted(paths):
        song = _song(path)
        if song.uid in songs:
            raise RequestError(f"{path.parent} and {songs[song.uid].folder} are the same song: remove one of them")
        songs[song.uid] = song
    if not songs:
        raise RequestError(f"{unpacked} holds no song with a {_DESCRIPTION}: run `jukemir-like download {name} --from DIR`")
    table = multitracks.table_of("moisesdb", stems_table)
    ordered = [songs[uid] for uid in sorted(songs)]
    if instruments:
        renamed = stems_table is not None
        return multitracks.instruments_dataset(name, ordered, table, group="artist", renamed=renamed, sources={"songs": len(songs)})
    return multitracks.stems_dataset(name, ordered, table, group="artist", refuse_unknown=refuse_unknown, sources={"songs": len(songs)})


def _song(path: Path) -> Song:
    uid = path.parent.name
    described = jsonfiles.read(path, _SHAPE, "unpack the archive again")
    artist = described.get("artist") or ""
    extra: dict[str, Any] = {"artist": normalised_artist(artist) or uid, "artist_name": artist, "title": described.get("song") or ""}
    extra["genre"] = described.get("genre") or ""
    extra["has_bleed"] = any(track.get("has_bleed") is True for stem in described["stems"] for track in stem["tracks"])
    sources = tuple(
        Source(
            f"{stem['stemName']}/{track['id']}.{track['extension']}",
            (f"{stem['stemName']}: {track.get('trackType') or ''}", stem["stemName"]),
            instrument=stem["stemName"],
        )
        for stem in described["stems"]
        for track in stem["tracks"]
    )
    return Song(uid, split_of_group(extra["artist"]), path.parent, sources, extra)
