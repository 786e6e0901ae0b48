"""A copy on the node's disk: whole or not used, made once, whatever stops it."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jukemir_like.core.errors import RequestError, StorageError
from jukemir_like.core.locks import locked
from jukemir_like.stemjepa.data.finding import find
from jukemir_like.stemjepa.data.local_copy import local_copy

COPY = """
import sys
from pathlib import Path
from jukemir_like.stemjepa.data.local_copy import local_copy
print("begins", flush=True)
print(local_copy(Path(sys.argv[1])))
"""


@pytest.fixture(autouse=True)
def node(tmp_path, monkeypatch):
    """The temporary folder of this node."""
    (tmp_path / "node").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "node"))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path / "node"


@pytest.fixture
def data(folder):
    """Files with names that shells stumble over."""
    names = [
        "a b.wav",
        "it's/$HOME `x`.wav",
        "deep/er/ünïcode 音.flac",
        "not utf-8 \udcff.wav",
        "line\nbreak.wav",
        "s.stem.mp4",
        "meta.json",
    ]
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(os.urandom(1000 * number))
    (folder / "notes.txt").write_bytes(b"not data")
    (folder / ".hidden.wav").write_bytes(b"not data")
    return folder


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")}


def inodes(folder):
    return {path.relative_to(folder): path.stat().st_ino for path in folder.rglob("*") if path.is_file()}


def expected(folder):
    return {name: data for name, data in contents(folder).items() if name.name != "notes.txt"}


def test_the_copy_holds_the_data_and_is_made_once(data, node):
    copy = local_copy(data)
    assert copy.is_relative_to(node)
    assert contents(copy) == expected(data)
    before = inodes(copy)
    assert local_copy(Path(os.path.relpath(data))) == copy  # the same folder by another name
    assert inodes(copy) == before


def test_what_changed_and_only_that_is_copied_again(data):
    copy = local_copy(data)
    before = inodes(copy)
    changed = data / "it's/$HOME `x`.wav"
    status = changed.stat()
    changed.write_bytes(b"y" * status.st_size)
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    (data / "new.wav").write_bytes(b"new")
    (data / "s.stem.mp4").unlink()
    (copy / "a b.wav").write_bytes(b"torn")  # as a crash could leave it
    assert local_copy(data) == copy
    assert contents(copy) == expected(data)
    kept = [name for name, inode in inodes(copy).items() if before.get(name) == inode]
    assert len(kept) >= len(expected(data)) - 3


def test_the_tracks_of_the_copy_are_those_of_the_data(folder, write, noise):
    write("some song/a.wav", noise(1000))
    write("b.wav", noise(1000))
    there, here = find(folder, 4), find(local_copy(folder), 4)
    assert [track.name for track in here.tracks] == [track.name for track in there.tracks] == ["b", "some song/a"]
    assert here.tracks[0].files[0] != there.tracks[0].files[0]


@pytest.mark.parametrize("has_locks", [True, False])
def test_several_processes_of_a_node_share_one_copy(data, without_flock, has_locks):
    (data / "large.wav").write_bytes(os.urandom(30_000_000))
    options = {"stdout": subprocess.PIPE, "text": True, "env": os.environ | ({} if has_locks else without_flock)}
    commands = [subprocess.Popen([sys.executable, "-c", COPY, data], **options) for _ in range(3)]
    copies = {process.communicate(timeout=120)[0].splitlines()[-1] for process in commands}
    assert [process.returncode for process in commands] == [0, 0, 0]
    (copy,) = copies
    assert contents(Path(copy)) == expected(data)
    assert not list(Path(copy).rglob(".*"))


def test_a_process_waits_for_the_one_that_copies(data):
    copy = local_copy(data)
    with locked(copy.parent / f"{copy.name}.lock", keep_file=True):
        process = subprocess.Popen([sys.executable, "-c", COPY, data], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "begins\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
    assert process.communicate(timeout=60)[0] == f"{copy}\n"


def test_a_killed_copy_is_never_taken_for_whole(data, node):
    for number in range(30):
        (data / f"{number}.wav").write_bytes(os.urandom(4_000_000))
    process = subprocess.Popen([sys.executable, "-c", COPY, data], stdout=subprocess.PIPE)
    while not [path for path in node.rglob("*.wav") if not path.name.startswith(".")] and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (copy,) = (path for path in node.glob("*/*") if path.is_dir())
    for name, whole in contents(copy).items():
        assert whole == (data / name).read_bytes()
    kept = inodes(copy)
    assert local_copy(data) == copy
    assert contents(copy) == expected(data)
    assert not list(copy.rglob(".tmp*"))
    assert all(inodes(copy)[name] == inode for name, inode in kept.items() if not name.name.startswith("."))


def test_a_disk_that_is_too_small_is_found_out_before_copying(data, node, monkeypatch):
    usage = shutil.disk_usage(node)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=(64 << 20) + 15_000))
    with pytest.raises(StorageError, match="set TMPDIR to a larger disk") as caught:
        local_copy(data)
    assert "\n" not in str(caught.value)
    assert not list(node.rglob("*.wav"))


def test_a_disk_that_fills_up_leaves_no_part_of_a_file(data, node):
    (data / "large.wav").write_bytes(os.urandom(3_000_000))
    limited = f"import resource; resource.setrlimit({resource.RLIMIT_FSIZE}, (1000000, 1000000))"  # Python ignores the signal of it
    done = subprocess.run([sys.executable, "-c", limited + COPY, data], capture_output=True, text=True)
    assert "StorageError: cannot write" in done.stderr.splitlines()[-1]
    assert not list(node.rglob("*large*"))
    assert not list(node.rglob(".tmp*"))
    assert contents(local_copy(data)) == expected(data)


def test_a_folder_that_others_could_have_filled_is_refused(data, node):
    theirs = node / f"jukemir_like-{os.getuid()}"
    theirs.mkdir()
    theirs.chmod(0o777)
    with pytest.raises(StorageError, match="can be written by other users"):
        local_copy(data)


def test_what_cannot_be_copied_is_named_and_stops_nothing(data):
    copy = local_copy(data)
    whole = expected(data)
    (data / "a b.wav").unlink()
    os.mkfifo(data / "a b.wav")
    (data / "gone.wav").symlink_to("nowhere")
    (data / "zero.wav").symlink_to("/dev/zero")
    reasons = {}
    assert local_copy(data, on_error=reasons.__setitem__) == copy
    assert set(reasons) == {"a b.wav", "gone.wav", "zero.wav"}
    assert "a named pipe" in reasons["a b.wav"]
    assert contents(copy) == {name: text for name, text in whole.items() if name.name != "a b.wav"}
    with pytest.raises(RequestError, match=r"a b\.wav is a named pipe"):
        local_copy(data)
    (data / "dataset.json").symlink_to("nowhere")
    with pytest.raises(RequestError, match=r"dataset\.json cannot be read"):  # without it the folder would say something else
        local_copy(data, on_error=reasons.__setitem__)


def test_no_data_is_a_wrong_request(tmp_path):
    with pytest.raises(RequestError, match="there is no folder"):
        local_copy(tmp_path / "nothing")
