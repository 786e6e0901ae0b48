"""Processes of a run meet, and their process group works; or each says in one line, in time, why they do not."""

import json
import os
import socket
import subprocess
import sys
from typing import NamedTuple

import pytest

from jukemir_like.stemjepa.training import addresses

GENEROUS_SECONDS = 300
SERVER = """
import json, os, sys, torch
from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.training.devices import Placement
from jukemir_like.stemjepa.training.meeting import meet

def run(rank, size, nodes, address, port, seconds):
    try:
        meet(Placement("cpu", size // nodes, nodes, rank, 0, 0, True, address, port), seconds)
    except RequestError as error:
        sys.exit(f"jukemir-like: {error}")
    total = torch.tensor([float(rank)])
    torch.distributed.all_reduce(total)
    print(total.item(), os.environ.get("GLOO_SOCKET_IFNAME"))

for line in sys.stdin:
    folder, environment, processes = json.loads(line)
    children = []
    for number, arguments in enumerate(processes):
        children.append(os.fork())
        if not children[-1]:
            for descriptor, name in ((0, os.devnull), (1, f"{folder}/{number}.out"), (2, f"{folder}/{number}.err")):
                os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC), descriptor)
            os.environ.update(environment)
            run(*arguments)
            sys.exit()
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]), flush=True)
"""
ADVICE = (
    "see that all were started and reach this address; set MASTER_ADDR (and MASTER_PORT) to another, or trainer.meeting_seconds to more"
)


class Ended(NamedTuple):
    """What a process has said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def last_line(self):
        return self.err.splitlines()[-1]


@pytest.fixture(scope="module")
def server():
    """A process that has imported torch, and forks."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def meet(server, tmp_path):
    """``meet((rank, size, nodes, address, port, seconds), …)``: processes that meet, to their end."""

    def run(*processes, **environment):
        server.stdin.write(json.dumps([str(tmp_path), environment, processes]) + "\n")
        server.stdin.flush()
        codes = json.loads(server.stdout.readline())
        texts = [[(tmp_path / f"{number}.{stream}").read_text() for stream in ("out", "err")] for number in range(len(processes))]
        return [Ended(code, *streams) for code, streams in zip(codes, texts, strict=True)]

    return run


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_three_processes_meet_in_any_order_and_compute_together(meet, port):
    ended = meet(*[(rank, 3, 1, "127.0.0.1", port, GENEROUS_SECONDS) for rank in (2, 0, 1)])
    assert [(process.code, process.out) for process in ended] == [(0, "3.0 None\n")] * 3


def test_nodes_that_do_not_know_their_own_name_use_the_network_on_which_they_meet(meet, port):
    """On a machine whose own name leads to itself alone gloo would bind to that, where no other node reaches it."""
    expected = None if addresses.is_own_name_known_to_others() else addresses.interface("127.0.0.1")
    ended = meet(*[(rank, 2, 2, "127.0.0.1", port, GENEROUS_SECONDS) for rank in (0, 1)])
    assert [(process.code, process.out) for process in ended] == [(0, f"1.0 {expected}\n")] * 2
    assert ended[0].err.startswith(f"jukemir-like: waiting for 2 processes at 127.0.0.1:{port}, {GENEROUS_SECONDS} s at most\n")


def test_those_that_came_say_how_many(meet, port):
    ended = meet(*[(rank, 3, 1, "127.0.0.1", port, 2) for rank in (0, 1)])
    where = f"the 3 processes of the run did not meet at 127.0.0.1:{port} within 2 s"
    assert ended[0].last_line == f"jukemir-like: {where} (2 of 3 came): {ADVICE}"
    assert ended[1].last_line.startswith(f"jukemir-like: {where} (2 of 3 came")
    assert [process.code for process in ended] == [1, 1]


def test_another_says_that_the_first_does_not_answer(meet, port):
    (ended,) = meet((1, 2, 1, "127.0.0.1", port, 0.5))
    reason = f"process 1 on {socket.gethostname()} gets no answer: Connection refused"
    assert ended.code == 1
    assert ended.err == f"jukemir-like: the 2 processes of the run did not meet at 127.0.0.1:{port} within 0.5 s ({reason}): {ADVICE}\n"


def test_a_program_that_listens_there_and_says_nothing_is_not_waited_for_without_end(meet, port):
    with socket.create_server(("127.0.0.1", port)):
        (ended,) = meet((1, 2, 1, "127.0.0.1", port, 1))
    assert ended.code == 1
    assert "(0 of 2 came; the first does not answer)" in ended.last_line


def test_an_address_that_does_not_resolve_and_a_port_that_is_taken_are_one_line(meet, port):
    (ended,) = meet((1, 2, 1, "no-such-host.invalid", port, GENEROUS_SECONDS))
    does_not = "no-such-host.invalid, where the processes are to meet, does not resolve here"
    assert ended.err == f"jukemir-like: {does_not}: set MASTER_ADDR to an address\n"
    with socket.create_server(("", port)):
        (ended,) = meet((0, 2, 1, "127.0.0.1", port, GENEROUS_SECONDS))
    assert ended.last_line == f"jukemir-like: port {port} of this node is taken: set MASTER_PORT to a free one"


def test_those_that_meet_and_cannot_reach_one_another_say_so(meet, port):
    ended = meet(*[(rank, 2, 2, "127.0.0.1", port, 60) for rank in (0, 1)], GLOO_SOCKET_IFNAME="nowhere0")
    assert [process.code for process in ended] == [1, 1]
    assert "(2 of 2 came; they do not reach one another)" in ended[0].last_line


def test_where_torchrun_listens_all_come_to_it(meet, port):
    from torch.distributed import TCPStore

    agent = TCPStore("127.0.0.1", port, 2, True, wait_for_workers=False)
    ended = meet(*[(rank, 2, 1, "127.0.0.1", port, GENEROUS_SECONDS) for rank in (0, 1)], TORCHELASTIC_USE_AGENT_STORE="True")
    assert [process.out for process in ended] == ["1.0 None\n"] * 2
    assert agent.num_keys() > 0


def test_a_training_whose_second_process_never_comes_ends_with_one_line(arguments, tmp_path, port):
    command = [sys.executable, "-m", "jukemir_like", "train", *arguments({"trainer.meeting_seconds": 1}), "--output", str(tmp_path / "run")]
    environment = os.environ | {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    finished = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert finished.returncode == 2, finished.stderr
    where = f"the 2 processes of the run did not meet at 127.0.0.1:{port} within 1 s (1 of 2 came)"
    assert finished.stderr.splitlines()[-1] == f"jukemir-like: {where}: {ADVICE}"
    assert not (tmp_path / "run").exists()
