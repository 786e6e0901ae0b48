"""Excerpts against slow and obvious versions, levels against closed forms."""

import io

import numpy as np
import pytest
import soundfile

from jukemir_like.audio import Audio
from jukemir_like.core.errors import InputError
from jukemir_like.deform.key_and_tempo import Change
from jukemir_like.listening import excerpts
from jukemir_like.listening.compress import SAMPLE_RATE


def test_a_long_mix_is_heard_from_the_earliest_place_within_1_db_of_the_loudest():
    random = np.random.default_rng(0)
    for _ in range(20):
        loudness = random.uniform(0.05, 0.5, 30)
        samples = np.repeat(loudness, 100).astype(np.float32)
        powers = [np.mean(samples[100 * start : 100 * (start + 8)] ** 2) for start in range(23)]
        slow = next(start for start, power in enumerate(powers) if 10 * np.log10(power / max(powers)) >= -1)
        assert excerpts.start_of_excerpt(Audio(samples[None], 100), 8.0) == slow


@pytest.mark.parametrize("seconds", [8.0, 9.5, 100.0])
def test_a_mix_that_is_not_longer_is_heard_from_its_beginning(seconds):
    assert excerpts.start_of_excerpt(Audio(np.linspace(0, 1, 800, dtype=np.float32)[None], 100), seconds) == 0


def test_a_silent_mix_has_an_excerpt_too():
    assert excerpts.start_of_excerpt(Audio(np.zeros((1, 1000), np.float32), 100), 2.0) == 0


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
def test_an_excerpt_is_in_time_at_any_rate(rate):
    """A click 1.2 s after the beginning of the file is 0.2 s after that of the excerpt, to the sample."""
    samples = np.zeros(3 * rate, np.float32)
    samples[rate + rate // 5] = 0.5
    part = excerpts.cut(Audio(samples[None], rate), 1.0, 2.0)
    assert (len(part.samples), part.offset_seconds, part.file_seconds) == (2 * SAMPLE_RATE, 1.0, 3.0)
    assert np.argmax(np.abs(part.samples)) == SAMPLE_RATE // 5


def test_where_a_file_has_ended_there_are_zeros():
    part = excerpts.cut(Audio(np.full((1, 3 * SAMPLE_RATE), 0.5, np.float32), SAMPLE_RATE), 2.0, 4.0)
    assert part.sounding_seconds == 1.0
    assert (part.samples[1000:SAMPLE_RATE] == 0.5).all()
    assert not part.samples[SAMPLE_RATE:].any()


def test_a_file_that_has_ended_before_is_heard_from_its_beginning():
    part = excerpts.cut(Audio(np.full((1, SAMPLE_RATE), 0.5, np.float32), SAMPLE_RATE), 1.0, 2.0)
    assert (part.offset_seconds, part.sounding_seconds) == (0.0, 1.0)


def test_it_repeats_without_a_click():
    samples = excerpts.cut(Audio(np.full((1, SAMPLE_RATE), 0.5, np.float32), SAMPLE_RATE), 0.0, 0.5).samples
    assert samples[0] == samples[-1] == 0
    assert np.abs(np.diff(np.concatenate([samples, samples]))).max() < 0.005


@pytest.mark.parametrize("amplitude", [0.05, 0.2])
def test_the_gain_brings_a_sine_to_the_level(amplitude):
    """A sine of amplitude a has the level a / √2; half of the excerpt is a rest, which does not count."""
    sine = amplitude * np.sin(2 * np.pi * 440 * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    samples = np.concatenate([sine, np.zeros(SAMPLE_RATE, np.float32)])
    assert excerpts.gain(samples, 0.1) * amplitude / np.sqrt(2) == pytest.approx(0.1, rel=1e-3)


def test_the_gain_keeps_peaks_within_full_scale_and_noise_down():
    drum = np.full(SAMPLE_RATE, 0.001, np.float32)
    drum[100] = 0.5
    assert excerpts.gain(drum, 0.5) * 0.5 == pytest.approx(10 ** (-1 / 20))
    assert excerpts.gain(np.full(SAMPLE_RATE, 1e-6, np.float32), 0.5) == pytest.approx(10 ** (30 / 20))
    assert excerpts.gain(np.zeros(SAMPLE_RATE, np.float32)) == 1


def test_the_waveform_is_the_peaks_of_equal_parts():
    samples = np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32)
    peaks = [np.abs(samples[10 * part : 10 * part + 10]).max() for part in range(400)]
    assert excerpts.waveform(samples) == [round(float(100 * peak / max(peaks))) for peak in peaks]
    assert set(excerpts.waveform(np.zeros(4000, np.float32))) == {0}


def test_channels_are_mixed_down_and_what_is_no_audio_is_refused(write, tmp_path):
    write("six.wav", [np.full(100, value, np.float32) for value in (0, 0.1, 0.2, 0.3, 0.4, 0.5)])
    assert excerpts.read(tmp_path / "data" / "six.wav").samples == pytest.approx(np.full((1, 100), 0.25))
    (tmp_path / "no.wav").write_text("no audio")
    with pytest.raises(InputError):
        excerpts.read(tmp_path / "no.wav")


FORMATS = [
    ("WAV", "PCM_16", True),
    ("WAV", "PCM_24", True),
    ("WAV", "PCM_U8", True),
    ("WAV", "FLOAT", True),
    ("AIFF", "PCM_16", True),
    ("FLAC", "PCM_16", True),
    ("OGG", "VORBIS", True),
    ("OGG", "OPUS", False),
    ("MP3", "MPEG_LAYER_III", False),
]


@pytest.mark.parametrize(("kind", "subtype", "in_parts"), FORMATS)
def test_a_part_is_that_of_the_whole(tmp_path, monkeypatch, kind, subtype, in_parts):
    """And nothing else is decoded, where the format allows it."""
    rate = 48000 if subtype == "OPUS" else 22050
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (round(5.2 * rate), 2))
    soundfile.write(tmp_path / "a file", samples, rate, format=kind, subtype=subtype)
    places = [(0.0, 2.0), (1.7, 2.0), (4.5, 2.0), (5.1999, 1.0), (5.3, 2.0), (0.0, 9.0)]
    whole = [excerpts.cut(excerpts.read(tmp_path / "a file"), *place) for place in places]
    read = []
    monkeypatch.setattr(excerpts, "_BLOCK", 10_000)
    original = excerpts.read
    monkeypatch.setattr(excerpts, "read", lambda path: read.append(path) or original(path))
    for place, expected in zip(places, whole, strict=True):
        part = excerpts.read_part(tmp_path / "a file", *place)
        np.testing.assert_array_equal(part.samples, expected.samples)
        assert (part.offset_seconds, part.file_seconds) == (expected.offset_seconds, expected.file_seconds)
    assert len(read) == (0 if in_parts else len(places))


def test_a_part_in_another_tempo_is_that_of_the_whole(tmp_path):
    pytest.importorskip("python_stretch")
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 6 * 22050), 22050)
    for place in ((1.0, 2.0), (4.5, 2.0)):
        part, whole = (excerpts.read_part(tmp_path / "a.wav", *place, Change(2, 5)), excerpts.read(tmp_path / "a.wav"))
        expected = excerpts.cut(whole, *place, Change(2, 5))
        np.testing.assert_array_equal(part.samples, expected.samples)
        assert part.sounding_seconds == expected.sounding_seconds


@pytest.mark.parametrize(("left", "begins"), [(2.0, 1.0), (1.1, 1.9), (0.9, 0.0)])
def test_a_part_that_need_not_be_in_time_is_from_the_beginning_where_more_is_heard_so(tmp_path, left, begins):
    soundfile.write(tmp_path / "a.wav", np.full(3 * 16000, 0.5, np.float32), 16000)
    assert excerpts.read_part(tmp_path / "a.wav", 3 - left, 2.0, in_time=False).offset_seconds == pytest.approx(begins)
    assert excerpts.read_part(tmp_path / "a.wav", 3 - left, 2.0).offset_seconds == pytest.approx(3 - left)


def test_a_part_of_a_chain_of_streams_is_that_of_the_whole(tmp_path):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 22050))
    links = []
    for part in samples:
        soundfile.write(link := io.BytesIO(), part, 22050, format="OGG", subtype="VORBIS")
        links.append(link.getvalue())
    (tmp_path / "chain.ogg").write_bytes(b"".join(links))
    part, whole = excerpts.read_part(tmp_path / "chain.ogg", 0.5, 1.0), excerpts.read(tmp_path / "chain.ogg")
    assert part.file_seconds == whole.seconds == pytest.approx(2.0, abs=0.1)
    np.testing.assert_array_equal(part.samples, excerpts.cut(whole, 0.5, 1.0).samples)


@pytest.mark.parametrize("content", [b"", b"no audio", b"RIFF", b"OggS" + bytes(60)])
def test_a_part_of_what_is_no_audio_says_why(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(InputError) as of_whole:
        excerpts.read(tmp_path / "a.wav")
    with pytest.raises(InputError) as of_part:
        excerpts.read_part(tmp_path / "a.wav", 1.0, 2.0)
    assert str(of_part.value) == str(of_whole.value)


def test_a_part_with_samples_that_are_not_finite_says_why(tmp_path):
    samples = np.zeros(44100, np.float32)
    samples[30000] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, 22050, subtype="FLOAT")
    with pytest.raises(InputError, match="finite"):
        excerpts.read_part(tmp_path / "a.wav", 1.0, 1.0)


@pytest.mark.parametrize("percent", [-8, 10])
def test_an_excerpt_in_another_tempo_is_in_time_and_as_long(percent):
    """Clicks every 0.5 s of the file are heard every 0.5 / rate s, from the first that is in the excerpt on."""
    pytest.importorskip("python_stretch")
    rate, faster = 16000, 1 + percent / 100
    samples = np.zeros(8 * rate, np.float32)
    samples[rate // 2 :: rate // 2] = 0.5
    part = excerpts.cut(Audio(samples[None], rate), 1.25, 3.0, Change(0, percent))
    assert (len(part.samples), part.offset_seconds, part.file_seconds, part.rate) == (3 * SAMPLE_RATE, 1.25, 8.0, faster)
    for number in range(5 if percent < 0 else 7):
        place, half = round((0.25 + 0.5 * number) / faster * SAMPLE_RATE), SAMPLE_RATE // 10
        found = np.argmax(np.abs(part.samples[place - half : place + half])) - half
        assert abs(found) / SAMPLE_RATE < 0.02


def test_the_end_of_a_transposed_excerpt_sounds_as_its_middle():
    """But for the fade of 5 ms: the blocks of the stretcher have what comes after it."""
    pytest.importorskip("python_stretch")
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    samples = excerpts.cut(Audio(tone[None], SAMPLE_RATE), 0.0, 2.0, Change(3)).samples
    level = np.sqrt(np.mean(samples[SAMPLE_RATE : SAMPLE_RATE + SAMPLE_RATE // 2] ** 2))
    assert np.sqrt(np.mean(samples[-960:-160] ** 2)) == pytest.approx(level, rel=0.1)


def test_a_file_that_ends_is_silent_from_then_on_in_another_tempo_too():
    pytest.importorskip("python_stretch")
    part = excerpts.cut(Audio(np.full((1, SAMPLE_RATE), 0.5, np.float32), SAMPLE_RATE), 0.0, 3.0, Change(None, -10))
    assert part.sounding_seconds == pytest.approx(1 / 0.9)
    assert not np.abs(part.samples[round(1.3 * SAMPLE_RATE) :]).max() > 0.01
