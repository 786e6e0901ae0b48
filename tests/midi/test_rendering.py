"""A song → a channel per stem: the sum of its instruments, turned down as a whole where it is too loud."""

import numpy as np
import pretty_midi
import pytest

from jukemir_like.core.errors import InputError
from jukemir_like.midi import reading
from jukemir_like.midi.rendering import Rendering, render
from jukemir_like.midi.soundfonts import find
from jukemir_like.midi.synthesiser import SAMPLE_RATE, play

pytest.importorskip("tinysoundfont")


def write(path, *, programs=(0, 33, 40), volume=60, voices=1):
    midi = pretty_midi.PrettyMIDI()
    for program in programs:
        instrument = pretty_midi.Instrument(program)
        instrument.notes = [pretty_midi.Note(100, 40 + key, 0.5 * key, 0.5 * key + 0.5) for key in range(6)] * voices
        instrument.control_changes = [pretty_midi.ControlChange(7, volume, 0)]
        midi.instruments.append(instrument)
    midi.write(str(path))
    return path


@pytest.fixture
def song(tmp_path):
    return write(tmp_path / "song.mid")


@pytest.fixture(scope="module")
def font():
    return find()[0]


def test_a_stem_is_the_sum_of_its_instruments_and_lasts_until_the_sounds_have_died_away(song, font):
    rendered = render(song, Rendering(font, ((1,), (), (0, 2), ())))
    samples = rendered.audio.samples
    assert (rendered.gain, rendered.audio.sample_rate, samples.shape) == (1, 44100, (4, 5 * SAMPLE_RATE))  # 3 s and 2
    piano, bass, violin = (play(font.path, instrument, 5 * SAMPLE_RATE) for instrument in reading.read(song))
    most = slice(0, 4 * SAMPLE_RATE)  # it fades out at the end
    assert np.array_equal(samples[0, most], bass[most])
    assert np.array_equal(samples[2, most], (piano + violin)[most])
    assert not samples[1].any()
    assert not samples[3].any()
    assert not samples[:, -1].any()
    assert all(np.abs(one).max() > 0.005 for one in (piano, bass, violin))


def test_a_song_that_is_too_loud_is_turned_down_as_a_whole(tmp_path, font):
    loud = write(tmp_path / "loud.mid", programs=(0, 33, *[48] * 12), volume=127)
    rendering = Rendering(font, ((1,), (), (0, *range(2, 14)), ()))
    rendered = render(loud, rendering)
    bass = play(font.path, reading.read(loud)[1], rendered.audio.samples.shape[1])
    assert rendered.gain < 1
    assert np.abs(rendered.audio.samples).max() == pytest.approx(32767 / 32768)
    assert np.allclose(rendered.audio.samples[0, :SAMPLE_RATE], rendered.gain * bass[:SAMPLE_RATE], atol=1e-6)


def test_a_song_with_one_stem_that_can_be_heard_is_refused(tmp_path, font, song):
    with pytest.raises(InputError, match="too few stems: fewer than two can be heard"):
        render(write(tmp_path / "silent.mid", volume=0), Rendering(font, ((1,), (0, 2))))
    with pytest.raises(InputError, match="too few stems"):
        render(song, Rendering(font, ((1,), ())))


def test_what_decides_the_samples_is_in_the_signature(font, song):
    one = Rendering(font, ((1,), (0,)))
    assert one.signature()["soundfont"] == font.sha256
    assert one.signature() != Rendering(font, ((1,), (2,))).signature()
    assert np.array_equal(render(song, one).audio.samples, render(song, one).audio.samples)
