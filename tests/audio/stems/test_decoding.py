"""Whole songs, in each way that stems come."""

import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from jukemir_like.audio import ffmpeg
from jukemir_like.audio.stems import decoding
from jukemir_like.core.errors import InputError

STEMS = ("bass", "drums", "other", "vocals")
HERTZ = {"bass": 100, "drums": 200, "other": 300, "vocals": 400}

try:
    FFMPEG = ffmpeg.program()
except InputError:
    FFMPEG = ""
needs_ffmpeg = pytest.mark.skipif(not FFMPEG, reason="needs ffmpeg: pip install imageio-ffmpeg")


def tone(hertz, sample_rate=8000, seconds=1.0, channels=2):
    time = np.arange(int(sample_rate * seconds)) / sample_rate
    return np.tile(0.3 * np.sin(2 * np.pi * hertz * time), (channels, 1)).T


@pytest.fixture
def song(tmp_path):
    """A folder in MUSDB18-HQ's layout."""
    folder = tmp_path / "A - Song"
    folder.mkdir()
    for name, hertz in {**HERTZ, "mixture": 50}.items():
        soundfile.write(folder / f"{name}.wav", tone(hertz), 8000)
    return folder


def peaks(decoded):
    """The frequency of each stem, Hz."""
    spectrum = np.abs(np.fft.rfft(decoded.samples[:, : decoded.sample_rate]))
    return list(spectrum.argmax(axis=1))


def test_a_folder_gives_its_stems_in_the_order_asked_for_and_no_mixture(song):
    decoded = decoding.decode(song, STEMS)
    assert decoded.samples.shape == (4, 8000)
    assert peaks(decoded) == [100, 200, 300, 400]
    assert peaks(decoding.decode(song, STEMS[::-1])) == [400, 300, 200, 100]


def test_a_stem_is_the_mean_of_its_channels(song):
    left, right = tone(100, channels=1)[:, 0], np.zeros(8000)
    soundfile.write(song / "bass.wav", np.stack([left, right], 1), 8000, subtype="FLOAT")
    assert decoding.decode(song, STEMS).samples[0] == pytest.approx(left / 2, abs=1e-7)


def test_a_shorter_stem_ends_in_silence(song):
    soundfile.write(song / "drums.wav", tone(200, seconds=0.5), 8000)
    drums = decoding.decode(song, STEMS).samples[1]
    assert len(drums) == 8000
    assert not drums[4000:].any()
    assert drums[:4000].any()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda song: (song / "drums.wav").unlink(), "lacks a file drums.wav"),
        (lambda song: shutil.copy(song / "drums.wav", song / "drums.flac"), "drums.flac, drums.wav: keep one"),
        (lambda song: (song / "other.wav").write_bytes(b"x" * 99), "other.wav cannot be decoded"),
        (lambda song: soundfile.write(song / "vocals.wav", tone(400, 16000), 16000), "8000, 16000 Hz"),
    ],
)
def test_a_folder_that_is_not_a_songs_says_what_is_wrong(song, spoil, told):
    spoil(song)
    with pytest.raises(InputError, match=told):
        decoding.decode(song, STEMS)


def test_the_digest_of_a_folder_is_that_of_its_stems(song):
    before = decoding.digest(song, STEMS)
    soundfile.write(song / "mixture.wav", tone(60), 8000)
    assert decoding.digest(song, STEMS) == before
    soundfile.write(song / "vocals.wav", tone(410), 8000)
    assert decoding.digest(song, STEMS) != before


@needs_ffmpeg
def test_a_stem_mp4_is_reordered(song):
    order = ("mixture", "drums", "bass", "other", "vocals")
    path = song.parent / "a song.stem.mp4"
    inputs = [part for name in order for part in ("-i", song / f"{name}.wav")]
    maps = [part for number in range(5) for part in ("-map", f"{number}:a")]
    subprocess.run([FFMPEG, "-nostdin", "-v", "error", *inputs, *maps, "-c:a", "aac", path], check=True)
    assert peaks(decoding.decode(path, STEMS)) == [100, 200, 300, 400]
    with pytest.raises(InputError, match="4 stems where 2 stems are expected"):
        decoding.decode(path, ("a", "b"))
