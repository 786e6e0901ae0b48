"""Files are written whole or not at all, and what a killed process left is removed."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jukemir_like.core import atomic, processes
from jukemir_like.core.errors import StorageError


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    target = tmp_path / "file.json"
    atomic.write_json(target, {"old": 1})
    with pytest.raises(RuntimeError), atomic.atomic_write(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert json.loads(target.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [target]


def test_the_longest_legal_name_can_be_written(tmp_path):
    target = tmp_path / ("n" * 251 + ".npy")
    atomic.write_bytes(target, b"x")
    assert target.read_bytes() == b"x"


DIES_WHILE_WRITING = """
from jukemir_like.core import atomic; from pathlib import Path; import os, socket
socket.gethostname = lambda: {host!r}
with atomic.atomic_write(Path({folder!r}) / "x.npy") as temporary:
    temporary.touch(); os._exit(9)
"""


def test_what_dead_processes_left_is_removed_and_nothing_else(tmp_path):
    subprocess.run([sys.executable, "-c", DIES_WHILE_WRITING.format(folder=str(tmp_path), host=socket.gethostname())], check=False)
    (tmp_path / ".hidden").touch()
    with atomic.atomic_write(tmp_path / "y.npy") as living:
        living.touch()
        assert len(list(tmp_path.iterdir())) == 3
        assert atomic.remove_abandoned(tmp_path) == 1
        assert living.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "y.npy"]


def test_a_killed_process_that_nobody_waited_for_counts_as_dead(tmp_path):
    with subprocess.Popen([sys.executable, "-c", DIES_WHILE_WRITING.format(folder=str(tmp_path), host=socket.gethostname())]) as killed:
        os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)
        assert len(list(tmp_path.iterdir())) == 1
        assert atomic.remove_abandoned(tmp_path) == 1
    assert not list(tmp_path.iterdir())


def test_what_another_machine_or_container_writes_is_left_alone_for_an_hour(tmp_path):
    elsewhere = tmp_path / f".tmp-another-host-f0000000-{os.getpid()}-0.npy"
    elsewhere.touch()
    assert atomic.remove_abandoned(tmp_path) == 0
    os.utime(elsewhere, (time.time() - 3700,) * 2)
    assert atomic.remove_abandoned(tmp_path) == 1


def test_a_host_whose_name_is_alike_for_40_characters_keeps_its_files(tmp_path, monkeypatch):
    """Hosts without containers have the same number of their namespace, and a process of one does not run on the other."""
    hosts = [f"a-cluster-with-a-long-name-compute-node-{number}" for number in (1, 2)]
    subprocess.run([sys.executable, "-c", DIES_WHILE_WRITING.format(folder=str(tmp_path), host=hosts[0])], check=False)
    monkeypatch.setattr(socket, "gethostname", lambda: hosts[1])
    assert atomic.remove_abandoned(tmp_path) == 0
    monkeypatch.setattr(socket, "gethostname", lambda: hosts[0])
    assert atomic.remove_abandoned(tmp_path) == 1


def test_files_from_before_the_last_start_of_this_machine_are_left_alone_for_an_hour(tmp_path, monkeypatch):
    subprocess.run([sys.executable, "-c", DIES_WHILE_WRITING.format(folder=str(tmp_path), host=socket.gethostname())], check=False)
    monkeypatch.setattr(processes, "boot_id", lambda: "of the present start")
    assert atomic.remove_abandoned(tmp_path) == 0
    (left,) = tmp_path.iterdir()
    os.utime(left, (time.time() - 3700,) * 2)
    assert atomic.remove_abandoned(tmp_path) == 1


def test_the_file_of_a_dead_process_whose_number_another_has_is_removed(tmp_path):
    place, number, start = processes.identity().split("-")
    (tmp_path / f".tmp-{place}-{number}-{int(start) - 1}-0.a-b").touch()
    (tmp_path / f".tmp-{place}-{number}-{start}-99.a-b").touch()
    assert atomic.remove_abandoned(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == [f".tmp-{place}-{number}-{start}-99.a-b"]


def test_temporary_files_of_two_containers_with_one_host_name_differ(tmp_path):
    write = "from jukemir_like.core import atomic; from pathlib import Path\n"
    write += "with atomic.atomic_write(Path('x.npy')) as temporary: temporary.touch(); print(temporary.name)"
    own = subprocess.run([sys.executable, "-c", write], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    unshare = ["unshare", "--fork", "--pid", "--mount-proc", sys.executable, "-c", write]
    contained = subprocess.run(unshare, cwd=tmp_path, capture_output=True, text=True, check=False)
    if contained.returncode:
        pytest.skip(f"process namespaces cannot be made here: {contained.stderr.strip()}")
    assert own.split("-")[1] != contained.stdout.split("-")[1]


def test_a_file_where_a_folder_must_be_is_one_clear_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="choose another output folder"):
        atomic.make_folder(tmp_path / "file" / "below")


def test_a_full_disk_is_one_clear_line(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with pytest.raises(StorageError, match="disk is full"), atomic.storage_errors(tmp_path), open("/dev/full", "wb", buffering=0) as full:
        os.write(full.fileno(), b"x")
