"""Waveform → standardised log-mel, on torch.

Frames are centred (reflected at the ends) and weighted by a Hann window; powers are summed in mel bands on Slaney's scale, each of unit
area, as librosa 0.11 does. The natural logarithm is taken of the power plus float32's epsilon, so that silence is finite: what is to be
silence must be zeros before it, in the waveform.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jukemir_like.audio import mel
from jukemir_like.stemjepa import config

_CPU_BLOCK_SAMPLES = 200_000


class LogMel(nn.Module):
    """Log-mel of waveforms.

    Shape:
        - input: ``(*, samples)``, float32, more than ``n_fft / 2`` samples.
        - output: ``(*, n_mels, samples // hop_length)``, float32: the frame that begins at the very end is left out.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, settings: config.Frontend) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("window", torch.hann_window(settings.n_fft), persistent=False)
        bands = mel.filters(settings.sample_rate, settings.n_fft, settings.n_mels, settings.f_min, settings.f_max)
        self.register_buffer("filters", torch.from_numpy(bands), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        settings = self.settings
        frames = waveform.shape[-1] // settings.hop_length
        flat = waveform.float().reshape(-1, waveform.shape[-1])
        log_mel = flat.new_empty(len(flat), settings.n_mels, frames)
        # On a CPU a few clips at a time: their frames, five times as large as the clips, then stay in its cache.
        block = _CPU_BLOCK_SAMPLES // flat.shape[-1] + 1 if flat.device.type == "cpu" else len(flat)
        with torch.autocast(waveform.device.type, enabled=False):
            for clips, out in zip(torch.split(flat, block), torch.split(log_mel, block), strict=True):
                out.copy_(self._of_clips(clips, frames))
        return log_mel.view(*waveform.shape[:-1], settings.n_mels, frames)

    def _of_clips(self, clips: Tensor, frames: int) -> Tensor:
        settings = self.settings
        spectrum = torch.stft(clips, settings.n_fft, settings.hop_length, window=self.window, center=True, return_complex=True)[
            ..., :frames
        ]
        bands = self.filters @ spectrum.real.square().addcmul_(spectrum.imag, spectrum.imag)
        return (bands + torch.finfo(torch.float32).eps).log_().sub_(settings.mean).div_(settings.std)
