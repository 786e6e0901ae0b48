"""A user's own copy is adopted whatever its layout, by size and digest; nothing is asked over the network."""

import hashlib
import os
import tarfile
import zipfile

import pytest

from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.downloads import own_copies
from jukemir_like.downloads.declarations import Asset
from jukemir_like.downloads.download import download
from jukemir_like.downloads.verification import unpacked_folder


@pytest.fixture
def own(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    return folder


@pytest.fixture
def adopt(own, cache, quick):
    def run(chosen, **more):
        return download(chosen, cache, own_copy=own, policy=quick, **more)

    return run


def put(folder, path, data):
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(data)


def test_files_in_other_folders_with_other_names_are_found_by_their_digest(host, declare, asset, adopt, own, cache, noise):
    data = {f"audio/{number}.LOFI.mp3": noise(1000 + number % 3, number) for number in range(12)}
    put(own, "12.LOFI.mp3", noise(1000, 99))  # another file, of a right size
    for number, (path, content) in enumerate(data.items()):
        put(own, [path, f"deep/er/{number}.bin", path.upper()][number % 3], content)
    md5 = [asset(path, host.url(path), md5=hashlib.md5(content).hexdigest()) for path, content in list(data.items())[:6]]
    sha = [asset(path, host.url(path), content, size=len(content)) for path, content in list(data.items())[6:]]
    summary = adopt(declare(*md5, *sha))
    assert (summary.done, summary.failed) == (12, {})
    assert {path: (cache.dataset("testset") / path).read_bytes() for path in data} == data
    assert host.requests == []
    assert {row.status for row in summary.rows} == {"adopted"}


def test_a_file_of_the_right_name_and_the_wrong_bytes_is_not_adopted(host, declare, asset, adopt, own, cache, noise):
    put(own, "a.mp3", noise(1000, 1))
    put(own, "elsewhere/b.bin", noise(1000, 2))
    summary = adopt(declare(asset("a.mp3", host.url("a.mp3"), noise(1000, 2))))
    assert summary.failed == {}
    assert (cache.dataset("testset") / "a.mp3").read_bytes() == noise(1000, 2)
    assert summary.rows[0].source.endswith("elsewhere/b.bin")


def test_what_is_missing_is_named_and_not_downloaded(host, declare, asset, adopt, own, cache, noise):
    (host.folder / "b.mp3").write_bytes(noise(9))
    put(own, "a.mp3", noise(1000, 1))
    summary = adopt(declare(asset("a.mp3", host.url("a.mp3"), noise(1000, 1)), asset("b.mp3", host.url("b.mp3"), noise(9))))
    assert summary.exit_code == 3
    assert list(summary.failed) == ["TEST_B_MP3"]
    assert str(own) in summary.failed["TEST_B_MP3"]
    assert host.requests == []
    assert (cache.dataset("testset") / "a.mp3").exists()


def test_what_is_adopted_is_a_copy(host, declare, asset, adopt, own, cache, noise):
    put(own, "a.mp3", noise(1000))
    chosen = declare(asset("a.mp3", host.url("a.mp3"), noise(1000)))
    adopt(chosen)
    put(own, "a.mp3", b"edited")
    assert (cache.dataset("testset") / "a.mp3").read_bytes() == noise(1000)
    assert not (cache.dataset("testset") / "a.mp3").is_symlink()


def test_without_a_digest_only_name_and_size_together_will_do_and_it_is_said(host, declare, asset, adopt, own, cache, noise):
    put(own, "sub/A.MP3", noise(1000))
    put(own, "b2.mp3", noise(500))
    put(own, "c.mp3", noise(7))
    summary = adopt(
        declare(
            asset("a.mp3", host.url("a.mp3"), size=1000),
            asset("b.mp3", host.url("b.mp3"), size=500),
            asset("c.mp3", host.url("c.mp3"), size=8),
        )
    )
    assert set(summary.failed) == {"TEST_B_MP3", "TEST_C_MP3"}
    assert any("TEST_A_MP3: no digest is declared" in note for note in summary.notes)


def test_an_archive_that_its_host_makes_anew_is_told_by_its_contents(host, declare, asset, adopt, own, cache):
    from jukemir_like.downloads.archives import contents_digest

    for name, top, text in (("a.zip", "repo-1", "right"), ("mine.zip", "other-2", "right"), ("a-wrong.zip", "repo-1", "wrong")):
        with zipfile.ZipFile(own / name, "w") as archive:
            archive.writestr(f"{top}/key.txt", text)
    expected = {"sha256": contents_digest(own / "a.zip", 1), "strip": 1}
    (own / "a.zip").unlink()
    (own / "a-wrong.zip").rename(own / "a.zip")
    summary = adopt(declare(asset("a.zip", host.url("a.zip"), contents=expected, unpack=True)))
    assert summary.failed == {}
    assert (cache.dataset("testset") / "unpacked/a/other-2/key.txt").read_text() == "right"


def test_a_folder_that_looks_unpacked_is_said_to_be_unverifiable_in_one_line(host, declare, asset, adopt, own, cache):
    for number in range(3):
        put(own, f"genres/blues/blues.{number:05d}.wav", b"x")
    summary = adopt(declare(asset("genres.tar.gz", host.url("x"), b"archive", unpack=True)))
    assert summary.exit_code == 3
    notes = [note for note in summary.notes if "looks like genres.tar.gz unpacked" in note]
    assert len(notes) == 1
    assert str(cache.dataset("testset") / "unpacked" / "genres") in notes[0]
    assert "\n" not in notes[0]
    assert not (cache.dataset("testset") / "unpacked").exists()


def test_and_it_is_used_where_the_user_puts_it_in_place_himself(host, declare, asset, cache, own, quick):
    put(own, "genres/blues/blues.00000.wav", b"x")
    target = cache.dataset("testset") / "unpacked" / "genres"
    target.parent.mkdir(parents=True)
    target.symlink_to(own)
    summary = download(declare(asset("genres.tar.gz", host.url("x"), b"archive", unpack=True)), cache, policy=quick)
    assert (summary.kept, summary.exit_code, host.requests) == (1, 0, [])
    assert any("unverified" in note for note in summary.notes)
    assert os.listdir(own) == ["genres"]


def test_an_adopted_archive_is_unpacked(host, declare, asset, adopt, own, cache, noise):
    put(own, "x/blues.wav", noise(99))
    with tarfile.open(own / "download(1).tgz", "w:gz") as archive:
        archive.add(own / "x", "genres")
    data = (own / "download(1).tgz").read_bytes()
    adopt(declare(asset("genres.tar.gz", host.url("x"), data, unpack=True)))
    assert (unpacked_folder(cache, "testset", "genres") / "genres/blues.wav").read_bytes() == noise(99)


def test_a_wrong_file_in_the_cache_is_replaced_by_the_copy_only_if_that_is_asked_for(host, declare, asset, adopt, own, cache, noise):
    chosen = declare(asset("a.mp3", host.url("a.mp3"), noise(1000)))
    put(cache.dataset("testset"), "a.mp3", b"wrong")
    put(own, "a.mp3", noise(1000))
    assert adopt(chosen).exit_code == 3
    assert (cache.dataset("testset") / "a.mp3").read_bytes() == b"wrong"
    assert adopt(chosen, delete_wrong=True).exit_code == 0
    assert (cache.dataset("testset") / "a.mp3").read_bytes() == noise(1000)


def test_a_folder_that_is_not_there_is_a_wrong_request(host, declare, asset, cache, own):
    chosen = declare(asset("a.mp3", host.url("a.mp3"), b"x"))
    with pytest.raises(RequestError, match="is not a folder"):
        download(chosen, cache, own_copy=own / "nosuch")
    assert not cache.root.exists()


def test_a_copy_that_changes_while_it_is_adopted_is_not_adopted(tmp_path, own):
    put(own, "a.mp3", b"not any more what was found")
    with pytest.raises(InputError, match="another sha256"):
        own_copies.adopt(own / "a.mp3", Asset("T", "a.mp3", "audio", sha256="0" * 64), tmp_path / "target.mp3", lambda _: None)
    assert os.listdir(tmp_path) == ["own"]


def test_what_is_no_file_neither_hangs_nor_is_passed_over_in_silence(host, declare, asset, adopt, own, cache, noise):
    os.mkfifo(own / "a.mp3")
    (own / "b.mp3").symlink_to("/dev/zero")
    (own / "itself.mp3").symlink_to("itself.mp3")
    put(own, "copies/a.mp3", noise(1000, 1))
    summary = adopt(declare(asset("a.mp3", host.url("a.mp3"), noise(1000, 1)), asset("b.mp3", host.url("b.mp3"), noise(1000, 2))))
    assert (cache.dataset("testset") / "a.mp3").read_bytes() == noise(1000, 1)
    assert list(summary.failed) == ["TEST_B_MP3"]
    assert "not looked at: itself.mp3 cannot be read (too many levels of symbolic links)" in summary.text()


def test_files_of_one_name_without_digests_are_told_apart_by_their_folders(host, declare, asset, adopt, own, cache):
    for split in ("old", "split-0", "split-1"):
        put(own, f"clone/data/{split}/train.tsv", split.encode())
    summary = adopt(declare(*(asset(f"{split}/train.tsv", host.url("x")) for split in ("split-1", "split-0"))))
    assert summary.failed == {}
    for split in ("split-0", "split-1"):
        assert (cache.dataset("testset") / split / "train.tsv").read_bytes() == split.encode()


def test_a_file_without_digest_in_the_folder_of_another_is_not_taken_for_it(host, declare, asset, adopt, own, cache):
    put(own, "clone/data/split-1/train.tsv", b"1")
    put(own, "flat.tsv", b"2")
    put(own, "clone/flat.tsv", b"3")
    summary = adopt(declare(*(asset(path, host.url("x")) for path in ("split-1/train.tsv", "split-0/train.tsv", "flat.tsv"))))
    assert list(summary.failed) == ["TEST_SPLIT_0_TRAIN_TSV"]
    assert (cache.dataset("testset") / "split-1" / "train.tsv").read_bytes() == b"1"
    assert not (cache.dataset("testset") / "split-0").exists()
    assert (cache.dataset("testset") / "flat.tsv").read_bytes() == b"3"  # of equals the first in the order of their paths


def test_a_file_whose_sha1_alone_is_published_is_found_and_verified_by_it(host, declare, asset, adopt, own, cache, noise):
    put(own, "renamed.bin", noise(1000))
    put(own, "b.zip", noise(900))
    known = asset("a.zip", host.url("x"), sha1=hashlib.sha1(noise(1000)).hexdigest())
    wrong = asset("b.zip", host.url("x"), sha1="0" * 40)
    summary = adopt(declare(known, wrong))
    assert list(summary.failed) == ["TEST_B_ZIP"]
    assert (cache.dataset("testset") / "a.zip").read_bytes() == noise(1000)
    assert next(row for row in summary.rows if row.status == "adopted").source.endswith("renamed.bin")
