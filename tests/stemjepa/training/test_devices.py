import pytest
import torch

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.settings import Trainer
from jukemir_like.stemjepa.training.devices import find_placement
from jukemir_like.stemjepa.training.fit import PlacementEnvironment

CPU = Trainer(accelerator="cpu")


def test_one_process_on_the_processor():
    here = find_placement(CPU, {})
    assert (here.accelerator, here.world_size, here.rank, here.external) == ("cpu", 1, 0, False)


def test_dora_sets_variables_of_one_process_and_devices_are_still_started():
    here = find_placement(Trainer(accelerator="cpu", devices=2), {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"})
    assert (here.world_size, here.external) == (2, False)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_one_is_refused_and_auto_is_the_processor():
    with pytest.raises(RequestError, match=r"^trainer\.accelerator=gpu, but there is no GPU here that torch can use \(.+\): choose trainer=cpu$"):
        find_placement(Trainer(accelerator="gpu"), {})
    assert find_placement(Trainer(accelerator="auto"), {}).accelerator == "cpu"


def test_tasks_of_slurm():
    environment = {
        "SLURM_NTASKS": "8", "SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_NODEID": "1", "SLURM_NNODES": "1", "SLURM_JOB_ID": "40123",
    }  # fmt: skip
    here = find_placement(CPU, environment)
    assert (here.world_size, here.devices, here.rank, here.local_rank, here.external) == (8, 8, 5, 1, True)
    assert 1024 < here.port < 65536


def test_a_batch_script_with_tasks_is_not_yet_one_of_them():
    assert find_placement(CPU, {"SLURM_NTASKS": "4"}).world_size == 1


def test_processes_of_torchrun_on_two_machines():
    environment = {"WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4", "RANK": "6", "LOCAL_RANK": "2", "GROUP_RANK": "1"}
    environment |= {"MASTER_ADDR": "a", "MASTER_PORT": "77"}
    here = find_placement(CPU, environment)
    assert (here.devices, here.nodes, here.rank, here.local_rank, here.node_rank) == (4, 2, 6, 2, 1)
    theirs = PlacementEnvironment(here)
    assert (theirs.world_size(), theirs.global_rank(), theirs.local_rank(), theirs.node_rank()) == (8, 6, 2, 1)
    assert (theirs.main_address, theirs.main_port, theirs.creates_processes_externally) == ("a", 77, True)


@pytest.mark.parametrize(
    ("trainer", "environment", "message"),
    [
        (Trainer(accelerator="cpu", nodes=2), {}, "trainer.nodes=2 without a scheduler"),
        (Trainer(accelerator="cpu", devices=3), {"WORLD_SIZE": "2", "RANK": "0"}, "trainer.devices=3, but 2 were started"),
    ],
)
def test_what_cannot_be_placed(trainer, environment, message):
    with pytest.raises(RequestError, match=message):
        find_placement(trainer, environment)
