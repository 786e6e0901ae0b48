"""A folder that one process at a time holds; what has ended holds nothing, on this machine or, after a while, on another."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from jukemir_like.core import lock_folders
from jukemir_like.core.lock_folders import GIVEN_UP_SECONDS, locked_by_folder

HOLDS = """
import sys, time; from pathlib import Path; from jukemir_like.core.lock_folders import locked_by_folder
with locked_by_folder(Path(sys.argv[1])) as held: print(held, flush=True); time.sleep(60)
"""
ELSEWHERE = "0123456789abcdef-7-1"


@pytest.fixture
def holder(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLDS, tmp_path / "lock"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == f"{tmp_path / 'lock.held'}\n"
        yield process
        process.kill()


def is_free(path):
    with locked_by_folder(path) as held:
        return held is not None


def test_one_process_at_a_time_holds_it_and_a_killed_one_does_not(tmp_path, holder):
    assert not is_free(tmp_path / "lock")
    assert not is_free(tmp_path / "lock")
    assert is_free(tmp_path / "lock2")
    holder.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    assert is_free(tmp_path / "lock")
    assert os.listdir(tmp_path) == []


def test_one_thread_at_a_time_holds_it(tmp_path):
    counts = {"inside": 0, "most": 0, "times": 0}

    def work():
        for _ in range(50):
            with locked_by_folder(tmp_path / "lock") as held:
                if held is not None:
                    counts["inside"] += 1
                    counts["most"] = max(counts["most"], counts["inside"])
                    counts["times"] += 1
                    time.sleep(0)
                    counts["inside"] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts["most"] == 1
    assert counts["times"] >= 50 / 4
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["lock.held", ".held-" + ELSEWHERE + "-0"])
def test_a_holder_on_another_machine_counts_as_ended_when_it_is_silent_for_long(tmp_path, name):
    (tmp_path / name).mkdir()
    inside = tmp_path / name / f"{ELSEWHERE}-0"
    inside.touch()
    assert is_free(tmp_path / "lock") == (name != "lock.held")
    assert inside.exists()
    for path in (inside, inside.parent):
        os.utime(path, (time.time() - GIVEN_UP_SECONDS - 60,) * 2)
    assert is_free(tmp_path / "lock")
    assert os.listdir(tmp_path) == []


def test_an_empty_folder_is_held_by_nobody(tmp_path):
    (tmp_path / "lock.held").mkdir()
    assert is_free(tmp_path / "lock")


def test_a_holder_renews_the_time_of_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(lock_folders, "_RENEWAL_SECONDS", 0.01)
    with locked_by_folder(tmp_path / "lock") as held:
        (file,) = held.iterdir()
        for _ in range(3):
            os.utime(file, (1000, 1000))
            while file.stat().st_mtime == 1000:
                time.sleep(0.001)
    assert os.listdir(tmp_path) == []


def test_two_that_both_see_a_holder_end_do_not_both_hold_it(tmp_path, monkeypatch):
    """The second removes the file of the one that has ended after the first has taken the lock."""
    (tmp_path / "lock.held").mkdir()
    (tmp_path / "lock.held" / f"{ELSEWHERE}-0").touch()
    os.utime(tmp_path / "lock.held" / f"{ELSEWHERE}-0", (1000, 1000))
    remove, held_by_first, inside = lock_folders._remove_ended, [], []

    def remove_later(folder):
        if not inside:
            inside.append(1)
            first = locked_by_folder(tmp_path / "lock")
            held_by_first.extend([first, first.__enter__()])
        remove(folder)

    monkeypatch.setattr(lock_folders, "_remove_ended", remove_later)
    with locked_by_folder(tmp_path / "lock") as second:
        assert held_by_first[1] is not None
        assert second is None
    held_by_first[0].__exit__(None, None, None)
    assert os.listdir(tmp_path) == []


def test_a_waiter_that_is_killed_while_it_asks_for_the_time_does_not_keep_the_lock(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(lock_folders, "file_system_time", lambda folder: (asked.append(folder), time.time())[1])
    (tmp_path / "lock.held").mkdir()
    (tmp_path / "lock.held" / f"{ELSEWHERE}-0").touch()
    assert not is_free(tmp_path / "lock")
    assert asked == [tmp_path]  # where it leaves a file, if it is killed
