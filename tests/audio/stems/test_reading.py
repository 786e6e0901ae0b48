"""Samples from where they are asked for, as libsndfile reads them from the start; and whole songs, in each way that stems come."""

import os
import shutil
import struct
import subprocess

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jukemir_like.audio import ffmpeg, wav
from jukemir_like.audio.stems import finding, reading, tracks
from jukemir_like.core.errors import InputError

FORMATS = [
    *(("wav", "WAV", subtype) for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW")),
    *(("wav", "WAVEX", subtype) for subtype in ("PCM_16", "PCM_24", "FLOAT")),
    ("wav", "RF64", "PCM_16"),
    ("w64", "W64", "PCM_24"),
    ("flac", "FLAC", "PCM_16"),
    ("flac", "FLAC", "PCM_24"),
    ("aiff", "AIFF", "PCM_16"),
    ("aiff", "AIFF", "FLOAT"),
]


@pytest.mark.parametrize(("suffix", "format", "subtype"), FORMATS)
def test_a_chunk_is_what_libsndfile_reads_in_every_format(folder, write, noise, suffix, format, subtype):
    write(f"a.{suffix}", noise(20000), 22050, subtype, format)
    (track,) = finding.find(folder, 4, declared=STEMS).tracks  # some of these say that they are quadraphonic
    expected, rate = soundfile.read(folder / f"a.{suffix}", dtype="float32")
    chunk = reading.read(track, 7001, 5000)
    assert chunk.dtype == np.float32
    assert np.array_equal(chunk, expected.T[:, 7001:12001])
    assert (track.sample_rate, track.frames, track.channels) == (rate, 20000, 4)


def checksum(page):
    """Of an Ogg page: the polynomial 0x04C11DB7, most significant bit first (RFC 3533)."""
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value >> 31 else 0)) & 0xFFFFFFFF
    return value


def let_positions_jump(path, samples):
    """The positions that the pages of an Ogg file declare jump in its middle, as those of a soundtrack that was cut."""
    data, place, position = path.read_bytes(), [], 0
    while position < len(data):
        segments = data[position + 26]
        place.append((position, 27 + segments + sum(data[position + 27 : position + 27 + segments])))
        position += place[-1][1]
    pages = []
    for number, (start, size) in enumerate(place):
        page = bytearray(data[start : start + size])
        if number > len(place) // 2:
            page[6:14] = struct.pack("<q", struct.unpack_from("<q", page, 6)[0] + samples)
        page[22:26] = bytes(4)
        page[22:26] = struct.pack("<I", checksum(page))
        pages.append(bytes(page))
    path.write_bytes(b"".join(pages))


@pytest.mark.parametrize("jump", [0, 5784])
def test_chunks_of_vorbis_are_in_time(folder, jump):
    """libsndfile, which goes by the positions, is off by the jump."""
    rate = 22050
    tones = [np.sin(2 * np.pi * frequency * np.arange(6 * rate) ** 1.1 / rate) for frequency in (80, 130, 210, 340)]
    soundfile.write(folder / "a.ogg", 0.3 * np.stack(tones, 1), rate, format="OGG", subtype="VORBIS")
    let_positions_jump(folder / "a.ogg", jump)
    (track,) = finding.find(folder, 4, declared=STEMS).tracks
    expected = soundfile.read(folder / "a.ogg", dtype="float32")[0][: track.frames]
    for first in (1000, 4 * rate, 5 * rate):
        assert np.array_equal(reading.read(track, first, 4000), expected[first : first + 4000].T)
    with soundfile.SoundFile(folder / "a.ogg") as sound:
        sound.seek(5 * rate)
        assert np.array_equal(sound.read(4000, dtype="float32"), expected[5 * rate : 5 * rate + 4000]) == (not jump)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.integers(-700, 700), frames=st.integers(0, 900), several=st.booleans())
def test_outside_the_track_there_is_silence(folder, write, noise, first, frames, several):
    samples = noise(500, stems=2)
    if several:
        for song in ("x", "y"):
            for name, stem in zip(("low", "high"), samples, strict=True):
                write(f"{song}/{name}.wav", stem)
        found = finding.find(folder, 2, sources=("low", "high"), declared=("low", "high"))
    else:
        write("x.wav", samples)
        found = finding.find(folder, 2, declared=("low", "high"))
    track = next(track for track in found.tracks if track.name.startswith("x") and (len(track.files) == 2) == several)
    expected = np.pad(samples, ((0, 0), (2000, 2000)))[:, 2000 + first : 2000 + first + frames]
    assert np.array_equal(reading.read(track, first, frames), expected)


def test_chunks_between_the_head_and_the_samples_are_passed_over(folder, write, noise):
    samples = noise(3000)
    write("a.wav", samples)
    whole = (folder / "a.wav").read_bytes()
    where = whole.index(b"fmt ") + 8 + struct.unpack_from("<I", whole, whole.index(b"fmt ") + 4)[0]
    odd = b"JUNK" + struct.pack("<I", 7777) + bytes(7778) + b"LIST" + struct.pack("<I", 4) + b"data"
    whole = whole[:where] + odd + whole[where:]
    (folder / "a.wav").write_bytes(whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:])
    (track,) = finding.find(folder, 4).tracks
    assert track.layouts != (None,)
    assert np.array_equal(reading.read(track, 0, 3000), samples)


def test_a_chunk_far_into_a_file_of_gigabytes(folder, write, noise):
    write("a.wav", noise(100), subtype="PCM_16")
    head = (folder / "a.wav").read_bytes()[:44]
    bytes_of_audio, last = 3_600_000_000, noise(1000, seed=1)
    with open(folder / "a.wav", "wb") as file:  # a hole, not gigabytes
        file.write(head[:4] + struct.pack("<I", bytes_of_audio + 36) + head[8:40] + struct.pack("<I", bytes_of_audio))
        file.seek(44 + bytes_of_audio - 8000)
        file.write((last.T * 32768).round().astype("<i2").tobytes())
    with open(folder / "a.wav", "rb") as file:
        layout = wav.read_layout(file)
    track = tracks.Track("a", (folder / "a.wav",), 16000, layout.frames, 4, layouts=(layout,))
    assert track.frames == 450_000_000
    assert np.allclose(reading.read(track, track.frames - 1000, 1000), last, atol=2e-5)


def test_a_folder_of_stereo_stems_is_mixed_down_stem_by_stem(folder, write, noise):
    left_right = {name: noise(2000 + 10 * seed, stems=2, seed=seed) for seed, name in enumerate(("vocals", "bass", "other", "drums"))}
    for name, samples in left_right.items():
        write(f"song/{name}.wav", samples)
    write("song/mixture.wav", sum(samples[:, :2000] for samples in left_right.values()))
    (track,) = finding.find(folder, 4).tracks
    assert track.frames == 2030
    read = reading.read(track, 0, 2030)
    for stem, name in enumerate(("bass", "drums", "other", "vocals")):
        mono = left_right[name].mean(axis=0)
        assert np.allclose(read[stem, : len(mono)], mono, atol=1e-7)
        assert not read[stem, len(mono) :].any()


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_a_whole_track_at_another_rate_holds_the_same_tones(folder, write, rate):
    hertz = np.array([[110.0], [440.0], [1234.5], [3000.0]])
    write("a.wav", 0.5 * np.sin(2 * np.pi * hertz * np.arange(rate) / rate), rate)
    whole = reading.read_whole(finding.find(folder, 4).tracks[0], 16000)
    assert (whole.shape, whole.dtype) == ((4, 16000), np.float32)
    expected = 0.5 * np.sin(2 * np.pi * hertz * np.arange(16000) / 16000)
    assert np.allclose(whole[:, 1000:-1000], expected[:, 1000:-1000], atol=1e-4)


@pytest.mark.parametrize("rate", [16000, 22050, 44100, 48000])
def test_the_beginning_of_a_track_is_that_of_the_whole(folder, write, noise, rate):
    """To the bit, as validation reads no more than it needs."""
    write("a.wav", noise(5 * rate), rate)
    write("b.wav", noise(rate // 2), rate)
    long, short = finding.find(folder, 4).tracks
    whole, beginning = reading.read_whole(long, 16000), reading.read_whole(long, 16000, 2.5)
    assert beginning.shape == (4, 40000)
    assert np.array_equal(beginning, whole[:, :40000])
    assert np.array_equal(reading.read_whole(short, 16000, 2.5), reading.read_whole(short, 16000))


def test_a_file_that_became_shorter_or_went_away_is_an_error_of_one_line(folder, write, noise):
    write("a.wav", noise(3000), subtype="PCM_16")
    (track,) = finding.find(folder, 4).tracks
    os.truncate(folder / "a.wav", 10000)
    with pytest.raises(InputError, match="shorter"):
        reading.read(track, 2000, 1000)
    (folder / "a.wav").unlink()
    with pytest.raises(InputError, match="no such file"):
        reading.read(track, 0, 1000)


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
    decoded = reading.decode(song, STEMS)
    assert decoded.samples.shape == (4, 8000)
    assert peaks(decoded) == [100, 200, 300, 400]
    assert peaks(reading.decode(song, STEMS[::-1])) == [400, 300, 200, 100]


def test_a_stem_is_the_mean_of_its_channels(song):
    left, right = tone(100, channels=1)[:, 0], np.zeros(8000)
    soundfile.write(song / "bass.wav", np.stack([left, right], 1), 8000, subtype="FLOAT")
    assert reading.decode(song, STEMS).samples[0] == pytest.approx(left / 2, abs=1e-7)


def test_a_shorter_stem_ends_in_silence(song):
    soundfile.write(song / "drums.wav", tone(200, seconds=0.5), 8000)
    drums = reading.decode(song, STEMS).samples[1]
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
        reading.decode(song, STEMS)


def test_the_digest_of_a_folder_is_that_of_its_stems(song):
    before = reading.digest(song, STEMS)
    soundfile.write(song / "mixture.wav", tone(60), 8000)
    assert reading.digest(song, STEMS) == before
    soundfile.write(song / "vocals.wav", tone(410), 8000)
    assert reading.digest(song, STEMS) != before


@needs_ffmpeg
def test_a_stem_mp4_is_reordered(song):
    order = ("mixture", "drums", "bass", "other", "vocals")
    path = song.parent / "a song.stem.mp4"
    inputs = [part for name in order for part in ("-i", song / f"{name}.wav")]
    maps = [part for number in range(5) for part in ("-map", f"{number}:a")]
    subprocess.run([FFMPEG, "-nostdin", "-v", "error", *inputs, *maps, "-c:a", "aac", path], check=True)
    assert peaks(reading.decode(path, STEMS)) == [100, 200, 300, 400]
    with pytest.raises(InputError, match="4 stems where 2 stems are expected"):
        reading.decode(path, ("a", "b"))
