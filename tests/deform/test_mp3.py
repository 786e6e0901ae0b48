"""MP3 and back: the stated bit rate is in the frames, the result is aligned and as long as before, at all bit and sample rates."""

import numpy as np
import pytest
import soundfile
from scipy import signal

from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.deform import mp3
from jukemir_like.deform.names import MP3_BITRATES

# ISO/IEC 11172-3 and 13818-3, layer III: kbit/s by the four bits of the header
OF_MPEG_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
OF_MPEG_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


@pytest.fixture
def encoded(monkeypatch):
    """What soundfile has written, as bytes, in a list."""
    written, write = [], soundfile.write

    def remember(file, *arguments, **options):
        write(file, *arguments, **options)
        written.append(file.getvalue())

    monkeypatch.setattr(soundfile, "write", remember)
    return written


def music(rate, seconds=1.5):
    """Noise without what is very high, as music."""
    sections = signal.butter(2, 0.1 * rate, fs=rate, output="sos")
    noise = signal.sosfilt(sections, np.random.default_rng(0).standard_normal(round(seconds * rate)))
    return (0.2 * noise / noise.std()).clip(-1, 1).astype(np.float32)


def lag(first, second):
    """Where the cross-correlation is largest."""
    return int(np.argmax(signal.correlate(second, first, "full"))) - (len(first) - 1)


def bitrate(data):
    """Of the second frame's header, as the first may be LAME's tag."""
    places = [place for place in range(len(data) - 3) if data[place] == 0xFF and data[place + 1] & 0xE6 == 0xE2]
    table = OF_MPEG_1 if data[places[0] + 1] & 0x18 == 0x18 else OF_MPEG_2
    return table[data[places[0] + 2] >> 4]


@pytest.mark.parametrize("rate", [44100, 22050, 48000])
@pytest.mark.parametrize("kilobits", [32, 64, 128])
def test_it_is_aligned_and_at_the_stated_bit_rate(encoded, rate, kilobits):
    clip = music(rate)
    decoded = mp3.round_trip(clip, rate, kilobits)
    assert decoded.shape == clip.shape
    assert decoded.dtype == np.float32
    assert lag(clip, decoded) == 0
    assert 8 * len(encoded[0]) / 1000 / 1.5 == pytest.approx(kilobits, rel=0.15)  # a frame or two more than the clip
    assert bitrate(encoded[0]) == kilobits


@pytest.mark.parametrize("kilobits", MP3_BITRATES)
def test_all_bit_rates_are_those_that_were_asked_for(encoded, kilobits):
    clip = music(44100, 0.5)
    assert lag(clip, mp3.round_trip(clip, 44100, kilobits)) == 0
    assert bitrate(encoded[0]) == kilobits


def test_fewer_bits_lose_more():
    clip = music(44100)
    errors = [float(np.mean((mp3.round_trip(clip, 44100, kilobits) - clip) ** 2)) for kilobits in (32, 64, 128, 320)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 10 * errors[-1] > 0


@pytest.mark.parametrize("rate", [96000, 30000, 10000, 7350])
def test_other_sample_rates_are_changed_for_it_and_back(rate):
    clip = music(rate)
    decoded = mp3.round_trip(clip, rate, 64)
    assert decoded.shape == clip.shape
    assert abs(lag(clip, decoded)) <= 1


@pytest.mark.parametrize("length", [1, 2, 100, 575, 1152, 1153, 5000])
@pytest.mark.parametrize("kilobits", [32, 128])
def test_short_clips_keep_their_length(length, kilobits):
    decoded = mp3.round_trip(music(44100)[:length], 44100, kilobits)
    assert decoded.shape == (length,)
    assert np.isfinite(decoded).all()


def test_a_bit_rate_that_the_sample_rate_has_not_is_one_line():
    with pytest.raises(InputError, match="11025 Hz, at which MP3 has no more than 64 kbit/s"):
        mp3.round_trip(music(11025), 11025, 128)


def test_a_libsndfile_without_mp3_is_one_line(monkeypatch):
    monkeypatch.setattr(soundfile, "available_formats", lambda: {"WAV": ""})
    with pytest.raises(RequestError, match="writes no MP3"):
        mp3.round_trip(music(44100), 44100, 128)


@pytest.mark.parametrize(("kilobits", "decibels"), [(64, -0.46), (128, -0.46), (192, -0.28), (224, -0.19), (320, 0.0)])
def test_the_level_that_lame_takes_is_that_of_the_documents(kilobits, decibels):
    time = np.arange(88200) / 44100
    clip = sum(0.1 * np.sin(2 * np.pi * hertz * time) for hertz in (200, 331, 523, 811, 1200)).astype(np.float32)
    inner = slice(4410, -4410)  # away from the ends, which are not periodic
    decoded = mp3.round_trip(clip, 44100, kilobits)[inner].astype(float)
    assert 20 * np.log10(decoded @ clip[inner] / (clip[inner] @ clip[inner])) == pytest.approx(decibels, abs=0.04)
