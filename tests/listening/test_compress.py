"""MP3s are as long as what they are made of, and in time with it: by libsndfile and by ffmpeg, which is another decoder."""

import io
import subprocess

import numpy as np
import pytest
import soundfile

from jukemir_like.listening.compress import SAMPLE_RATE, to_mp3

PLACES = [5000, 20011, 47777]


def clicks(level):
    samples = np.zeros(2 * SAMPLE_RATE, np.float32)
    samples[PLACES] = level
    return samples


def by_libsndfile(mp3):
    return soundfile.read(io.BytesIO(mp3), dtype="float32")[0]


def by_ffmpeg(mp3):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="needs ffmpeg: pip install imageio-ffmpeg")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", "-", "-f", "f32le", "-"]
    return np.frombuffer(subprocess.run(command, input=mp3, capture_output=True, check=True).stdout, np.float32)


@pytest.mark.parametrize("decode", [by_libsndfile, by_ffmpeg])
@pytest.mark.parametrize("level", [0.9, 0.01])  # a mix and a quiet stem: their bit rates differ
def test_every_sample_stays_in_its_place(decode, level):
    decoded = decode(to_mp3(clicks(level)))
    assert len(decoded) == 2 * SAMPLE_RATE
    for place in PLACES:
        around = np.abs(decoded[place - 2000 : place + 2000])
        assert np.argmax(around) == 2000


def test_noise_is_no_larger_than_a_page_of_eleven_allows():
    noise = np.random.default_rng(0).normal(0, 0.12, 30 * SAMPLE_RATE).astype(np.float32)
    assert len(to_mp3(noise)) * 11 * 4 / 3 < 2.9e6


def test_same_samples_same_bytes():
    assert to_mp3(clicks(0.5)) == to_mp3(clicks(0.5))
