"""Notes and controllers as they are in a file, the sustain pedal, and files that are damaged or absurd."""

import io
import struct

import mido
import numpy as np
import pretty_midi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jukemir_like.core.errors import InputError
from jukemir_like.midi import reading
from jukemir_like.midi.reading import Note, parse, read, sustained


def written(*tracks, **header):
    """The bytes of a MIDI file with these messages."""
    midi = mido.MidiFile(**header)
    for messages in tracks:
        midi.tracks.append(mido.MidiTrack(messages))
    buffer = io.BytesIO()
    midi.save(file=buffer)
    return buffer.getvalue()


def note(start, length, key=60, channel=0):
    return [
        mido.Message("note_on", channel=channel, note=key, velocity=80, time=start),
        mido.Message("note_off", channel=channel, note=key, time=length),
    ]


def test_times_follow_the_tempo_and_channel_ten_is_the_drums():
    tempo = mido.MetaMessage("set_tempo", tempo=1_000_000)  # a beat a second
    song = written(
        [tempo, *note(480, 240), *note(0, 480, 64)],
        [mido.Message("program_change", channel=9, program=8), *note(0, 10, 36, channel=9)],
        ticks_per_beat=480,
    )
    first, drums = parse(song)
    assert [(found.start, found.end, found.key, found.velocity) for found in first.notes] == [(1, 1.5, 60, 80), (1.5, 2.5, 64, 80)]
    assert (first.program, first.is_drums, first.names) == (0, False, ("Acoustic Grand Piano", "Piano"))
    assert (drums.program, drums.is_drums, drums.names) == (8, True, ("Drums",))
    assert (reading.start_seconds([first, drums]), reading.end_seconds([first, drums])) == (0, 2.5)


def test_two_programs_on_one_channel_are_two_instruments():
    song = written([*note(0, 480), mido.Message("program_change", program=40), *note(0, 480)])
    assert [instrument.program for instrument in parse(song)] == [0, 40]


def test_controllers_and_bends_are_kept_in_order_and_the_pedal_is_not():
    changes = [mido.Message("control_change", control=number, value=value) for number, value in ((101, 0), (100, 0), (6, 12), (64, 127))]
    (instrument,) = parse(written([*changes, mido.Message("pitchwheel", pitch=4096, time=480), *note(0, 480)]))
    assert instrument.controls == ((0, 101, 0), (0, 100, 0), (0, 6, 12))
    assert instrument.bends == ((0.5, 4096),)


def pedalled(notes, pedal):
    """By the definition: a millisecond after the other, whether each note still sounds."""
    held = []
    for one in notes:
        end = round(one.end * 1000)
        strikes = {round(other.start * 1000) for other in notes if other.key == one.key and other.start >= one.end}
        lifts = [round(seconds * 1000) for seconds, is_down in pedal if not is_down]
        while end not in strikes and _down(pedal, end) and any(lift > end for lift in lifts):
            end += 1
        held.append((one.start, end / 1000))
    return held


def _down(pedal, millisecond):
    state = False
    for seconds, is_down in pedal:
        if round(seconds * 1000) <= millisecond:
            state = is_down
    return state


@pytest.mark.parametrize("seed", range(20))
def test_the_pedal_holds_notes_until_it_is_lifted_or_the_key_is_struck(seed):
    rng = np.random.default_rng(seed)
    notes, now = [], 0.0
    for _ in range(12):
        now += int(rng.integers(20, 200)) / 1000
        notes.append(Note(round(now, 3), round(now + int(rng.integers(5, 150)) / 1000, 3), int(rng.integers(60, 63)), 80))
    times = np.unique(rng.integers(0, 2000, 9)) / 1000
    pedal = [(float(seconds), bool(rng.random() < 0.5)) for seconds in times]
    made = [(one.start, round(one.end, 3)) for one in sustained(notes, pedal)]
    assert made == pedalled(notes, pedal)


def test_drums_have_no_pedal():
    pedal = [mido.Message("control_change", channel=9, control=64, value=127)]
    lifted = mido.Message("control_change", channel=9, control=64, value=0, time=4800)
    (drums,) = parse(written([*pedal, *note(0, 48, 36, channel=9), lifted], ticks_per_beat=480))
    assert drums.notes[0].end == pytest.approx(0.05)
    (piano,) = parse(written([pedal[0].copy(channel=0), *note(0, 48), lifted.copy(channel=0)], ticks_per_beat=480))
    assert piano.notes[0].end == pytest.approx(5.05)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no MIDI file, or damaged"),
        (b"MThd junk", "no MIDI file, or damaged"),
        (written([]), "has no notes"),
        (written([mido.MetaMessage("track_name", name="a")]), "has no notes"),
        (written([mido.MetaMessage("set_tempo", tempo=0), *note(0, 480)]), "no MIDI file, or damaged"),
        (written(note(0, 480), type=2), "several songs"),
        (written(note(480 * 1250, 480), ticks_per_beat=480), "longer than 600 s"),
        (written(note(11_000_000, 480), ticks_per_beat=32767), "longer than 10,000,000 ticks"),
        (bytes((8 << 20) + 1), "larger than 8 MiB"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_line(content, message):
    with pytest.raises(InputError, match=message) as error:
        parse(content)
    assert "\n" not in str(error.value)


def test_time_in_frames_is_refused():
    song = bytearray(written(note(0, 480)))
    song[12:14] = struct.pack(">bB", -25, 40)
    with pytest.raises(InputError, match="SMPTE"):
        parse(bytes(song))


def test_the_number_of_notes_has_a_limit(monkeypatch):
    song = written([*note(0, 48), *note(0, 48), *note(0, 48)])
    monkeypatch.setattr(reading, "MOST_NOTES", 3)
    assert len(parse(song)[0].notes) == 3
    monkeypatch.setattr(reading, "MOST_NOTES", 2)
    with pytest.raises(InputError, match="more than 2 notes"):
        parse(song)


SONG = written([mido.MetaMessage("set_tempo", tempo=500_000), *note(0, 480), mido.Message("pitchwheel", pitch=99)], note(0, 96, 36, 9))


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.integers(0, len(SONG) - 1), st.integers(0, 255), max_size=6), st.integers(0, len(SONG)))
def test_damage_is_never_more_than_an_input_error(changes, length):
    damaged = bytearray(SONG)
    for place, value in changes.items():
        damaged[place] = value
    try:
        parse(bytes(damaged[:length]))
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_a_file_is_read_as_its_bytes_are(tmp_path):
    midi = pretty_midi.PrettyMIDI()
    midi.instruments = [pretty_midi.Instrument(12)]
    midi.instruments[0].notes = [pretty_midi.Note(70, 60, 0, 1)]
    midi.write(str(tmp_path / "song.mid"))
    assert read(tmp_path / "song.mid") == parse((tmp_path / "song.mid").read_bytes())
    assert reading.digest(tmp_path / "song.mid") == reading.sha256((tmp_path / "song.mid").read_bytes())
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "missing.mid")
