"""Decoding, mixing, resampling and writing, against soundfile's own float reading, SciPy and closed forms."""

import io
import math
import os
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile

from jukemir_like import audio
from jukemir_like.core.errors import InputError


@pytest.mark.parametrize(
    ("format", "subtype", "sample_rate"),
    [
        ("WAV", "PCM_16", 44100),
        ("WAV", "PCM_24", 96000),
        ("WAV", "PCM_32", 192000),
        ("WAV", "FLOAT", 48000),
        ("WAV", "DOUBLE", 8000),
        ("WAV", "PCM_U8", 11025),
        ("WAV", "ULAW", 8000),
        ("FLAC", "PCM_16", 22050),
        ("FLAC", "PCM_24", 44100),
        ("AIFF", "PCM_16", 32000),
        ("OGG", "VORBIS", 44100),
        ("OGG", "OPUS", 48000),
        ("MP3", "MPEG_LAYER_III", 44100),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_decodes_what_soundfile_reads_as_float_to_the_bit(tmp_path, write_audio, format, subtype, sample_rate, channels):
    path = tmp_path / "clip.audio"
    write_audio(path, sample_rate=sample_rate, channels=channels, subtype=subtype, format=format)
    expected, rate = soundfile.read(path, dtype="float32", always_2d=True)
    for source in (path, path.read_bytes()):
        decoded = audio.decode(source)
        assert decoded.sample_rate == rate == sample_rate
        assert decoded.samples.dtype == np.float32
        np.testing.assert_array_equal(decoded.samples, expected.T)
    assert decoded.seconds == pytest.approx(1.0, abs=0.06)


def test_six_channels_are_mixed_to_their_plain_mean(tmp_path, write_audio):
    samples = write_audio(tmp_path / "six.wav", channels=6, subtype="FLOAT", format="WAV")
    mixed = audio.load(tmp_path / "six.wav", 22050)
    np.testing.assert_allclose(mixed, samples.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("from_rate", [8000, 16000, 44100, 48000, 96000, 192000])
def test_resampling_keeps_a_tone_where_it_is(from_rate):
    time = np.arange(from_rate) / from_rate
    tone = np.sin(2 * np.pi * 1000 * time).astype(np.float32)
    resampled = audio.resample(tone, from_rate, 22050)
    assert len(resampled) == 22050
    expected = np.sin(2 * np.pi * 1000 * np.arange(22050) / 22050)
    np.testing.assert_allclose(resampled[1000:-1000], expected[1000:-1000], atol=2e-3)
    spectrum = np.abs(scipy.signal.periodogram(resampled, 22050, window="hann")[1])
    assert np.argmax(spectrum) == 1000


def test_resampling_removes_what_the_new_rate_cannot_hold():
    tone = np.sin(2 * np.pi * 15000 * np.arange(44100) / 44100).astype(np.float32)
    assert np.abs(audio.resample(tone, 44100, 22050)[1000:-1000]).max() < 1e-3


def test_writing_rounds_to_16_bits_and_clips(tmp_path):
    samples = np.array([0.0, 1.0, -1.0, 2.0, -2.0, 0.4 / 32768, 0.6 / 32768], dtype=np.float32)
    audio.write_wav(tmp_path / "clip.wav", samples, 8000)
    written, rate = soundfile.read(tmp_path / "clip.wav", dtype="int16")
    assert rate == 8000
    assert written.tolist() == [0, 32767, -32768, 32767, -32768, 0, 1]
    assert soundfile.info(tmp_path / "clip.wav").subtype == "PCM_16"


def test_16_bit_audio_survives_decoding_and_writing_to_the_bit(tmp_path):
    samples = np.random.default_rng(0).integers(-32768, 32768, (4, 5000), dtype=np.int16)
    audio.write_wav(tmp_path / "first.wav", samples, 22050)
    audio.write_wav(tmp_path / "second.wav", audio.decode(tmp_path / "first.wav").samples, 22050)
    assert (tmp_path / "first.wav").read_bytes() == (tmp_path / "second.wav").read_bytes()
    np.testing.assert_array_equal(soundfile.read(tmp_path / "second.wav", dtype="int16")[0].T, samples)


def encoded(samples, format="WAV", subtype="PCM_16", sample_rate=22050):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate, subtype=subtype, format=format)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"this is no audio at all, whatever its name says" * 100, "not recognised"),
        (encoded(np.zeros(0)), "no samples"),
        (encoded(np.array([0.0, np.nan, 0.0]), subtype="FLOAT"), "NaN"),
        (encoded(np.array([0.0, np.inf, 0.0]), subtype="FLOAT"), "NaN or infinite"),
        (encoded(np.zeros(20000))[:20000], "cut short: 19,956 of 40,000 bytes"),
        (encoded(np.zeros(20000), format="AIFF")[:20000], "cut short"),
        (encoded(np.random.default_rng(0).uniform(-1, 1, 20000), format="FLAC")[:20000], "lost sync"),
    ],
    ids=["empty", "no audio", "no samples", "NaN", "infinite", "cut WAV", "cut AIFF", "cut FLAC"],
)
def test_bad_audio_is_refused_with_its_reason(tmp_path, data, reason):
    (tmp_path / "clip").write_bytes(data)
    for source in (data, tmp_path / "clip"):
        with pytest.raises(InputError, match=reason):
            audio.decode(source)


def test_wav_written_to_a_pipe_is_not_taken_for_a_cut_one():
    data = bytearray(encoded(np.full(1000, 0.5)))
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    assert audio.decode(bytes(data)).samples.shape == (1, 1000)


def test_one_sample_is_audio():
    assert audio.decode(encoded(np.array([0.5]))).samples.tolist() == [[0.5]]


def test_a_clip_of_which_resampling_leaves_nothing_is_refused():
    with pytest.raises(InputError, match="too short"):
        audio.load(encoded(np.array([0.5]), sample_rate=192000), 8000)


def test_a_missing_file_has_its_own_reason(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        audio.digest(tmp_path / "absent.wav")


def test_the_digest_is_sha256_of_the_bytes(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert audio.digest(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2


def test_names_are_sorted_by_their_bytes_also_those_that_are_no_text(tmp_path):
    names = [b"\xff.wav", "ｚ.wav".encode(), "😀.wav".encode(), b"a/b.wav", b"a-b.wav", b"B.wav", b"a.wav"]
    (tmp_path / "a").mkdir()
    try:
        for name in names:
            Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).touch()
    except OSError as error:
        pytest.skip(f"this file system takes no such names: {error}")
    assert [os.fsencode(name) for name in audio.find(tmp_path)] == sorted(names)


def test_find_lists_audio_sorted_by_relative_path_without_hidden_files(tmp_path):
    for name in ("b.wav", "a/z.mp3", "a/a.FLAC", "a.b/c.ogg", ".hidden.wav", ".records/x.wav", "notes.txt", "a/cover.jpg", "ä b.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert audio.find(tmp_path) == sorted(["a.b/c.ogg", "a/a.FLAC", "a/z.mp3", "b.wav", "ä b.wav"])


def test_find_survives_a_loop_of_links(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.wav").touch()
    (tmp_path / "a" / "back").symlink_to(tmp_path)
    assert audio.find(tmp_path) == ["a/x.wav"]


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_U8", "PCM_24", "FLOAT", "MPEG_LAYER_III", "VORBIS"])
def test_decoded_to_mono_is_decoded_mixed_down_and_rounded(tmp_path, channels, subtype):
    samples = np.random.default_rng(0).uniform(-1.1, 1.1, (80_001, channels))
    path = tmp_path / "a"
    form = {"MPEG_LAYER_III": "MP3", "VORBIS": "OGG"}.get(subtype, "WAV")
    if (form, channels) == ("MP3", 3):
        return  # there are none
    with open(path, "wb") as file:
        soundfile.write(file, samples, 22050, subtype=subtype, format=form)
    whole, mono = audio.decode(path), audio.decode_mono(path)
    assert mono.samples.dtype == np.int16
    assert mono.sample_rate == whole.sample_rate
    assert np.array_equal(mono.samples[0], audio.to_int16(audio.mix_down(whole.samples)))


def test_the_mean_of_two_channels_is_numpys():
    samples = np.random.default_rng(0).uniform(-1, 1, (2, 10_000)).astype(np.float32)
    assert np.array_equal(audio.mix_down(samples), samples.mean(axis=0, dtype=np.float32))


@pytest.mark.parametrize("channels", range(1, 20))
def test_the_mean_of_channels_does_not_depend_on_the_order_in_memory(channels):
    """Whole songs are mixed from ``(channels, samples)``, parts of them from ``(frames, channels)``."""
    frames = np.random.default_rng(0).uniform(-1, 1, (1000, channels)).astype(np.float32)
    mixed = audio.mix_down(frames.T)
    assert np.array_equal(mixed, frames.mean(axis=1, dtype=np.float32))
    if channels < 8:  # from eight on NumPy adds in pairs, along the axis that lies together
        assert np.array_equal(mixed, audio.mix_down(np.ascontiguousarray(frames.T)))


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_a_wav_is_that_of_libsndfile_to_the_byte(tmp_path, channels):
    samples = np.random.default_rng(0).integers(-32768, 32768, (channels, 1001)).astype(np.int16)
    audio.write_wav(tmp_path / "a.wav", samples if channels > 1 else samples[0], 22050)
    expected = io.BytesIO()
    soundfile.write(expected, samples.T, 22050, subtype="PCM_16", format="WAV")
    assert (tmp_path / "a.wav").read_bytes() == expected.getvalue()


RATES = [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 192000]


@pytest.mark.parametrize("from_rate", RATES)
@pytest.mark.parametrize("to_rate", [22050, 16000, 44100])
def test_as_many_samples_come_of_resampling_as_fit(from_rate, to_rate):
    for length in range(50, 800, 7):
        resampled = audio.resample(np.ones(length, np.float32), from_rate, to_rate)
        assert len(resampled) == math.ceil(length * (to_rate / from_rate))


@pytest.mark.slow  # librosa compiles itself
@pytest.mark.parametrize("from_rate", RATES)
def test_resampling_is_librosa_s_in_length_and_values(from_rate):
    librosa = pytest.importorskip("librosa")
    random = np.random.default_rng(from_rate)
    for to_rate in (22050, 16000, 44100):
        for length in (20, 441, 442, 1000, *random.integers(100, 50_000, 25)):
            samples = random.uniform(-1, 1, length).astype(np.float32)
            expected = librosa.resample(samples, orig_sr=from_rate, target_sr=to_rate, res_type="soxr_hq")
            resampled = audio.resample(samples, from_rate, to_rate)
            assert resampled.dtype == np.float32
            assert np.array_equal(resampled, expected)


@pytest.mark.slow
@pytest.mark.parametrize("from_rate", [8000, 16000, 32000, 48000, 96000])
def test_a_short_file_is_loaded_as_librosa_loads_it(tmp_path, from_rate):
    librosa = pytest.importorskip("librosa")
    from jukemir_like import representations

    for length in (from_rate // 7, from_rate // 7 + 1, from_rate // 3):
        samples = np.random.default_rng(length).uniform(-0.5, 0.5, length).astype(np.float32)
        soundfile.write(tmp_path / "a.wav", samples, from_rate, subtype="FLOAT")
        expected, _ = librosa.load(tmp_path / "a.wav", sr=22050, res_type="soxr_hq")
        loaded = audio.load(tmp_path / "a.wav", 22050)
        assert np.array_equal(loaded, expected)
        if from_rate in (8000, 48000):
            for name in ("chroma", "mfcc"):
                representation = representations.load(name)
                assert np.array_equal(representation([loaded]), representation([expected]))
