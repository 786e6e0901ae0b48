"""From a MIDI file to instruments with notes and controllers, in seconds.

Read by mido and pretty_midi: an instrument is what one program plays on one channel of one track; channel 10 is the drums. Here the sustain
pedal becomes longer notes, which a synthesiser without pedals plays. Files of others can be damaged or absurd (days long, with millions
of notes), so size, length and number of notes have limits, and whatever a parser stumbles over is an :class:`InputError`.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jukemir_like.core import files
from jukemir_like.core.errors import InputError

EXTENSIONS = (".kar", ".mid", ".midi")
LONGEST_SECONDS = 600.0
MOST_NOTES = 100_000
DRUMS = 16
"""The family of drums, after the sixteen of programs."""

_MOST_BYTES = 8 << 20
_MOST_TICKS = 10_000_000  # pretty_midi keeps the time of every tick
_SUSTAIN = 64
_PEDAL_DOWN = 64  # values from here on
_NAME_OF_DRUMS = "Drums"


@dataclass(frozen=True)
class Note:
    """A note: times in seconds, key and velocity 0 to 127."""

    start: float
    end: float
    key: int
    velocity: int


@dataclass(frozen=True)
class Instrument:
    """What one program plays.

    Args:
        program: 0 to 127 as in General MIDI; of drums, the kit.
        is_drums: whether it is on channel 10.
        notes: at least one, by start; the sustain pedal is in their ends.
        controls: (seconds, controller, value) by time; the sustain pedal is left out.
        bends: (seconds, -8192 to 8191) by time.
    """

    program: int
    is_drums: bool
    notes: tuple[Note, ...]
    controls: tuple[tuple[float, int, int], ...] = ()
    bends: tuple[tuple[float, int], ...] = ()

    @property
    def family(self) -> int:
        """Of General MIDI: 0 (pianos) to 15 (sound effects); :data:`DRUMS` of drums."""
        return DRUMS if self.is_drums else self.program // 8

    @property
    def names(self) -> tuple[str, ...]:
        """The program and its family as General MIDI calls them; of drums, ``Drums``.

        >>> Instrument(33, False, ()).names
        ('Electric Bass (finger)', 'Bass')
        """
        import pretty_midi

        if self.is_drums:
            return (_NAME_OF_DRUMS,)
        return pretty_midi.program_to_instrument_name(self.program), pretty_midi.program_to_instrument_class(self.program)


def read(path: Path) -> list[Instrument]:
    """The instruments of a MIDI file that play notes, in the file's order.

    Raises:
        InputError: it cannot be read, is no MIDI file or damaged, has no notes, or is beyond the limits.
    """
    try:
        return parse(files.read_regular(path))
    except OSError as error:
        raise InputError(files.refusal(error)) from error


def digest(path: Path) -> str:
    """SHA-256 of the file's bytes.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return files.sha256(path)
    except OSError as error:
        raise InputError(files.refusal(error)) from error


def parse(content: bytes) -> list[Instrument]:
    """As :func:`read`, from the bytes of a file.

    >>> parse(b"RIFF")
    Traceback (most recent call last):
    jukemir_like.core.errors.InputError: is no MIDI file, or damaged (EOFError)
    """
    if len(content) > _MOST_BYTES:
        raise InputError(f"is larger than {_MOST_BYTES >> 20} MiB, the most for a MIDI file")
    try:
        parsed = _pretty(content)
    except (InputError, ImportError):
        raise
    except Exception as error:  # whatever the two libraries raise: damage shows itself as IndexError, ZeroDivisionError and others
        raise InputError(f"is no MIDI file, or damaged ({type(error).__name__})") from error
    instruments = [instrument for instrument in map(_instrument, parsed.instruments) if instrument.notes]
    if not instruments:
        raise InputError("has no notes")
    if sum(len(instrument.notes) for instrument in instruments) > MOST_NOTES:
        raise InputError(f"has more than {MOST_NOTES:,} notes")
    if end_seconds(instruments) > LONGEST_SECONDS:
        raise InputError(f"is longer than {LONGEST_SECONDS:g} s")
    return instruments


def start_seconds(instruments: Sequence[Instrument]) -> float:
    """When the first note begins."""
    return min(instrument.notes[0].start for instrument in instruments)


def end_seconds(instruments: Sequence[Instrument]) -> float:
    """When the last note ends."""
    return max(note.end for instrument in instruments for note in instrument.notes)


def sha256(content: bytes) -> str:
    """Of the bytes of a file, as :func:`digest`."""
    return hashlib.sha256(content).hexdigest()


def _pretty(content: bytes) -> Any:
    import mido
    import pretty_midi

    midi = mido.MidiFile(file=io.BytesIO(content), clip=True)
    midi.tracks = [track for track in midi.tracks if len(track)]
    if midi.type == 2:
        raise InputError("holds several songs (MIDI format 2)")
    if midi.ticks_per_beat <= 0:
        raise InputError("counts frames of film, not beats (SMPTE time)")
    if any(sum(message.time for message in track) > _MOST_TICKS for track in midi.tracks):
        raise InputError(f"is longer than {_MOST_TICKS:,} ticks")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tempo changes beside the first track: said in the documents
        return pretty_midi.PrettyMIDI(mido_object=midi)


def _instrument(parsed: Any) -> Instrument:
    # Sorted by time alone: the order of two changes at one time is the file's.
    controls = [
        (float(change.time), int(change.number), int(change.value))
        for change in sorted(parsed.control_changes, key=lambda change: float(change.time))
    ]
    notes = sorted(
        (Note(float(note.start), float(note.end), int(note.pitch), int(note.velocity)) for note in parsed.notes),
        key=lambda note: (note.start, note.key, note.end, note.velocity),
    )
    if not parsed.is_drum:
        pedal = [(seconds, value >= _PEDAL_DOWN) for seconds, number, value in controls if number == _SUSTAIN]
        notes = sustained(notes, pedal)
    return Instrument(
        int(parsed.program),
        bool(parsed.is_drum),
        tuple(notes),
        tuple(control for control in controls if control[1] != _SUSTAIN),
        tuple((float(bend.time), int(bend.pitch)) for bend in sorted(parsed.pitch_bends, key=lambda bend: float(bend.time))),
    )


def sustained(notes: Sequence[Note], pedal: Sequence[tuple[float, bool]]) -> list[Note]:
    """Notes that end while the pedal is down, held until it is lifted or the key is struck again; a pedal never lifted holds nothing.

    Args:
        notes: by start.
        pedal: (seconds, whether it is down) by time.

    >>> sustained([Note(0, 1, 60, 90), Note(3, 4, 60, 90)], [(0.5, True), (2, False), (3.5, True), (9, False)])
    [Note(start=0, end=2, key=60, velocity=90), Note(start=3, end=9, key=60, velocity=90)]
    """
    spans: list[tuple[float, float]] = []  # when the pedal is down
    down: float | None = None
    for seconds, is_down in pedal:
        if is_down and down is None:
            down = seconds
        elif not is_down and down is not None:
            spans.append((down, seconds))
            down = None
    if not spans:
        return list(notes)
    since = [begin for begin, _ in spans]
    starts: dict[int, list[float]] = defaultdict(list)
    for note in notes:
        starts[note.key].append(note.start)
    held = []
    for note in notes:
        span = bisect_right(since, note.end) - 1
        lifted = max(note.end, spans[span][1]) if span >= 0 else note.end
        later = bisect_left(starts[note.key], note.end)
        struck = starts[note.key][later] if later < len(starts[note.key]) else lifted
        held.append(Note(note.start, min(lifted, struck), note.key, note.velocity))
    return held
