"""Encoded sound to be damaged, and a decoder that has nothing to do with libsndfile."""

import io
import shutil
import subprocess

import numpy as np
import pytest
import soundfile


def make_music(seconds=3.0, sample_rate=44100, channels=2, loud_first=True, seed=0):
    """Noise of falling loudness over a tone, ``(frames, channels)``: frames of a variable bit rate get smaller and smaller, or larger."""
    frames = round(seconds * sample_rate)
    time = np.arange(frames)[:, None] / sample_rate
    noise = np.random.default_rng(seed).uniform(-1, 1, (frames, channels))
    loudness = np.where(time < seconds / 3, 0.4, 0.0005)
    samples = 0.1 * np.sin(2 * np.pi * 440 * time) + noise * (loudness if loud_first else loudness[::-1])
    return samples.astype(np.float32)


def encode(samples, format="WAV", subtype=None, sample_rate=44100, **options):
    """The bytes of a file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate, format=format, subtype=subtype, **options)
    return buffer.getvalue()


def encode_mp3(samples, sample_rate=44100, mode="VARIABLE", tag=True):
    """An MP3 of LAME's, with or without its Xing tag: the first frame."""
    data = encode(samples, "MP3", "MPEG_LAYER_III", sample_rate, bitrate_mode=mode, compression_level=0.4)
    assert any(word in data[:200] for word in (b"Xing", b"Info"))
    return data if tag else data[data.index(data[:2], 4) :]


@pytest.fixture(scope="session")
def music():
    """A function that makes samples: ``music(seconds=…, sample_rate=…, channels=…, loud_first=…)``."""
    return make_music


@pytest.fixture(scope="session")
def encoded():
    """A function that encodes samples by libsndfile: ``encoded(samples, "FLAC", "PCM_16")``."""
    return encode


@pytest.fixture(scope="session")
def mp3():
    """A function that encodes samples by LAME: ``mp3(samples, mode="AVERAGE", tag=False)``."""
    return encode_mp3


@pytest.fixture(scope="session")
def ffmpeg():
    """The path of an ffmpeg; without one the test is skipped."""
    try:
        from imageio_ffmpeg import get_ffmpeg_exe
    except ImportError:
        found = shutil.which("ffmpeg")
    else:
        found = get_ffmpeg_exe()
    return found or pytest.skip("needs ffmpeg: pip install imageio-ffmpeg")


@pytest.fixture(scope="session")
def oracle(ffmpeg):
    """A function from bytes of a file to the samples that ffmpeg decodes, ``(channels, frames)``."""

    def decode(data, channels=2):
        options = ["-nostdin", "-v", "quiet", "-i", "pipe:0", "-map", "0:a:0", "-f", "f32le", "-c:a", "pcm_f32le", "pipe:1"]
        done = subprocess.run([ffmpeg, *options], input=data, stdout=subprocess.PIPE)
        return np.frombuffer(done.stdout, "<f4").reshape(-1, channels).T

    return decode
