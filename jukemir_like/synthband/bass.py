"""The bass stem: lines that follow the chords, by rhythm and by role, and lead into the next chord with approach notes.

A line is a template of one character per sixteenth: ``R`` root, ``5`` fifth (or the chord's altered one), ``3`` third, ``7`` seventh or
sixth, ``8`` octave, ``-`` hold, ``.`` rest, ``?`` may sound here (a song decides once, by its accents). Walking lines are composed beat by
beat.
"""

from __future__ import annotations

import numpy as np

from jukemir_like.synthband.harmony import SCALES, Chord, scale_over
from jukemir_like.synthband.plan import Note, Part, Plan, shaped_velocity
from jukemir_like.synthband.seeding import pick

LINES: dict[str, tuple[str, ...]] = {
    "roots": ("R-R-R-R-R-R-R-R-", "R---R---R---R---", "R-R-R-R-R-R-5-R-", "R-----R-R-----R-", "R-R-.-R-R-R-.-R-"),
    "fifths": ("R-------5-------", "R---5---R---5---", "R-----?-5-----?-", "R-----R-5-----5-", "R---3---5---3---"),
    "octaves": ("R-8-R-8-R-8-R-8-", "R.8.R.8.R.8.R.8?", "R--8--R-8--R--8-", "R.?8R.?8R.8.5.8."),
    "slap": ("R..8.?R..?.8.?7.", "R.8..7.R..8.?5.?", "RR.8.?.R.?8.R.7?"),
    "riff": ("R.??.?R?.??.5??.", "R?.?5.??R.?.?7??", "R..?R.?.??R.?.8?", "R.?.??R.?.?.7.5?"),
    "dotted": ("R-----5-R-----5-", "R-----5-5-----R-", "R-----R-5-----5-", "R----5--R----8--", "R---------5---8-"),
    "tumbao": ("R-----5-----8---", "R--.--5-----R---", "R-----8---5-R---"),
    "pedal": ("R---------------", "R-----------5---", "R-------R-------", "R-----------R---"),
    "gallop": ("R.RRR.RRR.RRR.RR", "RRR.RRR.RRR.RRR.", "R.R.RRR.R.R.RRR.", "RRRRR.RRRRRRR.RR"),
    "offbeat": ("..R-..R-..R-..R-", "..R-..8-..R-..8-", "R.R-..R-..R-.?R-", "..RR..RR..RR..8?", "R..R..R.R..R..5."),
    "dub": ("....R--.5.?.R---", "R--.....?.5-8---", "R-R-5.?...3-R---", "R-----..3-5-?...", "..R-R-..5--.R---"),
    "boogie": ("R-R-3-3-5-5-7-5-", "R-3-5-7-8-7-5-3-", "R-R-5-5-7-7-5-5-", "R---3---5---7---"),
    "kick": ("R--?..?.R..?.?..", "R-----?...R-..?.", "R--------?.-R-?.", "R..-..R-----?..."),
    "two feel": ("R-------5-------", "R-------5-----3-", "R------.5---3---"),
    "continuo": ("R---R---R---R---", "R-3-5-3-R-3-5-3-", "R---3---5---3---", "R-------R---5---", "R-8-R-8-R-5-R-8-"),
}
WALKING = "walking"

_HELD = {"roots": 0.9, "octaves": 0.7, "slap": 0.45, "riff": 0.75, "gallop": 0.6, "offbeat": 0.8, "boogie": 0.85, "kick": 1.2}
_ROLES: dict[str, tuple[int, ...]] = {"R": (0,), "8": (0,), "5": (7, 6, 5), "3": (4, 3, 5, 7), "7": (10, 11, 9, 7)}


def bass(plan: Plan, rng: np.random.Generator) -> list[Part]:
    """The bass part."""
    lowest = 29 + plan.sound.registers[0]
    name = pick(rng, plan.genre.bass_lines)
    approaches = 0.15 + 0.55 * float(rng.random())
    if name == WALKING:
        notes = _walk(plan, lowest, rng)
    else:
        lines = {section: _line(name, plan, rng) for section in ("verse", "chorus", "bridge")}
        lines["intro"] = lines["verse"]
        if rng.random() < 0.5:
            lines["chorus"] = lines["verse"]
        notes = []
        for section in plan.sections:
            for bar in range(section.start_bar, section.start_bar + section.bars):
                notes += _bar(lines[section.name], plan, bar, lowest, _HELD.get(name, 0.95))
        notes = _approach(notes, plan, approaches, rng)
    return [Part(plan.sound.bass, tuple(notes), pattern=name)]


def _line(name: str, plan: Plan, rng: np.random.Generator) -> str:
    """This song's version of a line: optional onsets decided, at times one role changed and one onset dropped."""
    characters = list(pick(rng, LINES[name])[: plan.steps_per_bar])
    for step, character in enumerate(characters):
        if character == "?":
            characters[step] = pick(rng, "RR578") if rng.random() < 0.35 * plan.accents[step] + 0.2 * plan.energy else "."
    later = [step for step, character in enumerate(characters) if character in _ROLES and step]
    if later and rng.random() < 0.6:
        characters[pick(rng, later)] = pick(rng, "R5583")
    if len(later) > 3 and rng.random() < 0.4:
        characters[pick(rng, later)] = "-"
    return "".join(characters)


def _bar(line: str, plan: Plan, bar: int, lowest: int, held: float) -> list[Note]:
    onsets = [step for step, character in enumerate(line) if character in _ROLES]
    notes = []
    for number, step in enumerate(onsets):
        beat = bar * plan.beats_per_bar + step / 4
        end = next((s for s in range(step + 1, len(line)) if line[s] != "-"), len(line))
        span = plan.span(beat)
        # A chord that begins within the bar is introduced by its root.
        role = "R" if beat == span.start and number else line[step]
        length = min((end - step) / 4 * held, span.start + span.length - beat)
        notes.append(Note(beat, max(length, 0.12), _pitch(span.chord, role, lowest), _velocity(plan, step)))
    return notes


def _pitch(harmony: Chord, role: str, lowest: int) -> int:
    root = lowest + (harmony.root - lowest) % 12
    if role in "R8":
        return root + (12 if role == "8" else 0)
    tone = harmony.tone(*_ROLES[role])
    above = root + (tone - root) % 12
    return above - 12 if above > lowest + 14 else above


def _velocity(plan: Plan, step: int) -> float:
    return shaped_velocity(70 + 36 * plan.energy, step, plan.steps_per_bar, plan.accents, 0.8)


def _approach(notes: list[Note], plan: Plan, chance: float, rng: np.random.Generator) -> list[Note]:
    """Turns some off-beat notes before a new chord into neighbours of the next note: a semitone below, or a step of the scale."""
    varied = []
    for note, after in zip(notes, [*notes[1:], None], strict=True):
        if after is not None and note.start % 1 and plan.span(after.start) is not plan.span(note.start) and rng.random() < chance:
            note = note._replace(pitch=_neighbour(plan, after, rng))
        varied.append(note)
    return varied


def _neighbour(plan: Plan, target: Note, rng: np.random.Generator) -> int:
    steps = SCALES[plan.role.mode]
    scale = scale_over(plan.role.tonic, steps, plan.following(target.start - 0.25).chord)
    options = [target.pitch - 1] + [target.pitch + move for move in (-2, 1, 2) if (target.pitch + move) % 12 in scale]
    return pick(rng, options)


def _walk(plan: Plan, lowest: int, rng: np.random.Generator) -> list[Note]:
    """One note per beat: the root where a chord begins, then steps and chord tones in one direction, an approach note at its end."""
    notes: list[Note] = []
    highest = lowest + 19
    previous = lowest + 7
    skips = 0.1 + 0.15 * float(rng.random())
    for span in plan.spans:
        beats = round(span.length)
        target = plan.following(span.start).chord.root
        scale = scale_over(plan.role.tonic, SCALES[plan.role.mode], span.chord)
        direction = 1 if previous < (lowest + highest) / 2 else -1
        for beat in range(beats):
            if beat == 0:
                pitch = _nearest(previous, {span.chord.root}, lowest, highest)
            elif beat == beats - 1 and rng.random() < 0.75:
                goal = _nearest(previous, {target}, lowest, highest)
                pitch = goal + pick(rng, (-1, 1, -2, 2) if goal > lowest + 1 else (1, 2))
            else:
                wanted = set(span.chord.pitch_classes) if beat % 2 == 0 else set(scale)
                pitch = _nearest(previous + direction * pick(rng, (2, 3, 4)), wanted, lowest, highest)
            step = (beat * 4 + round(span.start * 4)) % plan.steps_per_bar
            notes.append(Note(span.start + beat, 0.92, pitch, _velocity(plan, step)))
            if rng.random() < skips:
                notes.append(Note(span.start + beat + 0.5, 0.4, pitch, _velocity(plan, step) - 14))
            previous = pitch
    return notes


def _nearest(pitch: int, classes: set[int], lowest: int, highest: int) -> int:
    """The pitch of one of ``classes`` nearest to ``pitch`` within the range, which must span an octave or more."""
    options = [option for option in range(lowest, highest + 1) if option % 12 in classes]
    return min(options, key=lambda option: (abs(option - pitch), option))
