"""The one place that decodes, resamples, mixes and writes audio.

``decoding`` (a file or bytes → samples; by libsndfile, or ``ffmpeg``), ``conversion`` (mono, sample rate, 16 bits), ``wav`` (writing; where
samples lie), ``inputs`` (audio files of a folder). What a file really holds where its header does not say it: ``uncompressed`` (WAV,
AIFF and others), ``flac``, ``mpeg``, ``ogg``, all in terms of ``stream``. ``stems``: the stems of songs, in all their file layouts.
Samples are float32 in [-1, 1), arrays ``(channels, samples)`` or, for mono, ``(samples,)``.
"""

from jukemir_like.audio.conversion import mix_down, resample, to_int16, to_mono
from jukemir_like.audio.decoding import Audio, decode, decode_mono, load
from jukemir_like.audio.inputs import EXTENSIONS, Listing, check_readable, digest, find, is_audio, list_audio
from jukemir_like.audio.wav import write_wav

__all__ = [
    "EXTENSIONS",
    "Audio",
    "Listing",
    "check_readable",
    "decode",
    "decode_mono",
    "digest",
    "find",
    "is_audio",
    "list_audio",
    "load",
    "mix_down",
    "resample",
    "to_int16",
    "to_mono",
    "write_wav",
]
