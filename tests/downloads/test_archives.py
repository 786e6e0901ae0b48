"""Archives: the digest of what is in one does not depend on how it is packed, and parts are read as the one file that they make."""

import hashlib
import io
import random
import subprocess
import tarfile
import tracemalloc
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.core.errors import InputError
from jukemir_like.downloads.archives import MultiPartFile, contents_digest, open_parts

FILES = {"b.txt": b"2", "a/x.key": b"C minor", "a/B.key": b"", "a b.txt": b"1"}


def pack(path, files, top="repository-0123abc", order=None, compression=zipfile.ZIP_DEFLATED, date=(2020, 1, 1, 0, 0, 0)):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(zipfile.ZipInfo(f"{top}/", date), b"")
        for name in order or files:
            archive.writestr(zipfile.ZipInfo(f"{top}/{name}", date), files[name], compression)
    return path


def test_it_is_the_digest_of_what_sha256sum_prints(tmp_path):
    for name, data in FILES.items():
        (tmp_path / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / name).write_bytes(data)
    listing = subprocess.run(["sha256sum", *FILES], cwd=tmp_path / "files", capture_output=True, check=True).stdout
    expected = hashlib.sha256(b"".join(sorted(listing.splitlines(keepends=True)))).hexdigest()
    assert contents_digest(pack(tmp_path / "x.zip", FILES), 1) == expected


def test_how_it_is_packed_does_not_matter(tmp_path):
    expected = contents_digest(pack(tmp_path / "a.zip", FILES), 1)
    other = pack(tmp_path / "b.zip", FILES, "renamed", sorted(FILES, reverse=True), zipfile.ZIP_STORED, (1999, 1, 1, 0, 0, 0))
    assert other.read_bytes() != (tmp_path / "a.zip").read_bytes()
    assert contents_digest(other, 1) == expected
    with tarfile.open(tmp_path / "c.tar.gz", "w:gz") as archive:
        for name, data in FILES.items():
            info = tarfile.TarInfo(f"top/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    assert contents_digest(tmp_path / "c.tar.gz", 1) == expected
    assert contents_digest(pack(tmp_path / "d.zip", FILES), 0) != expected


@pytest.mark.parametrize("change", [{"b.txt": b"3"}, {"c.txt": b"2"}, {"a/b.txt": b"2"}])
def test_every_change_of_what_is_in_it_does(tmp_path, change):
    expected = contents_digest(pack(tmp_path / "a.zip", FILES), 1)
    assert contents_digest(pack(tmp_path / "b.zip", FILES | change), 1) != expected


def test_a_member_above_the_folders_that_are_left_out_is_refused(tmp_path):
    with pytest.raises(InputError, match="not below 2 folders"):
        contents_digest(pack(tmp_path / "a.zip", FILES), 2)


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(InputError, match="damaged"):
        contents_digest(tmp_path / "x.zip", 1)


@given(
    st.lists(st.binary(max_size=20), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(-30, 60), st.integers(0, 2), st.integers(-1, 40))),
)
def test_it_is_read_as_one_file_would_be(tmp_path_factory, pieces, moves):
    folder = tmp_path_factory.mktemp("parts")
    paths = [folder / f"{number}" for number in range(len(pieces))]
    for path, piece in zip(paths, pieces, strict=True):
        path.write_bytes(piece)
    whole = io.BytesIO(b"".join(pieces))
    with MultiPartFile(paths) as parts:
        for offset, whence, count in moves:
            place = {0: 0, 1: whole.tell(), 2: len(whole.getvalue())}[whence] + offset
            if place < 0:
                with pytest.raises(OSError, match="before the beginning"):
                    parts.seek(offset, whence)
                continue
            assert parts.seek(offset, whence) == whole.seek(place)
            expected = whole.read(count)
            found = b""
            while piece := parts.read(count if count < 0 else count - len(found)):  # a raw file may give less than asked for
                found += piece
                if len(found) == count:
                    break
            assert found == expected
            assert parts.tell() == whole.tell()


def test_a_zip_in_three_parts_is_read_and_not_held_in_memory(tmp_path):
    whole = tmp_path / "whole.zip"
    source = random.Random(0)
    with zipfile.ZipFile(whole, "w") as archive:
        for number in range(16):
            archive.writestr(f"{number}.bin", source.randbytes(1 << 20))
    data = whole.read_bytes()
    paths = [tmp_path / f"x.zip.00{number}" for number in (1, 2, 3)]
    for path, (start, stop) in zip(paths, [(0, 5_000_001), (5_000_001, 5_000_002), (5_000_002, len(data))], strict=True):
        path.write_bytes(data[start:stop])
    del data
    with zipfile.ZipFile(whole) as expected:
        tracemalloc.start()
        with open_parts(paths) as file, zipfile.ZipFile(file) as archive:
            assert archive.namelist() == expected.namelist()
            for name in archive.namelist():
                with archive.open(name) as member:
                    while member.read(1 << 16):  # the CRC is checked at its end
                        pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2_000_000


def test_a_part_that_is_missing_leaves_no_file_open(tmp_path):
    (tmp_path / "1").write_bytes(b"x")
    with pytest.raises(FileNotFoundError):
        open_parts([tmp_path / "1", tmp_path / "2"])
