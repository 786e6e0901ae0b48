"""Archives become folders, whole or not at all; nothing in an archive can write elsewhere, fill the disk, or pass damaged."""

import gzip
import io
import json
import os
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from jukemir_like.core.errors import InputError, StorageError
from jukemir_like.downloads import archives
from jukemir_like.downloads.unpacking import ORIGIN_FILE, unpack, unpacked_from, unpacked_name

FILES = {"genres/blues/blues.00000.wav": b"RIFF" * 9999, "genres/jazz/jazz.00054.wav": b"", "genres/list.txt": b"x\n", "ünïcode.txt": b"u"}


def make_tar(path, files=FILES, more=(), mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in more:
            archive.addfile(info)


def make_plain_tar(path, files=FILES, more=()):
    make_tar(path, files, more, "w")


def make_zip(path, files=FILES, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


MAKE = {"x.tar.gz": make_tar, "x.tar": make_plain_tar, "x.zip": make_zip}


@pytest.fixture(params=MAKE)
def kind(request):
    return request.param


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ORIGIN_FILE
    }


def run(tmp_path, name, *, trusted=False, **more):
    return unpack(name, [tmp_path / name], tmp_path / "out" / "x", origin={name: "sha256:0"}, trusted=trusted, **more)


def refused(tmp_path, name, words, **more):
    """It is an InputError with these words, and nothing is left of the attempt."""
    with pytest.raises(InputError, match=words):
        run(tmp_path, name, **more)
    assert os.listdir(tmp_path / "out") == []
    assert sorted(os.listdir(tmp_path)) == sorted({name, "out"})


def test_all_members_are_there_with_their_bytes(tmp_path, kind):
    MAKE[kind](tmp_path / kind)
    done = run(tmp_path, kind)
    assert tree(tmp_path / "out" / "x") == FILES
    assert (done.files, done.bytes, done.left_out) == (4, sum(map(len, FILES.values())), [])
    assert unpacked_from(tmp_path / "out" / "x") == {kind: "sha256:0"}
    assert json.loads((tmp_path / "out" / "x" / ORIGIN_FILE).read_text())["files"] == 4
    assert os.listdir(tmp_path / "out") == ["x"]


def test_progress_is_told_in_bytes_of_the_archive(tmp_path, kind):
    MAKE[kind](tmp_path / kind, {f"{number}": os.urandom(5000) for number in range(100)})
    steps = []
    run(tmp_path, kind, progress=steps.append)
    assert 0.8 < sum(steps) / (tmp_path / kind).stat().st_size <= 1
    assert len(steps) == 100


def test_what_was_unpacked_before_is_replaced_and_a_failure_leaves_it(tmp_path, kind):
    MAKE[kind](tmp_path / kind, {"old": b"1", "both": b"1"})
    run(tmp_path, kind)
    MAKE[kind](tmp_path / kind, {"new": b"2", "both": b"2"})
    run(tmp_path, kind)
    assert tree(tmp_path / "out" / "x") == {"new": b"2", "both": b"2"}
    (tmp_path / kind).write_bytes(b"nonsense")
    with pytest.raises(InputError, match="damaged"):
        run(tmp_path, kind, trusted=True)
    assert tree(tmp_path / "out" / "x") == {"new": b"2", "both": b"2"}


def test_what_a_killed_process_left_is_no_hindrance(tmp_path, kind):
    MAKE[kind](tmp_path / kind)
    for left in (".x.unpacking", ".x.replaced"):
        (tmp_path / "out" / left / "half").mkdir(parents=True)
    run(tmp_path, kind)
    assert os.listdir(tmp_path / "out") == ["x"]


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "..", "a/.."])
@pytest.mark.parametrize("trusted", [True, False])
def test_no_path_outside(tmp_path, kind, name, trusted):
    MAKE[kind](tmp_path / kind, {"good": b"1", name: b"evil"})
    refused(tmp_path, kind, "points out of the folder", trusted=trusted)
    assert not Path("/evil").exists()


def special(name, type, target="", **more):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = type, target
    for key, value in more.items():
        setattr(info, key, value)
    return info


SPECIAL = {
    "link": special("link", tarfile.SYMTYPE, "/etc"),
    "hard link": special("link", tarfile.LNKTYPE, "genres/list.txt"),
    "device": special("link", tarfile.CHRTYPE, devmajor=1, devminor=3),
    "pipe": special("link", tarfile.FIFOTYPE),
}


@pytest.mark.parametrize("what", SPECIAL)
def test_no_links_or_devices(tmp_path, what):
    make_tar(tmp_path / "x.tar.gz", more=[SPECIAL[what]])
    refused(tmp_path, "x.tar.gz", "a link or a device")
    done = run(tmp_path, "x.tar.gz", trusted=True)
    assert done.left_out == ["link: a link or a device"]
    assert tree(tmp_path / "out" / "x") == FILES


def test_no_links_in_a_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        info = zipfile.ZipInfo("link")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc")
        archive.writestr("link/passwd", "evil")
    refused(tmp_path, "x.zip", "a link or a device")
    run(tmp_path, "x.zip", trusted=True)
    assert tree(tmp_path / "out" / "x") == {"link/passwd": b"evil"}  # in a folder of that name: the link was not made


def test_no_bits_that_run_as_another_user(tmp_path):
    info = tarfile.TarInfo("tool")
    info.mode = 0o6777
    make_tar(tmp_path / "x.tar.gz", {}, [info])
    run(tmp_path, "x.tar.gz")
    assert (tmp_path / "out/x/tool").stat().st_mode & 0o7111 == 0


def test_no_two_members_of_one_name(tmp_path, kind):
    if kind == "x.zip":
        with zipfile.ZipFile(tmp_path / kind, "w") as archive:
            archive.writestr("a/b", "first")
            archive.writestr("./a/b", "second")
    else:
        with tarfile.open(tmp_path / kind, "w" if kind == "x.tar" else "w:gz") as archive:
            for data in (b"first", b"second"):
                info = tarfile.TarInfo("./a/b" if data == b"second" else "a/b")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    refused(tmp_path, kind, "second member of that name")
    assert run(tmp_path, kind, trusted=True).left_out == ["./a/b: a second member of that name"]
    assert tree(tmp_path / "out" / "x") == {"a/b": b"first"}


def test_names_that_differ_in_case_are_two(tmp_path, kind):
    MAKE[kind](tmp_path / kind, {"A.wav": b"1", "a.wav": b"2"})
    run(tmp_path, kind)
    assert tree(tmp_path / "out" / "x") == {"A.wav": b"1", "a.wav": b"2"}


def test_a_file_where_another_member_needs_a_folder_is_refused(tmp_path, kind):
    MAKE[kind](tmp_path / kind, {"a": b"1", "a/b": b"2"})
    refused(tmp_path, kind, "cannot be written beside the others")


def test_a_name_too_long_for_the_disk_is_refused(tmp_path, kind):
    MAKE[kind](tmp_path / kind, {"n" * 300: b"1"})
    refused(tmp_path, kind, "cannot be written")


def test_the_stamp_cannot_be_forged(tmp_path, kind):
    MAKE[kind](tmp_path / kind, {ORIGIN_FILE: b"{}"})
    refused(tmp_path, kind, "a reserved name")


def test_a_bomb_is_left_before_the_disk_is_full(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(archives, "_MIN_LIMIT_BYTES", 1 << 20)
    if kind == "x.tar":
        return  # it is as large as its members
    MAKE[kind](tmp_path / kind, {f"{number}": bytes(1 << 20) for number in range(8)})
    assert (tmp_path / kind).stat().st_size < 20_000
    refused(tmp_path, kind, "holds more than", trusted=True)


def test_a_declared_size_is_the_limit(tmp_path, kind):
    MAKE[kind](tmp_path / kind, {"a": bytes(1000), "b": bytes(1000)})
    refused(tmp_path, kind, "more than the 1,999 bytes", unpacked_size=1999)
    assert run(tmp_path, kind, unpacked_size=2000).bytes == 2000


def test_a_zip_that_lies_about_its_size_is_no_way_around_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_MIN_LIMIT_BYTES", 1 << 20)
    make_zip(tmp_path / "x.zip", {"a": bytes(8 << 20)})
    data = (tmp_path / "x.zip").read_bytes()
    (tmp_path / "x.zip").write_bytes(data.replace(struct.pack("<I", 8 << 20), struct.pack("<I", 10)))
    with pytest.raises(InputError):
        run(tmp_path, "x.zip")
    assert os.listdir(tmp_path / "out") == []


def test_there_is_a_limit_to_the_number_of_members(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 50)
    MAKE[kind](tmp_path / kind, {f"{number}": b"" for number in range(51)})
    refused(tmp_path, kind, "more than 50 members", trusted=True)


def test_an_archive_that_is_cut_is_damaged(tmp_path, kind):
    MAKE[kind](tmp_path / kind, {f"{number}": os.urandom(5000) for number in range(20)})
    data = (tmp_path / kind).read_bytes()
    padding = len(data) - len(data.rstrip(b"\0")) if kind == "x.tar" else 0  # no member is cut where it is missing
    for size in (0, 1, 100, len(data) // 2, len(data) - padding - 30):
        (tmp_path / kind).write_bytes(data[:size])
        refused(tmp_path, kind, "damaged")


def damage_member(path, name):
    """Another byte in the middle of a stored member."""
    with zipfile.ZipFile(path) as archive:
        offset = archive.getinfo(name).header_offset + 30 + len(name) + 100
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def test_a_damaged_member_is_named_and_left_out_only_where_the_digest_was_right(tmp_path):
    make_zip(tmp_path / "x.zip", {"a": b"a" * 999, "b": b"b" * 999, "c": b"c" * 999}, zipfile.ZIP_STORED)
    damage_member(tmp_path / "x.zip", "b")
    refused(tmp_path, "x.zip", "member b: damaged")
    done = run(tmp_path, "x.zip", trusted=True)
    assert len(done.left_out) == 1
    assert done.left_out[0].startswith("b: damaged")
    assert tree(tmp_path / "out" / "x").keys() == {"a", "c"}


def test_a_damaged_header_in_a_tar_does_not_pass_for_its_end(tmp_path):
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for name in "abc":
            info = tarfile.TarInfo(name)
            info.size = 600
            archive.addfile(info, io.BytesIO(name.encode() * 600))
    data = bytearray(plain.getvalue())
    data[3 * 512 + 10] ^= 1  # in the header of b, which follows 512 + 1024 bytes
    with tarfile.open(fileobj=io.BytesIO(bytes(data))) as archive:
        assert archive.getnames() == ["a"]  # what tarfile makes of it
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(bytes(data)))
    refused(tmp_path, "x.tar.gz", "damaged")


def test_an_encrypted_zip_is_one_clear_reason(tmp_path):
    make_zip(tmp_path / "x.zip", {"a": b"1"})
    data = bytearray((tmp_path / "x.zip").read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + offset] |= 1
    (tmp_path / "x.zip").write_bytes(data)
    refused(tmp_path, "x.zip", "encrypted")


def test_a_full_disk_is_no_fault_of_the_archive(tmp_path, kind):
    import resource

    MAKE[kind](tmp_path / kind, {"a": bytes(1 << 20)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, hard))
    try:
        with pytest.raises(StorageError, match="larger than"):
            run(tmp_path, kind)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path / "out") == []


def test_the_folder_is_called_as_the_archive():
    assert [unpacked_name(name) for name in ("genres.tar.gz", "mp3.zip", "a.b.tgz", "plain")] == ["genres", "mp3", "a.b", "plain"]
