"""Songs for any instruments as MIDI files: those that synthband composes, each part given to an instrument that is drawn.

    python scripts/ensembles.py DIR [--songs N] [--seed S] [--seconds SECONDS] [--start SECONDS]

writes ``DIR/artist NNN/song NNNNN.mid``: the part of each song from ``--start`` on, with the timing of synthband2's players. The bass gets
a program of the basses, drums stay drums, and every other part gets a program of a family that is drawn first, each equally likely, so that
rare instruments are as frequent as usual ones; no two parts of a song have the same. Same seed, same files. Then::

    jukemir-like process midi --audio DIR --stems instruments --name ensembles

The songs are composed here, so nothing is downloaded; how they sound is decided by the soundfonts of ``process``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pretty_midi

from jukemir_like.synthband.editions import SECOND
from jukemir_like.synthband.plan import DRUM_BANK
from jukemir_like.synthband.seeding import stream
from jukemir_like.synthband.song import Song, compose, timed_notes

FAMILIES = (range(8), range(8, 16), range(16, 24), range(24, 32), range(40, 47), range(48, 55), range(56, 64), range(64, 72),
            range(72, 80), range(80, 88), range(88, 96), range(104, 112))  # fmt: skip
"""Programs of each family whose instruments play melodies and chords: all but basses, effects, timpani and what is struck."""
BASSES = range(32, 40)
SHORTEST_NOTE = 0.02  # seconds


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="ensembles.py", description="Songs for any instruments, as MIDI files.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--songs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--start", type=float, default=8.0)
    options = parser.parse_args(arguments)
    for index in range(options.songs):
        song = compose(options.seed, index, SECOND)
        path = options.folder / f"artist {song.plan.role.artist:03d}" / f"song {index:05d}.mid"
        path.parent.mkdir(parents=True, exist_ok=True)
        arranged(song, options.start, options.start + options.seconds).write(str(path))
    print(f"{options.songs:,} songs in {options.folder}")
    return 0


def arranged(song: Song, start: float, end: float) -> pretty_midi.PrettyMIDI:
    """The part of a song from ``start`` to ``end``, in seconds, for instruments that are drawn."""
    rng = stream(song.seed, "ensemble", song.index)
    midi = pretty_midi.PrettyMIDI(resolution=960)
    used: set[int] = set()
    for stem, parts in song.stems.items():
        for number, part in enumerate(parts):
            is_drum = part.bank == DRUM_BANK
            program = part.program if is_drum else drawn(rng, (BASSES,) if stem == "bass" else FAMILIES, used)
            instrument = pretty_midi.Instrument(program, is_drum=is_drum)
            late = song.plan.late_seconds(stem)
            for note in timed_notes(part, song.plan, late, stream(song.seed, f"performance {stem}", song.index, number)):
                if start <= note.start < end - SHORTEST_NOTE:
                    begin, stop = note.start - start, max(min(note.end, end), note.start + SHORTEST_NOTE) - start
                    instrument.notes.append(pretty_midi.Note(note.velocity, note.pitch, begin, stop))
            midi.instruments.append(instrument)
    return midi


def drawn(rng: np.random.Generator, families: Sequence[range], used: set[int]) -> int:
    """A program of a family, the family drawn first; none of those ``used``, to which it is added."""
    while True:
        family = families[int(rng.integers(len(families)))]
        program = int(family[int(rng.integers(len(family)))])
        if program not in used:
            used.add(program)
            return program


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
