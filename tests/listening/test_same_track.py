"""Names of files as people and programs give them."""

from pathlib import Path

import pytest

from jukemir_like.listening.same_track import is_same_track


@pytest.mark.parametrize(
    ("context", "candidate"),
    [
        ("/a/Song.wav", "/a/Song.wav"),
        ("/mixes/Song.wav", "/stems/Song/bass.wav"),
        ("/mixes/Song.wav", "/stems/Song - Bass.flac"),
        ("/mixes/song.wav", "/stems/SONG (Vocals).wav"),
        ("/mixes/Song_no_bass.wav", "/stems/Song/bass.wav"),
        ("/Song/mixture.wav", "/Song/drums.wav"),
        ("/a/01.wav", "/a/01.mp3"),
        ("/mixes/v1.2 final", "/stems/v1.2 final/bass.wav"),
    ],
)
def test_same(context, candidate):
    assert is_same_track(Path(context), Path(candidate))
    assert is_same_track(Path(candidate), Path(context))


@pytest.mark.parametrize(
    ("context", "candidate"),
    [
        ("/mixes/Song.wav", "/stems/Other Song/bass.wav"),
        ("/mixes/Song.wav", "/stems/bass.wav"),
        ("/mixes/Song.wav", "/stems/Song 2 - Bass.wav"),
        ("/album one/01.wav", "/album two/01.wav"),
        ("/album one/01/mix.wav", "/album two/01/bass.wav"),
        ("/a/kick_01.wav", "/b/kick_02.wav"),
    ],
)
def test_not_the_same(context, candidate):
    assert not is_same_track(Path(context), Path(candidate))
