"""Which process is meant, among those of all machines and containers, and whether it has ended."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jukemir_like.core import processes

IDENTITY = "from jukemir_like.core.processes import identity; print(identity(), flush=True); input()"
ALIKE = "a-cluster-with-a-long-name-compute-node-1"  # 41 characters


@pytest.fixture
def other():
    """Another process, which waits, and its identity."""
    with subprocess.Popen([sys.executable, "-c", IDENTITY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process, process.stdout.readline().strip()
        process.kill()


def test_the_identity_of_a_process_is_the_same_from_within_and_from_outside(other):
    process, identity = other
    place, number, start = identity.split("-")
    assert processes.identity().startswith(f"{place}-{os.getpid()}-")
    assert (int(number), start) == (process.pid, processes.start_time(process.pid))
    assert len(identity) <= 50


def test_a_process_has_ended_as_soon_as_it_was_killed(other):
    process, identity = other
    assert processes.is_known_to_have_ended(identity) is False
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert processes.is_known_to_have_ended(identity) is True
    process.wait()
    assert processes.is_known_to_have_ended(identity) is True


def test_one_that_has_the_number_and_began_at_another_time_is_another():
    place, number, start = processes.identity().split("-")
    assert processes.is_known_to_have_ended(f"{place}-{number}-{int(start) - 1}") is True
    assert processes.is_known_to_have_ended(f"{place}-{number}-0") is False  # when it began was not known to it


@pytest.mark.parametrize(
    ("function", "value"),
    [("boot_id", "6f0ac8b4-0000-4000-8000-000000000000"), ("namespace", "pid:[1]"), ("boot_id", processes.UNKNOWN)],
)
def test_of_another_machine_an_earlier_boot_or_another_container_nothing_is_known(monkeypatch, function, value):
    identity = processes.identity()
    monkeypatch.setattr(processes, function, lambda: value)
    assert processes.is_known_to_have_ended(identity) is None
    assert processes.identity() != identity


def test_hosts_with_alike_names_are_told_apart(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: ALIKE)
    place = processes.identity().partition("-")[0]
    dead = f"{place}-{2**22 + 1}-1"  # above the highest number that Linux gives
    assert processes.is_known_to_have_ended(dead) is True
    monkeypatch.setattr(socket, "gethostname", lambda: ALIKE[:-1] + "2")
    assert processes.is_known_to_have_ended(dead) is None


@pytest.mark.parametrize("text", ["", "host", "host-f0000000-12", "-1-1", "0123456789abcdef-1-x", f"{processes._place()}-x-1"])
def test_what_is_no_identity_says_nothing(text):
    assert processes.is_known_to_have_ended(text) is None


def test_a_container_without_a_proc_of_its_own_takes_no_other_process_for_its_own():
    """There ``/proc`` has the numbers of the machine: what it says of a number is of another process."""
    script = "from jukemir_like.core.processes import *; import os; print(start_time(os.getpid()), is_known_to_have_ended(identity()))"
    unshare = ["unshare", "--fork", "--pid", sys.executable, "-c", script]
    contained = subprocess.run(unshare, capture_output=True, text=True, check=False)
    if contained.returncode:
        pytest.skip(f"process namespaces cannot be made here: {contained.stderr.strip()}")
    assert contained.stdout == f"{processes.UNKNOWN} False\n"


def test_where_the_system_tells_no_boot_nothing_is_known_to_have_ended(monkeypatch, tmp_path):
    monkeypatch.setattr(processes, "_BOOT_ID", tmp_path / "missing")
    assert processes.boot_id() == processes.UNKNOWN
    assert processes.is_known_to_have_ended(f"{processes._place()}-{2**22 + 1}-1") is None


# Of much memory in small pages, so that to fork takes a while.
FORKS = (
    "import mmap, os, time\nmemory = mmap.mmap(-1, 100 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
    "memory.madvise(mmap.MADV_NOHUGEPAGE)\nmemory[::4096] = bytes(len(memory[::4096]))\n"
    "os.write(1, b'.')\nwhile os.fork():\n    pass\ntime.sleep(1000)\n"
)


def running(session):
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] not in "ZX":
                found.append(path.parent.name)
    return found


def test_none_is_left_of_a_process_that_starts_others_all_the_time(monkeypatch):
    """It is told to stop in the middle of a fork, and the child appears after the look for children."""
    look = processes._descendants

    def look_and_rest(roots):
        found = look(roots)
        time.sleep(0.05)
        return found

    monkeypatch.setattr(processes, "_descendants", look_and_rest)
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", FORKS], stdout=subprocess.PIPE, start_new_session=True) as process:
            process.stdout.read(1)
            processes.kill([process.pid])
            left = running(process.pid)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        assert left == []
