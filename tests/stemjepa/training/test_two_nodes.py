"""Training over two nodes of a SLURM cluster whose names do not resolve."""

import os
import socket
import subprocess
import sys

import pytest
import torch

from jukemir_like.stemjepa import checkpoint
from jukemir_like.stemjepa.training import addresses

GENEROUS_SECONDS = 600
SHORT = {"trainer.max_steps": 3, "trainer.meeting_seconds": 120, "logger": "[csv]"}


@pytest.fixture(scope="module")
def partition(slurm):
    """The partition of the cluster, which has two nodes, and the name of the first of them."""
    asked = ["sinfo", "--noheader", "--Node", "--partition", slurm, "--format", "%N"]
    nodes = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    if len(nodes) < 2:
        pytest.skip(f"partition {slurm} has one node")
    return slurm, nodes[0]


def train(command, arguments, folder):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MASTER_", "SLURM_"))}
    environment |= {name: os.environ[name] for name in ("SLURM_CONF",) if name in os.environ}
    full = [*command, sys.executable, "-m", "jukemir_like", "train", *arguments, "--name", "run", "--output", str(folder)]
    return subprocess.run(full, capture_output=True, text=True, env=environment, timeout=GENEROUS_SECONDS, check=False)


@pytest.mark.slurm
def test_two_nodes_whose_names_do_not_resolve_do_what_two_processes_do(partition, arguments, tmp_path):
    name, node = partition
    srun = ["srun", "--partition", name, "--nodes", "2", "--ntasks", "2", "--cpus-per-task", "1", "--input", "none"]
    finished = train([*srun, "--chdir", str(tmp_path)], arguments(SHORT), tmp_path / "nodes")
    assert finished.returncode == 0, finished.stderr
    assert "jukemir-like: waiting for 2 processes at " in finished.stderr
    assert addresses.resolves(node) or f"at {node}:" not in finished.stderr
    alone = train([], arguments({**SHORT, "trainer.devices": 2}), tmp_path / "processes")
    assert alone.returncode == 0, alone.stderr
    of_nodes, of_processes = (checkpoint.load(tmp_path / part / "run.safetensors").network.state_dict() for part in ("nodes", "processes"))
    assert all(torch.equal(of_nodes[name], of_processes[name]) for name in of_processes)


@pytest.mark.slurm
def test_an_address_that_leads_nowhere_is_given_up_in_time(partition, arguments, tmp_path):
    name, _ = partition
    with socket.create_server(("127.0.0.1", 0)) as server:  # which says nothing
        srun = ["srun", "--partition", name, "--nodes", "2", "--ntasks", "2", "--cpus-per-task", "1", "--input", "none"]
        variables = [f"MASTER_ADDR=127.0.0.1,MASTER_PORT={server.getsockname()[1]}"]
        srun += ["--export", ",".join(["ALL", *variables]), "--chdir", str(tmp_path)]
        finished = train(srun, arguments({**SHORT, "trainer.meeting_seconds": 2}), tmp_path / "nodes")
    assert finished.returncode == 2, finished.stderr
    assert "jukemir-like: the 2 processes of the run did not meet at 127.0.0.1:" in finished.stderr
    assert "Traceback" not in finished.stderr
