"""The drum stem: a groove that is drawn once for the song, kept by the sections in their own ways, with ghost notes and fills."""

from __future__ import annotations

import numpy as np

from jukemir_like.synthband import grooves
from jukemir_like.synthband.draws import pick, steps
from jukemir_like.synthband.genres import BRUSH, JAZZ, ORCHESTRA
from jukemir_like.synthband.grooves import GROOVES, TEMPLATES, WALTZES, Groove
from jukemir_like.synthband.plan import Plan, Section
from jukemir_like.synthband.score import DRUM_BANK, Note, Part, with_shape

_LEVELS = {
    grooves.KICK: 100,
    grooves.BASS_DRUM: 90,
    grooves.SNARE: 98,
    grooves.CLAP: 92,
    grooves.RIM: 84,
    grooves.CONCERT_SNARE: 66,
    grooves.HAT: 74,
    grooves.OPEN: 74,
    grooves.RIDE: 74,
    grooves.CRASH: 84,
    grooves.PEDAL: 62,
}
_FILL_PIECES = (
    (grooves.SNARE,),
    (grooves.HIGH_TOM, grooves.MIDDLE_TOM, grooves.LOW_TOM),
    (grooves.SNARE, grooves.HIGH_TOM, grooves.LOW_TOM),
    (grooves.SNARE, grooves.KICK),
)
_ORCHESTRAL_FILL = ((grooves.CONCERT_SNARE,), (grooves.CONCERT_SNARE, grooves.BASS_DRUM))
_TIMPANI = 47

Pattern = dict[int, list[int]]


def drums(plan: Plan, rng: np.random.Generator) -> list[Part]:
    """The kit, and the timpani where the kit is an orchestra's."""
    name, groove = _groove(plan, rng)
    loose = groove.loose * (0.5 + plan.energy)
    boost = [accent * loose for accent in plan.accents]
    bars = (_pattern(groove, plan, boost, rng), _pattern(groove, plan, boost, rng))
    # The second bar answers the first: it keeps the backbone and differs in the details.
    answering = {piece: bars[0][piece] if rng.random() < 0.6 else bars[1][piece] for piece in bars[0]}
    keepers = {section: _keeper(groove, plan, boost, rng) for section in ("intro", "verse", "chorus", "bridge")}
    percussion = _percussion(groove, plan, boost, rng)
    swells = rng.normal(0, 6, plan.steps_per_bar)
    fill = _fill(plan, rng)
    ghosts = [step for step in range(plan.steps_per_bar) if rng.random() < groove.ghosts * boost[step] and step % 4]
    notes: list[Note] = []
    for section in plan.sections:
        for bar in range(section.start_bar, section.start_bar + section.bars):
            last = bar == section.start_bar + section.bars - 1
            backbone = answering if bar % 2 else bars[0]
            layers = {**backbone, **keepers[section.name], **(percussion if section.name != "intro" else {})}
            if section.name == "intro" and bar % 2 == 0:
                layers.pop(grooves.SNARE, None)
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
    return {piece: steps(rng, template[: plan.steps_per_bar], boost) for piece, template in groove.pieces.items()}


def _keeper(groove: Groove, plan: Plan, boost: list[float], rng: np.random.Generator) -> Pattern:
    piece = pick(rng, tuple(groove.keepers))
    template = pick(rng, groove.keepers[piece])
    kept = steps(rng, template[: plan.steps_per_bar], boost)
    if piece == grooves.HAT and kept and rng.random() < 0.35:  # one of the strokes is left open
        opened = pick(rng, kept)
        return {grooves.HAT: [step for step in kept if step != opened], grooves.OPEN: [opened]}
    return {piece: kept}


def _percussion(groove: Groove, plan: Plan, boost: list[float], rng: np.random.Generator) -> Pattern:
    """Some of the pieces that may join; where a groove lives on them, at least one."""
    chosen: Pattern = {}
    certain = pick(rng, groove.percussion) if len(groove.percussion) > 3 else None
    for piece, template in groove.percussion:
        if (piece, template) == certain or rng.random() < (0.1 + 0.5 * plan.energy) * min(1.0, 2.5 / len(groove.percussion)):
            chosen[piece] = steps(rng, TEMPLATES[template][: plan.steps_per_bar], boost)
    return chosen


def _play(notes: list[Note], layers: Pattern, ghosts: list[int], bar: int, cut: int, plan: Plan, swells: np.ndarray) -> None:
    for piece, hits in layers.items():
        notes += [_stroke(plan, bar, step, piece, _LEVELS.get(piece, 72), swells) for step in hits if step < cut]
    struck = set(layers.get(grooves.SNARE, ()))
    notes += [_stroke(plan, bar, step, grooves.SNARE, 42, swells) for step in ghosts if step < cut and step not in struck]


def _stroke(plan: Plan, bar: int, step: int, piece: int, level: float, swells: np.ndarray) -> Note:
    velocity = with_shape(level - 22 + 30 * plan.energy, step, plan.steps_per_bar, plan.accents) + swells[step]
    late = plan.sound.late_seconds if piece in (grooves.SNARE, grooves.CLAP) else 0.0
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
    return [Note(float(section.start_bar * plan.beats_per_bar), 2.0, grooves.CRASH, 60 + 40 * plan.energy)]


def _timpani(plan: Plan, rng: np.random.Generator) -> list[Note]:
    """Tonic and dominant only, as two drums can: where the chord has them, on the first beat and before cadences."""
    tuned = {pitch % 12: pitch for pitch in range(41, 53)}
    drums_at_hand = (plan.role.tonic, (plan.role.tonic + 7) % 12)
    rhythm = [0] + [step for step in range(4, plan.steps_per_bar, 2) if rng.random() < 0.25]
    notes = []
    for bar in range(plan.bars):
        for step in rhythm:
            beat = bar * plan.beats_per_bar + step / 4
            tone = next((tone for tone in drums_at_hand if tone in plan.span(beat).chord.pitch_classes), None)
            if tone is not None:
                notes.append(Note(beat, 1.0, tuned[tone], 70 + 30 * plan.energy + (6 if step == 0 else 0)))
    return notes
