"""Work over processes: nothing lost, nothing spoiled by a neighbour, nothing left behind."""

import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
import threading
import time

import pytest

from jukemir_like.errors import InputError
from jukemir_like.parallel import Progress, available_cpus, map_unordered


def square(number):
    return number * number


def fail_on_three(number):
    if number == 3:
        raise ValueError("three")
    return number


def die_on_three(number):
    if number == 3:
        os._exit(9)
    return number


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_item_comes_once_with_its_own_result(workers):
    assert sorted(map_unordered(square, range(50), workers)) == [(number, number * number) for number in range(50)]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_is_a_result_like_any_other(workers):
    results = dict(map_unordered(fail_on_three, range(10), workers))
    assert isinstance(results.pop(3), ValueError)
    assert results == {number: number for number in range(10) if number != 3}


def test_a_worker_that_dies_costs_only_the_item_that_kills_it():
    results = dict(map_unordered(die_on_three, range(20), 2))
    assert isinstance(results[3], InputError)
    assert "died" in str(results[3])
    assert {number for number in results if number != 3} == set(range(20)) - {3}
    assert all(results[number] == number for number in results if number != 3)


def test_items_are_read_as_they_are_needed():
    read = 0

    def items():
        nonlocal read
        for number in range(1000):
            read += 1
            yield number

    results = map_unordered(square, items(), 2)
    for _ in range(10):
        next(results)
    assert read <= 10 + 2 * 2 + 1
    results.close()


def test_works_in_a_program_that_runs_threads_too():
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert dict(map_unordered(abs, [-1, -2, -3], 2)) == {-1: 1, -2: 2, -3: 3}
    finally:
        stop.set()
        thread.join()


def test_workers_end_when_their_parent_is_killed(tmp_path):
    script = (
        "import os, sys, time\n"
        "from jukemir_like.parallel import map_unordered\n"
        "def work(number):\n"
        "    os.write(1, f'{os.getpid()}\\n'.encode())\n"
        "    time.sleep(60)\n"
        "list(map_unordered(work, range(4), 2))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    workers = [int(parent.stdout.readline()) for _ in range(2)]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 20
    while any(_runs(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_runs(worker) for worker in workers)


def _runs(process):
    try:
        with open(f"/proc/{process}/stat") as status:
            return status.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_there_is_at_least_one_processor():
    assert 1 <= available_cpus() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("files", "processors"),
    [
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "nonsense"}, None),
        ({}, None),
    ],
)
def test_the_limit_of_a_container_counts_in_both_versions_of_control_groups(tmp_path, files, processors):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    own = len(os.sched_getaffinity(0))
    assert available_cpus(tmp_path) == min(own, processors or own)


def test_a_bar_is_shown_on_a_terminal_and_nothing_in_a_pipe():
    script = "from jukemir_like.parallel import Progress\nwith Progress(4, 'work', 'file') as bar:\n    bar.update(4)"
    piped = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert piped.stderr == ""
    reader, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    subprocess.run([sys.executable, "-c", script], stderr=terminal, check=True)
    os.close(terminal)
    assert "work: 100%" in os.read(reader, 65536).decode()
    os.close(reader)


def test_a_bar_starts_no_thread():
    before = threading.active_count()
    with Progress(4, "work", "file"):
        assert threading.active_count() == before
