"""What is heard of an instrument: pitch, level, time. Expected values are those of General MIDI, in closed form."""

import numpy as np
import pytest

from jukemir_like.core.errors import InputError
from jukemir_like.midi.reading import Instrument, Note
from jukemir_like.midi.soundfonts import default_path
from jukemir_like.midi.synthesiser import SAMPLE_RATE, _program, play

pytest.importorskip("tinysoundfont")

A = Note(0.0, 2.0, 69, 100)
ORGAN = 19  # of steady level
FLUTE = 73
RANGE_OF_AN_OCTAVE = ((0.0, 101, 0), (0.0, 100, 0), (0.0, 6, 12), (0.0, 38, 0))


def played(program=ORGAN, *, notes=(A,), seconds=2.0, drums=False, **more):
    return play(default_path(), Instrument(program, drums, tuple(notes), **more), round(seconds * SAMPLE_RATE))


def level(samples):
    return 20 * np.log10(np.sqrt(np.mean(np.square(samples[SAMPLE_RATE // 2 : SAMPLE_RATE * 3 // 2].astype(np.float64)))))


def frequency(samples):
    """In Hz, of the strongest partial."""
    window = samples[SAMPLE_RATE // 2 : SAMPLE_RATE * 3 // 2] * np.hanning(SAMPLE_RATE)
    return float(np.argmax(np.abs(np.fft.rfft(window, 4 * SAMPLE_RATE)))) / 4


def test_a_note_has_its_pitch_and_bends_by_two_semitones_or_what_the_file_asks_for():
    straight = frequency(played(FLUTE))
    assert straight == pytest.approx(440, rel=0.01)
    for bend, controls, semitones in ((8191, (), 2), (-8192, (), -2), (4096, RANGE_OF_AN_OCTAVE, 6), (8191, RANGE_OF_AN_OCTAVE, 12)):
        bent = frequency(played(FLUTE, controls=controls, bends=((0.0, bend),)))
        assert bent / straight == pytest.approx(2 ** (semitones / 12), rel=0.004), (bend, semitones)


def test_the_range_of_bends_is_two_semitones_again_for_the_next_instrument():
    before = played(FLUTE, bends=((0.0, 8191),))
    played(FLUTE, controls=RANGE_OF_AN_OCTAVE, bends=((0.0, 8191),))
    assert np.array_equal(before, played(FLUTE, bends=((0.0, 8191),)))


@pytest.mark.parametrize(("volume", "expression"), [(127, 127), (64, 127), (127, 64), (64, 64), (20, 100), (127, 5)])
def test_volume_and_expression_are_forty_decibels_a_decade_each(volume, expression):
    """The recommendation of General MIDI (RP-015 and level 2): L = 40 log10(value / 127)."""
    loudest = level(played(controls=((0.0, 7, 127),)))
    quieter = level(played(controls=((0.0, 7, volume), (0.0, 11, expression))))
    assert quieter - loudest == pytest.approx(40 * np.log10(volume / 127) + 40 * np.log10(expression / 127), abs=0.1)


def test_volume_is_a_hundred_where_the_file_says_nothing_and_nothing_is_heard_at_zero():
    assert np.array_equal(played(), played(controls=((0.0, 7, 100),)))
    assert np.abs(played(controls=((0.0, 7, 0),))).max() < 1e-4


def test_a_change_of_volume_is_heard_in_a_note_that_sounds():
    samples = played(controls=((0.0, 7, 127), (1.0, 7, 64)))
    before, after = (level(np.concatenate([samples[at : at + SAMPLE_RATE // 2]] * 3)) for at in (SAMPLE_RATE // 2, SAMPLE_RATE * 5 // 4))
    assert after - before == pytest.approx(40 * np.log10(64 / 127), abs=0.5)


def test_a_note_begins_and_ends_when_it_should():
    samples = np.abs(played(notes=[Note(0.5, 1.0, 69, 100)], seconds=3.0))
    begin, end = round(0.5 * SAMPLE_RATE), round(1.0 * SAMPLE_RATE)
    assert samples[:begin].max() == 0
    assert samples[begin : begin + SAMPLE_RATE // 20].max() > 0.01
    assert samples[begin:end].max() > 100 * samples[end + SAMPLE_RATE :].max()


def test_what_was_played_before_leaves_no_trace():
    notes = [Note(0.1 * number, 0.1 * number + 0.3, 50 + number, 90) for number in range(8)]
    once = played(33, notes=notes)
    assert np.abs(once).max() > 0.01
    played(0, notes=[Note(0.0, 2.0, 36, 127)], drums=True, controls=((0.0, 7, 3), (0.5, 101, 0), (0.5, 100, 2), (0.5, 6, 90)))
    played(90, notes=[Note(0.0, 5.0, key, 127) for key in range(30, 90)], bends=((0.1, -4000),))
    assert np.array_equal(once, played(33, notes=notes))


def test_drums_are_not_a_piano():
    struck = [Note(0.0, 0.1, 38, 100)]
    assert not np.array_equal(played(0, notes=struck, drums=True), played(0, notes=struck))


class FewPrograms:
    """A soundfont's presets."""

    def __init__(self, *presets):
        self.presets = presets

    def sfpreset_name(self, sfid, bank, program):
        return "a" if (bank, program) in self.presets else None


def test_a_soundfont_without_the_program_plays_another_one_of_its_family(tmp_path):
    few = FewPrograms((0, 33), (0, 34), (128, 0))
    programs = [(33, False), (34, False), (32, False), (39, False), (0, True), (25, True)]
    assert [_program(few, tmp_path, Instrument(*one, ())) for one in programs] == [33, 34, 33, 33, 0, 0]
    with pytest.raises(InputError, match="has no program 40 or its family"):
        _program(few, tmp_path / "few.sf2", Instrument(40, False, ()))
    with pytest.raises(InputError, match=r"few\.sf2 has no drums"):
        _program(FewPrograms((0, 0)), tmp_path / "few.sf2", Instrument(0, True, ()))
