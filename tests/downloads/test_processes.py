"""The command as users run it: killed at any moment, interrupted, twice at once, on a full disk; and its exit codes."""

import io
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import time

import pytest

from jukemir_like.core import records


@pytest.fixture
def folder(cache):
    return cache.dataset("testset")


@pytest.fixture
def start(cache):
    """A function that starts ``jukemir-like download`` in a process of its own."""
    started = []

    def run(*arguments, **more):
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "jukemir_like", "download", *arguments, "--cache", cache.root],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **more,
            )
        )  # fmt: skip
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def served(host, declare, asset, noise):
    """A dataset on the host: small files, a large one, and an archive. Returns path → bytes as they must be in the cache."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for number in range(30):
            info = tarfile.TarInfo(f"genres/{number}.wav")
            info.size = 40_000
            archive.addfile(info, io.BytesIO(noise(40_000, 1000 + number)))
    files = {f"small/{number}.mp3": noise(3000, number) for number in range(30)}
    files |= {"large.zip": noise(3_000_000, 99), "genres.tar.gz": packed.getvalue()}
    declared = []
    for path, data in files.items():
        (host.folder / path).parent.mkdir(exist_ok=True)
        (host.folder / path).write_bytes(data)
        declared.append(asset(path, host.url(path), data, **({"unpack": True} if path.endswith(".tar.gz") else {})))
    declare(*declared)
    return files | {f"unpacked/genres/genres/{number}.wav": noise(40_000, 1000 + number) for number in range(30)}


def is_whole(folder, served):
    return {path: (folder / path).read_bytes() for path in served} == served


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def run_and_kill(start, host, random_seconds):
    """One run, killed a random time after its first request; whether it was killed before its end."""
    seen = len(host.requests)
    process = start("testset", "--num_parallel", "3")
    wait_for(lambda: len(host.requests) > seen or process.poll() is not None)
    time.sleep(random_seconds)
    process.kill()
    _, errors = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), errors
    return process.returncode != 0


def killed_until_complete(start, host, served, folder, leftovers, moments):
    """Kills runs at random moments until one ends: all is there, and what had arrived was not sent again. Returns how many were killed."""
    for path in served:
        if not path.startswith("unpacked"):
            host.show(path, always=host.change(rate=1_500_000.0, piece=8192))
    seen, killed, arrived = len(host.requests), 0, 0
    partial = folder / ".partial" / "TEST_LARGE_ZIP.part"
    while run_and_kill(start, host, moments.uniform(0, 0.8)):
        killed += 1
        arrived = partial.stat().st_size if partial.exists() else 0
    assert is_whole(folder, served)
    assert leftovers(folder) == ["unpacked/genres/.unpacked.json"]
    asked = [
        headers.get("Range", "bytes=0-") for method, path, headers, _ in host.requests[seen:] if (method, path) == ("GET", "large.zip")
    ]
    begins = [int(text[6:-1]) for text in asked]
    assert begins == sorted(begins)  # from where it stood, and never back
    assert begins[-1] > 0 or not arrived  # a run may be killed before anything of it has come
    return killed


def test_killed_at_random_moments_and_run_again_it_completes(start, host, served, folder, leftovers):
    assert killed_until_complete(start, host, served, folder, leftovers, random.Random(0)) > 0


def test_what_a_killed_process_was_writing_is_removed(start, host, served, folder, abandon, leftovers):
    assert abandon(folder / ".partial", "genres.json").exists()
    _, errors = start("testset").communicate()
    assert is_whole(folder, served), errors
    assert leftovers(folder) == ["unpacked/genres/.unpacked.json"]


@pytest.mark.slow
def test_killed_at_many_random_moments_and_run_again_it_completes(start, host, served, folder, leftovers):
    moments, killed, rounds = random.Random(1), 0, 0
    while killed < 60:
        killed += killed_until_complete(start, host, served, folder, leftovers, moments)
        rounds += 1
        shutil.rmtree(folder)
    print(f"{killed} kills, {rounds} completions")


@pytest.mark.parametrize("has_locks", [True, False])
def test_two_processes_at_once_fetch_and_unpack_everything_once(start, host, served, folder, leftovers, without_flock, has_locks):
    for path in served:
        if not path.startswith("unpacked"):
            host.show(path, always=host.change(rate=3_000_000.0))
    environment = os.environ | ({} if has_locks else without_flock)
    processes = [start("testset", "--num_parallel", "4", env=environment) for _ in range(2)]
    outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert is_whole(folder, served)
    assert len(host.gets()) == 32
    assert leftovers(folder) == ["unpacked/genres/.unpacked.json"]


@pytest.mark.parametrize("has_locks", [True, False])
def test_a_second_process_takes_over_where_the_first_is_killed(start, host, served, folder, without_flock, has_locks):
    host.show("large.zip", host.stall(1_000_000, 60))
    environment = os.environ | ({} if has_locks else without_flock)
    first = start("testset", env=environment)
    wait_for(
        lambda: (folder / ".partial/TEST_LARGE_ZIP.part").exists() and (folder / ".partial/TEST_LARGE_ZIP.part").stat().st_size == 1_000_000
    )
    second = start("testset", env=environment)
    wait_for(lambda: sum(method == "HEAD" for method, *_ in host.requests) > 32)
    first.kill()
    _, errors = second.communicate()
    assert second.returncode == 0, errors
    assert is_whole(folder, served)
    assert [headers.get("Range") for headers, _ in host.gets("large.zip")] == [None, "bytes=1000000-"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_ends_at_once_and_goes_on_later(start, host, served, folder, number):
    host.show("large.zip", host.stall(1_000_000, 600))
    process = start("testset")
    partial = folder / ".partial/TEST_LARGE_ZIP.part"
    wait_for(lambda: partial.exists() and partial.stat().st_size == 1_000_000)
    process.send_signal(number)
    _, errors = process.communicate()
    assert ("GET", "large.zip") not in host.finished  # the host stalls still: it was not waited for
    assert len(host.gets("large.zip")) == 1  # nor did the client give it up and ask again
    assert process.returncode == 130
    assert errors.splitlines() == ["jukemir-like: interrupted; what was finished is kept, run the same command to go on"]
    process = start("testset")
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert is_whole(folder, served)
    assert [headers.get("Range") for headers, _ in host.gets("large.zip")] == [None, "bytes=1000000-"]


def test_a_full_disk_is_one_line_and_what_has_arrived_is_kept(start, host, served, folder):
    """A limit on the size of files is the full disk that any user can have."""
    process = start("testset", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000)))
    output, errors = process.communicate()
    assert process.returncode == 2
    assert output == ""
    assert len(errors.splitlines()) == 1
    assert "larger than this file system or process may write" in errors
    assert (folder / ".partial/TEST_LARGE_ZIP.part").stat().st_size == 2_000_000
    process = start("testset")
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert is_whole(folder, served)
    assert host.gets("large.zip")[-1][0]["Range"] == "bytes=2000000-"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_disk_that_is_too_small_is_known_beforehand(start, host, served, cache):
    cache.root.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", cache.root], capture_output=True).returncode:
        pytest.skip("no right to mount a small disk")
    try:
        process = start("testset")
        _, errors = process.communicate()
        assert process.returncode == 2
        assert "no room" in errors
        assert len(errors.splitlines()) == 1
        assert host.gets() == []
        assert os.listdir(cache.root) == []
    finally:
        subprocess.run(["umount", cache.root], check=True)


def test_exit_codes_and_what_is_printed_where(command, host, served, cache):
    done = command("download", "testset", "--dry_run", "--cache", cache.root)
    assert (done.returncode, done.stderr) == (0, "")
    assert "32 of 32 files would be downloaded" in done.stdout
    assert not cache.root.exists()
    assert host.requests == []
    host.show("small/3.mp3", always=host.status(404))
    done = command("download", "testset", "--cache", cache.root)
    assert (done.returncode, done.stdout) == (3, "")
    assert "failed: TEST_SMALL_3_MP3: 127.0.0.1" in done.stderr
    host.show("small/3.mp3")
    done = command("download", "TEST_SMALL_3_MP3", "--cache", cache.root)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 done, 0 kept, 0 failed" in done.stdout
    done = command("download", "testset", "--from", cache.root / "nosuch", "--cache", cache.root)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


def test_the_embedded_dataset_is_made_as_before(command, cache):
    done = command("download", "synthband", "--songs", "1", "--seed", "3", "--workers", "1", "--cache", cache.root)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list((cache.dataset("synthband") / "stems").iterdir())) == 1
    for wrong in (["--from", "/"], ["--songs", "0"]):
        assert command("download", "synthband", *wrong, "--cache", cache.root).returncode == 2
    done = command("download", "synthband", "--dry_run", "--cache", cache.root / "other")
    assert (done.returncode, "made on this machine" in done.stdout) == (0, True)


def test_a_list_is_asked_for_only_for_the_dataset_that_needs_it_and_one_that_cannot_be_had_is_said_once(
    command, host, cache, declare, asset
):
    common, tempi = (asset(path, host.url(path), kind="annotations") for path in ("all.txt", "tempi.txt"))
    declare(common, tempi | {"only_for": ["gtzan_tempo"]}, name="gtzan")
    (host.folder / "all.txt").write_bytes(b"all")
    whole = command("download", "gtzan", "--cache", cache.root)
    assert (whole.returncode, len(host.gets("tempi.txt"))) == (0, 0)
    assert "left out, as only gtzan_tempo needs them: TEST_TEMPI_TXT (`jukemir-like download gtzan_tempo` gets them)" in whole.stdout
    for arguments in (["gtzan_tempo"], ["gtzan", "--for", "gtzan_tempo"]):
        done = command("download", *arguments, "--cache", cache.root)
        assert done.returncode == 3, done.stderr
        assert (done.stdout + done.stderr).count("failed: TEST_TEMPI_TXT") == 1
        assert "left out" not in done.stdout
    last = records.read(cache.dataset("gtzan"))["tempi.txt"]
    assert (last["status"], "404" in last["reason"]) == ("failed", True)
    assert command("download", "gtzan_ff", "--cache", cache.root).returncode == 0
    refused = command("download", "gtzan", "--for", "emomusic", "--cache", cache.root)
    assert (refused.returncode, "--for emomusic: it is made of the download emomusic, not of gtzan" in refused.stderr) == (2, True)
