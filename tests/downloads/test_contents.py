"""The digest of what is in an archive does not depend on how it is packed, and on nothing but that."""

import hashlib
import io
import subprocess
import tarfile
import zipfile

import pytest

from jukemir_like.core.errors import InputError
from jukemir_like.downloads.archives import contents_digest

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
