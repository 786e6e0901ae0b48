"""What is heard of a file: an excerpt, as loud as the others, and its waveform."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

from jukemir_like import audio
from jukemir_like.audio.stems import reading
from jukemir_like.core.errors import InputError
from jukemir_like.deform.key_and_tempo import AS_IT_IS, Change
from jukemir_like.listening.compress import SAMPLE_RATE, Mono
from jukemir_like.studio.levels import active_level, ratio

SECONDS = 30.0
"""Of an excerpt, unless told otherwise."""

MIX_LEVEL = ratio(-18)
"""Of a mix: :func:`~jukemir_like.studio.levels.active_level`, full scale 1."""

PEAK = ratio(-1)
"""No sample is louder, whatever the level."""

_MOST_GAIN = ratio(30)  # more would raise noise
_AS_LOUD = 10**-0.1  # in power: within 1 dB
_BARS = 400
_BLOCK = 1 << 18
_FADE_SECONDS = 0.005
_PLAIN = ("PCM_U8", "PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
_MARGIN_SECONDS = 0.2  # of the file after an excerpt, for its end too has what comes after it in the blocks of a stretcher


@dataclass(frozen=True)
class Excerpt:
    """A part of a file.

    Args:
        samples: ``(samples,)`` at :data:`~.compress.SAMPLE_RATE`; zeros where the file has ended.
        offset_seconds: where it begins in the file.
        file_seconds: duration of the whole file.
        rate: how many times as fast as in the file it is heard.
    """

    samples: Mono
    offset_seconds: float
    file_seconds: float
    rate: float = 1.0

    @property
    def seconds(self) -> float:
        """Its duration."""
        return len(self.samples) / SAMPLE_RATE

    @property
    def is_silent(self) -> bool:
        """Whether no sample is louder than −80 dB of full scale."""
        return not len(self.samples) or float(np.abs(self.samples).max()) < 1e-4

    @property
    def sounding_seconds(self) -> float:
        """How much of it the file has, from the beginning of the excerpt."""
        return min(self.seconds, (self.file_seconds - self.offset_seconds) / self.rate)


def read(path: Path) -> audio.Audio:
    """A file, mixed down to mono with equal weights: ``(1, samples)`` at its own rate.

    Raises:
        InputError: it cannot be decoded.
        OSError: it cannot be read.
    """
    decoded = audio.decode(path)
    return audio.Audio(audio.mix_down(decoded.samples)[None], decoded.sample_rate)


def read_part(path: Path, start_seconds: float, seconds: float, change: Change = AS_IT_IS, *, in_time: bool = True) -> Excerpt:
    """:func:`cut` of :func:`read`; where the format allows it, nothing after what is heard is decoded, and in most formats nothing before.

    Args:
        path: of the file.
        start_seconds, seconds, change: as in :func:`cut`.
        in_time: False: from the beginning too where less than half as much is left from ``start_seconds`` as could be heard from there.

    Raises:
        InputError: it cannot be decoded.
        OSError: it cannot be read.
    """
    part = _read_part(path, start_seconds, seconds, change)
    could_be_heard = min(seconds, part.file_seconds / part.rate)
    if not in_time and part.offset_seconds and part.sounding_seconds < could_be_heard / 2:
        return _read_part(path, 0.0, seconds, change)
    return part


def _read_part(path: Path, start_seconds: float, seconds: float, change: Change) -> Excerpt:
    with suppress(InputError):  # what is wrong, the whole file tells
        if reading.is_as_declared(path) and (part := _part(path, start_seconds, _taken_seconds(seconds, change))):
            sound, start_seconds, file_seconds = part
            return replace(cut(sound, 0, seconds, change), offset_seconds=start_seconds, file_seconds=file_seconds)
    return cut(read(path), start_seconds, seconds, change)


def _part(path: Path, start_seconds: float, seconds: float) -> tuple[audio.Audio, float, float] | None:
    """What of a file is cut from ``start_seconds``, mixed down; where it begins; duration of the file. None: only the whole will do."""
    with reading.open_sound(path) as sound:
        rate, frames = sound.samplerate, sound.frames
        if start_seconds * rate >= frames:
            start_seconds = 0.0
        first = round(start_seconds * rate)
        count = min(round(seconds * rate), frames - first)
        if count <= 0 or sound.subtype not in (*_PLAIN, reading.VORBIS):  # parts of MP3 and Opus depend on how they are read
            return None
        _go_to(sound, first)
        values = sound.read(count, dtype="float32", always_2d=True)
    if len(values) < count or not np.isfinite(values).all():
        return None
    return audio.Audio(audio.mix_down(values.T)[None], rate), start_seconds, frames / rate


def _go_to(sound: soundfile.SoundFile, frame: int) -> None:
    """To a frame of a file just opened; in Vorbis, where libsndfile's seek may miss it, by reading up to it."""
    if sound.subtype in _PLAIN:
        sound.seek(frame)
        return
    while frame > 0 and (passed := len(sound.read(min(frame, _BLOCK), dtype="float32"))):
        frame -= passed


def start_of_excerpt(mix: audio.Audio, seconds: float) -> float:
    """Where an excerpt of a long mix begins, in whole seconds: the earliest that is within 1 dB of the loudest.

    >>> start_of_excerpt(audio.Audio(np.float32([[0.1] * 4 + [0.5] * 4]), 1), 3.0)
    4.0
    """
    rate, samples = mix.sample_rate, mix.samples[0]
    whole = len(samples) // rate
    if len(samples) <= round(seconds * rate):
        return 0.0
    powers = np.square(samples[: whole * rate].reshape(whole, rate), dtype=np.float32).mean(1, dtype=np.float64)
    window = min(whole, max(1, round(seconds)))
    sums = np.convolve(powers, np.ones(window), "valid")
    return float(np.flatnonzero(sums >= sums.max() * _AS_LOUD)[0])


def cut(sound: audio.Audio, start_seconds: float, seconds: float, change: Change = AS_IT_IS) -> Excerpt:
    """The excerpt from ``start_seconds``; from the beginning where the sound has ended by then.

    Its ends are faded in and out within 5 ms, so that it repeats without a click.

    Args:
        sound: one channel.
        start_seconds: in ``sound`` as it is.
        seconds: of the excerpt as it is heard.
        change: in which key and tempo it is heard.

    Raises:
        RequestError: there is a change, and python-stretch is not installed.
    """
    rate, samples = sound.sample_rate, sound.samples[0]
    if start_seconds * rate >= len(samples):
        start_seconds = 0.0
    first, wanted = round(start_seconds * rate), round(seconds * SAMPLE_RATE)
    taken_seconds = _taken_seconds(seconds, change)
    part = np.ascontiguousarray(samples[first : first + round(taken_seconds * rate)], dtype=np.float32)
    resampled = audio.resample(part, rate, SAMPLE_RATE)
    if not change.is_none:
        missing = max(0, round(taken_seconds * SAMPLE_RATE) - len(resampled))
        resampled = change.apply(np.pad(resampled, (0, missing)), SAMPLE_RATE)
    resampled = resampled[:wanted]
    result = np.zeros(wanted, np.float32)
    result[: len(resampled)] = resampled
    fade = np.linspace(0, 1, min(round(_FADE_SECONDS * SAMPLE_RATE), wanted // 2), dtype=np.float32)
    result[: len(fade)] *= fade
    result[wanted - len(fade) :] *= fade[::-1]
    return Excerpt(result, start_seconds, len(samples) / rate, change.rate)


def _taken_seconds(seconds: float, change: Change) -> float:
    """How much of a file is cut for an excerpt of so many seconds."""
    return seconds if change.is_none else seconds * change.rate + _MARGIN_SECONDS


def gain(samples: Mono, level: float = MIX_LEVEL) -> float:
    """The factor that gives ``(samples,)`` this level while it sounds, as far as :data:`PEAK` and 30 dB allow; 1 of silence.

    >>> round(gain(np.full(32000, 0.01, np.float32), 0.1), 3)
    10.0
    """
    active, peak = active_level(samples, SAMPLE_RATE), float(np.abs(samples).max(initial=0))
    return min(level / active, PEAK / peak, _MOST_GAIN) if active > 0 else 1.0


def waveform(samples: Mono) -> list[int]:
    """Peaks of up to 400 equal parts of ``(samples,)``, in percent of the largest.

    >>> waveform(np.float32([0.1, -0.4, 0.2]))
    [25, 100, 50]
    """
    edges = np.linspace(0, len(samples), min(_BARS, len(samples)) + 1).astype(int)[:-1]
    if not len(edges):
        return []
    peaks = np.maximum.reduceat(np.abs(samples), edges)
    return [int(value) for value in np.rint(100 * peaks / max(float(peaks.max()), 1e-9))]
