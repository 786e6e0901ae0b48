"""What a folder of stems holds, and a reason for all in it that cannot be used."""

import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from jukemir_like.audio import ffmpeg
from jukemir_like.audio.stems import heads
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.stemjepa import data as stems


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
    found = stems.find(folder, 4, workers=workers)
    assert [track.name for track in found.tracks] == names
    assert set(found.failures) == set(BAD)
    for name, (_, reason) in BAD.items():
        assert re.search(reason, found.failures[name]), name
        assert "\n" not in found.failures[name]


def test_a_file_that_is_not_silent_at_one_place_alone_is_not_silent(folder, write):
    samples = np.zeros((4, 900000), np.float32)
    samples[2, 12345] = 0.5
    write("a.wav", samples)
    assert len(stems.find(folder, 4).tracks) == 1


def test_files_nobody_may_read_are_failures(folder, write, noise):
    write("a.wav", noise(100))
    (folder / "gone.wav").symlink_to(folder / "nowhere.wav")
    found = stems.find(folder, 4)
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
        stems.find(folder, 4)
    assert "\n" not in str(caught.value)


def test_two_sample_rates_are_used_and_said(folder, write, noise):
    write("a.wav", noise(100), 44100)
    write("b.wav", noise(100), 22050)
    write("c.wav", noise(100), 44100)
    found = stems.find(folder, 4)
    assert [track.sample_rate for track in found.tracks] == [44100, 22050, 44100]
    assert found.notes[1:] == ["tracks have different sample rates, and are resampled: 2 of 44,100 Hz, 1 of 22,050 Hz"]


def test_names_are_unique_where_files_differ_in_their_suffix_alone(folder, write, noise):
    write("a.wav", noise(100))
    write("a.flac", noise(100), subtype="PCM_16")
    write("b.wav", noise(100))
    assert [track.name for track in stems.find(folder, 4).tracks] == ["a.flac", "a.wav", "b"]


def test_folders_of_one_file_a_stem_with_their_faults(folder, write, noise):
    for song in ("good", "missing", "mono rates", "silent", "broken", "twice"):
        for name in ("mixture", "bass", "drums", "other", "Vocals"):
            write(f"{song}/{name}.wav", 0 * noise(200, 2) if song == "silent" else noise(200, 2))
    (folder / "missing/drums.wav").unlink()
    write("mono rates/bass.wav", noise(200, 1), 8000)
    (folder / "broken/other.wav").write_bytes(b"x" * 100)
    write("twice/bass.flac", noise(200, 1), subtype="PCM_16")
    found = stems.find(folder, 4)
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
    found = stems.find(folder, 3)
    assert found.sources == ("cello", "viola", "violin")
    assert [[file.stem for file in track.files] for track in found.tracks] == [["cello", "viola", "violin"]] * 2
    named = stems.find(folder, 3, sources=("violin", "viola", "cello"))
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
    found = stems.find(folder, 4)
    assert [track.name for track in found.tracks] == ["a"]
    reasons = {"pipe.wav": "a named pipe", "pipe.stem.mp4": "a named pipe", "zero.wav": "a device", "itself.flac": "symbolic links"}
    reasons |= {"song": "vocals.wav is a named pipe"}
    assert set(found.failures) == set(reasons)
    assert all(reason in found.failures[name] for name, reason in reasons.items())


@pytest.mark.parametrize("name", ["../secret", "../wav/a", "/etc/x", "x//y", "", "a\0b"])
def test_a_name_in_meta_json_that_leads_out_of_the_folder_is_refused_as_in_every_stage(folder, write, noise, name):
    write("wav/a.wav", noise(100))
    write("secret.wav", noise(100))
    (folder / "meta.json").write_text(json.dumps({uid: {"split": "train", "y": None} for uid in ("a", name)}))
    with pytest.raises(RequestError, match=r"meta\.json is damaged: uid .* is no name of a file below"):
        stems.find(folder, 4)


def test_a_stem_mp4_has_its_own_order(folder, write, noise, monkeypatch):
    """Its stems are known to be bass, drums, other, vocals: other names for them are an order that it does not have."""
    write("a.wav", noise(100))
    monkeypatch.setattr(heads.native, "decoded", lambda path, _: folder / "a.wav")
    (folder / "b.stem.mp4").write_bytes(b"x")
    assert [track.name for track in stems.find(folder, 4, sources=("b", "d", "o", "v")).tracks] == ["a", "b"]
    found = stems.find(folder, 4, sources=("vocals", "drums", "bass", "other"))
    assert [track.name for track in found.tracks] == ["a"]
    assert "in this order" in found.failures["b.stem.mp4"]


def test_a_folder_of_mono_files_is_no_song(folder, write, noise):
    for name in ("one", "two", "three", "four"):
        write(f"{name}.wav", noise(200, 1))
    with pytest.raises(RequestError, match="is mono"):
        stems.find(folder, 4)


def test_a_processed_dataset_tells_splits_groups_and_names(folder, write, noise):
    meta = {}
    for uid, split, artist in (("1", "train", "x"), ("2", "valid", "y"), ("sub/3", "test", "z"), ("4", None, "x"), ("5", "train", "q")):
        meta[uid] = {"split": split, "y": None, "extra": {"artist": artist}}
        write(f"wav/{uid}.wav", noise(100, 2))
    write("wav/unlisted.wav", noise(100, 2))
    meta["6"] = meta["7"] = meta["1"]
    (folder / "wav/5.wav").unlink()
    (folder / "meta.json").write_text(json.dumps(meta))
    (folder / "dataset.json").write_text(json.dumps({"group": "artist", "stems": ["low", "high"], "failed": {"6": "is empty"}}))
    found = stems.find(folder, 2)
    assert {track.name: (track.split, track.group) for track in found.tracks} == {
        "wav/1": ("train", "x"),
        "wav/2": ("valid", "y"),
        "wav/sub/3": ("test", "z"),
        "wav/4": (None, "x"),
    }
    assert found.sources == ("low", "high")
    assert set(found.failures) == {"wav/5.wav", "wav/6.wav", "wav/7.wav"}
    assert "is empty" in found.failures["wav/6.wav"]


@pytest.mark.parametrize("text", ["", "[]", '{"1": 3}', "\xff"])
def test_a_meta_json_that_cannot_be_read_is_a_wrong_request(folder, write, noise, text):
    write("wav/1.wav", noise(100))
    (folder / "meta.json").write_bytes(text.encode("latin1"))
    with pytest.raises(RequestError, match=r"meta\.json"):
        stems.find(folder, 4)


def test_stem_mp4_without_ffmpeg_says_what_to_do(folder, write, noise, monkeypatch):
    write("a.wav", noise(100))
    (folder / "b.stem.mp4").write_bytes(b"\0\0\0\x14ftypM4A ".ljust(100))
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)  # as where it is not installed
    assert "needs ffmpeg, and none was found: install" in stems.find(folder, 4).failures["b.stem.mp4"]


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
    found = stems.find(folder, 4)
    (track,) = found.tracks
    assert track.name == "it's -a song"
    assert list(np.abs(np.fft.rfft(stems.read(track, 10000, 44100))).argmax(axis=1)) == [200, 100, 300, 400]
    assert "is not an MP4" in found.failures["bad.stem.mp4"]
    before = track.files[0].stat()
    assert stems.find(folder, 4).tracks[0].files[0].stat().st_ino == before.st_ino


def tracks(**groups):
    return [stems.Track(name, (), 16000, 1, 4, split, group) for name, (split, group) in groups.items()]


def test_given_splits_hold_and_test_tracks_are_left_alone():
    found = stems.Found(tracks(a=("train", None), b=("valid", None), c=("test", None), d=(None, None)))
    train, valid = stems.split(found, 0.5, 0)
    assert [track.name for track in train] == ["a", "d"]
    assert [track.name for track in valid] == ["b"]


@pytest.mark.parametrize("seed", range(5))
def test_a_group_is_never_on_both_sides(seed):
    found = stems.Found(tracks(**{f"t{number:03d}": ("train", f"artist {number // 4}") for number in range(100)}))
    train, valid = stems.split(found, 0.1, seed)
    assert sorted(track.name for track in train + valid) == [track.name for track in found.tracks]
    assert not {track.group for track in train} & {track.group for track in valid}
    assert len(valid) == 12
    assert stems.split(found, 0.1, seed) == (train, valid)
    assert stems.split(found, 0.1, seed + 1) != (train, valid)


def test_the_smallest_splits():
    two = stems.Found(tracks(a=(None, None), b=(None, None)))
    assert [len(part) for part in stems.split(two, 0.01, 0)] == [1, 1]
    assert [len(part) for part in stems.split(two, 0, 0)] == [2, 0]
    one = stems.Found(tracks(a=(None, None)))
    assert [len(part) for part in stems.split(one, 0.5, 0)] == [1, 0]
    with pytest.raises(RequestError, match="no track is left"):
        stems.split(stems.Found(tracks(a=("test", None))), 0.5, 0)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("meta.json", "[]"),
        ("meta.json", "[" * 100_000),
        ("meta.json", '{"../../victim": {}}'),
        ("meta.json", '{"/victim": {}}'),
        ("meta.json", '{"a\\u0000b": {}}'),
        ("meta.json", '{"": {}}'),
        ("meta.json", '{"a": {"split": "training"}}'),
        ("meta.json", '{"a": {"extra": []}}'),
        ("dataset.json", "[]"),
        ("dataset.json", '{"group": []}'),
        ("dataset.json", '{"stems": [1, 2]}'),
        ("dataset.json", '{"failed": ["a"]}'),
    ],
)
def test_a_damaged_description_is_one_line_that_names_the_file(tmp_path, file, content):
    (tmp_path / "meta.json").write_text("{}")
    (tmp_path / file).write_text(content)
    with pytest.raises(RequestError) as error:
        stems.find(tmp_path, 4)
    assert str(tmp_path / file) in str(error.value)
    assert "\n" not in str(error.value)
