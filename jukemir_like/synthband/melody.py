"""The vocal stem: a sung-like line of phrases, each a motif that returns changed, with breaths between them.

Motifs are rhythms with moves along the scale. A note that is long or on a strong beat is a tone of the chord, and so is the last one of a
phrase; a section ends on the tonic where the chord has it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jukemir_like.synthband.harmony import PENTATONIC, SCALES, scale_over
from jukemir_like.synthband.plan import Note, Part, Plan, shaped_velocity
from jukemir_like.synthband.seeding import pick, pick_weighted

_FORMS = ("aaba", "abab", "abac", "aabc", "abcb")
_MOVES = {0: 0.8, 1: 2.2, -1: 2.6, 2: 1.0, -2: 1.1, 3: 0.35, -3: 0.35, 4: 0.15, -4: 0.15}
_RANGE = 8


@dataclass(frozen=True)
class Motif:
    """A phrase's shape: onsets in sixteenths, the last sixteenth that sounds, and a move along the scale for each onset."""

    onsets: tuple[int, ...]
    end: int
    moves: tuple[int, ...]
    start: int


def melody(plan: Plan, rng: np.random.Generator) -> list[Part]:
    """The lead part: never two notes at once."""
    density, syncopation, pentatonic = plan.genre.melody
    density *= 0.7 + 0.6 * float(rng.random())
    syncopation = min(1.0, syncopation * (0.5 + float(rng.random())))
    steps = (PENTATONIC if rng.random() < pentatonic else SCALES)[plan.role.mode]
    # The density grows more slowly than the tempo: singers have words to pronounce.
    density *= (110 / plan.bpm) ** 0.6
    bars = 2 if plan.bpm < 150 else 4
    motifs = {
        name: {letter: _motif(plan, bars, density * (1.0 if name != "chorus" else 0.85), syncopation, rng) for letter in "abc"}
        for name in ("verse", "chorus", "bridge")
    }
    lift = {"verse": 0, "chorus": pick(rng, (0, 2, 3, 4)), "bridge": pick(rng, (-2, 0, 2))}
    forms = {name: pick(rng, _FORMS) for name in motifs}
    centre = 65 + plan.sound.registers[2]
    notes: list[Note] = []
    for section in plan.sections:
        if section.name == "intro":
            continue
        for place in range(0, section.bars, bars):
            letter = forms[section.name][(place // bars) % 4]
            last = place + bars >= section.bars
            middle = centre + lift[section.name]
            notes += _sing(plan, motifs[section.name][letter], section.start_bar + place, middle, steps, last, rng)
    return [Part(plan.sound.voice, tuple(_one_at_a_time(notes)), sung=True, pattern="legato" if density < 1.5 else "syllabic")]


def _motif(plan: Plan, bars: int, density: float, syncopation: float, rng: np.random.Generator) -> Motif:
    """Samples onsets by metre, by the syncopation of the genre and by the song's accents; then the moves."""
    steps = bars * plan.steps_per_bar
    end = steps - pick(rng, (2, 3, 4, 4, 6))
    first = pick(rng, (0, 0, 0, 2, 4) if rng.random() > syncopation else (2, 3, 6, 1))
    weights = np.zeros(steps)
    for step in range(first, end - 1):
        place = step % plan.steps_per_bar
        off = 0.45 + 0.5 * syncopation if step % 2 == 0 else 0.05 + 0.45 * syncopation
        metre = 1.0 if plan.strong(place) else 0.8 if step % 4 == 0 else off
        weights[step] = metre * (0.6 + 0.4 * plan.accents[place])
    count = min(max(2, round(density * (end - first) / 4)), int((weights > 0).sum()))
    # The largest of weight / exponential variate: weighted sampling without replacement (Efraimidis and Spirakis 2006).
    order = np.argsort(-weights / rng.standard_exponential(steps), kind="stable")[:count]
    onsets = tuple(sorted({first, *(int(step) for step in order)}))
    tendency = pick(rng, (-1, 0, 0, 1))
    moves = []
    for place in range(len(onsets)):
        rising = place < len(onsets) / 2
        pull = {move: weight * (1.5 if (move > 0) == (rising == (tendency >= 0)) else 1.0) for move, weight in _MOVES.items()}
        moves.append(pick_weighted(rng, pull))
    return Motif(onsets, end, tuple(moves), pick(rng, (-3, -1, 0, 1, 2, 3)))


def _sing(plan: Plan, motif: Motif, bar: int, centre: int, steps: tuple[int, ...], last: bool, rng: np.random.Generator) -> list[Note]:
    """A motif at ``bar`` over the chords that sound there."""
    notes: list[Note] = []
    pitch = centre + motif.start
    for place, (onset, move) in enumerate(zip(motif.onsets, motif.moves, strict=True)):
        final = place == len(motif.onsets) - 1
        beat = bar * plan.beats_per_bar + onset / 4
        length = ((motif.end if final else motif.onsets[place + 1]) - onset) / 4
        harmony = plan.span(beat).chord
        classes = scale_over(plan.role.tonic, steps, harmony)
        scale = [option for option in range(centre - _RANGE, centre + _RANGE + 1) if option % 12 in classes]
        if rng.random() < 0.08:
            move = pick(rng, (-1, 1))
        pitch = _moved(scale, pitch, move if place else 0)
        step = onset % plan.steps_per_bar
        if final and last and plan.role.tonic in harmony.pitch_classes:
            pitch = _nearest([option for option in scale if option % 12 == plan.role.tonic], pitch)
        elif final or place == 0 or length >= 1 or plan.strong(step):
            pitch = _nearest([option for option in scale if option % 12 in harmony.pitch_classes[:4]], pitch)
        notes.append(Note(beat, length * 0.97, pitch, shaped_velocity(68 + 32 * plan.energy, step, plan.steps_per_bar, plan.accents, 0.6)))
    return notes


def _moved(scale: list[int], pitch: int, move: int) -> int:
    """The pitch ``move`` places along ``scale`` from the one nearest to ``pitch``; reflected at its ends."""
    at = scale.index(_nearest(scale, pitch)) + move
    top = len(scale) - 1
    at = -at if at < 0 else 2 * top - at if at > top else at
    return scale[min(max(at, 0), top)]


def _nearest(options: list[int], pitch: int) -> int:
    return min(options, key=lambda option: (abs(option - pitch), option))


def _one_at_a_time(notes: list[Note]) -> list[Note]:
    """Shortens each note to the beginning of the next."""
    return [
        note if after is None else note._replace(length=min(note.length, after.start - note.start))
        for note, after in zip(notes, [*notes[1:], None], strict=True)
        if after is None or after.start > note.start
    ]
