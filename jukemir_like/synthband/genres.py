"""What makes a genre: ranges of tempo and feel, grooves, instruments and harmony, from which artists and songs are sampled.

Every genre shares something with others (tempo, kit, chords, instruments), so only several of these together identify a genre.
Programs are General MIDI numbers counted from 0; kits are presets of bank 128.
"""

from __future__ import annotations

from dataclasses import dataclass

STANDARD, ROOM, POWER, ELECTRONIC, TR808, JAZZ, BRUSH, ORCHESTRA = 0, 8, 16, 24, 25, 32, 40, 48
VOICES = (52, 53, 54, 85, 91)
"""Sung-like leads: choir aahs, voice oohs, synth vox, solo vox, space voice."""


@dataclass(frozen=True)
class Chair:
    """A seat in the accompaniment.

    Args:
        programs: instruments that an artist may choose.
        patterns: how a song may have it play (names in ``accompaniment``).
        centre: MIDI pitch that its voicings gather around.
        chance: probability that a song has it.
    """

    programs: tuple[int, ...]
    patterns: tuple[str, ...]
    centre: int = 60
    chance: float = 1.0


@dataclass(frozen=True)
class Genre:
    """One genre's ranges and palettes.

    Args:
        bpm: lowest and highest tempo.
        energy: range of a song's energy, 0 to 1: how hard, how busily and how loud it is played.
        kits: drum kits.
        grooves: names in ``drums.GROOVES``.
        waltz: probability of three beats per bar.
        bass: programs of the bass.
        bass_lines: names in ``bass.LINES``.
        chairs: the accompaniment.
        harmony: styles in ``harmony.PROGRESSIONS`` and their weights.
        swing: range of the position of the off-beat within its pair, 0.5 straight to 0.67 triplets.
        swing_unit: beats in such a pair: 1 (eighths swing) or 0.5 (sixteenths).
        tightness: standard deviation of the players' timing in seconds.
        tone: typical gains in dB of the low shelf, the middle and the high shelf.
        levels: of bass, drums, other and vocals in dB.
        wetness: factor on the level of the reverberation.
        melody: notes per beat, syncopation 0 to 1, and probability of a pentatonic melody.
    """

    bpm: tuple[float, float]
    energy: tuple[float, float]
    kits: tuple[int, ...]
    grooves: tuple[str, ...]
    bass: tuple[int, ...]
    bass_lines: tuple[str, ...]
    chairs: tuple[Chair, ...]
    harmony: dict[str, float]
    melody: tuple[float, float, float]
    waltz: float = 0.0
    swing: tuple[float, float] = (0.5, 0.5)
    swing_unit: float = 0.5
    tightness: float = 0.008
    tone: tuple[float, float, float] = (0.0, 0.0, 0.0)
    levels: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    wetness: float = 1.0


GENRES: dict[str, Genre] = {
    "ambient": Genre(
        bpm=(54, 92),
        energy=(0.0, 0.45),
        kits=(BRUSH, STANDARD, TR808, ROOM),
        grooves=("sparse", "ballad", "halftime"),
        bass=(35, 33, 39, 32),
        bass_lines=("pedal", "roots", "dotted"),
        chairs=(Chair((88, 89, 94, 95, 48, 49, 50), ("pad",)), Chair((0, 1, 5, 46, 11, 24), ("arp8", "pick", "block", "arp16"), 66, 0.9)),
        harmony={"ambient": 3, "pop": 1},
        melody=(0.8, 0.2, 0.2),
        waltz=0.15,
        tightness=0.012,
        tone=(1.0, -1.0, -3.0),
        levels=(-2.0, -7.0, 2.0, 0.0),
        wetness=1.8,
    ),
    "baroque": Genre(
        bpm=(60, 120),
        energy=(0.1, 0.7),
        kits=(ORCHESTRA,),
        grooves=("procession", "dance"),
        bass=(42, 43, 70, 32),
        bass_lines=("continuo", "walking", "roots"),
        chairs=(
            Chair((6, 6, 19, 24, 46), ("arp16", "block", "alberti", "arp8")),
            Chair((48, 49, 68, 71, 40, 45), ("pad", "block", "arp8"), 67, 0.8),
        ),
        harmony={"baroque": 1},
        melody=(1.6, 0.05, 0.0),
        waltz=0.35,
        tightness=0.012,
        tone=(-2.0, 1.0, 0.0),
        levels=(0.0, -8.0, 3.0, 0.0),
        wetness=1.5,
    ),
    "blues": Genre(
        bpm=(62, 138),
        energy=(0.2, 0.8),
        kits=(STANDARD, ROOM, JAZZ),
        grooves=("shuffle", "backbeat", "slow blues"),
        bass=(33, 32, 34),
        bass_lines=("boogie", "walking", "fifths"),
        chairs=(
            Chair((27, 26, 29, 0), ("comp", "charleston", "strum8", "boogie")),
            Chair((16, 17, 0, 3, 22), ("pad", "stab", "comp"), 64, 0.7),
        ),
        harmony={"blues": 4, "rock": 1},
        melody=(1.3, 0.4, 0.85),
        waltz=0.1,
        swing=(0.56, 0.67),
        swing_unit=1.0,
        tightness=0.012,
        tone=(0.0, 3.0, -2.0),
        levels=(0.0, -1.0, 0.0, 1.0),
        wetness=0.9,
    ),
    "bossa": Genre(
        bpm=(84, 152),
        energy=(0.1, 0.6),
        kits=(BRUSH, JAZZ, STANDARD),
        grooves=("bossa", "samba"),
        bass=(32, 35, 33),
        bass_lines=("dotted", "fifths", "tumbao"),
        chairs=(Chair((24, 24, 26, 0), ("bossa", "charleston", "comp")), Chair((4, 5, 11, 73, 0), ("pad", "comp", "stab"), 66, 0.6)),
        harmony={"bossa": 2, "jazz": 1},
        melody=(1.2, 0.5, 0.1),
        swing=(0.5, 0.53),
        tone=(-1.0, 1.0, -2.0),
        levels=(0.0, -4.0, 1.0, 1.0),
        wetness=0.7,
    ),
    "country": Genre(
        bpm=(84, 168),
        energy=(0.25, 0.8),
        kits=(STANDARD, BRUSH, ROOM),
        grooves=("train", "two-step", "backbeat"),
        bass=(33, 32, 34),
        bass_lines=("fifths", "walking", "roots"),
        chairs=(
            Chair((25, 25, 24), ("strum folk", "pick", "boom-chick")),
            Chair((110, 105, 3, 22, 105, 27), ("pick", "arp8", "strum8"), 67, 0.85),
        ),
        harmony={"country": 3, "pop": 1},
        melody=(1.4, 0.15, 0.6),
        waltz=0.2,
        swing=(0.5, 0.6),
        swing_unit=1.0,
        tightness=0.01,
        tone=(-3.0, 0.0, 3.0),
        levels=(-2.0, -2.0, 3.0, 1.0),
        wetness=0.6,
    ),
    "funk": Genre(
        bpm=(90, 126),
        energy=(0.45, 1.0),
        kits=(STANDARD, ROOM, POWER),
        grooves=("funk", "disco", "backbeat"),
        bass=(36, 37, 33, 34),
        bass_lines=("riff", "octaves", "slap"),
        chairs=(Chair((27, 7, 28, 4), ("scratch", "stab", "comp")), Chair((61, 62, 16, 4, 59), ("horns", "stab", "pad"), 66, 0.8)),
        harmony={"funk": 3, "dance": 1},
        melody=(1.5, 0.6, 0.7),
        swing=(0.5, 0.58),
        tone=(1.0, -1.0, 2.0),
        levels=(2.0, 2.0, 0.0, -2.0),
        wetness=0.5,
    ),
    "hiphop": Genre(
        bpm=(68, 106),
        energy=(0.25, 0.8),
        kits=(TR808, ELECTRONIC, STANDARD, POWER),
        grooves=("boom bap", "trap", "halftime"),
        bass=(38, 39, 33, 35),
        bass_lines=("riff", "kick", "pedal"),
        chairs=(
            Chair((4, 5, 0, 26, 45, 11), ("loop", "block", "arp8", "stab")),
            Chair((48, 50, 89, 90, 52, 17), ("pad", "stab", "loop"), 65, 0.6),
        ),
        harmony={"hiphop": 3, "jazz": 1, "funk": 1},
        melody=(2.1, 0.5, 0.7),
        swing=(0.5, 0.6),
        tone=(4.0, -1.0, 0.0),
        levels=(3.0, 2.0, -2.0, 1.0),
        wetness=0.5,
    ),
    "house": Genre(
        bpm=(112, 136),
        energy=(0.4, 1.0),
        kits=(TR808, ELECTRONIC, POWER),
        grooves=("four on the floor", "breakbeat", "disco"),
        bass=(38, 39, 33),
        bass_lines=("offbeat", "octaves", "riff"),
        chairs=(
            Chair((0, 1, 81, 90, 62, 4), ("house", "offbeat", "stab", "arp16")),
            Chair((50, 51, 89, 81, 48, 17), ("pad", "arp16", "loop"), 66, 0.8),
        ),
        harmony={"dance": 3, "pop": 1},
        melody=(1.1, 0.5, 0.5),
        tightness=0.002,
        tone=(3.0, -2.0, 2.0),
        levels=(2.0, 3.0, 0.0, -3.0),
        wetness=0.9,
    ),
    "jazz": Genre(
        bpm=(84, 216),
        energy=(0.1, 0.8),
        kits=(JAZZ, BRUSH, STANDARD),
        grooves=("ride", "brushes"),
        bass=(32, 32, 35, 33),
        bass_lines=("walking", "two feel"),
        chairs=(Chair((0, 26, 4, 11), ("comp", "charleston", "block")), Chair((61, 66, 16, 11, 59), ("horns", "pad", "stab"), 64, 0.4)),
        harmony={"jazz": 1},
        melody=(1.5, 0.6, 0.1),
        waltz=0.15,
        swing=(0.57, 0.67),
        swing_unit=1.0,
        tightness=0.014,
        tone=(0.0, 0.0, -3.0),
        levels=(1.0, -2.0, 1.0, -1.0),
        wetness=0.8,
    ),
    "metal": Genre(
        bpm=(92, 190),
        energy=(0.6, 1.0),
        kits=(POWER, ROOM, STANDARD),
        grooves=("double kick", "thrash", "halftime", "drive"),
        bass=(34, 33),
        bass_lines=("gallop", "roots", "riff"),
        chairs=(Chair((30, 30, 29), ("chug", "gallop", "power"), 50), Chair((30, 29, 48, 81), ("power", "arp16", "pad"), 60, 0.7)),
        harmony={"metal": 3, "rock": 1},
        melody=(1.1, 0.25, 0.2),
        tightness=0.006,
        tone=(1.0, -3.0, 3.0),
        levels=(0.0, 2.0, 4.0, -2.0),
        wetness=0.6,
    ),
    "reggae": Genre(
        bpm=(64, 100),
        energy=(0.2, 0.75),
        kits=(STANDARD, ROOM, TR808),
        grooves=("one drop", "rockers", "steppers"),
        bass=(33, 35, 38),
        bass_lines=("dub", "riff", "dotted"),
        chairs=(Chair((27, 0, 16, 28), ("skank",)), Chair((16, 18, 7, 61, 22), ("bubble", "horns", "stab", "pad"), 62, 0.85)),
        harmony={"reggae": 3, "pop": 1},
        melody=(1.2, 0.4, 0.4),
        swing=(0.5, 0.62),
        tightness=0.011,
        tone=(4.0, -1.0, -2.0),
        levels=(4.0, 0.0, -1.0, 0.0),
        wetness=1.1,
    ),
    "rock": Genre(
        bpm=(96, 172),
        energy=(0.4, 1.0),
        kits=(STANDARD, POWER, ROOM),
        grooves=("backbeat", "drive", "halftime"),
        bass=(34, 33),
        bass_lines=("roots", "riff", "fifths"),
        chairs=(
            Chair((29, 29, 27), ("strum8", "power", "chug", "arp8"), 57),
            Chair((16, 18, 0, 27, 48), ("pad", "block", "arp8", "strum8"), 64, 0.75),
        ),
        harmony={"rock": 2, "pop": 1},
        melody=(1.2, 0.3, 0.5),
        tightness=0.009,
        tone=(-1.0, 2.0, 1.0),
        levels=(-1.0, 2.0, 2.0, 0.0),
        wetness=0.9,
    ),
}

NAMES = tuple(GENRES)
"""The genres in the order of the classes."""
