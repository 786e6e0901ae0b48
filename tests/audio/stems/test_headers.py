"""What headers say of channels, as other programs write them."""

import io
import shutil
import struct
import subprocess

import numpy as np
import pytest
import soundfile

from jukemir_like.audio.stems import finding, headers

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, (2000, 4))


def written(format, channels=4, subtype="PCM_16"):
    buffer = io.BytesIO()
    soundfile.write(buffer, np.tile(NOISE, 2)[:, :channels], 16000, subtype=subtype, format=format)
    return buffer.getvalue()


def ambisonic(guid_start=1):
    """As plug-ins and players for B-format have it: the GUID 00000001-0721-11d3-8644-c8c1ca000000."""
    guid = struct.pack("<IHH", guid_start, 0x0721, 0x11D3) + bytes.fromhex("8644c8c1ca000000")
    form = struct.pack("<HHIIHHHHI", 0xFFFE, 4, 16000, 128000, 8, 16, 22, 16, 0) + guid
    data = (NOISE * 32767).astype("<i2").tobytes()
    chunks = b"fmt " + struct.pack("<I", 40) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


@pytest.mark.parametrize("format", ["WAV", "AIFF", "CAF", "FLAC", "W64", "AU"])
def test_files_that_say_nothing_say_nothing(format):
    assert headers.channel_meaning(io.BytesIO(written(format))) is None


def test_masks_and_guids():
    assert headers.channel_meaning(io.BytesIO(written("WAVEX"))) == headers.LOUDSPEAKERS
    assert headers.channel_meaning(io.BytesIO(written("RF64"))) == headers.LOUDSPEAKERS
    assert headers.channel_meaning(io.BytesIO(written("WAVEX", channels=5))) is None  # libsndfile knows no loudspeakers for five
    assert headers.channel_meaning(io.BytesIO(ambisonic())) == headers.SOUND_FIELD
    assert headers.channel_meaning(io.BytesIO(ambisonic(3))) == headers.SOUND_FIELD
    plain = written("WAV")
    text = b"bext" + struct.pack("<I", 40) + b"AmbiX, order 1".ljust(40, b"\0")
    assert headers.channel_meaning(io.BytesIO(plain[:12] + text + plain[12:])) == headers.SOUND_FIELD
    assert headers.channel_meaning(io.BytesIO(plain + b"ambisonic")) is None  # not in what stands before the samples


@pytest.mark.parametrize("length", range(0, 90, 3))
def test_a_header_that_ends_early_is_no_error(length):
    for data in (written("WAVEX"), ambisonic(), written("CAF"), written("RF64")):
        headers.channel_meaning(io.BytesIO(data[:length]))


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
@pytest.mark.parametrize(
    ("suffix", "layout"), [("wav", "quad"), ("wav", "4.0"), ("caf", "quad"), ("caf", "4.0"), ("w64", "4.0"), ("flac", "4.0")]
)
def test_what_ffmpeg_writes_for_loudspeakers(tmp_path, suffix, layout):
    (tmp_path / "in.wav").write_bytes(written("WAV"))
    command = ["ffmpeg", "-v", "error", "-i", tmp_path / "in.wav", "-af", f"channelmap=0|1|2|3:{layout}", tmp_path / f"out.{suffix}"]
    subprocess.run(command, check=True)
    with open(tmp_path / f"out.{suffix}", "rb") as file:
        assert headers.channel_meaning(file) == headers.LOUDSPEAKERS


@pytest.mark.parametrize(("data", "reason"), [(ambisonic(), "an ambisonic recording"), (written("WAVEX"), "sound for loudspeakers")])
def test_such_a_recording_is_no_stems_unless_it_is_said(folder, write, noise, data, reason):
    write("good.wav", noise(2000))
    (folder / "field.wav").write_bytes(data)
    found = finding.find(folder, 4)
    assert [track.name for track in found.tracks] == ["good"]
    assert f"is {reason} by its header: if its channels are stems" in found.failures["field.wav"]
    declared = ("bass", "drums", "other", "vocals")
    assert [track.name for track in finding.find(folder, 4, declared=declared).tracks] == ["field", "good"]
