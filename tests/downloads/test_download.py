"""All assets of a dataset: what is kept, what is fetched again, what is said about it, and with which exit code."""

import hashlib
import io
import os
import tarfile
import threading
import zipfile

import pytest

from jukemir_like.core.errors import RequestError, StorageError
from jukemir_like.downloads.download import download
from jukemir_like.downloads.retries import RetryPolicy
from jukemir_like.downloads.summary import describe_selection, format_bytes


@pytest.fixture
def folder(cache):
    return cache.dataset("testset")


@pytest.fixture
def serve(host, asset):
    """Puts a file on the host and declares it."""

    def put(path, data, **more):
        (host.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (host.folder / path).write_bytes(data)
        return asset(path, host.url(path), data, **more)

    return put


@pytest.fixture
def run(cache, quick):
    def start(chosen, **more):
        return download(chosen, cache, policy=quick, **more)

    return start


def snapshot(folder):
    return {path: (path.lstat().st_mtime_ns, path.lstat().st_ino) for path in folder.rglob("*")}


def tar(files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def test_verified_files_are_kept_without_a_request_a_read_or_a_write(serve, declare, run, host, folder):
    chosen = declare(serve("a.mp3", b"right"), serve("b.tar.gz", tar({"x": b"1"}), unpack=True))
    assert run(chosen).done == 2
    status = (folder / "a.mp3").stat()
    (folder / "a.mp3").write_bytes(b"wrong")  # of the same size; with the time of the verified one: what is not read is not noticed
    os.utime(folder / "a.mp3", ns=(status.st_atime_ns, status.st_mtime_ns))
    before, requests = snapshot(folder), len(host.requests)
    summary = run(chosen)
    assert (summary.kept, summary.done, summary.exit_code) == (2, 0, 0)
    assert (snapshot(folder), len(host.requests)) == (before, requests)


@pytest.mark.parametrize("how", ["size", "time"])
def test_a_verified_file_that_changed_is_noticed(serve, declare, run, folder, how):
    chosen = declare(serve("a.mp3", b"right"))
    run(chosen)
    (folder / "a.mp3").write_bytes(b"wrong" if how == "time" else b"wrong and longer")
    summary = run(chosen)
    assert summary.exit_code == 3
    assert "--delete_wrong" in summary.failed["TEST_A_MP3"]


def test_a_new_declared_digest_is_noticed(serve, declare, run, folder):
    run(declare(serve("a.mp3", b"old")))
    assert run(declare(serve("a.mp3", b"new"))).exit_code == 3
    assert run(declare(serve("a.mp3", b"new")), delete_wrong=True).exit_code == 0
    assert (folder / "a.mp3").read_bytes() == b"new"


def test_a_wrong_file_is_left_alone_until_its_removal_is_asked_for(serve, declare, run, folder, host):
    folder.mkdir(parents=True)
    (folder / "a.mp3").write_bytes(b"wrong")
    chosen = declare(serve("a.mp3", b"right", size=5), serve("b.mp3", b"also"))
    summary = run(chosen)
    assert (summary.done, list(summary.failed), summary.exit_code) == (1, ["TEST_A_MP3"], 3)
    assert (folder / "a.mp3").read_bytes() == b"wrong"
    assert host.gets("a.mp3") == []
    summary = run(chosen, delete_wrong=True)
    assert (summary.done, summary.kept, summary.exit_code) == (1, 1, 0)
    assert (folder / "a.mp3").read_bytes() == b"right"


def test_a_right_file_that_somebody_else_put_there_is_verified_and_kept(serve, declare, run, folder, host):
    folder.mkdir(parents=True)
    (folder / "a.mp3").write_bytes(b"right")
    (folder / "b.mp3").write_bytes(b"also")
    md5 = serve("b.mp3", b"also") | {"sha256": None, "md5": hashlib.md5(b"also").hexdigest()}
    assert run(declare(serve("a.mp3", b"right"), md5), delete_wrong=True).kept == 2
    assert host.gets() == []


def test_with_two_digests_both_count(serve, declare, run):
    assert run(declare(serve("a.mp3", b"x", md5="0" * 32))).exit_code == 3
    assert run(declare(serve("a.mp3", b"x", md5=hashlib.md5(b"x").hexdigest()))).exit_code == 0


def test_one_failure_stops_no_other_and_is_listed_with_its_reason(serve, declare, run, host):
    chosen = declare(*(serve(f"{number}.mp3", b"%d" % number) for number in range(20)))
    host.show("7.mp3", always=host.status(404))
    summary = run(chosen)
    assert (summary.done, summary.exit_code) == (19, 3)
    assert list(summary.failed) == ["TEST_7_MP3"]
    text = summary.text()
    assert "failed: TEST_7_MP3: 127.0.0.1" in text
    assert "404" in text
    assert "audio" not in text.partition("\n\n")[0].splitlines()[0]


def test_the_closing_table_has_a_line_an_asset(serve, declare, run, host):
    summary = run(declare(serve("a.mp3", b"x" * 1500), serve("b.mp3", b"y")))
    lines = summary.text().splitlines()
    assert lines[0].split() == ["asset", "status", "size", "from", "seconds"]
    assert lines[2].split()[:5] == ["TEST_A_MP3", "downloaded", "1.5", "kB", host.url("").split("/")[2]]
    assert lines[3].split()[0] == "TEST_B_MP3"
    assert lines[4].startswith("download testset: 2 done, 0 kept, 0 failed; 1.5 kB in ")


def test_thousands_share_a_line(serve, declare, run, host):
    chosen = declare(*(serve(f"{number:03d}.mp3", b"%d" % number) for number in range(60)))
    host.show("007.mp3", always=host.status(404))
    lines = run(chosen).text().splitlines()
    assert len(lines) == 2 + 2 + 1 + 1  # head, two groups, the sum, one failure
    assert "TEST_000_MP3 … TEST_059_MP3 (59)" in lines[2]


def test_what_has_no_public_source_says_how_to_get_it(declare, run, asset):
    summary = run(declare(asset("a.zip", [], b"x"), access="Ask at https://example.org, it takes a day."))
    assert summary.exit_code == 3
    assert "Ask at https://example.org, it takes a day. Then give the folder of your copy with --from" in summary.failed["TEST_A_ZIP"]


def test_how_to_get_access_is_said_where_something_failed(serve, declare, run, host):
    chosen = declare(serve("a.mp3", b"x"), access="Fill in the form")
    host.show("a.mp3", host.status(403))
    assert "access to testset: Fill in the form" in run(chosen).notes
    assert run(chosen).notes == []


def test_without_digest_or_size_the_digest_found_is_told(serve, declare, run):
    summary = run(declare(serve("a.mp3", b"x") | {"sha256": None}))
    assert summary.notes == [
        f"TEST_A_MP3: no digest is declared to verify it by (no size either); it is sha256:{hashlib.sha256(b'x').hexdigest()}"
    ]


def test_an_archive_is_unpacked_once_and_again_when_its_bytes_change(serve, declare, run, folder):
    packed = tar({"genres/a.wav": b"1"})
    chosen = declare(serve("genres.tar.gz", packed, unpack=True))
    summary = run(chosen)
    assert [row.status for row in summary.rows] == ["downloaded", "unpacked"]
    inode = (folder / "unpacked/genres").stat().st_ino
    assert run(chosen).kept == 1
    assert (folder / "unpacked/genres").stat().st_ino == inode
    chosen = declare(serve("genres.tar.gz", tar({"genres/b.wav": b"2"}), unpack=True))
    run(chosen, delete_wrong=True)
    assert os.listdir(folder / "unpacked/genres/genres") == ["b.wav"]


def test_an_archive_that_was_removed_once_unpacked_is_not_fetched_again(serve, declare, run, folder, host):
    chosen = declare(serve("genres.tar.gz", tar({"a.wav": b"1"}), unpack=True))
    run(chosen)
    (folder / "genres.tar.gz").unlink()
    assert (run(chosen).kept, len(host.gets())) == (1, 1)
    (folder / "unpacked/genres/.unpacked.json").unlink()
    (folder / "unpacked/genres/a.wav").unlink()
    run(chosen)
    assert len(host.gets()) == 2
    assert (folder / "unpacked/genres/a.wav").exists()


def test_parts_make_one_archive_once_all_are_there(serve, declare, run, folder, host, noise):
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("f/song.mp3", noise(5000))
    data = whole.getvalue()
    parts = {f"mp3.zip.00{number + 1}": data[number * 2000 : (number + 1) * 2000] for number in range(3)}
    chosen = declare(*(serve(path, piece, parts_of="mp3.zip", unpack=True) for path, piece in reversed(parts.items())))
    host.show("mp3.zip.002", *[host.status(404)])
    assert run(chosen).exit_code == 3
    assert not (folder / "unpacked").exists()
    assert run(chosen).exit_code == 0
    assert (folder / "unpacked/mp3/f/song.mp3").read_bytes() == noise(5000)


def test_a_bad_archive_is_a_failure_and_its_file_stays(serve, declare, run, folder):
    chosen = declare(serve("x.zip", b"no zip at all", unpack=True), serve("y.tar.gz", tar({"../evil": b"1"}), unpack=True))
    summary = run(chosen)
    assert set(summary.failed) == {"x.zip (unpacking)", "y.tar.gz (unpacking)"}
    assert (folder / "x.zip").exists()
    assert not list((folder / "unpacked").iterdir())


def test_an_archive_that_is_made_anew_is_verified_by_its_contents(host, declare, asset, run, folder, tmp_path):
    from jukemir_like.downloads.archives import contents_digest

    def pack(name, text, compression):
        with zipfile.ZipFile(name, "w", compression) as archive:
            archive.writestr("repo-123/key.txt", text)

    pack(tmp_path / "reference.zip", "C minor", zipfile.ZIP_STORED)
    expected = {"sha256": contents_digest(tmp_path / "reference.zip", 1), "strip": 1}
    pack(host.folder / "a.zip", "C minor", zipfile.ZIP_DEFLATED)
    good = (host.folder / "a.zip").read_bytes()
    pack(host.folder / "a.zip", "C major", zipfile.ZIP_DEFLATED)
    chosen = declare(asset("a.zip", host.url("a.zip"), contents=expected))
    summary = run(chosen)
    assert "holds something else than declared" in summary.failed["TEST_A_ZIP"]
    assert not (folder / "a.zip").exists()
    (host.folder / "a.zip").write_bytes(good)
    assert run(chosen).exit_code == 0
    assert run(chosen).kept == 1


def test_what_cannot_fit_is_known_before_the_first_byte(serve, declare, run, host, cache):
    with pytest.raises(StorageError, match=r"1000000\.00 GB are needed"):
        run(declare(serve("a.mp3", b"x", size=10**15)))
    assert host.requests == []
    host.announced["a.mp3"] = 10**15
    with pytest.raises(StorageError, match="no room"):
        run(declare(serve("a.mp3", b"x")))
    assert [method for method, *_ in host.requests] == ["HEAD"]
    with pytest.raises(StorageError, match="no room"):
        run(declare(serve("a.zip", b"x", size=1, unpack=True, unpacked_size=10**15)))
    assert not cache.root.exists()


def test_of_thousands_without_a_size_not_all_are_asked(serve, declare, run, host):
    run(declare(*(serve(f"{number}.mp3", b"%d" % number) for number in range(100))))
    assert sum(method == "HEAD" for method, *_ in host.requests) <= 32


def test_nothing_declared_is_a_wrong_request(declare, run):
    with pytest.raises(RequestError, match="nothing to download"):
        run(declare())


def test_a_dry_run_says_it_all_and_touches_nothing(serve, declare, run, host, cache, folder, asset):
    first = serve("a.mp3", b"x" * 1000, size=1000)
    run(declare(first))
    (folder / "c.mp3").write_bytes(b"?")
    chosen = declare(
        first,
        serve("b.mp3", b"y" * 2000, size=2000),
        serve("c.mp3", b"z"),
        asset("d.zip", [], b"w", unpack=True),
        licence="CC BY 4.0",
        access="Ask",
    )
    before, requests = snapshot(cache.root), len(host.requests)
    text = describe_selection(chosen, cache)
    assert (snapshot(cache.root), len(host.requests)) == (before, requests)
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.startswith("TEST_")}
    where = host.url("").split("/")[2]
    assert rows["TEST_A_MP3"][1:] == ["audio", "1.0", "kB", "verified", where]
    assert rows["TEST_B_MP3"][1:] == ["audio", "2.0", "kB", "no", where]
    assert rows["TEST_C_MP3"][1:] == ["audio", "?", "unverified", where]
    assert rows["TEST_D_ZIP"][1:5] == ["audio", "?", "no", "none:"]
    assert "licence:  CC BY 4.0" in text
    assert "access:   Ask" in text
    assert "2 of 4 files would be downloaded, over 2.0 kB, and 1 of them unpacked" in text


def test_two_threads_of_one_process_share_the_work(serve, declare, cache, host, noise, folder):
    chosen = declare(*(serve(f"{number}.mp3", noise(20_000, number)) for number in range(40)))
    results = []
    threads = [threading.Thread(target=lambda: results.append(download(chosen, cache, num_parallel=3))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(host.gets()) == 40
    assert [summary.exit_code for summary in results] == [0, 0]
    assert sum(summary.done for summary in results) == 40


def test_the_defaults_are_sane():
    assert RetryPolicy() == RetryPolicy(10.0, 60.0, 5, (1.0, 30.0), 300.0)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (47 * 10**9, "47.0 GB"), (None, "")]
)
def test_sizes_are_shown_in_powers_of_1000(size, text):
    assert format_bytes(size) == text
