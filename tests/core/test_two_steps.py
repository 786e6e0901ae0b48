"""Two steps: what one process would give, whoever dies or fails; ahead, but not far; nothing left behind."""

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jukemir_like.core import workers
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.core.parallel import worker_index
from jukemir_like.core.two_steps import TwoSteps

SECOND_WORKERS = [0, 1, 3]


def parts(numbers):
    return list(numbers)


def as_array(number):
    return np.full(1000, number, np.float32)


def total(arrays):
    return sum(float(array.sum()) for array in arrays)


ITEMS = [(1, 2, 3), (4,), (5, 6), (7, 8, 9, 10), (11, 12)]
EXPECTED = {item: 1000.0 * sum(item) for item in ITEMS}


@pytest.fixture(autouse=True)
def no_files_in_memory_stay():
    yield
    assert not files_in_memory()


def files_in_memory():
    """How many this process has open."""
    return sum(path.is_symlink() and "memfd" in str(path.readlink()) for path in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("second_workers", SECOND_WORKERS)
@pytest.mark.parametrize("first_workers", [1, 2, 4])
def test_every_item_comes_once_with_its_own_result(second_workers, first_workers):
    results = list(TwoSteps(parts, as_array, total, second_workers).map_unordered(ITEMS * 4, first_workers))
    assert len(results) == len(ITEMS) * 4
    assert dict(results) == EXPECTED


@settings(max_examples=10, deadline=None)
@given(st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=5).map(tuple), max_size=12, unique=True), st.integers(1, 2))
def test_it_is_what_one_process_gives(items, second_workers):
    work = TwoSteps(parts, as_array, total, second_workers)
    assert dict(work.map_unordered(items, 2)) == {item: work(item) for item in items}


def where(arrays):
    time.sleep(0.05)
    return os.getpid(), worker_index()


def marked_with_process(number):
    return np.array([number, os.getpid(), worker_index()], np.float64)


def processes_of_parts(arrays):
    time.sleep(0.05)
    return [tuple(map(int, array)) for array in arrays], os.getpid(), worker_index()


def test_the_steps_are_done_by_processes_of_their_own():
    results = [result for _, result in TwoSteps(parts, marked_with_process, processes_of_parts, 2).map_unordered(ITEMS * 3, 3)]
    first = {tuple(part[1:]) for of_item, _, _ in results for part in of_item}
    second = {(process, index) for _, process, index in results}
    assert sorted(index for _, index in second) == [0, 1]
    assert sorted(index for _, index in first) == [0, 1, 2]
    assert not {process for process, _ in first} & {process for process, _ in second}


def nothing(number):
    return f"nothing of {number}"


def here(values):
    return os.getpid(), values


def test_an_item_without_arrays_needs_no_process_of_the_second_step():
    results = dict(TwoSteps(parts, nothing, here, 2).map_unordered(ITEMS, 2))
    assert results == {item: (os.getpid(), [f"nothing of {number}" for number in item]) for item in ITEMS}


def fail_on_three(number, error=ValueError):
    if number == 3:
        raise error("three")
    return as_array(number)


def fail_on_six(arrays):
    if any(array[0] == 6 for array in arrays):
        raise ValueError("six")
    return total(arrays)


def test_an_exception_of_either_step_is_the_result_of_its_item():
    results = dict(TwoSteps(parts, fail_on_three, fail_on_six, 1).map_unordered(ITEMS, 2))
    assert str(results.pop((1, 2, 3))) == "three"
    assert str(results.pop((5, 6))) == "six"
    assert results == {item: EXPECTED[item] for item in results}
    assert len(results) == 3
    error = dict(TwoSteps(parts, partial(fail_on_three, error=RequestError), total, 1).map_unordered(ITEMS, 2))[1, 2, 3]
    assert isinstance(error, RequestError)


def die_on_three(number):
    if number == 3:
        os._exit(9)
    return as_array(number)


def die_on_six(arrays):
    if any(array[0] == 6 for array in arrays):
        os._exit(9)
    return total(arrays)


def test_a_process_that_dies_costs_only_the_item_that_kills_it():
    results = dict(TwoSteps(parts, die_on_three, die_on_six, 2).map_unordered(ITEMS * 2, 2))
    for killer in ((1, 2, 3), (5, 6)):
        error = results.pop(killer)
        assert isinstance(error, InputError)
        assert "died" in str(error)
    assert results == {item: EXPECTED[item] for item in results}
    assert len(results) == 3


def die_once(folder, arrays):
    try:
        os.close(os.open(folder / "died", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return total(arrays)
    os.kill(os.getpid(), signal.SIGKILL)
    return None


def test_an_item_whose_process_was_killed_is_tried_again_with_the_same_parts(tmp_path):
    assert dict(TwoSteps(parts, as_array, partial(die_once, tmp_path), 1).map_unordered(ITEMS, 2)) == EXPECTED


def wait_for(file, arrays):
    while not file.exists():
        time.sleep(0.005)
    return total(arrays)


@pytest.mark.parametrize(("second_workers", "first_workers", "size", "most"), [(1, 2, 4, 4), (2, 2, 4, 6), (1, 8, 2, 7)])
def test_the_first_step_goes_ahead_but_not_far(tmp_path, second_workers, first_workers, size, most):
    """While the second step is held up, each of its processes has an item, and so many others are read: not all of them."""
    read = []

    def items():
        for number in range(40):
            read.append(number)
            if len(read) == most - 1:
                (tmp_path / "open").touch()  # it is reached: the first step does not wait for the second
            yield tuple(range(size * number, size * number + size))

    seen = []
    for _ in TwoSteps(parts, as_array, partial(wait_for, tmp_path / "open"), second_workers).map_unordered(items(), first_workers):
        seen.append(len(read))
        assert len(read) <= len(seen) + most + second_workers
    assert len(seen) == 40


def test_arrays_that_wait_are_limited_by_their_size(monkeypatch):
    monkeypatch.setattr("jukemir_like.core.two_steps._BYTES_AHEAD", 1)
    read = 0

    def items():
        nonlocal read
        for number in range(20):
            read += 1
            yield (number, number)

    done = 0
    for _ in TwoSteps(parts, as_array, total, 1).map_unordered(items(), 2):
        done += 1
        assert read <= done + 4
    assert done == 20


def test_parts_may_be_more_than_files_are_allowed_at_first():
    """1,024 is the usual soft limit."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    items = [tuple(range(number, number + 700)) for number in range(6)]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        results = dict(TwoSteps(parts, as_array, total, 2).map_unordered(items, 2))
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (256, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert results == {item: 1000.0 * sum(item) for item in items}


def test_leaving_early_ends_all_processes():
    before = threading.active_count()
    results = TwoSteps(parts, marked_with_process, processes_of_parts, 2).map_unordered(ITEMS * 10, 2)
    of_item, process, _ = next(results)[1]
    results.close()
    for gone in (process, *(part[1] for part in of_item)):
        with pytest.raises(ProcessLookupError):
            os.kill(gone, 0)
    assert threading.active_count() == before


def open_files(arrays):
    """Files in memory of a process of the second step: none are its parent's."""
    time.sleep(0.02)
    return files_in_memory()


def test_a_process_that_is_forked_keeps_no_memory_of_parcels():
    assert {result for _, result in TwoSteps(parts, as_array, open_files, 3).map_unordered(ITEMS * 5, 2)} == {0}


def test_processes_may_be_spawned_too(monkeypatch):
    monkeypatch.setattr(workers, "_uses_gpu", lambda: True)
    assert dict(TwoSteps(tuple, np.atleast_1d, np.sum, 1).map_unordered([(1, 2), (3,)], 2)) == {(1, 2): 3, (3,): 3}


def test_all_end_when_their_parent_is_killed():
    script = (
        "import os, time, numpy\n"
        "from jukemir_like.core.two_steps import TwoSteps\n"
        "def first(number):\n"
        "    os.write(1, f'{os.getpid()}\\n'.encode())\n"
        "    return numpy.zeros(9)\n"
        "def second(arrays):\n"
        "    os.write(1, f'second {os.getpid()}\\n'.encode())\n"
        "    time.sleep(1000)\n"
        "list(TwoSteps(list, first, second, 1).map_unordered([(number,) for number in range(99)], 2))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    processes = set()
    while not any("second" in line for line in processes):
        processes.add(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    assert parent.stdout.read() is not None  # which ends when all that can write to it have ended
    assert parent.wait() == -signal.SIGKILL
