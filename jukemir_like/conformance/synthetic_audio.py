"""The audio files on which images are tried: tones and noise, the same samples on every machine, under names easy to get wrong.

Each function returns files by path. Some hold the same bytes under several names, as a vector may depend on the bytes alone.
"""

from __future__ import annotations

import io
import wave
from functools import cache

SAMPLE_RATE = 22050
TONE = "tone.wav"
LONG = "long.wav"

_ORDERED = (
    "10.wav", "11.wav", "12.wav", "9.wav", "Z.wav", "_.wav", "a b.wav", "a-b.wav", "a.b.wav", "a.wav", "a/0.wav", "y.wav",
    "é.wav", "ｚ.wav", "😀.wav", "\udcff.wav",
)  # fmt: skip
_UNUSUAL = (
    " begins with a space.wav", "-rf.wav", "--batch_size.wav", "-/-.wav", "it's \"quoted\".wav", "star*.wav", "star1.wav", "[s]?.wav",
    "100%d%n.wav", "two\nlines.wav", "a\ttab.wav", "back\\slash.wav", "$HOME `id` & ;.wav", "#.wav", "~.wav",
    "two..dots.wav", "ends with a space .wav", "😀.wav", "e\u0301.wav", "\udcff.wav", "l" * 251 + ".wav",
)  # fmt: skip


@cache
def wav(seed: int, *, seconds: float = 2.0, sample_rate: int = SAMPLE_RATE, channels: int = 1) -> bytes:
    """A WAV file, 16-bit PCM: three tones of the tempered scale and some noise. Each ``seed`` gives other tones.

    >>> len(wav(0, seconds=1.0))  # a header of 44 bytes, and two bytes per sample
    44144
    """
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(_samples(seed, seconds, sample_rate, channels))
    return buffer.getvalue()


@cache
def encoded(seed: int, format: str, *, seconds: float = 2.0, sample_rate: int = SAMPLE_RATE, channels: int = 1) -> bytes:  # noqa: A002
    """The samples of :func:`wav` as FLAC, OGG or MP3. The bytes may differ between processes: Ogg streams have a random number."""
    import numpy as np
    import soundfile

    samples = np.frombuffer(_samples(seed, seconds, sample_rate, channels), "<i2").reshape(-1, channels)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate, format=format)
    return buffer.getvalue()


def few() -> dict[str, bytes]:
    """Three plain inputs."""
    return {"a.wav": wav(0), "b.wav": wav(1), "c.wav": wav(2)}


def ordered() -> dict[str, bytes]:
    """Names for which byte order differs from every order that file systems, shells, languages and people have."""
    return {path: wav(number % 6) for number, path in enumerate(_ORDERED)}


def unusual_names() -> dict[str, bytes]:
    """Names that a file system allows, and that wrong quoting, splitting or decoding would lose."""
    return {path: wav(number % 6) for number, path in enumerate(_UNUSUAL)}


@cache
def formats() -> dict[str, bytes]:
    """One of every ending."""
    return {
        TONE: wav(0),
        "free.flac": encoded(1, "FLAC"),
        "vorbis.ogg": encoded(2, "OGG"),
        "layer.mp3": encoded(3, "MP3", sample_rate=44100),
    }


@cache
def upper_case() -> dict[str, bytes]:
    """Endings in other cases."""
    return {"SHOUT.WAV": wav(1), "Mixed.FlAc": encoded(1, "FLAC"), "LOUD.OGG": encoded(2, "OGG"), "Upper.Mp3": encoded(3, "MP3")}


def kinds() -> dict[str, bytes]:
    """Several sample rates, durations and numbers of channels."""
    return {
        "stereo.wav": wav(4, channels=2, sample_rate=44100, seconds=3.0),
        LONG: wav(5, seconds=10.0),
        "low.wav": wav(6, sample_rate=8000, seconds=5.0),
        "studio.wav": wav(7, sample_rate=48000, channels=2),
    }


def sub_folders() -> dict[str, bytes]:
    """Inputs at several depths; one folder has an input's name."""
    return {
        "album/one.wav": wav(1),
        "album/disc 2/deeper/two.wav": wav(2),
        "album/tone.wav": wav(0),
        "folder.wav/inside.wav": wav(3),
        "other/tone copy.wav": wav(0),
    }


def all_kinds() -> dict[str, bytes]:
    """All formats, cases, kinds and depths of the functions above."""
    return {**formats(), **upper_case(), **kinds(), **sub_folders()}


def hidden() -> dict[str, bytes]:
    """Audio that is no input, as its name or its folder's begins with a dot."""
    return dict.fromkeys((".hidden.wav", ".cache/tone.wav", "album/.deep/er/tone.wav", "album/.take.wav", "..twice.wav"), wav(8))


def other_endings() -> dict[str, bytes]:
    """Files that are no inputs because of their endings, although some are audio."""
    return {
        "sound.txt": wav(8),
        "music": wav(8),
        "late.wav.bak": wav(8),
        "wav": wav(8),
        "album/notes.txt": b"remember the milk\n",
        "cover.jpg": b"\xff\xd8\xff\xe0",
    }


def undecodable() -> dict[str, bytes]:
    """Inputs that nothing can decode."""
    text = b"This is a text, whatever its name says.\n" * 20
    return {"empty.wav": b"", "header.wav": wav(0)[:20], "text.wav": text, "words.flac": text, "prose.ogg": text, "verse.mp3": text}


def _samples(seed: int, seconds: float, sample_rate: int, channels: int) -> bytes:
    """Interleaved 16-bit samples, little-endian. Channels have the tones in common, and each has noise of its own."""
    import numpy as np

    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    tones = sum(np.sin(2 * np.pi * 110 * 2 ** (step / 12) * time) for step in random.choice(36, 3, replace=False))
    samples = 0.2 * np.asarray(tones)[:, None] + 0.02 * random.standard_normal((len(time), channels))
    return bytes(np.round(samples.clip(-1, 1) * 32767).astype("<i2").tobytes())
