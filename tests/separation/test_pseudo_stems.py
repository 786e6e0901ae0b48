"""A recording → pseudo-stems: what goes where, blocks, and full scale."""

import hashlib

import numpy as np
import pytest
import soundfile

from jukemir_like.audio.wav import write_wav
from jukemir_like.separation import pseudo_stems
from jukemir_like.separation.pseudo_stems import Separation, separate, separated_blocks, write

BASS, DRUMS, OTHER, VOCALS = range(4)
RATE = 16000


def music(seconds=4.0, seed=0):
    """Tones, strokes and noise: int16 ``(samples,)``."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    samples = 0.2 * np.sin(2 * np.pi * 90 * time) + 0.2 * np.sin(2 * np.pi * 880 * time)
    for start in range(0, len(time), RATE // 3):
        stroke = random.standard_normal(RATE // 20) * np.exp(-np.arange(RATE // 20) / 100)
        samples[start : start + len(stroke)] += 0.3 * stroke[: len(time) - start]
    return np.rint(32767 * np.clip(samples, -1, 1)).astype(np.int16)


def energies(parts):
    return (parts.astype(float) ** 2).sum(axis=1) / (parts.astype(float) ** 2).sum()


@pytest.mark.parametrize(("frequency", "stem"), [(60, BASS), (100, BASS), (1000, OTHER), (5000, OTHER)])
def test_a_tone_is_bass_or_other(frequency, stem):
    tone = np.sin(2 * np.pi * frequency * np.arange(3 * RATE) / RATE).astype(np.float32)
    assert energies(separate(tone, RATE, Separation())[:, RATE:-RATE])[stem] > 0.98


def test_at_its_corner_a_tone_is_half_of_each():
    tone = np.sin(2 * np.pi * 400 * np.arange(3 * RATE) / RATE).astype(np.float32)
    middle = separate(tone, RATE, Separation(bass_hz=400))[:, RATE:-RATE]
    np.testing.assert_allclose(np.abs(middle[[BASS, OTHER]]).max(axis=1), 0.5, atol=0.08)


def test_strokes_are_drums():
    strokes = np.zeros(3 * RATE, np.float32)
    strokes[RATE // 4 :: RATE // 2] = 1
    assert energies(separate(strokes, RATE, Separation()))[DRUMS] > 0.98


def test_the_parts_sum_to_the_mix_and_vocals_are_silent():
    mono = music() / np.float32(32768)
    parts = separate(mono, RATE, Separation())
    np.testing.assert_allclose(parts.sum(axis=0), mono, atol=2e-7)
    assert not parts[VOCALS].any()
    assert (np.abs(parts[[BASS, DRUMS, OTHER]]).max(axis=1) > 0.05).all()


@pytest.mark.parametrize("length", [RATE * 4, RATE * 4 - 77, 16 * 40 * 8, 16 * 40 * 8 + 1, 5])
def test_blocks_are_the_whole(monkeypatch, length):
    monkeypatch.setattr(pseudo_stems, "_BLOCK_HOPS", 40)
    samples = music()[:length]
    blocks = list(separated_blocks(samples, RATE, Separation()))
    assert length < 40 * 256 or len(blocks) > 1
    np.testing.assert_allclose(np.concatenate(blocks, axis=1), separate(samples / np.float32(32768), RATE, Separation()), atol=3e-7)


@pytest.mark.parametrize(("rate", "window"), [(8000, 512), (22050, 1024), (44100, 2048), (48000, 2048), (96000, 4096), (100, 16)])
def test_the_window_is_as_long_at_every_rate(rate, window):
    assert pseudo_stems._window_samples(rate) == window


def test_what_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(pseudo_stems, "_BLOCK_HOPS", 40)
    digest, gain = write(tmp_path / "song.wav", music(), RATE, Separation())
    parts, rate = soundfile.read(tmp_path / "song.wav", dtype="int16")
    assert (gain, rate, parts.shape) == (1.0, RATE, (len(music()), 4))
    assert digest == hashlib.sha256((tmp_path / "song.wav").read_bytes()).hexdigest()
    assert digest == write_wav(tmp_path / "whole.wav", separate(music() / np.float32(32768), RATE, Separation()), RATE)
    assert np.abs(parts.astype(int).sum(axis=1) - music()).max() <= 2  # three channels, each rounded


def test_parts_beyond_full_scale_are_turned_down_together(tmp_path):
    time = np.arange(2 * RATE) / RATE
    square = (32767 * np.sign(np.sin(2 * np.pi * 100 * time + 0.1))).astype(np.int16)  # its fundamental is 4/π of full scale
    peak = np.abs(separate(square / np.float32(32768), RATE, Separation())).max()
    assert peak > 1.1
    _, gain = write(tmp_path / "song.wav", square, RATE, Separation())
    parts, _ = soundfile.read(tmp_path / "song.wav", dtype="int16")
    assert gain == pytest.approx(32767 / 32768 / peak, rel=1e-6)
    assert np.abs(parts.astype(int)).max() == 32767
    assert np.abs(parts.astype(int).sum(axis=1) - gain * square).max() <= 2


def test_what_is_recorded():
    recorded = Separation(bass_hz=150).to_json()
    assert recorded["bass_hz"] == 150
    assert recorded["method"].startswith("harmonic-percussive")
