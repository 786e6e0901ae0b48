"""The log-mel against librosa's."""

import librosa
import numpy as np
import pytest
import torch

from jukemir_like.stemjepa.config import Frontend
from jukemir_like.stemjepa.frontend import LogMel

PAPER = Frontend()
FINE = Frontend(sample_rate=22050, n_fft=2048, hop_length=441, n_mels=96, f_min=30.0, f_max=11025.0)
EPSILON = np.finfo(np.float32).eps


def librosa_log_mel(clip, settings):
    power = librosa.feature.melspectrogram(
        y=clip,
        sr=settings.sample_rate,
        n_fft=settings.n_fft,
        hop_length=settings.hop_length,
        n_mels=settings.n_mels,
        fmin=settings.f_min,
        fmax=settings.f_max,
        pad_mode="reflect",
    )
    return (np.log(power + EPSILON) - settings.mean) / settings.std


@pytest.fixture(params=[PAPER, FINE], ids=["paper", "fine"])
def settings(request):
    return request.param


def test_filters_are_librosas(settings):
    expected = librosa.filters.mel(
        sr=settings.sample_rate, n_fft=settings.n_fft, n_mels=settings.n_mels, fmin=settings.f_min, fmax=settings.f_max
    )
    np.testing.assert_allclose(LogMel(settings).filters.numpy(), expected, atol=1e-7)


def test_log_mel_is_librosas(settings):
    rng = np.random.default_rng(0)
    time = np.arange(3 * settings.sample_rate) / settings.sample_rate
    clip = 0.3 * np.sin(2 * np.pi * (100 + 300 * time) * time) + 0.05 * rng.standard_normal(len(time))
    clip[: settings.sample_rate // 2] = 0
    clip = clip.astype(np.float32)
    ours = LogMel(settings)(torch.from_numpy(clip)).numpy()
    theirs = librosa_log_mel(clip, settings)[:, : ours.shape[1]]
    assert ours.shape == (settings.n_mels, len(clip) // settings.hop_length)
    assert np.linalg.norm(ours - theirs) < 1e-4 * np.linalg.norm(theirs)


def test_eight_seconds_are_800_frames():
    assert LogMel(PAPER)(torch.zeros(2, 3, 128_000)).shape == (2, 3, 80, 800)


def test_silence_is_the_logarithm_of_epsilon_and_no_padding_value():
    silent = LogMel(PAPER)(torch.zeros(16_000))
    expected = (np.log(EPSILON) - PAPER.mean) / PAPER.std
    torch.testing.assert_close(silent, torch.full_like(silent, float(expected)))


def test_a_row_does_not_depend_on_its_neighbours():
    clips = torch.randn(3, 16_000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(LogMel(PAPER)(clips)[1], LogMel(PAPER)(clips[1]), rtol=1e-5, atol=1e-5)


def test_autocast_does_not_reach_it():
    clip = torch.randn(16_000, generator=torch.Generator().manual_seed(0))
    plain = LogMel(PAPER)(clip)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(LogMel(PAPER)(clip), plain)
