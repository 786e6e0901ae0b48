"""synthband as sound: in tune, in time, never clipped, and the same to the bit whatever was rendered before."""

import itertools

import numpy as np
import pytest

from jukemir_like.synthband.drums import GROOVES, WALTZES
from jukemir_like.synthband.genres import GENRES, VOICES
from jukemir_like.synthband.plan import STEMS, Note, Part
from jukemir_like.synthband.rendering import play, render, soundfont_path
from jukemir_like.synthband.song import Event, compose, perform

pytest.importorskip("tinysoundfont")

RATE = 22050
INDICES = (0, 26, 16)  # with choirs and strings, with the orchestra's drums, with distorted guitars


@pytest.fixture(scope="module")
def rendered():
    return {index: render(compose(0, index)) for index in INDICES}


def decibels(samples):
    return 10 * np.log10(np.mean(np.square(samples, dtype=np.float64), axis=-1) + 1e-20)


def test_a_song_sounds_the_same_alone_and_after_others(rendered):
    for index in reversed(INDICES):
        assert np.array_equal(render(compose(0, index)), rendered[index])


def test_four_stems_of_thirty_seconds_within_the_peak(rendered):
    for stems in rendered.values():
        assert stems.shape == (4, 30 * RATE)
        assert stems.dtype == np.float32
        assert np.isfinite(stems).all()
        assert np.abs(stems).max() <= 0.951


def test_the_mix_has_the_annotated_loudness(rendered):
    for index, stems in rendered.items():
        assert decibels(stems.mean(axis=0)) == pytest.approx(compose(0, index).loudness, abs=0.1)


def test_no_stem_is_silent_nor_drowned(rendered):
    for stems in rendered.values():
        levels = decibels(stems)
        assert levels.min() > -45
        assert np.ptp(levels) < 16
        seconds = decibels(stems.reshape(4, 30, RATE))
        assert ((seconds > levels[:, None] - 30).mean(axis=1) > 0.6).all()


def test_channels_are_the_named_stems(rendered):
    """Order: bass lowest, drums brightest and most percussive."""
    for stems in rendered.values():
        spectrum = np.abs(np.fft.rfft(stems)) ** 2
        frequencies = np.fft.rfftfreq(stems.shape[1], 1 / RATE)
        centroids = (spectrum * frequencies).sum(axis=1) / spectrum.sum(axis=1)
        assert centroids.argmin() == STEMS.index("bass")
        frames = stems[:, : 29 * RATE].reshape(4, -1, 441)
        energy = np.log10(np.mean(frames**2, axis=2) + 1e-7)
        assert np.diff(energy, axis=1).clip(0).mean(axis=1).argmax() == STEMS.index("drums")


@pytest.mark.parametrize("program", [0, 24, 33, 48, 52, 81])
def test_a_bend_and_a_tuning_are_worth_what_they_say(program):
    """Two semitones of either raise the frequency by 2^(2/12); measured by the lag of the largest autocorrelation."""
    key = 57

    def period(bend=0.0, tuning=0.0):
        events = [Event(0, 1, 0, -1, bend), Event(0, 2, 0, key, 100)]
        sound = play(Part(program, (), tuning=tuning), events, RATE)[RATE // 4 : RATE // 2].astype(np.float64)
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 1 << 18)) ** 2
        correlation = np.fft.irfft(spectrum)
        # Bends of up to two semitones: the period of A3, 100 samples, lies between 80 and 125.
        return 80 + np.argmax(correlation[80:125])

    plain = period()
    assert plain == pytest.approx(RATE / 220, abs=1.5)
    for shifted in (period(bend=2.0), period(tuning=2.0)):
        assert plain / shifted == pytest.approx(2 ** (2 / 12), rel=0.02)


def test_notes_begin_at_their_sample():
    sound = play(Part(0, (), bank=128), [Event(10_001, 2, 0, 37, 127)], RATE)
    assert not sound[:10_001].any()
    assert np.abs(sound[10_001:10_401]).max() > 0.01


def test_notes_end():
    """A sustained pad has died away a second after its key was let go."""
    sound = play(Part(16, ()), [Event(0, 2, 0, 60, 100), Event(RATE, 0, 0, 60, 0)], 3 * RATE)
    assert decibels(sound[2 * RATE :]) < decibels(sound[:RATE]) - 40


def test_players_are_human_but_in_time():
    song = next(song for song in map(compose, itertools.repeat(0), range(40)) if song.plan.role.genre == "jazz")
    (part,) = song.stems["bass"]
    events = perform(part, song.plan, 0.0, np.random.default_rng(0))
    played = np.array([event.sample / RATE for event in events if event.order == 2])
    written = np.array([song.plan.seconds(note.start) for note in part.notes])
    written = written[written < 29.9][: len(played)]
    deviations = played[: len(written)] - written
    assert 0.003 < deviations.std() < 0.03
    assert abs(deviations.mean()) < 0.01


def test_swing_moves_the_offbeat_and_nothing_else():
    song = next(song for song in map(compose, itertools.repeat(0), range(60)) if song.plan.swing > 0.56 and song.plan.swing_unit == 1.0)
    plan = song.plan
    beat = 60 / plan.bpm
    for number in range(8):
        assert plan.seconds(number) == pytest.approx(plan.upbeat_seconds + number * beat)
        assert plan.seconds(number + 0.5) - plan.seconds(number) == pytest.approx(plan.swing * beat)


def test_the_sung_line_glides_and_has_vibrato():
    plan = compose(0, 0).plan
    part = Part(53, (Note(0, 4, 60, 90), Note(4, 8, 64, 90)), sung=True)
    events = perform(part, plan, 0.0, np.random.default_rng(1))
    bends = {channel: [event.value for event in events if event.key == -1 and event.channel == channel] for channel in (0, 1)}
    assert bends[1][0] == pytest.approx(-2.0, abs=0.2)  # four semitones up: comes from below, two at most
    late = np.array(bends[1][len(bends[1]) // 2 :])
    assert 0.2 < np.ptp(late) < 1.0
    assert np.sum(np.diff(np.sign(late)) != 0) > 4


def test_every_program_and_every_piece_of_the_kits_is_in_the_soundfont():
    import tinysoundfont

    synth = tinysoundfont.Synth(samplerate=RATE)
    font = synth.sfload(str(soundfont_path()))
    programs = {program for genre in GENRES.values() for chair in genre.chairs for program in chair.programs}
    programs |= {program for genre in GENRES.values() for program in genre.bass} | set(VOICES) | {47}
    assert [program for program in programs if synth.sfpreset_name(font, 0, program) is None] == []
    kits = {kit for genre in GENRES.values() for kit in genre.kits}
    assert [kit for kit in kits if synth.sfpreset_name(font, 128, kit) is None] == []
    pieces = {piece for groove in (*GROOVES.values(), *WALTZES.values()) for piece in (*groove.pieces, *groove.keepers)}
    pieces |= {piece for groove in GROOVES.values() for piece, _ in groove.percussion}
    for piece in sorted(pieces):
        sound = play(Part(0, (), bank=128), [Event(0, 2, 0, piece, 110)], RATE // 4)
        assert np.abs(sound).max() > 0.003, piece
