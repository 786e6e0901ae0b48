"""The other stem: chord instruments, each with a pattern of its own and smooth voice leading."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jukemir_like.synthband.genres import Chair
from jukemir_like.synthband.harmony import voicing
from jukemir_like.synthband.plan import Note, Part, Plan, Span, shaped_velocity
from jukemir_like.synthband.seeding import pick, pick_steps


@dataclass(frozen=True)
class Pattern:
    """How a chord is played.

    Args:
        kind: ``held`` (once per chord), ``struck`` (whole chords on a rhythm), ``broken`` (one tone after another on a rhythm).
        templates: rhythms to choose from, in the notation of ``seeding.pick_steps``.
        held: length of a note, as a fraction of the time to the next.
        voices: tones in a chord.
        strum_seconds: between the tones of a chord.
        bars: how many bars the sampled rhythm lasts before it repeats.
    """

    kind: str
    templates: tuple[str, ...] = ("9...............",)
    held: float = 0.95
    voices: int = 4
    strum_seconds: float = 0.0
    bars: int = 1


PATTERNS: dict[str, Pattern] = {
    "pad": Pattern("held", held=1.0, voices=4),
    "block": Pattern("struck", ("9.......6...2...", "9...5...8...5...", "9.....4.6...4..."), 1.0),
    "strum8": Pattern("struck", ("9.7.9.7.9.7.9.7.", "9.6.7.6.3.8.7.6."), 0.9, 4, 0.011),
    "strum folk": Pattern("struck", ("9...7.6.3.7.7.6.", "9...8.7.8...8.7."), 0.95, 4, 0.016),
    "scratch": Pattern("struck", ("6.44.544.644.545", "8..5.46..5.55.4."), 0.35, 3, 0.004, 2),
    "power": Pattern("struck", ("9......3..4...4.", "9.....6.7.....5.", "9.......7......."), 1.0, 3),
    "chug": Pattern("struck", ("9.8.8.8.8.8.8.8.", "9.99.99.9.99.99.", "8778877887788778"), 0.45, 2),
    "gallop": Pattern("struck", ("9.999.999.999.99", "99.999.999.999.9", "9.9.99999.9.9999"), 0.5, 2),
    "skank": Pattern("struck", ("..9...9...9...9.", "....9.......9...", "..99..9...99..9."), 0.3, 3, 0.005),
    "bubble": Pattern("struck", ("..7.9.7...7.9.7.", ".8.8.8.8.8.8.8.8", "..9.3.9...9.3.9."), 0.5, 3),
    "comp": Pattern("struck", ("5..4..5.2.4..5.3", "7.....5...4...6.", "..6...4.5.....6."), 0.6, 4, 0.0, 2),
    "charleston": Pattern("struck", ("9.....9.........", "..9.....9.......", "9.....9.....4..."), 0.7, 4, 0.006),
    "stab": Pattern("struck", ("6..5..3.4..5..4.", "....6..3....6.3.", "..5..5..3.5...5."), 0.35, 4, 0.0, 2),
    "horns": Pattern("struck", ("3..5..4.....4.63", "6.6....3..3.....", "....3...5..5.66."), 0.5, 4, 0.0, 2),
    "offbeat": Pattern("struck", ("..9...9...9...9.", "..9..49...9..49."), 0.6, 4),
    "house": Pattern("struck", ("9..9..9...9..9..", "9..9..9..9..9.9.", "..9..9....9..9.."), 0.6, 4),
    "bossa": Pattern("struck", ("9..9..9...9..9..", "9.....9..9....9.", "..9..9....9.9..."), 0.75, 4, 0.004, 2),
    "boom-chick": Pattern("struck", ("....9.......9...", "....9.9.....9.9.", "..9...9...9...9."), 0.45, 4, 0.012),
    "boogie": Pattern("struck", ("9.8.9.8.9.8.9.8.",), 0.7, 2),
    "arp8": Pattern("broken", ("9.9.9.9.9.9.9.9.", "9.9.9.9.9.5.9.5."), 1.3, 4),
    "arp16": Pattern("broken", ("9999999999999999", "9.99.99.9.99.99.", "9797979797979797"), 1.1, 4),
    "alberti": Pattern("broken", ("9.9.9.9.9.9.9.9.", "9999999999999999"), 1.0, 3),
    "pick": Pattern("broken", ("9.8.9.8.9.8.9.8.", "9..99.9.9..99.9.", "9.999.9.9.999.9."), 1.6, 4),
    "loop": Pattern("broken", ("9..6..6.5..6..4.", "6.6..6..6.4.6...", "9.....5..5..6..."), 1.5, 4, 0.0, 2),
}

_POWER_CHORD_PATTERNS = ("power", "chug", "gallop", "boogie")


def accompaniment(plan: Plan, rng: np.random.Generator) -> list[Part]:
    """One part for each chair that this song fills; the first is always filled, later ones enter with the chorus at times."""
    parts = []
    for number, (chair, program) in enumerate(zip(plan.genre.chairs, plan.sound.chairs, strict=True)):
        # Each chair has a generator of its own, advanced whether the chair is used or not, so that one chair does not change another.
        own = np.random.Generator(np.random.PCG64(int(rng.integers(2**63))))
        if own.random() >= chair.chance:
            continue
        if own.random() < 0.15:
            program = pick(own, chair.programs)
        rests = {section for section in ("intro", "verse", "bridge") if number and own.random() < 0.25}
        level = float(own.normal(0, 1.5)) - 3.0 * number
        name = pick(own, chair.patterns)
        parts.append(Part(program, tuple(_play(plan, chair, name, rests, own)), level=level, pattern=name))
    return parts


def _play(plan: Plan, chair: Chair, name: str, rests: set[str], rng: np.random.Generator) -> list[Note]:
    pattern = PATTERNS[name]
    centre = chair.centre + plan.sound.registers[1] + float(rng.normal(0, 1.5))
    order = _order(pattern.voices, rng)
    hits = {section: _hits(plan, pattern, rng) for section in ("verse", "chorus", "bridge")}
    hits["intro"] = hits["verse"]
    if rng.random() < 0.6:
        hits["chorus"] = hits["verse"]
    shape = rng.normal(0, 4, plan.steps_per_bar)
    notes: list[Note] = []
    previous: tuple[int, ...] | None = None
    tone = 0
    for span in plan.spans:
        pitches = _power(span, plan, pattern) if name in _POWER_CHORD_PATTERNS else voicing(span.chord, pattern.voices, centre, previous)
        previous = pitches
        section = plan.section(int(span.start // plan.beats_per_bar)).name
        if section in rests:
            continue
        beats = _beats(span, plan, pattern, hits[section])
        for beat, until in zip(beats, [*beats[1:], span.start + span.length], strict=True):
            step = round(beat * 4) % plan.steps_per_bar
            velocity = shaped_velocity(60 + 38 * plan.energy, step, plan.steps_per_bar, plan.accents, 0.9) + float(shape[step])
            length = max((until - beat) * pattern.held, 0.1)
            if pattern.kind == "broken":
                notes.append(Note(beat, length, pitches[order[tone % len(order)] % len(pitches)], velocity + 6))
                tone += 1
                continue
            strummed = enumerate(pitches if step % 4 == 0 else pitches[::-1])
            notes += [Note(beat, length, pitch, velocity, string * pattern.strum_seconds) for string, pitch in strummed]
    return sorted(notes)


def _hits(plan: Plan, pattern: Pattern, rng: np.random.Generator) -> list[list[int]]:
    template = pick(rng, pattern.templates)[: plan.steps_per_bar]
    boost = [0.5 + 0.5 * accent for accent in plan.accents]
    bars = [pick_steps(rng, template, boost) for _ in range(pattern.bars)]
    return [hits or [0] for hits in bars]


def _beats(span: Span, plan: Plan, pattern: Pattern, hits: list[list[int]]) -> list[float]:
    """The beats on which the pattern sounds during a chord; at least its beginning."""
    if pattern.kind == "held":
        return [span.start]
    end = span.start + span.length
    first, last = int(span.start // plan.beats_per_bar), int((end - 1e-6) // plan.beats_per_bar)
    beats = [
        beat
        for bar in range(first, last + 1)
        for beat in (bar * plan.beats_per_bar + step / 4 for step in hits[bar % len(hits)])
        if span.start <= beat < end
    ]
    return beats or [span.start]


def _order(voices: int, rng: np.random.Generator) -> list[int]:
    """The order in which a broken chord's tones come, lowest is 0."""
    up = list(range(voices))
    orders = (
        up,
        up[::-1],
        up + up[-2:0:-1],
        [0, *up[:0:-1]],
        [0, voices - 1, 1, voices - 1],
        [int(i) for i in rng.permutation(voices)] + [0],
    )
    return pick(rng, orders)


def _power(span: Span, plan: Plan, pattern: Pattern) -> tuple[int, ...]:
    """Root and fifth, and the octave, low on the guitar."""
    lowest = 40 + min(max(plan.sound.registers[1], -2), 2)
    root = lowest + (span.chord.root - lowest) % 12
    fifth = root + (6 if 6 in span.chord.intervals and 7 not in span.chord.intervals else 7)
    return (root, fifth, root + 12)[: pattern.voices]
