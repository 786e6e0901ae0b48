"""Tracks with stems of their own: songs with a file per instrument, and files of a listing whose channels are named."""

import numpy as np
import pytest

from jukemir_like.audio.stems.ensembles import find_ensembles
from jukemir_like.audio.stems.finding import Listing
from jukemir_like.audio.stems.reading import read_whole
from jukemir_like.core.errors import RequestError


def test_every_folder_is_a_song_of_any_number_of_instruments(folder, write, noise):
    for path in (
        "One/Cello.wav",
        "One/muted_jazz Trumpet.wav",
        "One/One.wav",
        "One/mixture.wav",
        "Two/bass.wav",
        "Two/Kazoo.wav",
        "Two/x.wav",
    ):
        write(path, noise(200, 1))
    write("album/01.wav", noise(200, 1))
    write("album/02.wav", noise(200, 1))
    write("alone/piano.wav", noise(200, 1))
    write("many/bass.wav", noise(200, 1))
    write("many/room.wav", noise(200, 4))
    write("twice/Bass.wav", noise(200, 1))
    write("twice/bass_.wav", noise(200, 1))
    write("twice/drums.wav", noise(200, 1))
    found = find_ensembles(folder)
    assert {track.name: track.stems for track in found.tracks} == {
        "One": ("cello", "muted jazz trumpet"),
        "Two": ("bass", "kazoo", "x"),
    }
    assert found.sources is None
    assert found.failures == {
        "album": "has numbers for names, as an album has: its files are not taken for stems",
        "alone": "has fewer than two stems: a folder per song with a file per instrument is expected",
        "many": "room.wav has 4 channels, and nothing names them",
        "twice": "has two files for one stem: Bass.wav, bass_.wav",
    }
    assert found.notes == [
        "2 tracks: a folder with a file per stem, which is called as the file; 2 mixtures beside them left out",
        "stems per track: 2 in 1, 3 in 1",
        "instruments: 5 names, 5 stems: bass (1), cello (1), kazoo (1), muted jazz trumpet (1), x (1)",
    ]


def test_the_samples_are_those_of_the_files_in_the_order_of_the_names(folder, write, noise):
    samples = {name: noise(300, 1, len(name)) for name in ("viola", "drums", "alto sax")}
    for name, values in samples.items():
        write(f"song/{name}.wav", values)
    (track,) = find_ensembles(folder).tracks
    read = read_whole(track, track.sample_rate)
    for name, row in zip(track.stems, read, strict=True):
        np.testing.assert_allclose(row, samples[name][0], atol=1e-4)


def test_folders_called_train_and_test_are_splits(folder, write, noise):
    for path in ("train/a/bass.wav", "train/a/oud.wav", "test/b/bass.wav", "test/b/ney.wav"):
        write(path, noise(200, 1))
    assert {track.name: track.split for track in find_ensembles(folder).tracks} == {"train/a": "train", "test/b": "test"}


def test_channels_of_a_listing_have_the_names_that_are_given(folder, write, noise):
    for uid, channels in (("a", 2), ("b", 5), ("c", 3), ("d", 2)):
        write(f"wav/{uid}.wav", noise(200, channels))
    listing = Listing({"a": "train", "b": "test", "c": None, "d": None, "e": None}, {"a": "artist"}, {"e": "is empty"})
    names = {"a": ("oud", "ney"), "b": tuple("vwxyz"), "c": ("oud", "ney"), "d": "has no names"}
    found = find_ensembles(folder, listing=listing, names=names)
    assert [(track.name, track.stems, track.channels, track.split, track.group) for track in found.tracks] == [
        ("wav/a", ("oud", "ney"), 2, "train", "artist"),
        ("wav/b", tuple("vwxyz"), 5, "test", None),
    ]
    assert found.failures == {
        "wav/c.wav": "has 3 channels, and 2 names of stems",
        "wav/d.wav": "has no names",
        "wav/e.wav": "failed when it was processed: is empty",
    }


def test_a_folder_without_such_tracks_is_refused(folder, write, noise):
    with pytest.raises(RequestError, match="holds no usable track with stems of its own; give"):
        find_ensembles(folder)
    write("song.wav", noise(200, 4))
    with pytest.raises(RequestError, match=r"1 cannot be used, the first: .* has fewer than two stems"):
        find_ensembles(folder)
    with pytest.raises(RequestError, match="there is no folder"):
        find_ensembles(folder / "nowhere")
