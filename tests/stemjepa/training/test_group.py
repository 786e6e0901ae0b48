"""Processes of one run, on processors: what the first decides holds for all, and no fault leaves the others waiting."""

import json
import multiprocessing
import os
import socket
import subprocess
import sys

import pytest
import torch

from jukemir_like.core.errors import BUG, RequestError
from jukemir_like.stemjepa import checkpoint
from jukemir_like.stemjepa.training import group as groups
from jukemir_like.stemjepa.training import state
from jukemir_like.stemjepa.training.devices import Placement
from jukemir_like.stemjepa.training.group import Group, joined
from jukemir_like.stemjepa.training.run import train

GENEROUS_SECONDS = 300


@pytest.fixture
def fork_two():
    """A function: two processes, forked from this one, call ``function(placement)``; returns what each returned, or its exit code."""

    def run(function):
        def call(rank, pipe):
            placement = Placement("cpu", devices=2, rank=rank, local_rank=rank, external=True, port=port)
            try:
                pipe.send(function(placement))
            except RequestError as error:
                pipe.send(f"{error.exit_code}: {error}")
            except SystemExit as error:
                pipe.send(error.code)

        port, context = free_port(), multiprocessing.get_context("fork")
        pipes = [context.Pipe() for _ in range(2)]
        processes = [context.Process(target=call, args=(rank, pipes[rank][1])) for rank in range(2)]
        for process in processes:
            process.start()
        for _, written in pipes:
            written.close()
        for process in processes:
            process.join(GENEROUS_SECONDS)
            process.kill()
        return [receive(pipe) for pipe, _ in pipes]

    return run


def receive(pipe):
    try:
        return pipe.recv() if pipe.poll() else None
    except EOFError:
        return None


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.fixture
def two():
    """A function: two processes run a script; returns (exit code, output, errors) of each."""

    def run(script, *arguments):
        port = str(free_port())
        started = [
            subprocess.Popen(
                [sys.executable, "-c", script, *arguments],
                env=os.environ
                | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port},
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            for rank in range(2)
        ]  # fmt: skip
        try:
            said = [process.communicate(timeout=GENEROUS_SECONDS) for process in started]
        finally:
            for process in started:
                process.kill()
        return [(process.returncode, *texts) for process, texts in zip(started, said, strict=True)]

    return run


def test_what_one_has_all_have(fork_two):
    state = {"a": torch.arange(6.0).view(2, 3).T, "b": [1, (torch.tensor(3), None)], 4: {"c": torch.zeros(0, 2, dtype=torch.bfloat16)}}

    def exchange(placement):
        with joined(placement, 60) as group:
            said = [group.each(lambda: {"rank": placement.rank}), group.from_first(lambda: [placement.rank, "ä", 0.1])]
            received = group.broadcast(state if group.is_first else None)
        assert torch.equal(received["a"], state["a"])
        assert torch.equal(received["b"][1][0], torch.tensor(3))
        assert (received["b"][1][1], list(received)) == (None, ["a", "b", 4])
        assert (received[4]["c"].shape, received[4]["c"].dtype) == ((0, 2), torch.bfloat16)
        return said

    assert fork_two(exchange) == [[[{"rank": 0}, {"rank": 1}], [0, "ä", 0.1]]] * 2


def fail():
    raise RequestError("what is wrong")


def first_fails(group):
    group.from_first(fail)


def second_fails(group):
    group.each(fail if group.placement.rank else lambda: None)


def all_see_it(group):
    group.refuse("what is wrong")


def first_dies(group):
    if group.is_first:
        os._exit(9)
    group.from_first(fail)


SAID = "2: what is wrong"


@pytest.mark.parametrize(("what", "ends"), [(first_fails, [SAID, 2]), (second_fails, [2, SAID]), (all_see_it, [SAID, 2])])
def test_a_failure_ends_all_and_is_said_once(fork_two, what, ends):
    def run(placement):
        with joined(placement, 60) as group:
            what(group)

    assert fork_two(run) == ends


def test_one_that_dies_leaves_no_other_waiting(fork_two):
    def run(placement):
        with joined(placement, 60) as group:
            first_dies(group)

    died, said = fork_two(run)
    assert died is None
    assert said.startswith("2: a process of the training has ended, and process 1 on ")


def test_alone_nothing_is_exchanged_and_errors_are_its_own():
    alone = Group(Placement("cpu", devices=1))
    assert alone.each(lambda: {1, 2}) == [{1, 2}]
    tensor = torch.zeros(2)
    assert alone.broadcast({"a": tensor})["a"] is tensor
    with pytest.raises(RequestError, match="it is wrong"):
        alone.refuse("it is wrong")
    with pytest.raises(ZeroDivisionError):
        alone.from_first(lambda: 1 / 0)
    assert groups._exit_code(ZeroDivisionError()) == BUG


# The first process is slow to take the folder, so that the second would look into it first; neither waits for Lightning's import.
TRAIN = """
import json, os, sys, time
import torch
from jukemir_like.stemjepa.settings import Training
from jukemir_like.stemjepa.training import fit, run, state
claim = state.claim
def slow_claim(*arguments, **options):
    time.sleep(1.5)
    claim(*arguments, **options)
state.claim = slow_claim
settings, folders, resume = json.loads(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3] == "resume"
folder = folders[int(os.environ["RANK"])]
from pathlib import Path
sys.exit(run.train(Training.from_dict(settings), Path(folder), resume=resume) is None)
"""


def weights(folder):
    return checkpoint.load(folder / state.WEIGHTS).network.state_dict()


@pytest.mark.slow
def test_processes_go_on_from_what_the_first_has(settings, tmp_path, two):
    """With old states in the folder that begins again; with a state that the first alone can see, and one that only another sees."""
    run = settings({"data.dataloader.batch_size": 8, "trainer.valid_every_steps": 0, "data.statistics": True})

    def together(first, second, resume):
        ended = two(TRAIN, json.dumps(run.to_dict()), json.dumps([str(first), str(second)]), resume)
        assert [code for code, _, _ in ended] == [0, 0], ended
        return ended[0][2]

    together(tmp_path / "whole", tmp_path / "whole", "resume")
    expected = weights(tmp_path / "whole")

    def same(folder):
        found = weights(folder)
        return all(torch.equal(found[name], expected[name]) for name in expected)

    assert "going on" not in together(tmp_path / "whole", tmp_path / "whole", "restart")
    assert same(tmp_path / "whole")
    for path in (tmp_path / "whole" / "states").glob("*5.ckpt"):
        path.unlink()
    assert "going on from step 4 of 5" in together(tmp_path / "whole", tmp_path / "elsewhere", "resume")
    assert same(tmp_path / "whole")
    assert not (tmp_path / "elsewhere").exists()
    assert "going on" not in together(tmp_path / "new", tmp_path / "whole", "resume")
    assert same(tmp_path / "new")


@pytest.mark.slow
def test_processes_with_other_tracks_are_refused(settings, tmp_path, two, stems_folder):
    """Example n would be one of another track in each of them."""
    (tmp_path / "fewer").mkdir()
    for number in range(4):
        (tmp_path / "fewer" / f"track{number}.wav").symlink_to(stems_folder / f"track{number}.wav")
    run = settings({"data.dataloader.batch_size": 8})
    script = TRAIN.replace(
        "folder = ", f"settings['data']['data_path'] = [sys.argv[4], {str(tmp_path / 'fewer')!r}][int(os.environ['RANK'])]; folder = "
    )
    ended = two(script, json.dumps(run.to_dict()), json.dumps([str(tmp_path / "run")] * 2), "resume", str(stems_folder))
    assert "process 1 finds other tracks in" in ended[0][2]
    assert not (tmp_path / "run" / state.SETTINGS).exists()


def test_a_folder_in_use_is_not_emptied(settings, tmp_path):
    """Beginning again in the folder of a run that is under way would remove its states."""
    (tmp_path / "run" / "states").mkdir(parents=True)
    (tmp_path / "run" / "states" / "000000002.ckpt").touch()
    kept = sorted(os.listdir(tmp_path / "run" / "states"))
    with state.lock_folder(tmp_path / "run"), pytest.raises(RequestError, match="another process trains"):
        train(settings(), tmp_path / "run", resume=False)
    assert sorted(os.listdir(tmp_path / "run" / "states")) == kept
