"""One at a time, across processes and threads; a dead process holds nothing."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from jukemir_like.core.errors import StorageError
from jukemir_like.core.locks import locked

HOLDS = """
import sys, time; from pathlib import Path; from jukemir_like.core.locks import locked
with locked(Path(sys.argv[1])) as held: print(held is not None, flush=True); time.sleep(60)
"""
COUNTS = """
import sys; from pathlib import Path; from jukemir_like.core.locks import locked
folder = Path(sys.argv[1])
for _ in range(400):
    with locked(folder / "lock", sleep=lambda _: None):
        count = int((folder / "count").read_text()); (folder / "count").write_text(str(count + 1))
"""


@pytest.fixture
def holder(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLDS, tmp_path / "lock"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "True\n"
        yield process
        process.kill()


def test_another_process_is_waited_for_or_not(tmp_path, holder):
    with locked(tmp_path / "lock", wait=False) as held:
        assert held is None

    def impatient(_):
        raise TimeoutError

    with pytest.raises(TimeoutError), locked(tmp_path / "lock", sleep=impatient):
        pass


def test_a_killed_process_holds_nothing(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "lock").exists()
    with locked(tmp_path / "lock", wait=False) as held:
        assert held is not None
    assert not (tmp_path / "lock").exists()


def test_threads_too_are_kept_apart(tmp_path):
    inside, most = 0, 0

    def work():
        nonlocal inside, most
        for _ in range(20):
            with locked(tmp_path / "lock", sleep=lambda _: time.sleep(0)):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert os.listdir(tmp_path) == []


def test_processes_that_make_and_remove_the_file_all_the_time_are_kept_apart(tmp_path):
    (tmp_path / "count").write_text("0")
    processes = [subprocess.Popen([sys.executable, "-c", COUNTS, tmp_path]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "1200"


def test_waiting_is_said_once_and_ends_with_the_holder(tmp_path, holder):
    """Without ``sleep`` the operating system waits; ``on_wait`` ends the holder here, so that it is known to be called before."""
    calls = []

    def end_holder():
        calls.append("waits")
        holder.kill()

    with locked(tmp_path / "lock", on_wait=end_holder) as lock:
        assert lock is not None
    assert calls == ["waits"]
    assert not (tmp_path / "lock").exists()


def test_a_kept_file_is_a_lock_again(tmp_path):
    for _ in range(2):
        with locked(tmp_path / "lock", keep_file=True) as lock, locked(tmp_path / "lock", wait=False, keep_file=True) as second:
            assert lock is not None
            assert second is None
    assert (tmp_path / "lock").exists()


def test_a_child_that_inherits_the_descriptor_holds_the_lock_too(tmp_path):
    with locked(tmp_path / "lock", keep_file=True) as lock:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock])
    with locked(tmp_path / "lock", wait=False, keep_file=True) as second:
        assert second is None
    child.communicate(b"\n")
    with locked(tmp_path / "lock", wait=False, keep_file=True) as third:
        assert third is not None


@pytest.fixture(params=[errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def no_flock(request, monkeypatch):
    def refuse(*_):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.usefixtures("no_flock")
def test_where_the_file_system_has_no_locks_a_folder_takes_their_place(tmp_path):
    with locked(tmp_path / "lock") as first, locked(tmp_path / "lock", wait=False) as second:
        assert (first is None, second) == (False, None)
    with locked(tmp_path / "lock", wait=False, keep_file=True) as third:
        assert third is not None
    assert os.listdir(tmp_path) == ["lock"]


@pytest.mark.usefixtures("no_flock")
def test_waiting_for_a_folder_says_what_to_do_if_its_holder_has_ended_elsewhere(tmp_path, capsys):
    calls = []

    def give_up(_):
        raise TimeoutError

    with (
        locked(tmp_path / "lock"),
        pytest.raises(TimeoutError),
        locked(tmp_path / "lock", on_wait=lambda: calls.append(1), sleep=give_up),
    ):
        pass

    said = capsys.readouterr().err
    assert calls == [1]
    assert said.startswith(f"jukemir-like: waiting for another process that works on {tmp_path / 'lock'}; ")
    assert said.endswith(f"or until you remove {tmp_path / 'lock.held'}\n")


@pytest.mark.usefixtures("no_flock")
def test_where_a_lock_is_not_required_its_absence_is_said_once(tmp_path, capsys):
    for _ in range(2):
        with locked(tmp_path / "lock", required=False) as lock, locked(tmp_path / "lock", required=False, wait=False) as second:
            assert lock is not None
            assert second is not None
    says = f"the file system of {tmp_path} has no locks: see to it that nothing else writes there meanwhile"
    assert capsys.readouterr().err == f"jukemir-like: {says}\n"


def test_processes_without_locks_of_the_file_system_are_kept_apart(tmp_path, without_flock):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "count").write_text("0")
    command = [sys.executable, "-c", COUNTS.replace("400", "50"), tmp_path / "work"]
    processes = [subprocess.Popen(command, env=os.environ | without_flock) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert (tmp_path / "work" / "count").read_text() == "150"
    assert os.listdir(tmp_path / "work") == ["count"]


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StorageError, match="disk is full"), locked(tmp_path / "lock"):
        pass
