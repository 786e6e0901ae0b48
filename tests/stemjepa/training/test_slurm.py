"""Launched on a SLURM cluster."""

import os
import subprocess
import sys
import time

import pytest

from jukemir_like.stemjepa import checkpoint
from jukemir_like.stemjepa.training import metrics_log

pytestmark = pytest.mark.slurm


@pytest.fixture
def work(tmp_path, stems_folder, arguments):
    """A user's own folder with its choices."""
    for group in ("data", "slurm", "dora", "recipe"):
        (tmp_path / "configs" / group).mkdir(parents=True)
    (tmp_path / "configs" / "data" / "my_data.yaml").write_text(f"data_path: {stems_folder}\nvalid_fraction: 0.25\nstatistics: false\n")
    (tmp_path / "configs" / "slurm" / "local.yaml").write_text("gpus: 0\ncpus_per_gpu: 1\nmem_per_gpu: 2\ntime: 10\n")
    (tmp_path / "configs" / "dora" / "local.yaml").write_text("grid_package: my_grids\n")
    (tmp_path / "my_grids").mkdir()
    (tmp_path / "my_grids" / "__init__.py").write_text("")
    return tmp_path


@pytest.fixture
def dora(work):
    """A function that runs ``dora`` there."""

    def run(*arguments):
        environment = {**os.environ, "DORA_PACKAGE": "jukemir_like"}
        command = [sys.executable, "-m", "dora", *arguments]
        process = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=200, check=False)
        assert process.returncode == 0, process.stderr

    return run


@pytest.fixture
def chosen(arguments):
    """Overrides without what the folder's own data says."""

    def build(changes=None):
        return [argument for argument in arguments(changes) if not argument.startswith(("data.data_path", "data.valid", "data.statistics"))]

    return build


def wait(condition, seconds=180):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def runs(work):
    return sorted((work / "outputs" / "xps").glob("*"))


def test_launch(dora, work, slurm, chosen):
    dora("launch", "-p", slurm, "--no_tail", "data=my_data", "trainer=cpu", *chosen())
    (run,) = runs(work)
    wait((run / "weights.safetensors").is_file)
    assert checkpoint.load(run / "weights.safetensors").provenance["steps"] == 5


def test_grid(dora, work, slurm, chosen):
    lines = ["import dora", "", "@dora.Explorer", "def explorer(launcher):", f"    launcher.bind_({['data=my_data', *chosen()]!r})"]
    lines += ["    with launcher.job_array():", "        for seed in (1, 2):", "            launcher(seed=seed)"]
    (work / "my_grids" / "seeds.py").write_text("\n".join(lines) + "\n")
    dora("grid", "-p", slurm, "--no_monitoring", "seeds")
    wait(lambda: len(list((work / "outputs" / "xps").glob("*/weights.safetensors"))) == 2)
    seeds = [checkpoint.load(run / "weights.safetensors").provenance["settings"]["seed"] for run in runs(work)]
    assert sorted(seeds) == [1, 2]


def test_a_job_whose_time_ends_saves_its_state_and_goes_on(dora, work, slurm, chosen):
    steps = {"trainer.max_steps": 400, "trainer.checkpoint_every_steps": 0, "trainer.valid_every_steps": 0}
    dora("launch", "-p", slurm, "--no_tail", "data=my_data", *chosen(steps))
    (run,) = runs(work)
    wait(lambda: len(metrics_log.read(run)) > 10)
    (job,) = (path.name for path in (work / "outputs" / "by_id").iterdir())
    subprocess.run(["scancel", "--signal=USR2", job], check=True)
    wait((run / "weights.safetensors").is_file, 300)
    told = "".join(path.read_text() for path in (run / "submitit").glob("*_log.out"))
    assert "going on from step " in told


def test_launch_on_two_nodes(dora, work, slurm, chosen):
    nodes = subprocess.run(
        ["sinfo", "--noheader", "--Node", "--partition", slurm, "--format", "%N"], capture_output=True, text=True, check=True
    )
    if len(nodes.stdout.split()) < 2:
        pytest.skip(f"partition {slurm} has one node")
    (work / "configs" / "slurm" / "local.yaml").write_text("gpus: 0\nnodes: 2\ncpus_per_gpu: 1\nmem_per_gpu: 2\ntime: 10\n")
    dora("launch", "-p", slurm, "--no_tail", "data=my_data", "trainer=cpu", *chosen())
    (run,) = runs(work)
    wait((run / "weights.safetensors").is_file)
    assert "waiting for 2 processes at " in "".join(path.read_text() for path in (run / "submitit").glob("*_log.out"))
