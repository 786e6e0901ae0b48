"""The page of a search: every candidate in time with the mix, or why not."""

import io

import numpy as np
import pytest
import soundfile

from jukemir_like.deform.key_and_tempo import Change
from jukemir_like.listening.compress import SAMPLE_RATE
from jukemir_like.listening.retrieved import Found, page

RATE = 16000
SCORES = np.float32([0.5, 0.4, 0.1, -0.3, -0.5])


def tone(seconds, click_seconds=()):
    samples = 0.1 * np.sin(2 * np.pi * 300 * np.arange(round(seconds * RATE)) / RATE)
    for place in click_seconds:
        samples[round(place * RATE)] = 0.9
    return samples.astype(np.float32)


@pytest.fixture
def library(tmp_path):
    """A mix of 6 s that is louder from second 3 on, and stems with a click at second 4."""
    mix = tone(6, [4]) * np.where(np.arange(6 * RATE) < 3 * RATE, 0.1, 1)
    (tmp_path / "stems" / "Song").mkdir(parents=True)
    soundfile.write(tmp_path / "Song.wav", mix, RATE)
    soundfile.write(tmp_path / "stems" / "Song" / "bass.wav", tone(6, [4]), RATE)
    soundfile.write(tmp_path / "stems" / "short.wav", tone(1, [0.5]), RATE)
    soundfile.write(tmp_path / "stems" / "ends.wav", tone(4.5, [4]), RATE)
    (tmp_path / "stems" / "changed.wav").write_text("no audio any more")
    return tmp_path / "stems"


def made(library, seconds=2.0):
    found = [Found(1, 0.5, "Song/bass.wav"), Found(2, 0.4, "short.wav"), Found(3, 0.1, "ends.wav"), Found(4, -0.3, "changed.wav")]
    found += [Found(5, -0.5, "removed.wav"), Found(6, -0.6, "ends.wav", offset_seconds=3.5)]
    return page(library.parent / "Song.wav", "bass", library, found, SCORES, seconds=seconds)


def click(sound):
    samples = soundfile.read(io.BytesIO(sound.audio))[0]
    assert len(samples) == 2 * SAMPLE_RATE
    return np.argmax(np.abs(samples)) / SAMPLE_RATE


def test_each_is_heard_in_time_with_the_mix(library):
    (comparison,) = made(library)[0].comparisons
    start = comparison.mix.offset_seconds
    assert start > 0
    bass, short, ends, _, _, part = comparison.candidates
    assert click(comparison.mix) == click(bass) == click(ends) == 4 - start
    assert (bass.offset_seconds, bass.notes) == (start, [f"from 0:0{start:.0f}"])
    assert (short.offset_seconds, click(short)) == (0, 0.5)
    assert short.notes == ["from its beginning, as it is short", "ends after 1 s"]
    assert (part.offset_seconds, click(part)) == (3.5, 0.5)
    assert comparison.seconds == 2


def test_what_cannot_be_read_any_more_is_shown_and_the_rest_goes_on(library):
    shown, failed = made(library)
    assert sorted(failed) == ["changed.wav", "removed.wav"]
    candidates = shown.comparisons[0].candidates
    assert [bool(one.audio) for one in candidates] == [True, True, True, False, False, True]
    assert "no such file" in candidates[4].problem.lower()
    assert candidates[3].problem == failed["changed.wav"]


def test_it_says_what_is_heard_and_where_scores_lie(library):
    shown, _ = made(library)
    (comparison,) = shown.comparisons
    assert comparison.scale == pytest.approx((-0.5, 0.1, 0.5))
    assert (comparison.of, [one.rank for one in comparison.candidates]) == (5, [1, 2, 3, 4, 5, 6])
    assert [one.marks for one in comparison.candidates[:3]] == [["same-track"], [], []]
    assert "of the 0:06 of the mix" in shown.notes[0]
    assert shown.notes[1].startswith("Same track")
    assert "of the mix" not in made(library, seconds=30)[0].notes[0]
    assert made(library, seconds=30)[0].comparisons[0].seconds == 6


def test_stems_are_as_loud_as_the_mix(library):
    """Their levels without the click, which is a peak and no loudness."""
    levels = []
    for sound in (made(library)[0].comparisons[0].mix, made(library)[0].comparisons[0].candidates[5]):
        samples = soundfile.read(io.BytesIO(sound.audio))[0]
        levels.append(np.sqrt(np.mean(samples[SAMPLE_RATE // 20 : SAMPLE_RATE // 4] ** 2)))
    assert levels[1] == pytest.approx(levels[0], rel=0.1)


def test_silence_is_said(library):
    soundfile.write(library / "silent.wav", np.zeros(6 * RATE), RATE)
    shown, _ = page(library.parent / "Song.wav", "bass", library, [Found(1, 0.5, "silent.wav")], SCORES)
    assert shown.comparisons[0].candidates[0].notes == ["silent here"]


def test_of_an_hour_the_loudest_is_heard(library):
    rate = 1000
    for name, place in (("mix", 1800), ("stems/long", 1805)):
        samples = np.tile(np.float32([0.01, 0, -0.01, 0]), 900 * rate)
        samples[place * rate : (place + 40) * rate] *= 30
        soundfile.write(library.parent / f"{name}.wav", samples, rate)
    shown, failed = page(library.parent / "mix.wav", "bass", library, [Found(1, 0.5, "long.wav")], SCORES)
    assert failed == {}
    (comparison,) = shown.comparisons
    assert comparison.seconds == 30
    assert 1800 - 7 <= comparison.mix.offset_seconds <= 1810
    assert comparison.candidates[0].offset_seconds == comparison.mix.offset_seconds
    assert "of the 60:00 of the mix" in shown.notes[0]


def frequency(sound):
    samples = soundfile.read(io.BytesIO(sound.audio))[0]
    assert len(samples) == 2 * SAMPLE_RATE
    middle = samples[SAMPLE_RATE // 2 : SAMPLE_RATE] * np.hanning(SAMPLE_RATE // 2)
    return np.abs(np.fft.rfft(middle, 8 * len(middle))).argmax() * SAMPLE_RATE / (8 * len(middle))


def test_a_stem_in_another_key_and_tempo_is_heard_so_and_that_is_said(library):
    pytest.importorskip("python_stretch")
    changes = [Change(), Change(2), Change(-3, 5), Change(0, -4), Change(0)]
    found = [Found(rank, 0.5, "Song/bass.wav", change=change) for rank, change in enumerate(changes, 1)]
    found += [Found(6, 0.1, "Song/bass.wav", tempo_unknown=True)]
    shown, failed = page(library.parent / "Song.wav", "bass", library, found, SCORES, seconds=2)
    (comparison,) = shown.comparisons
    assert failed == {}
    start = comparison.mix.offset_seconds
    for one, change in zip(comparison.candidates, changes, strict=False):
        assert frequency(one) == pytest.approx(300 * 2 ** ((change.semitones or 0) / 12), rel=5e-3)
        assert one.offset_seconds == pytest.approx(start * change.rate)  # so that both began together
    assert [one.notes[:-1] for one in comparison.candidates] == [
        [],
        ["+2 semitones"],
        ["−3 semitones", "5 % faster"],
        ["4 % slower"],
        [],
        ["no tempo found that fits"],
    ]
    assert shown.lead.endswith("3 of them are transposed or stretched to fit, as their lines say.")
    assert "Nothing" not in shown.lead


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Change(), "Nothing is transposed or stretched."),
        (Change(0, 0), "Nothing is transposed or stretched."),
        (Change(1), "1 of them is transposed to fit, as its line says."),
        (Change(0, 2), "1 of them is stretched to fit, as its line says."),
    ],
)
def test_the_lead_says_what_was_changed(library, change, words):
    pytest.importorskip("python_stretch")
    shown, _ = page(library.parent / "Song.wav", "bass", library, [Found(1, 0.5, "ends.wav", 0.0, change)], SCORES, seconds=2)
    assert shown.lead.endswith(words)
