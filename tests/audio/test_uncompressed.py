"""Files that were written to a pipe: the header says 0 or a huge number, and what is there is meant."""

import struct
import subprocess

import numpy as np
import pytest

from jukemir_like import audio
from jukemir_like.audio.stems import finding, reading
from jukemir_like.core.errors import InputError

HUGE = (0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0x80000000, 0xFFFFFFD8)
HUGE_64 = (0, 2**64 - 1, 2**63 - 1, 2**62)
FIELDS = {  # format: where the length of the samples stands behind which word, its layout, how much more it counts, other fields, values
    "WAV": (b"data", 4, "<I", {4: "<I"}, HUGE),
    "WAVEX": (b"data", 4, "<I", {4: "<I"}, HUGE),
    "RF64": (b"ds64", 16, "<Q", {20: "<Q", 36: "<Q"}, HUGE_64),
    "W64": (b"data", 16, "<Q", {16: "<Q"}, HUGE_64),
    "AIFF": (b"SSND", 4, ">I", {4: ">I"}, (*HUGE, 8)),
    "AU": (b".snd", 8, ">I", {}, HUGE),
    "CAF": (b"data", 4, ">Q", {}, (*HUGE_64, 4)),
}


def with_field(data, at, layout, value):
    return data[:at] + struct.pack(layout, value & (2 ** (8 * struct.calcsize(layout)) - 1)) + data[at + struct.calcsize(layout) :]


@pytest.mark.parametrize("others", [False, True], ids=["", "all fields"])
@pytest.mark.parametrize(("format", "value"), [(name, value) for name, fields in FIELDS.items() for value in fields[-1]])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_what_is_there_is_read(music, encoded, format, value, others, subtype):
    data = encoded(music(0.1), format, subtype)
    whole = audio.decode(data).samples
    word, behind, layout, more, _ = FIELDS[format]
    changed = with_field(data, data.index(word) + behind, layout, value)
    if others and format == "AIFF":
        more = more | {data.index(b"COMM") + 10: ">I"}
    for at, other in more.items() if others else ():
        changed = with_field(changed, at, other, value)
    assert np.array_equal(audio.decode(changed).samples, whole)


@pytest.mark.parametrize("form", [b"ok", b"\0\0\0\0", b"\xff\xff\xff\xff"])
@pytest.mark.parametrize("value", HUGE)
def test_stems_too(tmp_path, monkeypatch, music, encoded, value, form):
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path / "cache"))
    data = encoded(music(0.1), "WAV", "PCM_24")
    changed = with_field(data, data.index(b"data") + 4, "<I", value)
    (tmp_path / "a.wav").write_bytes(changed if form == b"ok" else changed[:4] + form + changed[8:])
    (track,) = finding.find(tmp_path, 2, declared=("low", "high")).tracks  # or stereo would not be taken for stems
    assert np.array_equal(reading.read(track, 0, track.frames), audio.decode(data).samples)


@pytest.mark.parametrize("behind", [b"", b"LIST\x04\0\0\0INFO", b"LIST\x05\0\0\0INFOx\0", b"a   \0\0\0\0b   \x02\0\0\0xy"])
def test_a_file_without_samples_has_none_whatever_stands_behind(tmp_path, encoded, behind):
    data = encoded(np.zeros((0, 2)), "WAV") + behind
    with pytest.raises(InputError, match="no samples"):
        audio.decode(data)


@pytest.mark.parametrize("format", ["WAV", "AIFF"])
def test_a_cut_file_is_refused_still(music, encoded, format):
    data = encoded(music(0.5), format)
    with pytest.raises(InputError, match="cut short"):
        audio.decode(data[: len(data) // 2])


@pytest.mark.parametrize("sample_rate", [8000, 44100])
def test_what_ffmpeg_writes_to_a_pipe_is_read(ffmpeg, music, encoded, sample_rate):
    data = encoded(music(0.5, sample_rate), "WAV", "PCM_16", sample_rate)
    for container in ("wav", "au", "caf", "aiff", "w64"):
        options = ["-nostdin", "-v", "error", "-f", "wav", "-i", "pipe:0", "-f", container, "pipe:1"]
        done = subprocess.run([ffmpeg, *options], input=data, stdout=subprocess.PIPE)
        if done.stdout and not done.returncode:
            assert np.array_equal(audio.decode(done.stdout).samples, audio.decode(data).samples), container
