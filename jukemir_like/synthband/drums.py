"""The drum stem: one groove per song, played by each section in its own way, with ghost notes and fills.

A groove is a table of probabilities: for each piece of the kit one digit per step; digit d is the probability d/9 that the piece sounds
there. Sixteen steps are a bar of four beats; a bar of three beats takes grooves of twelve. A song samples its own pattern from a groove,
once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from jukemir_like.synthband.genres import BRUSH, JAZZ, ORCHESTRA
from jukemir_like.synthband.plan import DRUM_BANK, Note, Part, Plan, Section, shaped_velocity
from jukemir_like.synthband.seeding import pick, pick_steps

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
        keepers: pieces that may keep time in a section, each with its possible templates.
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

_LEVELS = {
    KICK: 100,
    BASS_DRUM: 90,
    SNARE: 98,
    CLAP: 92,
    RIM: 84,
    CONCERT_SNARE: 66,
    HAT: 74,
    OPEN: 74,
    RIDE: 74,
    CRASH: 84,
    PEDAL: 62,
}
_FILL_PIECES = (
    (SNARE,),
    (HIGH_TOM, MIDDLE_TOM, LOW_TOM),
    (SNARE, HIGH_TOM, LOW_TOM),
    (SNARE, KICK),
)
_ORCHESTRAL_FILL = ((CONCERT_SNARE,), (CONCERT_SNARE, BASS_DRUM))
_TIMPANI = 47

Pattern = dict[int, list[int]]


def drums(plan: Plan, rng: np.random.Generator) -> list[Part]:
    """The kit, and the timpani where the kit is an orchestra's."""
    name, groove = _groove(plan, rng)
    loose = groove.loose * (0.5 + plan.energy)
    boost = [accent * loose for accent in plan.accents]
    bars = (_pattern(groove, plan, boost, rng), _pattern(groove, plan, boost, rng))
    # The second bar is a variation of the first: some pieces play the same, the others a second sample of their template.
    second_bar = {piece: bars[0][piece] if rng.random() < 0.6 else bars[1][piece] for piece in bars[0]}
    keepers = {section: _keeper(groove, plan, boost, rng) for section in ("intro", "verse", "chorus", "bridge")}
    percussion = _percussion(groove, plan, boost, rng)
    swells = rng.normal(0, 6, plan.steps_per_bar)
    fill = _fill(plan, rng)
    ghosts = [step for step in range(plan.steps_per_bar) if rng.random() < groove.ghosts * boost[step] and step % 4]
    notes: list[Note] = []
    for section in plan.sections:
        for bar in range(section.start_bar, section.start_bar + section.bars):
            last = bar == section.start_bar + section.bars - 1
            backbone = second_bar if bar % 2 else bars[0]
            layers = {**backbone, **keepers[section.name], **(percussion if section.name != "intro" else {})}
            if section.name == "intro" and bar % 2 == 0:
                layers.pop(SNARE, None)
            cut = min(fill, default=plan.steps_per_bar) if last else plan.steps_per_bar
            _play(notes, layers, ghosts, bar, cut, plan, swells)
            if last:
                notes += [_stroke(plan, bar, step, piece, 92 + 1.5 * i, swells) for i, (step, piece) in enumerate(fill.items())]
        notes += _crash(plan, section, rng)
    parts = [Part(plan.sound.kit, tuple(sorted(notes)), DRUM_BANK, tuning=plan.sound.kit_tuning + float(rng.normal(0, 0.4)), pattern=name)]
    if plan.sound.kit == ORCHESTRA:
        parts.append(Part(_TIMPANI, tuple(_timpani(plan, rng)), level=-3.0))
    return parts


def _groove(plan: Plan, rng: np.random.Generator) -> tuple[str, Groove]:
    if plan.beats_per_bar == 4:
        name = pick(rng, plan.genre.grooves)
        return name, GROOVES[name]
    orchestral, swung = plan.sound.kit == ORCHESTRA, plan.genre.swing[0] > 0.5
    name = "court" if orchestral else "swung" if swung and plan.sound.kit in (JAZZ, BRUSH) else "full" if plan.energy > 0.4 else "light"
    return name, WALTZES[name]


def _pattern(groove: Groove, plan: Plan, boost: list[float], rng: np.random.Generator) -> Pattern:
    return {piece: pick_steps(rng, template[: plan.steps_per_bar], boost) for piece, template in groove.pieces.items()}


def _keeper(groove: Groove, plan: Plan, boost: list[float], rng: np.random.Generator) -> Pattern:
    piece = pick(rng, tuple(groove.keepers))
    template = pick(rng, groove.keepers[piece])
    kept = pick_steps(rng, template[: plan.steps_per_bar], boost)
    if piece == HAT and kept and rng.random() < 0.35:  # one of the strokes is left open
        opened = pick(rng, kept)
        return {HAT: [step for step in kept if step != opened], OPEN: [opened]}
    return {piece: kept}


def _percussion(groove: Groove, plan: Plan, boost: list[float], rng: np.random.Generator) -> Pattern:
    """Some of the pieces that may join; at least one where the groove lists many."""
    chosen: Pattern = {}
    certain = pick(rng, groove.percussion) if len(groove.percussion) > 3 else None
    for piece, template in groove.percussion:
        if (piece, template) == certain or rng.random() < (0.1 + 0.5 * plan.energy) * min(1.0, 2.5 / len(groove.percussion)):
            chosen[piece] = pick_steps(rng, TEMPLATES[template][: plan.steps_per_bar], boost)
    return chosen


def _play(notes: list[Note], layers: Pattern, ghosts: list[int], bar: int, cut: int, plan: Plan, swells: np.ndarray) -> None:
    for piece, hits in layers.items():
        notes += [_stroke(plan, bar, step, piece, _LEVELS.get(piece, 72), swells) for step in hits if step < cut]
    struck = set(layers.get(SNARE, ()))
    notes += [_stroke(plan, bar, step, SNARE, 42, swells) for step in ghosts if step < cut and step not in struck]


def _stroke(plan: Plan, bar: int, step: int, piece: int, level: float, swells: np.ndarray) -> Note:
    velocity = shaped_velocity(level - 22 + 30 * plan.energy, step, plan.steps_per_bar, plan.accents) + swells[step]
    late = plan.sound.late_seconds if piece in (SNARE, CLAP) else 0.0
    return Note(bar * plan.beats_per_bar + step / 4, 0.5, piece, float(min(max(velocity, 12), 127)), late)


def _fill(plan: Plan, rng: np.random.Generator) -> dict[int, int]:
    """The song's fill: which piece on which steps at the end of a section's last bar; may be empty."""
    beats = pick(rng, (0, 1, 1, 2, 2)) if plan.energy > 0.15 else pick(rng, (0, 0, 1))
    pieces = pick(rng, _ORCHESTRAL_FILL if plan.sound.kit == ORCHESTRA else _FILL_PIECES)
    first = plan.steps_per_bar - 4 * beats
    chosen = [step for step in range(first, plan.steps_per_bar) if rng.random() < (0.9 if step % 2 == 0 else 0.25 + 0.5 * plan.energy)]
    return {step: pieces[min(i * len(pieces) // max(len(chosen), 1), len(pieces) - 1)] for i, step in enumerate(chosen)}


def _crash(plan: Plan, section: Section, rng: np.random.Generator) -> list[Note]:
    if rng.random() > 0.2 + 0.7 * plan.energy:
        return []
    return [Note(float(section.start_bar * plan.beats_per_bar), 2.0, CRASH, 60 + 40 * plan.energy)]


def _timpani(plan: Plan, rng: np.random.Generator) -> list[Note]:
    """Tonic and dominant only, as two drums can: where the chord has them, on the first beat and before cadences."""
    tuned = {pitch % 12: pitch for pitch in range(41, 53)}
    drum_tones = (plan.role.tonic, (plan.role.tonic + 7) % 12)
    rhythm = [0] + [step for step in range(4, plan.steps_per_bar, 2) if rng.random() < 0.25]
    notes = []
    for bar in range(plan.bars):
        for step in rhythm:
            beat = bar * plan.beats_per_bar + step / 4
            tone = next((tone for tone in drum_tones if tone in plan.span(beat).chord.pitch_classes), None)
            if tone is not None:
                notes.append(Note(beat, 1.0, tuned[tone], 70 + 30 * plan.energy + (6 if step == 0 else 0)))
    return notes
