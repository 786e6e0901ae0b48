"""Work over processes: nothing lost, nothing spoiled by a neighbour, nothing left behind."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from jukemir_like.core.errors import InputError
from jukemir_like.core.parallel import map_unordered, worker_index


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


def index_or_die(number):
    if number == 3:
        os._exit(9)
    time.sleep(0.05)
    return worker_index()


def test_workers_have_numbers_that_stay_when_one_dies():
    results = dict(map_unordered(index_or_die, range(12), 3))
    assert isinstance(results.pop(3), InputError)
    assert set(results.values()) == {0, 1, 2}
    assert worker_index() == 0


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


def square_elsewhere(number):
    import multiprocessing

    with multiprocessing.Pool(1) as pool:
        return pool.apply(square, (number,))


def test_a_worker_may_have_workers_of_its_own():
    assert dict(map_unordered(square_elsewhere, range(3), 2)) == {0: 0, 1: 1, 2: 4}


def end_later(number):
    """Ends the worker when its result is there, and it waits for the next item."""
    threading.Timer(0.2, os._exit, [9]).start()
    return number


def test_a_worker_that_is_killed_while_it_waits_costs_nothing():
    def items():
        yield from range(2)
        time.sleep(1)
        yield from range(2, 4)

    assert dict(map_unordered(end_later, items(), 2)) == {number: number for number in range(4)}


def nest(_):
    return lambda: None  # cannot be sent


def test_a_result_that_cannot_be_sent_is_an_error_of_its_item():
    results = dict(map_unordered(nest, range(2), 2))
    assert all(isinstance(result, Exception) and "cannot be sent" in str(result) for result in results.values())


def test_a_program_that_fails_does_not_wait_for_workers():
    """Its traceback keeps the generator from being closed."""
    script = "import time\nfrom jukemir_like.core.parallel import map_unordered\n"
    script += "for _ in map_unordered(time.sleep, [0, 1000], 2): raise ValueError"
    done = subprocess.run([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, check=False, timeout=120)
    assert done.stderr.endswith("ValueError\n")


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
        "from jukemir_like.core.parallel import map_unordered\n"
        "def work(number):\n"
        "    os.write(1, f'{os.getpid()}\\n'.encode())\n"
        "    time.sleep(1000)\n"
        "list(map_unordered(work, range(4), 2))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    workers = [int(parent.stdout.readline()) for _ in range(2)]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 60
    while any(_runs(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_runs(worker) for worker in workers)


def _runs(process):
    try:
        with open(f"/proc/{process}/stat") as status:
            return status.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
