"""Two thousand damaged and odd files: the samples that they hold, or one line that says why not; nothing hangs, nothing dies.

What is right is known for each kind of damage, from the undamaged file, or from ffmpeg, which has nothing to do with libsndfile:

=========  ======================================================  ====================================================================
kind       what is done                                            what must come of it
=========  ======================================================  ====================================================================
length     the length in the header becomes 0, huge, less or more  all samples. Uncompressed: of less, so many; of more, a refusal.
                                                                   FLAC: of more, a refusal. MP3: of more, padding at the end
joined     two or three files one after another                    the samples of each, one after another
tagged     ID3v2 before; ID3v1 or an APE tag behind                the same samples
cut        the end is missing                                      a refusal; of MP3, Ogg and ADTS, what is there up to the last frame;
                                                                   of MP4 and WMA no more is missing than an encoder's delay
noise      bytes of uncompressed samples change                    these samples change, no others
header     bytes of the header of an uncompressed file change      a refusal, or no more samples than there are bytes
flipped    bytes change anywhere in a compressed file              FLAC: the same samples, or a refusal. Others: as many samples as of
                                                                   ffmpeg, but for a few frames, or a refusal
spliced    a piece is doubled, moved, missing or put in            as flipped
=========  ======================================================  ====================================================================
"""

import io
import signal
import struct
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jukemir_like import audio
from jukemir_like.audio import ffmpeg
from jukemir_like.core import parallel
from jukemir_like.core.errors import InputError

SECONDS, RATE = 1.0, 22050
LIMIT_SECONDS = 60  # for one file; a worker that takes longer is killed
UNCOMPRESSED = {
    name: (form, subtype, {})
    for name, form, subtype in (
        ("wav16", "WAV", "PCM_16"),
        ("wav24", "WAVEX", "PCM_24"),
        ("wavfloat", "WAV", "FLOAT"),
        ("wav8", "WAV", "PCM_U8"),
        ("rf64", "RF64", "PCM_16"),
        ("w64", "W64", "PCM_16"),
        ("aiff", "AIFF", "PCM_16"),
        ("au", "AU", "PCM_16"),
        ("caf", "CAF", "PCM_16"),
    )
}
COMPRESSED = {
    "flac16": ("FLAC", "PCM_16", {}),
    "flac24": ("FLAC", "PCM_24", {}),
    "vorbis": ("OGG", "VORBIS", {}),
    "opus": ("OGG", "OPUS", {}),
    "cbr": ("MP3", "MPEG_LAYER_III", {"bitrate_mode": "CONSTANT"}),
    "vbr": ("MP3", "MPEG_LAYER_III", {"bitrate_mode": "VARIABLE"}),
    "abr": ("MP3", "MPEG_LAYER_III", {"bitrate_mode": "AVERAGE"}),
}
BY_FFMPEG = {"m4a": ("ipod", "aac"), "alac": ("ipod", "alac"), "adts": ("adts", "aac"), "wma": ("asf", "wmav2")}
UNTAGGED = ("cbr-untagged", "vbr-untagged", "abr-untagged")
WIDTHS = {"wav16": 2, "wav24": 3, "wavfloat": 4, "wav8": 1, "rf64": 2, "w64": 2, "aiff": 2, "au": 2, "caf": 2}  # bytes of a sample
LENGTHS = {  # behind which word the length of the samples stands, how far, how, and what it counts beside them
    "WAV": (b"data", 4, "<I", 0),
    "WAVEX": (b"data", 4, "<I", 0),
    "RF64": (b"ds64", 16, "<Q", 0),
    "W64": (b"data", 16, "<Q", 24),
    "AIFF": (b"SSND", 4, ">I", 8),
    "AU": (b".snd", 8, ">I", 0),
    "CAF": (b"data", 4, ">Q", 4),
}


@cache
def original(name, seed=0):
    """Bytes and samples, ``(channels, frames)``, of an undamaged file: stereo, at 22.05 kHz (Opus: 48 kHz)."""
    rate = 48000 if name == "opus" else RATE
    time = np.arange(round(SECONDS * rate))[:, None] / rate
    random = np.random.default_rng(seed)
    loudness = np.where(time < 0.4 * SECONDS, 0.3, 0.001)
    samples = 0.1 * np.sin(2 * np.pi * np.array([440, 660]) * time) + random.uniform(-1, 1, (len(time), 2)) * loudness
    buffer = io.BytesIO()
    if name in BY_FFMPEG:
        soundfile.write(buffer, samples, rate, format="WAV", subtype="PCM_16")
        data = by_ffmpeg_encoded(buffer.getvalue(), *BY_FFMPEG[name])
    else:
        form, subtype, options = {**UNCOMPRESSED, **COMPRESSED}[name.removesuffix("-untagged")]
        soundfile.write(buffer, samples, rate, format=form, subtype=subtype, **options)
        data = buffer.getvalue()
    if name.endswith("-untagged"):
        data = data[data.index(data[:2], 4) :]
    return data, audio.decode(data).samples


def by_ffmpeg_encoded(wav, container, codec):
    with tempfile.TemporaryDirectory() as folder:  # an MP4 is not written to a pipe
        path = Path(folder, "made")
        options = ["-nostdin", "-v", "error", "-i", "pipe:0", "-c:a", codec, "-f", container, path]
        subprocess.run([ffmpeg.program(), *options], input=wav, check=True)
        return path.read_bytes()


def frames_by_ffmpeg(data):
    """How many frames ffmpeg decodes, left to itself; 0 where it decodes nothing."""
    options = ["-nostdin", "-v", "quiet", "-i", "pipe:0", "-map", "0:a:0", "-c:a", "pcm_s16be", "-f", "au", "pipe:1"]
    out = subprocess.run([ffmpeg.program(), *options], input=data, stdout=subprocess.PIPE).stdout
    if len(out) < 24:
        return 0
    offset, _, _, _, channels = struct.unpack_from(">5I", out, 4)
    return (len(out) - offset) // (2 * channels)


def decoded(data):
    """Samples, or the one line of a refusal."""
    try:
        sound = audio.decode(data)
    except InputError as error:
        reason = str(error)
    else:
        assert np.isfinite(sound.samples).all()
        return sound.samples
    assert reason.isprintable()
    assert len(reason) > 10
    return reason


def same(samples, expected):
    return not isinstance(samples, str) and np.array_equal(samples, expected)


def length(name, random):
    data, samples = original(name)
    if name in COMPRESSED:
        if name.startswith("flac"):
            total = int(random.choice([0, random.integers(1, 22050), random.integers(22051, 2**36)]))
            field = struct.unpack_from(">Q", data, 18)[0] >> 36 << 36
            found = decoded(data[:18] + struct.pack(">Q", field | total) + data[26:])
            return "cut short" in found if total > 22050 else same(found, samples)
        at = max(data.find(b"Xing"), data.find(b"Info")) + 8
        (right,) = struct.unpack_from(">I", data, at)
        count = int(random.choice([random.integers(1, right), random.integers(right + 1, 2**32), 0xFFFFFFFF]))
        found = decoded(data[:at] + struct.pack(">I", count) + data[at + 4 :])
        return same(found[:, : samples.shape[1]], samples) and found.shape[1] <= samples.shape[1] + (count > right) * 1152
    word, behind, layout, counted = LENGTHS[UNCOMPRESSED[name][0]]
    at = data.index(word) + behind
    (right,) = struct.unpack_from(layout, data, at)
    huge, frame_bytes = 2 ** (8 * struct.calcsize(layout)) - 1, (right - counted) // samples.shape[1]
    kind = random.integers(4)
    few = int(random.integers(100, samples.shape[1]))
    value = [0, huge - int(random.integers(4096)), counted + few * frame_bytes, right + int(random.integers(8, 10**6))][kind]
    found = decoded(data[:at] + struct.pack(layout, value) + data[at + struct.calcsize(layout) :])
    if kind < 2:
        return same(found, samples)
    return same(found, samples[:, :few]) or (name in ("aiff", "w64") and same(found, samples)) if kind == 2 else "cut short" in found


def joined(name, random):
    parts = [original(name, int(seed)) for seed in random.integers(3, size=random.integers(2, 4))]
    return same(decoded(b"".join(data for data, _ in parts)), np.concatenate([samples for _, samples in parts], axis=1))


def tagged(name, random):
    data, samples = original(name)
    size = int(random.integers(1, 100_000))
    before = b"ID3\x04\0\0" + bytes([0, size >> 14 & 127, size >> 7 & 127, size & 127]) + random.bytes(size)
    ape = b"APETAGEX" + struct.pack("<IIII", 2000, 32 + size, 1, 0) + bytes(8) + random.bytes(size)
    behind = [b"", b"TAG" + random.bytes(125), *([ape] if name[:4] != "flac" else [])]
    found = decoded(before * int(random.integers(2)) + data + behind[random.integers(len(behind))])
    # Behind a frame of silence an MP3 decodes to the same but for the last bit.
    return found.shape == samples.shape and np.allclose(found, samples, rtol=0, atol=2**-22 if name in UNTAGGED else 0)


def cut(name, random):
    data, samples = original(name)
    found = decoded(data[: int(random.integers(1, len(data) - 1))])
    if isinstance(found, str):
        return True
    if name in UNCOMPRESSED or name.startswith("flac"):
        return False
    if name in BY_FFMPEG and name != "adts" and found.shape[1] + 2 * 2048 < samples.shape[1]:
        return False
    whole = max(0, found.shape[1] - 2 * 1152)
    return found.shape[1] <= samples.shape[1] + 2 * 1152 and np.allclose(found[:, :whole], samples[:, :whole], atol=1e-6)


def noise(name, random):
    data, samples = original(name)
    first = len(data) - samples.shape[1] * 2 * WIDTHS[name]
    changed, where = bytearray(data), random.integers(first, len(data), 10)
    for at in where:
        changed[at] ^= 1 << random.integers(8)
    found = decoded(bytes(changed))
    if isinstance(found, str):
        return name == "wavfloat" and "NaN" in found
    frames = np.unique((where - first) // (2 * WIDTHS[name]))
    others = np.setdiff1d(np.arange(samples.shape[1]), frames)
    return found.shape == samples.shape and same(found[:, others], samples[:, others])


def header(name, random):
    data, samples = original(name)
    changed = bytearray(data)
    for at in random.integers(0, len(data) - samples.shape[1] * 2 * WIDTHS[name], random.integers(1, 6)):
        changed[at] = random.integers(256)
    found = decoded(bytes(changed))
    return isinstance(found, str) or found.size <= 2 * len(data)  # of two samples a byte (ADPCM), at most


def flipped(name, random):
    data, _ = original(name)
    changed = bytearray(data)
    for at in random.integers(0, len(data), random.integers(1, 20)):
        changed[at] = random.integers(256)
    return as_by_ffmpeg(name, bytes(changed))


def spliced(name, random):
    data, _ = original(name)
    first, second, third = map(int, np.sort(random.integers(len(data) // 20, len(data), 3)))
    changed = [
        data[:second] + data[first:],
        data[:first] + data[second:],
        data[:first] + data[second:third] + data[first:second] + data[third:],
        data[:first] + random.bytes(second - first) + data[first:],
    ][random.integers(4)]
    return as_by_ffmpeg(name, changed)


def as_by_ffmpeg(name, data):
    found = decoded(data)
    if isinstance(found, str):
        return True
    if name.startswith("flac"):
        return same(found, original(name)[1])
    # Where frames are damaged, decoders differ in what they make of these: ffmpeg leaves out those that lack bits of an earlier one.
    return -3 * 576 <= found.shape[1] - frames_by_ffmpeg(data) <= 10 * 576


PLAN = [
    (length, {**dict.fromkeys(UNCOMPRESSED, 60), **dict.fromkeys(("flac16", "flac24", "cbr", "vbr", "abr"), 40)}),
    (joined, dict.fromkeys(("flac16", "flac24", "vorbis", "opus", "cbr", "vbr", "abr"), 15)),
    (tagged, dict.fromkeys(("flac16", "cbr", "vbr", "abr", "vbr-untagged"), 20)),
    (
        cut,
        {**dict.fromkeys(UNCOMPRESSED, 20), **dict.fromkeys(COMPRESSED, 30), **dict.fromkeys(UNTAGGED, 30), **dict.fromkeys(BY_FFMPEG, 4)},
    ),
    (noise, dict.fromkeys(UNCOMPRESSED, 16)),
    (header, dict.fromkeys(UNCOMPRESSED, 25)),
    (
        flipped,
        {"flac16": 60, "flac24": 60, **dict.fromkeys(("vorbis", "opus", "cbr", "vbr", *UNTAGGED), 14), **dict.fromkeys(BY_FFMPEG, 4)},
    ),
    (
        spliced,
        {"flac16": 30, "flac24": 30, **dict.fromkeys(("vorbis", "opus", "cbr", "vbr", *UNTAGGED), 14), **dict.fromkeys(BY_FFMPEG, 4)},
    ),
]


def check(item):
    """Whether what comes of one damaged file is right; runs in a worker, which is killed if that takes too long."""
    kind, name, seed = item
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(LIMIT_SECONDS)
    try:
        return bool(globals()[kind](name, np.random.default_rng([seed, *kind.encode(), *name.encode()])))
    finally:
        signal.alarm(0)


@pytest.mark.slow
def test_damaged_files_give_their_samples_or_a_reason():
    try:
        ffmpeg.program()
    except InputError:
        pytest.skip("needs ffmpeg: pip install imageio-ffmpeg")
    items = [(kind.__name__, name, seed) for kind, names in PLAN for name, count in names.items() for seed in range(count)]
    assert len(items) >= 2000
    items.sort(key=lambda item: -(item[0] in ("flipped", "spliced")))  # the long ones first
    results = list(parallel.map_unordered(check, items, 2))
    assert len(results) == len(items)
    assert not {item: result for item, result in results if result is not True}
