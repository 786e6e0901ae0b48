"""One at a time, across processes and threads; a dead process holds nothing."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from jukemir_like.downloads.locking import locked

HOLDS = """
import sys, time; from pathlib import Path; from jukemir_like.downloads.locking import locked
with locked(Path(sys.argv[1])) as held: print(held, flush=True); time.sleep(60)
"""
COUNTS = """
import sys; from pathlib import Path; from jukemir_like.downloads.locking import locked
folder = Path(sys.argv[1])
for _ in range(400):
    with locked(folder / "lock", pause=lambda _: None):
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
        assert held is False

    def impatient(_):
        raise TimeoutError

    with pytest.raises(TimeoutError), locked(tmp_path / "lock", pause=impatient):
        pass


def test_a_killed_process_holds_nothing(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "lock").exists()
    with locked(tmp_path / "lock", wait=False) as held:
        assert held is True
    assert not (tmp_path / "lock").exists()


def test_threads_too_are_kept_apart(tmp_path):
    inside, most = 0, 0

    def work():
        nonlocal inside, most
        for _ in range(20):
            with locked(tmp_path / "lock", pause=lambda _: time.sleep(0)):
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
