"""The manifest of a large folder: it says what a listing says, or it is no manifest."""

import multiprocessing
import os
import random
import shutil
from pathlib import Path

import pytest

from jukemir_like import audio
from jukemir_like.audio import inputs as audio_inputs
from jukemir_like.core import atomic
from jukemir_like.extract import manifest

LONG_AGO = 10_000_000_000  # nanoseconds since 1970


@pytest.fixture
def folder(tmp_path):
    """600 names, in three blocks, some in sub-folders, some of bytes that are no text."""
    for sub in ("", "a", "a/b", "\udcff"):
        (tmp_path / "in" / sub).mkdir()
        for number in range(150):
            (tmp_path / "in" / sub / f"{number}.wav").touch()
    return tmp_path / "in"


@pytest.fixture(autouse=True)
def late(monkeypatch):
    """The file system's clock is an hour ahead, so that no folder has just been changed."""
    now = atomic.file_system_time
    monkeypatch.setattr(atomic, "file_system_time", lambda folder: now(folder) + 3600)


def store(folder, path):
    clock = manifest.Clock()
    assert manifest.write(path, folder, audio.list_audio(folder), clock)
    return path


def test_slices_are_those_of_a_listing(folder, tmp_path):
    names = audio.find(folder)
    known = manifest.read(store(folder, tmp_path / "m"), folder)
    assert known.count == len(names) == 600
    for start, stop in [(0, 1), (0, 600), (255, 257), (256, 512), (511, 513), (599, 600), (590, 1000), (600, 700), (3, 3)]:
        assert known.names(start, stop) == names[start:stop]


def three_files(tmp_path):
    """A folder of three files, and its manifest."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.wav", "b.wav", "c.wav"):
        (folder / name).touch()
    return folder, store(folder, tmp_path / "m")


def test_a_file_that_is_cut_anywhere_is_no_manifest(tmp_path):
    folder, path = three_files(tmp_path)
    data = path.read_bytes()
    assert manifest.read(path, folder).names(0, 3) == ["a.wav", "b.wav", "c.wav"]
    for length in range(len(data)):
        path.write_bytes(data[:length])
        assert manifest.read(path, folder) is None
        path.write_bytes(data[length:] if length else b"")
        assert manifest.read(path, folder) is None
    path.write_bytes(data + b"\0")
    assert manifest.read(path, folder) is None
    path.unlink()
    assert manifest.read(path, folder) is None
    path.mkdir()
    assert manifest.read(path, folder) is None


def test_a_byte_that_has_changed_is_found(tmp_path):
    folder, path = three_files(tmp_path)
    data = path.read_bytes()
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        known = manifest.read(path, folder)
        if known is not None:
            with pytest.raises(manifest.DamagedManifestError):
                known.names(0, 3)
    path.write_bytes(data)
    known = manifest.read(path, folder)
    path.write_bytes(data[:40])  # by somebody who does not replace it
    with pytest.raises(manifest.DamagedManifestError):
        known.names(0, 3)


def test_blocks_cannot_be_exchanged(folder, tmp_path):
    path = store(folder, tmp_path / "m")
    known = manifest.read(path, folder)
    data = bytearray(path.read_bytes())
    table, size = known._table, manifest._ENTRY.size
    data[table : table + 2 * size] = data[table + size : table + 2 * size] + data[table : table + size]
    path.write_bytes(data)
    with pytest.raises(manifest.DamagedManifestError):
        manifest.read(path, folder).names(0, 10)
    assert manifest.read(path, folder).names(512, 513) == audio.find(folder)[512:513]


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "new.wav").touch(),
        lambda folder: (folder / "a" / "b" / "new.txt").touch(),
        lambda folder: (folder / "a" / "7.wav").unlink(),
        lambda folder: (folder / "a" / "7.wav").rename(folder / "a" / "x.wav"),
        lambda folder: (folder / "a").rename(folder / "c"),
        lambda folder: (folder / "a" / "b").chmod(0o711),
        lambda folder: shutil.rmtree(folder / "a"),
        lambda folder: (shutil.move(folder / "a", folder.parent / "a"), shutil.copytree(folder.parent / "a", folder / "a")),
        lambda folder: ((folder / "a" / "7.wav").unlink(), os.utime(folder / "a", ns=(LONG_AGO, LONG_AGO))),
    ],
)
def test_a_folder_that_has_changed_is_listed_again(folder, tmp_path, change):
    os.utime(folder / "a", ns=(LONG_AGO, LONG_AGO))
    path = store(folder, tmp_path / "m")
    assert manifest.read(path, folder) is not None
    change(folder)
    assert manifest.read(path, folder) is None


def test_a_copy_of_the_folder_is_another_folder(folder, tmp_path):
    path = store(folder, tmp_path / "m")
    shutil.copytree(folder, tmp_path / "copy")
    assert manifest.read(path, tmp_path / "copy") is None
    (tmp_path / "link").symlink_to(folder)  # as a container sees it: the same folder by another name
    assert manifest.read(path, tmp_path / "link").count == 600


def test_a_link_that_led_nowhere_may_lead_to_a_folder_later(folder, tmp_path):
    (folder / "later").symlink_to(tmp_path / "elsewhere")
    path = store(folder, tmp_path / "m")
    assert manifest.read(path, folder).count == 600
    (tmp_path / "elsewhere").mkdir()
    assert manifest.read(path, folder) is None
    store(folder, tmp_path / "m")
    (tmp_path / "elsewhere" / "x.wav").touch()
    assert manifest.read(path, folder) is None
    assert manifest.read(store(folder, path), folder).count == 601
    shutil.rmtree(tmp_path / "elsewhere")
    assert manifest.read(path, folder) is None


def test_folders_that_cannot_be_read_are_told_as_long_as_they_cannot(folder, tmp_path, monkeypatch):
    scandir, refused = os.scandir, {os.fsencode(folder / "a" / "b")}

    def refusing(path):
        if os.path.normpath(os.fsencode(path)) in refused:
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    path = store(folder, tmp_path / "m")
    known = manifest.read(path, folder)
    assert (known.count, known.unreadable) == (450, {"a/b": "folder cannot be read (permission denied)"})
    refused.clear()
    assert manifest.read(path, folder) is None


def test_another_version_s_idea_of_audio_is_no_manifest(folder, tmp_path, monkeypatch):
    path = store(folder, tmp_path / "m")
    monkeypatch.setattr(audio_inputs, "EXTENSIONS", audio_inputs.EXTENSIONS | {".new"})
    assert manifest.read(path, folder) is None


@pytest.mark.parametrize(("seconds", "is_written"), [(-1.0, False), (0.0, False), (1.9, False), (2.1, True), (3600.0, True)])
def test_a_folder_that_was_changed_just_before_gets_none(folder, tmp_path, monkeypatch, seconds, is_written):
    """By the clock of the file system, faked here: its times are coarse, and a change may leave the time as the change before made it."""
    status = folder.stat()
    changed = max(status.st_mtime, status.st_ctime, *(path.stat().st_ctime for path in folder.rglob("*") if path.is_dir()))
    monkeypatch.setattr(manifest.time, "monotonic", lambda: 5.0)
    monkeypatch.setattr(atomic, "file_system_time", lambda _: changed + seconds)
    assert manifest.write(tmp_path / "m", folder, audio.list_audio(folder), manifest.Clock()) == is_written
    assert (tmp_path / "m").exists() == is_written


def test_what_counts_is_when_the_listing_began(tmp_path, monkeypatch):
    times = iter([100.0, 107.0, 100.0, 107.0])
    monkeypatch.setattr(manifest.time, "monotonic", lambda: next(times))
    monkeypatch.setattr(manifest.time, "time", lambda: 50.0)
    monkeypatch.setattr(atomic, "file_system_time", lambda _: 1000.0)
    assert manifest.Clock().began(tmp_path, tmp_path) == 993.0
    assert manifest.Clock().began(tmp_path, Path("/proc")) == 50.0  # of another file system, whose clock nobody knows


def _write_often(folder, path, seed):
    for _ in range(40):
        store(folder, path)
        known = manifest.read(path, folder)
        start = random.Random(seed).randrange(600)
        assert known is not None
        assert known.names(start, start + 50) == audio.find(folder)[start : start + 50]


def test_processes_that_write_it_at_once_do_no_harm(folder, tmp_path):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_write_often, args=(folder, tmp_path / "m", seed)) for seed in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "m"]


def test_it_is_small(folder, tmp_path):
    """Its size for a million names of 11 bytes follows: 12 MB and a kilobyte per thousand folders or so."""
    size = store(folder, tmp_path / "m").stat().st_size
    names = sum(len(os.fsencode(name)) + 1 for name in audio.find(folder))
    assert size < names + 3 * manifest._ENTRY.size + 1200
