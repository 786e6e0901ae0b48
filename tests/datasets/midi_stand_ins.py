"""Small songs as MIDI files."""

import numpy as np
import pretty_midi

PIANO, BASS, CHOIR = 0, 33, 52


def write_song(path, seed, *, seconds=10.0, programs=(PIANO, BASS, CHOIR), drums=True, controls=()):
    """A song of random notes: an instrument per program and, where asked for, a drum kit; ``controls`` are changes of every instrument."""
    rng = np.random.default_rng(seed)
    midi = pretty_midi.PrettyMIDI()
    kits = [pretty_midi.Instrument(program) for program in programs]
    kits += [pretty_midi.Instrument(0, is_drum=True)] if drums else []
    for instrument in kits:
        for start in np.arange(0, seconds, 0.5):
            instrument.notes.append(pretty_midi.Note(90, int(rng.integers(36, 60)), start, start + 0.5))
        instrument.control_changes = [pretty_midi.ControlChange(number, value, 0) for number, value in controls]
        midi.instruments.append(instrument)
    path.parent.mkdir(parents=True, exist_ok=True)
    midi.write(str(path))
    return path
