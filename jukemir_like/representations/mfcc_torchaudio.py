"""The same coefficients by torchaudio, on a GPU or a processor: the optional route of :class:`~jukemir_like.representations.mfcc.Mfcc`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from jukemir_like.core.errors import RequestError
from jukemir_like.representations import frames


def load(sample_rate: int, n_fft: int, hop_length: int, n_mels: int, n_mfcc: int, device: str) -> Callable[[np.ndarray], np.ndarray]:
    """A function from a clip ``(samples,)`` to coefficients ``(frames, n_mfcc)``, float32, computed on ``device``.

    Raises:
        RequestError: torchaudio cannot be imported, or there is no such device.
    """
    try:
        import torch
        from torchaudio.transforms import MFCC
    except (ImportError, OSError) as error:  # OSError: a torchaudio built for another torch
        reason = str(error).partition("\n")[0]
        raise RequestError(
            f"torchaudio cannot be imported ({reason}): install the torchaudio that fits torch, or use the numpy backend"
        ) from error
    spectrum = {"n_fft": n_fft, "hop_length": hop_length, "n_mels": n_mels, "pad_mode": "constant", "norm": "slaney", "mel_scale": "slaney"}
    try:
        transform = MFCC(sample_rate, n_mfcc, melkwargs=spectrum).to(device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise RequestError(f"device {device!r} cannot be used by torch ({reason})") from error

    @torch.inference_mode()
    def coefficients(clip: np.ndarray) -> np.ndarray:
        # One clip at a time, as (batch, channel, samples): a two-dimensional batch would share one decibel floor, and on a GPU even the
        # size of a batch changes the last bits.
        samples = torch.from_numpy(clip / frames.peak_of(clip)).to(device)
        return transform(samples[None, None])[0, 0].T.cpu().numpy()  # type: ignore[no-any-return]

    return coefficients
