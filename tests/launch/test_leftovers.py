"""Which launchers are gone is known of this machine's alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from jukemir_like.launch import leftovers


@pytest.fixture
def other():
    """Another process, which waits."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_launcher_that_runs_is_not_gone(other):
    assert not leftovers.is_gone(leftovers.launcher())
    assert not leftovers.is_gone(leftovers.launcher(other.pid))


def test_a_killed_one_is_gone_even_before_its_parent_has_waited_for_it(other):
    label = leftovers.launcher(other.pid)
    other.kill()
    while Path(f"/proc/{other.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        pass
    assert leftovers.is_gone(label)
    other.wait()
    assert leftovers.is_gone(label)


def test_another_process_of_the_same_number_is_another(other):
    host, boot, space, number, began = leftovers.launcher(other.pid).split(" ")
    assert leftovers.is_gone(" ".join([host, boot, space, number, str(int(began) - 1)]))


def test_an_earlier_start_of_the_machine_is_over(other):
    host, _, space, number, began = leftovers.launcher(other.pid).split(" ")
    assert leftovers.is_gone(" ".join([host, "another-boot", space, number, began]))


@pytest.mark.parametrize("part", [0, 2])
def test_of_other_machines_and_of_other_containers_nothing_is_known(part):
    words = [*leftovers.launcher().split(" ")[:3], "999999999", "1"]
    assert leftovers.is_gone(" ".join(words))
    words[part] = "another"
    assert not leftovers.is_gone(" ".join(words))


@pytest.mark.parametrize("label", ["", "nonsense", "a b c d e"])
def test_a_label_that_is_not_ours_is_nobody_s(label):
    assert not leftovers.is_gone(label)
