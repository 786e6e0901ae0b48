"""What a folder of stems holds, and a reason for all in it that cannot be used."""

import io
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from jukemir_like.audio import ffmpeg
from jukemir_like.audio.stems import finding, reading
from jukemir_like.core.errors import InputError, RequestError


def encoded(samples, sample_rate=16000, subtype="PCM_16", format="WAV"):
    buffer = io.BytesIO()
    soundfile.write(buffer, np.asarray(samples).T, sample_rate, subtype=subtype, format=format)
    return buffer.getvalue()


NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, (4, 30000))
BAD = {
    "mono.wav": (encoded(NOISE[:1]), "is mono where 4 stems are expected: bass, drums, other, vocals"),
    "stereo.wav": (encoded(NOISE[:2]), "has 2 channels where 4 stems"),
    "six.wav": (encoded(np.tile(NOISE, (2, 1))[:6]), "has 6 channels where 4 stems"),
    "silent.wav": (encoded(np.zeros((4, 30000))), "is silent throughout"),
    "silent.flac": (encoded(np.zeros((4, 30000)), format="FLAC"), "is silent throughout"),
    "truncated.wav": (encoded(NOISE)[:100000], "is cut short: 99,956 of 240,000 bytes"),
    "truncated.aiff": (encoded(NOISE, format="AIFF")[:100000], "is cut short"),
    "truncated.flac": (encoded(NOISE, format="FLAC")[:100000], "cut short|cannot be decoded"),
    "empty.wav": (b"", "empty"),
    "head only.wav": (encoded(np.zeros((4, 0))), "holds no samples"),
    "no data.wav": (encoded(NOISE)[:36], "holds no samples"),
    "text.wav": (b"not audio at all\n" * 99, "cannot be decoded"),
    "video.mp4": (b"\x00\x00\x00\x20ftypM4A " + bytes(999), "cannot be decoded"),
}


@pytest.mark.parametrize("workers", [1, 2])
def test_every_file_that_cannot_be_used_has_its_reason_and_stops_no_other(folder, write, noise, workers):
    for name, (data, _) in BAD.items():
        (folder / name).write_bytes(data)
    names = [f"deep/er/{number:02d}" for number in range(60)]
    for name in names:
        write(f"{name}.wav", noise(100))
    (folder / ".hidden.wav").write_bytes(b"hidden")
    (folder / "notes.txt").write_bytes(b"text")
    found = finding.find(folder, 4, workers=workers)
    assert [track.name for track in found.tracks] == names
    assert set(found.failures) == set(BAD)
    for name, (_, reason) in BAD.items():
        assert re.search(reason, found.failures[name]), name
        assert "\n" not in found.failures[name]


def test_a_file_that_is_not_silent_at_one_place_alone_is_not_silent(folder, write):
    samples = np.zeros((4, 900000), np.float32)
    samples[2, 12345] = 0.5
    write("a.wav", samples)
    assert len(finding.find(folder, 4).tracks) == 1


def test_files_nobody_may_read_are_failures(folder, write, noise):
    write("a.wav", noise(100))
    (folder / "gone.wav").symlink_to(folder / "nowhere.wav")
    found = finding.find(folder, 4)
    assert [track.name for track in found.tracks] == ["a"]
    assert found.failures == {"gone.wav": "cannot be read (no such file or directory)"}


@pytest.mark.parametrize(
    ("files", "message"),
    [({}, "holds no audio"), ({"a.wav": BAD["mono.wav"][0]}, "1 cannot be used, the first: a.wav is mono"), (None, "there is no folder")],
)
def test_a_folder_without_one_usable_track_is_a_wrong_request_of_one_line(folder, files, message):
    if files is None:
        folder.rmdir()
    for name, data in (files or {}).items():
        (folder / name).write_bytes(data)
    with pytest.raises(RequestError, match=message) as caught:
        finding.find(folder, 4)
    assert "\n" not in str(caught.value)


def test_two_sample_rates_are_used_and_said(folder, write, noise):
    write("a.wav", noise(100), 44100)
    write("b.wav", noise(100), 22050)
    write("c.wav", noise(100), 44100)
    found = finding.find(folder, 4)
    assert [track.sample_rate for track in found.tracks] == [44100, 22050, 44100]
    assert found.notes[1:] == ["tracks have different sample rates, and are resampled: 2 of 44,100 Hz, 1 of 22,050 Hz"]


def test_names_are_unique_where_files_differ_in_their_suffix_alone(folder, write, noise):
    write("a.wav", noise(100))
    write("a.flac", noise(100), subtype="PCM_16")
    write("b.wav", noise(100))
    assert [track.name for track in finding.find(folder, 4).tracks] == ["a.flac", "a.wav", "b"]


def test_folders_of_one_file_a_stem_with_their_faults(folder, write, noise):
    for song in ("good", "missing", "mono rates", "silent", "broken", "twice"):
        for name in ("mixture", "bass", "drums", "other", "Vocals"):
            write(f"{song}/{name}.wav", 0 * noise(200, 2) if song == "silent" else noise(200, 2))
    (folder / "missing/drums.wav").unlink()
    write("mono rates/bass.wav", noise(200, 1), 8000)
    (folder / "broken/other.wav").write_bytes(b"x" * 100)
    write("twice/bass.flac", noise(200, 1), subtype="PCM_16")
    found = finding.find(folder, 4)
    (track,) = found.tracks
    assert (track.name, [file.name for file in track.files]) == ("good", ["bass.wav", "drums.wav", "other.wav", "Vocals.wav"])
    assert found.sources == ("bass", "drums", "other", "vocals")
    reasons = {
        "missing": "has no file for drums",
        "mono rates": "different sample rates: 8000, 16000 Hz",
        "silent": "is silent throughout",
        "broken": "other.wav cannot be decoded",
        "twice": "two files for one stem",
    }
    assert set(found.failures) == set(reasons)
    assert all(reason in found.failures[song] for song, reason in reasons.items())


def test_stems_of_any_names_are_known_by_being_the_same_in_every_folder(folder, write, noise):
    for song in ("a", "b"):
        for name in ("viola", "cello", "violin"):
            write(f"{song}/{name}.wav", noise(200, 1))
    found = finding.find(folder, 3)
    assert found.sources == ("cello", "viola", "violin")
    assert [[file.stem for file in track.files] for track in found.tracks] == [["cello", "viola", "violin"]] * 2
    named = finding.find(folder, 3, sources=("violin", "viola", "cello"))
    assert [file.stem for file in named.tracks[0].files] == ["violin", "viola", "cello"]


def test_what_is_no_file_is_named_and_stops_nothing(folder, write, noise, tmp_path):
    write("a.wav", noise(100))
    os.mkfifo(folder / "pipe.wav")
    os.mkfifo(folder / "pipe.stem.mp4")
    (folder / "zero.wav").symlink_to("/dev/zero")
    (folder / "itself.flac").symlink_to("itself.flac")
    (folder / "song").mkdir()
    for name in ("bass", "drums", "other"):
        write(f"song/{name}.wav", noise(100, 1))
    os.mkfifo(folder / "song/vocals.wav")
    found = finding.find(folder, 4)
    assert [track.name for track in found.tracks] == ["a"]
    reasons = {"pipe.wav": "a named pipe", "pipe.stem.mp4": "a named pipe", "zero.wav": "a device", "itself.flac": "symbolic links"}
    reasons |= {"song": "vocals.wav is a named pipe"}
    assert set(found.failures) == set(reasons)
    assert all(reason in found.failures[name] for name, reason in reasons.items())


def test_a_stem_mp4_has_its_own_order(folder, write, noise, monkeypatch):
    """Its stems are known to be bass, drums, other, vocals: other names for them are an order that it does not have."""
    write("a.wav", noise(100))
    monkeypatch.setattr(reading, "decoded_wav", lambda path, _: folder / "a.wav")
    (folder / "b.stem.mp4").write_bytes(b"x")
    assert [track.name for track in finding.find(folder, 4, sources=("b", "d", "o", "v")).tracks] == ["a", "b"]
    found = finding.find(folder, 4, sources=("vocals", "drums", "bass", "other"))
    assert [track.name for track in found.tracks] == ["a"]
    assert "in this order" in found.failures["b.stem.mp4"]


def test_a_folder_of_mono_files_is_no_song(folder, write, noise):
    for name in ("one", "two", "three", "four"):
        write(f"{name}.wav", noise(200, 1))
    with pytest.raises(RequestError, match="is mono"):
        finding.find(folder, 4)


def test_stem_mp4_without_ffmpeg_says_what_to_do(folder, write, noise, monkeypatch):
    write("a.wav", noise(100))
    (folder / "b.stem.mp4").write_bytes(b"\0\0\0\x14ftypM4A ".ljust(100))
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)  # as where it is not installed
    assert "needs ffmpeg, and none was found: install" in finding.find(folder, 4).failures["b.stem.mp4"]


def test_stem_mp4_becomes_a_track_whose_stems_are_in_our_order(folder, tmp_path):
    try:
        program = ffmpeg.program()
    except InputError:
        pytest.skip("needs ffmpeg: pip install imageio-ffmpeg")
    time, inputs = np.arange(66150) / 44100, []
    for number, hertz in enumerate((50, 100, 200, 300, 400)):  # mixture, drums, bass, other, vocals
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, np.tile(0.3 * np.sin(2 * np.pi * hertz * time), (2, 1)).T, 44100)
        inputs.append(path)
    name = folder / "it's -a song.stem.mp4"
    maps = [part for number in range(5) for part in ("-map", f"{number}:a")]
    command = [program, "-nostdin", "-v", "error", *(part for path in inputs for part in ("-i", path)), *maps, "-c:a", "aac", name]
    subprocess.run(command, check=True)
    (folder / "bad.stem.mp4").write_bytes(b"x" * 1000)
    found = finding.find(folder, 4)
    (track,) = found.tracks
    assert track.name == "it's -a song"
    assert list(np.abs(np.fft.rfft(reading.read(track, 10000, 44100))).argmax(axis=1)) == [200, 100, 300, 400]
    assert "is not an MP4" in found.failures["bad.stem.mp4"]
    before = track.files[0].stat()
    assert finding.find(folder, 4).tracks[0].files[0].stat().st_ino == before.st_ino
