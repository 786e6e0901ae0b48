"""Voices: as high as their notes and A4 say, with the formants of their vowels; drums as a synthesiser plays them."""

from dataclasses import replace

import numpy as np
import pytest

from jukemir_like.midi.soundfonts import default_path
from jukemir_like.midi.synthesiser import load
from jukemir_like.synthband.kits import strike
from jukemir_like.synthband.playing import play_events
from jukemir_like.synthband.singers import VOWELS, make_singer
from jukemir_like.synthband.singing import breath, events, glottal_source, sing, with_formants
from jukemir_like.synthband.song import Event, TimedNote, compose, perform

RATE = 22050
SAMPLES = 3 * RATE
STEADY = replace(make_singer(0, 1, 52, 1.0), vibrato_semitones=0.0, unsteadiness=0.0, scoop=0.0)


def sung(singer, *notes):
    return sing([TimedNote(*note) for note in notes], singer, SAMPLES, np.random.default_rng(0))


def spectrum(samples):
    return np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 18))


def test_the_glottal_source_has_the_pitch_of_the_note_and_of_a4():
    for tuning in (435.0, 440.0, 445.0):
        source = glottal_source(sung(STEADY, (0.5, 2.8, 57, 100)), STEADY, tuning, SAMPLES)
        assert not source[: RATE // 2].any()
        low = spectrum(source[RATE : 5 * RATE // 2])[: int(300 * (1 << 18) / RATE)]
        assert np.argmax(low) * RATE / (1 << 18) == pytest.approx(tuning / 2, abs=0.1)


def test_nothing_of_the_glottal_source_is_above_half_the_sample_rate():
    """Aliases would lie between the harmonics."""
    source = glottal_source(sung(STEADY, (0.0, 3.0, 81, 100)), STEADY, 440.0, SAMPLES)[RATE // 2 : 5 * RATE // 2]
    power = np.square(np.abs(np.fft.rfft(source * np.blackman(len(source)))))
    hertz = np.arange(len(power)) / 2
    between = np.abs(hertz / 880 - np.round(hertz / 880)) > 0.05
    assert power[between].sum() < 1e-4 * power.sum()


def test_vibrato_has_its_rate_and_notes_glide_from_the_one_before():
    singer = replace(STEADY, vibrato_semitones=0.5, vibrato_hertz=6.0, vibrato_seconds=0.1)
    first, second = sung(singer, (0.0, 1.0, 60, 90), (1.0, 3.0, 67, 90))
    assert second.bend[0] == pytest.approx(-2.0, abs=0.6)
    late = second.bend[len(second.bend) // 2 :]
    turns = np.sum(np.diff(np.sign(late - late.mean())) != 0)
    assert turns / 2 / (len(late) * np.diff(second.offsets)[0] / RATE) == pytest.approx(6.0, rel=0.2)
    channels = [event.channel for event in events([first, second]) if event.order == 2]
    assert channels == [0, 1]


def test_without_formants_the_filter_changes_the_level_alone():
    flat = replace(STEADY, gains=(0.0, 0.0, 0.0), ring=0.0)
    source = np.random.default_rng(0).standard_normal(SAMPLES).astype(np.float32)
    out = with_formants(source, sung(flat, (0.1, 1.0, 60, 90), (1.2, 2.0, 62, 90)), flat)
    assert out == pytest.approx(source * 10 ** (-6 / 20), abs=1e-5)


def test_the_formants_of_the_vowel_are_those_that_are_measured():
    for place in (0, 4, 7):
        singer = replace(STEADY, vowels=(place,), head=(1.0, 1.0, 1.0), ring=0.0, width=0.15)
        white = np.random.default_rng(1).standard_normal(SAMPLES).astype(np.float32)
        power = np.square(spectrum(with_formants(white, sung(singer, (0.0, 3.0, 60, 90)), singer)))
        hertz = np.arange(len(power)) * RATE / (1 << 18)

        def level(centre, power=power, hertz=hertz):
            return 10 * np.log10(power[np.abs(hertz / centre - 1) < 0.05].mean())

        for formant in VOWELS[place]:
            assert level(formant) > level(8000) + 4


def test_breath_is_heard_with_the_notes_alone():
    noise = breath(sung(STEADY, (0.5, 1.0, 60, 127)), STEADY, SAMPLES, np.random.default_rng(0))
    assert not noise[: RATE // 2 - 1000].any()
    assert not noise[RATE + 1000 :].any()
    assert noise[RATE // 2 : RATE].std() > 0.5


def test_artists_sing_with_voices_of_their_own():
    singers = [make_singer(0, artist, 52, 1.0) for artist in range(60)]
    assert len(set(singers)) == 60
    assert {len(singer.patches) for singer in singers} == {1, 2}
    assert all(3 <= len(set(singer.vowels)) == len(singer.vowels) <= 7 for singer in singers)
    assert all(singer.patches[0].program == 52 for singer in singers)
    assert all(len({patch.program for patch in singer.patches}) == len(singer.patches) for singer in singers)


def test_drums_struck_are_drums_played():
    pytest.importorskip("tinysoundfont")
    synth = load(str(default_path()), RATE, mono=True)
    song = compose(0, 16)
    (kit, *_) = song.stems["drums"]
    strokes = perform(kit, song.plan, 0.0, np.random.default_rng(0))
    struck = strike(synth, kit.program, kit.tuning, strokes, 10 * RATE)
    played = play_events(synth, 128, kit.program, kit.tuning, strokes, 10 * RATE, channels=1)[:, 0]
    assert np.corrcoef(struck, played)[0, 1] > 0.99
    assert struck.std() == pytest.approx(played.std(), rel=0.02)


def test_a_closed_hihat_ends_an_open_one():
    pytest.importorskip("tinysoundfont")
    synth = load(str(default_path()), RATE, mono=True)
    for key, is_ended in ((42, True), (37, False)):
        strokes = sorted(Event(at, 2, 0, what, 100) for at, what in ((0, 46), (2205, key)))
        other = strike(synth, 0, 0.0, strokes[1:], RATE)
        left = strike(synth, 0, 0.0, strokes, RATE) - other
        assert (np.abs(left[2205 + 221 :]).max() < 1e-6) == is_ended
