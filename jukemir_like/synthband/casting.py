"""Which soundfont plays each stem of a song: drawn per artist and stem, for some songs anew, of those that have its instruments."""

from __future__ import annotations

from collections.abc import Sequence

from jukemir_like.core.errors import RequestError
from jukemir_like.midi.soundfonts import Soundfont
from jukemir_like.synthband.plan import STEMS
from jukemir_like.synthband.seeding import stream
from jukemir_like.synthband.singers import Singer, make_singer
from jukemir_like.synthband.song import Song

_ANOTHER_CHANCE = 0.2  # that a stem of a song is played by another soundfont than the artist's


def singer_of(song: Song) -> Singer | None:
    """Who sings; None in an edition whose singers are a patch."""
    role, sound = song.plan.role, song.plan.sound
    return make_singer(song.seed, role.artist, sound.voice, sound.singer) if song.edition.is_wide else None


def presets(song: Song) -> dict[str, set[tuple[int, int]]]:
    """Of each stem, the (bank, program) that it needs."""
    needed = {stem: {(part.bank, part.program) for part in parts} for stem, parts in song.stems.items()}
    singer = singer_of(song)
    if singer is not None:
        needed["vocals"] |= {(0, patch.program) for patch in singer.patches}
    return needed


def cast(song: Song, soundfonts: Sequence[Soundfont]) -> dict[str, Soundfont]:
    """The soundfont of each stem.

    Args:
        song: composed.
        soundfonts: to draw from, each equally likely where it has what is needed.

    Raises:
        RequestError: none has the instruments of a stem.
    """
    ordered = sorted(soundfonts, key=lambda soundfont: soundfont.sha256)
    chosen = {}
    for number, (stem, needed) in enumerate(presets(song).items()):
        own = stream(song.seed, "soundfont", song.plan.role.artist, number)
        other = stream(song.seed, "soundfont of a song", song.index, number)
        rng = other if other.random() < _ANOTHER_CHANCE else own
        able = [soundfont for place in rng.permutation(len(ordered)) if needed <= (soundfont := ordered[place]).presets]
        if not able:
            raise RequestError(f"no soundfont has the instruments of {stem} (bank, program: {sorted(needed)}) of song {song.index}")
        chosen[stem] = able[0]
    return {stem: chosen[stem] for stem in STEMS}
