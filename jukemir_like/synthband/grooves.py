"""Drum grooves as probabilities: for each piece of the kit, a digit d a step is the probability d/9 that it sounds there.

Sixteen steps are a bar of four beats; a bar of three takes grooves of twelve. A song draws its own pattern from a groove, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

KICK, RIM, SNARE, CLAP, HAT, PEDAL, OPEN, RIDE, CRASH = 36, 37, 38, 39, 42, 44, 46, 51, 49
LOW_TOM, MIDDLE_TOM, HIGH_TOM = 43, 47, 50
TAMBOURINE, COWBELL, CONGA, LOW_CONGA, CABASA, MARACAS, GUIRO, CLAVES, HIGH_BLOCK, LOW_BLOCK = 54, 56, 63, 64, 69, 70, 73, 75, 76, 77
TRIANGLE, CASTANETS, BASS_DRUM, CONCERT_SNARE = 81, 85, 35, 40

EIGHTHS, SIXTEENTHS, QUARTERS, OFFBEATS = "9.8.9.8.9.8.9.8.", "9696979696969796", "9...9...9...9...", "..9...9...9...9."
BROKEN, SWUNG, PUSHED, SPARSE = "9.969.9.9.699.9.", "9...9.9.9...9.9.", "9..69.6.9..69.6.", "9..3..4.5..3..4."

TEMPLATES: dict[str, str] = {
    "clave": "9..9..9...9.9...",
    "tresillo": "9..9..9.9..9..9.",
    "sixteenths": SIXTEENTHS,
    "eighths": EIGHTHS,
    "offbeats": OFFBEATS,
    "backbeats": "....9.......9...",
    "scattered": "2.32.42.2.34.243",
}


@dataclass(frozen=True)
class Groove:
    """A family of drum patterns.

    Args:
        pieces: templates of the pieces that make the groove.
        keepers: pieces that may keep time in a section, each with the templates it may play.
        percussion: pieces that may join, with a name in :data:`TEMPLATES`.
        ghosts: probability of a quiet stroke of the snare on a free step.
        loose: factor on the probability of all steps that are not certain.
    """

    pieces: Mapping[int, str]
    keepers: Mapping[int, tuple[str, ...]]
    percussion: tuple[tuple[int, str], ...] = ((TAMBOURINE, "backbeats"), (TAMBOURINE, "eighths"), (COWBELL, "scattered"))
    ghosts: float = 0.03
    loose: float = 1.0


_LATIN = (
    (CABASA, "sixteenths"),
    (MARACAS, "eighths"),
    (CONGA, "tresillo"),
    (LOW_CONGA, "scattered"),
    (CLAVES, "clave"),
    (TRIANGLE, "offbeats"),
    (GUIRO, "scattered"),
)
_DANCE = (
    (TAMBOURINE, "offbeats"),
    (CONGA, "scattered"),
    (MARACAS, "sixteenths"),
    (HIGH_BLOCK, "scattered"),
    (COWBELL, "tresillo"),
    (CLAP, "backbeats"),
)
_STRAIGHT = {HAT: (EIGHTHS, QUARTERS, SIXTEENTHS, BROKEN), RIDE: (EIGHTHS, QUARTERS, BROKEN), OPEN: (QUARTERS, EIGHTHS)}
_TIGHT = {HAT: (SIXTEENTHS, BROKEN, EIGHTHS, PUSHED), OPEN: (OFFBEATS,), RIDE: (EIGHTHS, OFFBEATS)}
_SOFT = {HAT: (EIGHTHS, QUARTERS, SPARSE), RIDE: (QUARTERS, SPARSE, SWUNG)}

GROOVES: dict[str, Groove] = {
    "backbeat": Groove({KICK: "9..2..5.7.4..24.", SNARE: "....9.......9..."}, _STRAIGHT),
    "drive": Groove({KICK: "9...6.2.9...6.3.", SNARE: "....9.......9.2."}, _STRAIGHT, ghosts=0.02),
    "halftime": Groove({KICK: "9..3..5.2.53..3.", SNARE: "........9......."}, _STRAIGHT),
    "double kick": Groove(
        {KICK: "9696979697969797", SNARE: "....9.......9..."}, {HAT: (EIGHTHS, QUARTERS), RIDE: (QUARTERS,), CRASH: (QUARTERS,)}, (), 0.0
    ),
    "thrash": Groove(
        {KICK: "9.5.9.529.5.9.55", SNARE: "..9...9...9...9."}, {HAT: (EIGHTHS,), RIDE: (EIGHTHS, QUARTERS), CRASH: (QUARTERS,)}, (), 0.0
    ),
    "shuffle": Groove(
        {KICK: "9.3.3.6.9.3.3.5.", SNARE: "....9.......9..."}, {HAT: (EIGHTHS,), RIDE: (EIGHTHS, SWUNG)}, ((TAMBOURINE, "backbeats"),), 0.05
    ),
    "slow blues": Groove({KICK: "9...2.5.7...2.6.", SNARE: "....9.......9..."}, {RIDE: (EIGHTHS, SWUNG), HAT: (EIGHTHS,)}, (), 0.06),
    "funk": Groove({KICK: "9.43..54..7..43.", SNARE: "....9.......9..3"}, _TIGHT, _DANCE, 0.25),
    "disco": Groove({KICK: QUARTERS, SNARE: "....9.......9..."}, {HAT: (SIXTEENTHS, BROKEN), OPEN: (OFFBEATS,)}, _DANCE, 0.05),
    "four on the floor": Groove({KICK: "9...9...9...9.2.", CLAP: "....8.......8...", RIM: "..2..3.2.3..2.32"}, _TIGHT, _DANCE, 0.0),
    "breakbeat": Groove({KICK: "9.5...2..563..2.", SNARE: "....9..3.3..9..2"}, _TIGHT, _DANCE, 0.1),
    "one drop": Groove(
        {KICK: "..2.....9.....2.", RIM: "...22...9..2..22"},
        {HAT: (EIGHTHS, PUSHED, OFFBEATS, SWUNG)},
        ((CONGA, "scattered"), (LOW_BLOCK, "scattered"), (TAMBOURINE, "eighths")),
        0.04,
    ),
    "rockers": Groove(
        {KICK: "9.2...3.9.2...4.", SNARE: "....3...9.....2.", RIM: "...3..4....3..4."},
        {HAT: (EIGHTHS, PUSHED, OFFBEATS)},
        ((CABASA, "eighths"), (CONGA, "scattered")),
        0.04,
    ),
    "steppers": Groove(
        {KICK: QUARTERS, RIM: "...3..3.8..3..3."}, {HAT: (EIGHTHS, OFFBEATS, PUSHED)}, ((COWBELL, "scattered"), (CABASA, "offbeats")), 0.03
    ),
    "train": Groove(
        {KICK: "9...4...9...4...", SNARE: "7685668576856685"},
        {HAT: (OFFBEATS,), PEDAL: ("....9.......9...",)},
        ((TAMBOURINE, "backbeats"),),
        0.0,
    ),
    "two-step": Groove(
        {KICK: "9...2.3.9...2.4.", SNARE: "....9.......9..2"},
        {HAT: (EIGHTHS, OFFBEATS), RIDE: (QUARTERS, EIGHTHS)},
        ((TAMBOURINE, "eighths"),),
        0.03,
    ),
    "bossa": Groove({KICK: "9.....7.9.....7.", RIM: "9..8..8...8..8.."}, {HAT: (EIGHTHS, SIXTEENTHS), RIDE: (EIGHTHS,)}, _LATIN, 0.0),
    "samba": Groove(
        {KICK: "5..48..45..48..4", SNARE: "5.34.54.5.44.543"}, {HAT: (SIXTEENTHS, EIGHTHS), RIDE: (EIGHTHS, PUSHED)}, _LATIN, 0.1
    ),
    "boom bap": Groove(
        {KICK: "9..3..52..73..3.", SNARE: "....9.......9..."},
        {HAT: (EIGHTHS, BROKEN, PUSHED), RIDE: (EIGHTHS,)},
        ((TAMBOURINE, "scattered"), (HIGH_BLOCK, "scattered")),
        0.08,
    ),
    "trap": Groove(
        {KICK: "9..3..4...52..3.", CLAP: "........9.......", RIM: "...2..3...2..3.2"},
        {HAT: (SIXTEENTHS, BROKEN, EIGHTHS)},
        ((OPEN, "scattered"), (COWBELL, "scattered")),
        0.0,
    ),
    "ride": Groove(
        {KICK: "3.1.3.2.3.1.2.3.", SNARE: "..2..13...2..23.", PEDAL: "....9.......9..."},
        {RIDE: (SWUNG, "9...9.6.9...9.7.", QUARTERS)},
        (),
        0.05,
    ),
    "brushes": Groove(
        {KICK: "6...2.1.5...2.2.", SNARE: "5.6.8.7.5.6.8.7.", PEDAL: "....9.......9..."}, {HAT: (SWUNG,), RIDE: (SWUNG, QUARTERS)}, (), 0.05
    ),
    "ballad": Groove(
        {KICK: "9.....4.5.4.....", RIM: "....8.......8...", SNARE: "............1..2"},
        _SOFT,
        ((TRIANGLE, "scattered"), (MARACAS, "eighths")),
        0.0,
    ),
    "sparse": Groove(
        {KICK: "8......3..4.....", RIM: "....3..2....4..2"},
        {HAT: (SPARSE, QUARTERS), RIDE: (SPARSE, QUARTERS), MARACAS: (EIGHTHS, SPARSE)},
        ((TRIANGLE, "scattered"), (LOW_CONGA, "scattered"), (LOW_BLOCK, "scattered")),
        0.0,
    ),
    "procession": Groove(
        {BASS_DRUM: "6.......4.......", CONCERT_SNARE: "3.3.3.3.4.4.4444"},
        {TAMBOURINE: (QUARTERS, "....9.......9.9."), CASTANETS: ("9..49.4.9..49.44",), CONCERT_SNARE: ("9.4.9.4.9.4.9444",)},
        ((TRIANGLE, "scattered"),),
        0.0,
    ),
    "dance": Groove(
        {BASS_DRUM: "7...2...6...2.3.", CONCERT_SNARE: "....4.2.....4.4."},
        {TAMBOURINE: (EIGHTHS, SWUNG), CASTANETS: ("9.779.6.9.779.6.",), TRIANGLE: (EIGHTHS, QUARTERS)},
        ((TAMBOURINE, "backbeats"),),
        0.0,
    ),
}

WALTZES: dict[str, Groove] = {
    "light": Groove(
        {KICK: "9.....2.....", RIM: "....7...7.2."},
        {HAT: ("9...9.9.9...", "9.8.9.8.9.8."), RIDE: ("9...9.8.9.6.", "9...9...9...")},
        ((TRIANGLE, "scattered"), (TAMBOURINE, "scattered")),
        0.02,
    ),
    "full": Groove(
        {KICK: "9...2.3...4.", SNARE: "....7...8..."},
        {HAT: ("9.8.9.8.9.8.",), RIDE: ("9...9.9.9...", "9.8.9.8.9.8.")},
        ((TAMBOURINE, "eighths"),),
        0.04,
    ),
    "swung": Groove(
        {KICK: "7.2...2...3.", SNARE: "..2..23..23.", PEDAL: "....9...5..."}, {RIDE: ("9...9.9.9...", "9...9...9.7.")}, (), 0.05
    ),
    "court": Groove(
        {BASS_DRUM: "7...........", CONCERT_SNARE: "....3...4.33"},
        {TAMBOURINE: ("9...9...9...", "9...9.9.9..."), CASTANETS: ("9.779...9...",), TRIANGLE: ("9...9...9...",)},
        (),
        0.0,
    ),
}
"""Grooves of three beats: ``court`` for the orchestral kit, ``swung`` where eighths swing."""
