"""The folders that images are tried on. Same bytes stand under several names, for a vector may depend on the bytes alone."""

from __future__ import annotations

from functools import cache

from jukemir_like.conformance.sounds import encoded, wav

TONE = "tone.wav"

_ORDERED = (
    "10.wav", "11.wav", "12.wav", "9.wav", "Z.wav", "_.wav", "a b.wav", "a-b.wav", "a.b.wav", "a.wav", "a/0.wav", "y.wav",
    "é.wav", "ｚ.wav", "😀.wav", "\udcff.wav",
)  # fmt: skip
_STRANGE = (
    " begins with a space.wav", "-rf.wav", "--batch_size.wav", "-/-.wav", "it's \"quoted\".wav", "star*.wav", "star1.wav", "[s]?.wav",
    "100%d%n.wav", "two\nlines.wav", "a\ttab.wav", "back\\slash.wav", "$HOME `id` & ;.wav", "#.wav", "~.wav",
    "two..dots.wav", "ends with a space .wav", "😀.wav", "e\u0301.wav", "\udcff.wav", "l" * 251 + ".wav",
)  # fmt: skip


def ordered() -> dict[str, bytes]:
    """Names for which byte order is none of the orders that file systems, shells, languages and people have."""
    return {path: wav(number % 6) for number, path in enumerate(_ORDERED)}


def strange() -> dict[str, bytes]:
    """Names that a file system allows, and that quoting, splitting or decoding them wrongly would lose."""
    return {path: wav(number % 6) for number, path in enumerate(_STRANGE)}


def few() -> dict[str, bytes]:
    """Three inputs, for what asks no more."""
    return {"a.wav": wav(0), "b.wav": wav(1), "c.wav": wav(2)}


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
    """Several rates, lengths and numbers of channels."""
    return {
        "stereo.wav": wav(4, channels=2, sample_rate=44100, seconds=3.0),
        "long.wav": wav(5, seconds=10.0),
        "low.wav": wav(6, sample_rate=8000, seconds=5.0),
        "studio.wav": wav(7, sample_rate=48000, channels=2),
    }


def sub_folders() -> dict[str, bytes]:
    """Inputs at several depths; a folder may have an input's name."""
    return {
        "album/one.wav": wav(1),
        "album/disc 2/deeper/two.wav": wav(2),
        "album/tone.wav": wav(0),
        "folder.wav/inside.wav": wav(3),
        "other/tone copy.wav": wav(0),
    }


def hidden() -> dict[str, bytes]:
    """Audio that is not to be touched, for its name begins with a dot or its folder's does."""
    return dict.fromkeys((".hidden.wav", ".cache/tone.wav", "album/.deep/er/tone.wav", "album/.take.wav", "..twice.wav"), wav(8))


def others() -> dict[str, bytes]:
    """Files that are no inputs by their names, some of them audio all the same."""
    return {
        "sound.txt": wav(8),
        "music": wav(8),
        "late.wav.bak": wav(8),
        "wav": wav(8),
        "album/notes.txt": b"remember the milk\n",
        "cover.jpg": b"\xff\xd8\xff\xe0",
    }


def bad() -> dict[str, bytes]:
    """Inputs that nothing can decode."""
    text = b"This is a text, whatever its name says.\n" * 20
    return {"empty.wav": b"", "header.wav": wav(0)[:20], "text.wav": text, "words.flac": text, "prose.ogg": text, "verse.mp3": text}
