"""Which files of a library are of the same track as a mix, by their names.

The name of a file's track is the name of the file without that of a stem (``Song - Bass.wav``, as
:mod:`jukemir_like.audio.stems.songs` reads them); of a file that is called only like a stem or a mixture (``Song/bass.wav``), the name of
its folder. Two files are of one track if these names are equal but for upper and lower case. A name that is but a number (``01.wav``)
counts only within one folder.
"""

from __future__ import annotations

from pathlib import Path

from jukemir_like.audio import is_audio
from jukemir_like.audio.stems import songs
from jukemir_like.audio.stems.tracks import without_suffix

RULE = "Same track: by the name of the file or of its folder, the stem belongs to this mix."
"""The rule in a sentence, for the page."""


def track_name(path: Path) -> str:
    """The name of the track of an absolute path.

    >>> track_name(Path("/music/Song - Bass.wav")), track_name(Path("/music/Song/bass.wav")), track_name(Path("/music/Song.wav"))
    ('song', 'song', 'song')
    """
    name = without_suffix(path.name) if is_audio(path) else path.name
    if songs.normalised(name) in songs.STEM_NAMES | songs.MIXTURES:
        return path.parent.name.lower()
    divided = songs.song_and_stem(name, songs.STEM_NAMES)
    return (divided[0] if divided else name).lower()


def is_same_track(context: Path, candidate: Path) -> bool:
    """Whether two files, by absolute paths, are of one track.

    >>> is_same_track(Path("/mixes/Song.wav"), Path("/stems/Song/bass.wav")), is_same_track(Path("/a/01.wav"), Path("/b/01.wav"))
    (True, False)
    """
    if context == candidate:
        return True
    name = track_name(context)
    if not name or name != track_name(candidate):
        return False
    return not songs.are_numbered([name]) or context.parent == candidate.parent
