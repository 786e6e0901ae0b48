import pytest
import torch

from jukemir_like.core import devices as core_devices
from jukemir_like.core import machine
from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.settings import Trainer
from jukemir_like.stemjepa.training import batches, fit
from jukemir_like.stemjepa.training.devices import Placement, choose_devices, find_placement
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
    with pytest.raises(
        RequestError, match=r"^trainer\.accelerator=gpu, but there is no GPU here that torch can use \(.+\): choose trainer=cpu$"
    ):
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
        (CPU, {"SLURM_NTASKS": "3", "SLURM_PROCID": "2", "SLURM_LOCALID": "0", "SLURM_NNODES": "2"}, "SLURM started 3 tasks on 2 nodes"),
        (Trainer(accelerator="cpu", devices=3), {"WORLD_SIZE": "2", "RANK": "0"}, "trainer.devices=3, but 2 were started"),
    ],
)
def test_what_cannot_be_placed(trainer, environment, message):
    with pytest.raises(RequestError, match=message):
        find_placement(trainer, environment)


# What follows fakes how many GPUs torch sees in this process.


@pytest.fixture
def gpus(monkeypatch):
    """A function that sets how many GPUs torch sees."""

    def fake(count):
        monkeypatch.setattr(core_devices, "gpu_count", lambda here=False: count)

    return fake


AUTO, GPU = Trainer(), Trainer(accelerator="gpu")


def task(rank, tasks=4, nodes=1):
    """The variables of a task of SLURM."""
    local = tasks // nodes
    return {
        "SLURM_NTASKS": str(tasks), "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank % local), "SLURM_NODEID": str(rank // local),
        "SLURM_NNODES": str(nodes), "SLURM_STEP_NODELIST": "localhost", "SLURM_JOB_ID": "7",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("tasks", "visible", "expected"),
    [
        (4, 4, [0, 1, 2, 3]),  # --gpus-per-node=4: every task sees all
        (4, 1, [0, 0, 0, 0]),  # --gpus-per-task=1: each sees its own, which is its first
        (2, 2, [0, 1]),  # --gpus-per-task=2, of which one is used; or --gpus-per-node=2
        (2, 8, [0, 1]),
    ],
)
def test_a_task_of_slurm_computes_on_a_gpu_that_it_sees(gpus, tasks, visible, expected):
    gpus(visible)
    placements = [find_placement(GPU, task(rank, tasks)) for rank in range(tasks)]
    assert [placement.gpu for placement in placements] == expected
    assert [str(placement.device) for placement in placements] == [f"cuda:{gpu}" for gpu in expected]
    assert {placement.world_size for placement in placements} == {tasks}
    assert {find_placement(AUTO, task(0, tasks), batch_size=64).note} == {""}  # that SLURM started no more is not for us to explain


@pytest.mark.parametrize("visible", [1, 4])
def test_lightning_is_told_of_no_device_that_the_task_does_not_see(gpus, visible, settings, tmp_path, monkeypatch):
    """By its own rule it takes the device of the task's number on the node."""
    gpus(visible)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: visible)
    for rank in range(4):
        placement = find_placement(GPU, task(rank))
        trainer = fit._trainer(settings(), tmp_path, placement, None, 0)
        assert trainer.strategy.root_device == placement.device
        assert (trainer.world_size, trainer.global_rank, trainer.strategy.determine_ddp_device_ids()) == (4, rank, [placement.gpu])


def test_tasks_without_a_gpu_are_said_or_refused(gpus, monkeypatch):
    gpus(0)
    with pytest.raises(RequestError, match=r"^trainer\.accelerator=gpu, but there is no GPU here that torch can use \(.+\): choose"):
        find_placement(GPU, task(3))
    placement = find_placement(AUTO, task(0))
    assert placement.accelerator == "cpu"
    assert placement.note.startswith("no GPU that torch can use (")
    assert placement.note.endswith("): training on the processor")
    assert find_placement(CPU, task(0)).note == ""


def test_a_run_on_processors_asks_for_no_gpu(monkeypatch):
    monkeypatch.setattr(core_devices, "gpu_count", None)
    assert find_placement(CPU, {}).accelerator == "cpu"


@pytest.mark.parametrize(
    ("batch_size", "accumulate", "expected"),
    [
        (64, 1, [1, 2, 2, 2, 2, 2, 2, 2]),
        (256, 1, [1, 2, 2, 4, 4, 4, 4, 8]),
        (240, 1, [1, 2, 3, 4, 5, 6, 6, 6]),  # 6 of 40
        (256, 4, [1, 2, 2, 2, 2, 2, 2, 2]),
        (8, 1, [1] * 8),
        (7, 2, [1] * 8),  # which is refused then
    ],
)
def test_as_many_gpus_are_taken_as_divide_the_batch_and_have_enough_of_it(gpus, settings, batch_size, accumulate, expected):
    assert [choose_devices(count, batch_size, accumulate) for count in range(1, 9)] == expected
    for count, devices_used in enumerate(expected, 1):
        gpus(count)
        placement = find_placement(Trainer(accumulate=accumulate), {}, batch_size=batch_size)
        assert placement.world_size == devices_used
        assert bool(placement.note) == (devices_used < count)
        if batch_size == 7:
            continue
        run = settings({"data.dataloader.batch_size": batch_size, "trainer.accumulate": accumulate})
        share = batches.micro_batch_size(run, placement)
        assert share * devices_used * accumulate == batch_size
        assert share >= 32 or devices_used == 1
        if placement.note:
            assert placement.note.startswith(f"using {devices_used} of {count} GPUs: a batch of {batch_size} has to be divided evenly")
            assert f"(now {share})" in placement.note


def test_every_recipe_runs_on_any_number_of_gpus(gpus):
    from jukemir_like.stemjepa.training.compose import compose_settings

    for recipe in ("paper", "synthband", "reproduce"):
        settings = compose_settings([f"recipe={recipe}"])
        for count in range(1, 9):
            gpus(count)
            placement = find_placement(settings.trainer, {}, batch_size=settings.data.dataloader.batch_size)
            assert batches.micro_batch_size(settings, placement) >= 32


def test_a_number_of_devices_that_is_asked_for_is_obeyed_or_refused(gpus, settings):
    gpus(8)
    run = settings({"data.dataloader.batch_size": 64})
    asked = find_placement(Trainer(devices=8), {}, batch_size=64)
    assert (asked.world_size, batches.micro_batch_size(run, asked), asked.note) == (8, 8, "")
    with pytest.raises(RequestError, match=r"^data\.dataloader\.batch_size 64 cannot be divided over 3 devices") as caught:
        batches.micro_batch_size(run, find_placement(Trainer(devices=3), {}, batch_size=64))
    assert "\n" not in str(caught.value)
    with pytest.raises(RequestError, match=r"trainer\.devices=9, but there are 8 GPUs here"):
        find_placement(Trainer(devices=9), {}, batch_size=64)


@pytest.mark.parametrize(
    ("accelerator", "processors", "processes", "expected"),
    [("cpu", 1, 1, 1), ("cpu", 2, 1, 1), ("cpu", 16, 1, 2), ("cuda", 16, 1, 8), ("cuda", 16, 4, 3), ("cuda", 8, 1, 7), ("cuda", 2, 2, 1)],
)
def test_loader_workers_follow_processors_and_gpus(settings, monkeypatch, accelerator, processors, processes, expected):
    monkeypatch.setattr(machine, "available_cpus", lambda *_: processors)
    placement = Placement(accelerator, devices=processes)
    assert batches.loader_workers(settings({"data.dataloader.num_workers": None}), placement) == expected
    assert batches.loader_workers(settings({"data.dataloader.num_workers": 0}), placement) == 0


def test_what_a_run_has_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: f"Fast GPU {number}")
    assert fit._machine_lines(Placement("cpu", devices=1), 2) == []
    lines = fit._machine_lines(Placement("cuda", devices=2, gpu=1, note="using 2 of 3 GPUs"), 8)
    assert lines == ["using 2 of 3 GPUs", "2 GPUs (Fast GPU 1), 8 loader workers each"]


@pytest.mark.parametrize("before", ["highest", "medium"])
def test_the_precision_of_products_is_afterwards_what_it_was(before):
    usual = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision(before)
        with pytest.raises(ZeroDivisionError), fit.float32_products("cuda"):
            assert torch.get_float32_matmul_precision() == "high"
            raise ZeroDivisionError
        assert torch.get_float32_matmul_precision() == before
        with fit.float32_products("cpu"):
            assert torch.get_float32_matmul_precision() == before
    finally:
        torch.set_float32_matmul_precision(usual)
