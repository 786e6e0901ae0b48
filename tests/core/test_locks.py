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


def test_a_file_system_without_locks_is_an_error_only_where_one_is_required(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StorageError, match="has no locks: choose another"), locked(tmp_path / "lock", advice="choose another"):
        pass
    with locked(tmp_path / "lock", required=False) as lock:
        assert lock is not None
