"""ffmpeg on files of strangers: what it may open, for how long, and what comes of it."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jukemir_like import audio
from jukemir_like.audio import ffmpeg
from jukemir_like.audio.stems import finding, reading
from jukemir_like.core.errors import InputError

STEMS = ("bass", "drums", "other", "vocals")


@pytest.fixture(scope="session")
def program():
    try:
        return ffmpeg.program()
    except InputError:
        pytest.skip("needs ffmpeg: pip install imageio-ffmpeg")


@pytest.fixture(scope="session")
def convert(program):
    """A function that makes a file out of samples: ``convert(samples, rate, path, "-c:a", "aac")``."""

    def make(samples, sample_rate, path, *options):
        source = path.with_name(path.name + ".source.wav")
        with open(source, "wb") as file:
            soundfile.write(file, samples, sample_rate, subtype="FLOAT", format="WAV")
        subprocess.run([program, "-nostdin", "-v", "error", "-y", "-i", source, *options, path], check=True)
        source.unlink()
        return path

    return make


@pytest.fixture
def without_ffmpeg(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)  # as where it is not installed


def tones(sample_rate, channels, seconds=1.0):
    """A tone of 200, 400, … Hz in each channel."""
    time = np.arange(round(sample_rate * seconds))[:, None] / sample_rate
    return (0.3 * np.sin(2 * np.pi * 200 * np.arange(1, channels + 1) * time)).astype(np.float32)


@pytest.mark.parametrize(("sample_rate", "channels"), [(16000, 1), (44100, 2), (48000, 6)])
@pytest.mark.parametrize(("suffix", "codec"), [("m4a", "aac"), ("mp4", "aac"), ("aac", "aac"), ("m4a", "alac"), ("wma", "wmav2")])
def test_rate_channels_and_length_are_the_source_s(tmp_path, convert, suffix, codec, sample_rate, channels):
    if codec == "wmav2" and (channels > 2 or sample_rate == 16000):
        pytest.skip("there are none")
    samples = tones(sample_rate, channels)
    path = convert(samples, sample_rate, tmp_path / f"it's - 1.{suffix}", "-c:a", codec)
    for source in (path, path.read_bytes()):
        decoded = audio.decode(source)
        assert (decoded.sample_rate, decoded.samples.dtype, len(decoded.samples)) == (sample_rate, np.float32, channels)
        assert abs(decoded.samples.shape[1] - sample_rate) <= 3 * 2048
        if codec == "alac":
            np.testing.assert_allclose(decoded.samples, samples.T, atol=2**-23)
        peaks = np.abs(np.fft.rfft(decoded.samples[:, :sample_rate], sample_rate)).argmax(axis=1)
        missing = set(200 * np.arange(1, channels + 1)) - set(peaks)
        assert len(missing) <= (channels == 6)  # of six, one is for the lowest tones only


def test_a_wav_with_a_false_name_needs_no_ffmpeg(tmp_path, without_ffmpeg):
    for suffix in ("m4a", "mp4", "aac", "wma"):
        with open(tmp_path / f"a.{suffix}", "wb") as file:
            soundfile.write(file, tones(8000, 1), 8000, format="WAV")
        assert audio.decode(tmp_path / f"a.{suffix}").samples.shape == (1, 8000)


def test_an_mp4_with_a_false_name_is_decoded(tmp_path, convert):
    path = convert(tones(44100, 2), 44100, tmp_path / "a.m4a", "-c:a", "aac")
    path.rename(tmp_path / "a.mp3")
    assert audio.decode(tmp_path / "a.mp3").samples.shape[0] == 2


@pytest.mark.parametrize("suffix", ["m4a", "aac", "wma", "stem.mp4"])
def test_without_ffmpeg_one_line_says_what_to_install(tmp_path, without_ffmpeg, suffix):
    beginnings = {"aac": b"\xff\xf1\x50\x80\x00\x1f\xfc", "wma": ffmpeg._ASF}
    (tmp_path / f"a.{suffix}").write_bytes(beginnings.get(suffix, b"\0\0\0\x20ftypM4A ").ljust(1000, b"\0"))
    decode = reading.decode_native if suffix == "stem.mp4" else audio.decode
    with pytest.raises(InputError, match=r"^needs ffmpeg, and none was found: install ffmpeg, or the package imageio-ffmpeg") as refused:
        decode(tmp_path / f"a.{suffix}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.9])
def test_a_cut_mp4_is_refused(tmp_path, convert, kept):
    path = convert(tones(44100, 2, 5), 44100, tmp_path / "a.m4a", "-c:a", "aac", "-movflags", "+faststart")
    os.truncate(path, int(path.stat().st_size * kept))
    with pytest.raises(InputError, match=r"cut short|cannot be decoded by ffmpeg") as refused:
        audio.decode(path)
    assert "/dev/fd" not in str(refused.value)


def test_several_streams_are_no_single_sound(tmp_path, convert, program):
    path = convert(tones(44100, 2), 44100, tmp_path / "a.m4a", "-map", "0:a", "-map", "0:a", "-c:a", "aac")
    with pytest.raises(InputError, match="2 streams of audio where one is expected"):
        audio.decode(path)


def test_pictures_are_left_out(tmp_path, program):
    path = tmp_path / "a.mp4"
    video = ["-f", "lavfi", "-i", "color=red:size=64x64:duration=1", "-f", "lavfi", "-i", "sine=440:sample_rate=32000:duration=1"]
    subprocess.run([program, "-nostdin", "-v", "error", *video, "-c:v", "mpeg4", "-c:a", "aac", path], check=True)
    decoded = audio.decode(path)
    assert (decoded.sample_rate, len(decoded.samples)) == (32000, 1)


@pytest.fixture(scope="session")
def victim(tmp_path_factory, convert):
    """A sound that nobody asked for."""
    return convert(tones(44100, 2), 44100, tmp_path_factory.mktemp("victim") / "victim.m4a", "-c:a", "aac")


@pytest.fixture
def listener():
    """A server that nobody must connect to; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server.getsockname()[1]
        with pytest.raises(BlockingIOError):
            server.accept()


PLAYLISTS = {
    "HLS": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:1.0,\n{file}\n#EXT-X-ENDLIST\n",
    "HLS without end": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\n{file}\n",
    "HLS of a host": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\nhttp://127.0.0.1:{port}/a.m4a\n#EXT-X-ENDLIST\n",
    "ffconcat": "ffconcat version 1.0\nfile '{file}'\n",
    "DASH": """<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="audio/mp4">
<Representation id="1" bandwidth="1"><BaseURL>{file}</BaseURL><SegmentBase/></Representation></AdaptationSet></Period></MPD>""",
    "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio {port} RTP/AVP 0\n",
    "M3U": "{file}\n",
}


@pytest.mark.parametrize("before", [b"", b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)], ids=["", "behind a tag"])
@pytest.mark.parametrize("name", ["x.stem.mp4", "x.m4a", "x.mp4", "x.aac", "x.wma", "x.mp3"])
@pytest.mark.parametrize("kind", sorted(PLAYLISTS))
def test_a_playlist_opens_nothing_else(tmp_path, victim, listener, kind, name, before):
    path = tmp_path / name
    path.write_bytes(before + PLAYLISTS[kind].format(file=victim, port=listener).encode())
    with pytest.raises(InputError) as refused:
        reading.decode(path, STEMS) if name == "x.stem.mp4" else audio.decode(path)
    assert "\n" not in str(refused.value)


def test_ffmpeg_is_given_no_container_that_names_files(tmp_path, victim, listener):
    """The same by ffmpeg itself: forced to be an MP4, a playlist is none."""
    for text in PLAYLISTS.values():
        (tmp_path / "x").write_text(text.format(file=victim, port=listener))
        for kind in ("mov", "aac"):
            with open(tmp_path / "x", "rb", buffering=0) as file, pytest.raises(InputError):
                ffmpeg.decode(file, ffmpeg.contents(file, kind), 0)


@pytest.fixture
def endless(tmp_path, monkeypatch):
    """An ffmpeg that never ends; the file that it writes its process number to."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "ffmpeg"
    script.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 1000\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x20ftypM4A ".ljust(1000, b"\0"))
    return tmp_path / "pid"


def gone(pid, seconds=20.0):
    """Whether a process ends; one that is dead and not yet waited for has."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


def test_what_takes_too_long_is_ended(tmp_path, monkeypatch, endless):
    monkeypatch.setattr(ffmpeg, "_MIN_LIMIT_SECONDS", 1.0)
    with pytest.raises(InputError, match="had not finished after 1 s"):
        audio.decode(tmp_path / "a.m4a")
    assert gone(int(endless.read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="the system can do this on Linux only")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_does_not_outlive_its_parent(tmp_path, endless, how):
    work = "import sys, pathlib\nfrom jukemir_like import audio\naudio.decode(pathlib.Path(sys.argv[1]))"
    parent = subprocess.Popen([sys.executable, "-c", work, tmp_path / "a.m4a"], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not (endless.exists() and endless.read_text().strip()) and time.monotonic() < until:
        time.sleep(0.05)
    pid = int(endless.read_text())
    parent.send_signal(how)
    parent.wait(60)
    assert gone(pid)


def test_stems_one_by_one_in_containers_of_ffmpeg_s(tmp_path, monkeypatch, convert):
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "data" / "song").mkdir(parents=True)
    for number, name in enumerate(STEMS):
        convert(tones(44100, 4)[:, number : number + 1], 44100, tmp_path / "data" / "song" / f"{name}.m4a", "-c:a", "alac")
    (track,) = finding.find(tmp_path / "data", 4).tracks
    assert np.allclose(reading.read(track, 0, track.frames), tones(44100, 4).T, atol=1e-4)
