"""The commands as users call them, in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from jukemir_like.stemjepa import checkpoint

ROOT = Path(__file__).parents[3]


@pytest.fixture
def dora(tmp_path):
    """A function that runs ``dora`` in a folder of a user's own."""

    def run(*arguments, environment=None, folder=tmp_path):
        variables = {**os.environ, "DORA_PACKAGE": "jukemir_like", "DORA_DIR": str(tmp_path / "outputs"), **(environment or {})}
        variables = {name: value for name, value in variables.items() if value is not None}
        command = [sys.executable, "-m", "dora", *arguments]
        return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=200, check=False)

    return run


@pytest.fixture
def my_data(tmp_path, stems_folder):
    (tmp_path / "configs" / "data").mkdir(parents=True)
    (tmp_path / "configs" / "data" / "my_data.yaml").write_text(f"data_path: {stems_folder}\nvalid_fraction: 0.25\nstatistics: false\n")


def only(tmp_path, pattern):
    (found,) = (tmp_path / "outputs" / "xps").glob(pattern)
    return found


def without(arguments, *names):
    return [argument for argument in arguments if not argument.startswith(names)]


def one_line(process, code):
    assert process.returncode == code, process.stderr
    assert process.stderr.startswith("jukemir-like: ")
    assert process.stderr.count("\n") == 1, process.stderr
    return process.stderr


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_one_line(dora, my_data, command, tmp_path):
    assert "choose trainer=cpu" in one_line(dora("run", "data=my_data", "logger=csv", "trainer=gpu"), 2)
    assert "choose trainer=cpu" in one_line(command("train", "data=my_data", "trainer=gpu", "--cache", tmp_path / "cache", cwd=tmp_path), 2)


@pytest.mark.slow
def test_the_same_run_by_both_commands_gives_the_same_weights(dora, my_data, arguments, command, tmp_path):
    own = without(arguments(), "data.data_path", "data.valid_fraction", "data.statistics", "trainer.accelerator")
    process = dora("run", "data=my_data", "logger=csv", "trainer=cpu", *own)
    assert process.returncode == 0, process.stderr
    assert "R@1, same instrument" in process.stdout
    by_dora = checkpoint.load(only(tmp_path, "*/weights.safetensors"))

    process = command("train", "--name", "mine", "--cache", tmp_path / "cache", "data=my_data", "trainer=cpu", *own, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    weights = tmp_path / "cache" / "checkpoints" / "mine.safetensors"
    assert str(weights) in process.stdout
    for name, tensor in checkpoint.load(weights).network.state_dict().items():
        assert torch.equal(tensor, by_dora.network.state_dict()[name]), name
    assert {path.name for path in (tmp_path / "cache" / "checkpoints" / "mine").iterdir()} >= {
        "metrics.csv", "settings.json", "training.png", "tensorboard", "weights.safetensors",
    }  # fmt: skip


@pytest.mark.slow
def test_dora_finds_the_package_in_the_repository(dora, arguments):
    process = dora(
        "run", *arguments({"trainer.max_steps": 2, "optimiser.warmup_steps": 1}), environment={"DORA_PACKAGE": None}, folder=ROOT
    )
    assert process.returncode == 0, process.stderr


@pytest.mark.slow
def test_wandb_offline_with_six_stems(dora, arguments, tmp_path):
    import numpy as np
    import soundfile

    random = np.random.default_rng(0)
    (tmp_path / "six").mkdir()
    for track in range(4):
        soundfile.write(tmp_path / "six" / f"{track}.wav", 0.1 * random.standard_normal((16000, 6)), 16000)
    changed = arguments({"data.data_path": str(tmp_path / "six"), "data.dataloader.batch_size": 4, "model.predictor.num_sources": 6})
    process = dora("run", "logger=wandb", "trainer=cpu", *changed, environment={"WANDB_MODE": "offline"})
    assert process.returncode == 0, process.stderr
    assert checkpoint.load(only(tmp_path, "*/weights.safetensors")).model.predictor.num_sources == 6
    assert list(only(tmp_path, "*/wandb").glob("offline-run-*/*.wandb"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data=nope", "Could not find 'data/nope'"),
        ("data.data_path=/nowhere", "no folder /nowhere"),
        ("dora.dir=x", "dora.* is set in ./configs/dora/local.yaml"),
        ("nonsense", "'nonsense' is not an override"),
    ],
)
def test_wrong_requests_under_dora_are_one_line(dora, override, message):
    assert message in one_line(dora("run", "trainer=cpu", override), 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "text", "word"),
    [
        ("dora/local.yaml", "dir: ${oc.env:HOME}", "dir contains ${…}"),
        ("dora/local.yaml", "folder: here", "does not have an attribute folder: leave it out"),
        ("dora/local.yaml", "dir: [", "is not YAML"),
        ("slurm/local.yaml", "partition: ${oc.env:HOME}", "partition contains ${…}"),
        ("data/mine.yaml", "data_path: ${oc.env:HOME}", "data_path contains ${…}"),
        ("data/mine.yaml", "a: &a [x]\nb: *a", "contains an anchor or alias"),
        ("data/mine.yaml", "a: " + "[" * 5000, "is nested more than"),
    ],
)
def test_files_under_dora_are_held_to_plain_values_too(dora, tmp_path, file, text, word):
    path = tmp_path / "configs" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert word in one_line(dora("run", "trainer=cpu", *(["data=mine"] if "mine" in file else [])), 2)


@pytest.mark.slow
def test_show_prints_the_configuration_and_a_path_may_hold_anything(command, tmp_path):
    folder = tmp_path / "it's [a], {folder} = $"
    process = command("train", "--show", "--recipe", "reproduce", "--data", folder, "trainer.max_steps=450", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    from omegaconf import OmegaConf

    shown = OmegaConf.create(process.stdout)
    assert shown.trainer.max_steps == 450
    assert shown.data.data_path == str(folder)


@pytest.mark.slow
def test_a_name_is_no_path(command, tmp_path):
    for name in ("a/b", "..", "", "a.safetensors", "a\nb", ".hidden", "x" * 250):
        assert "is no name" in one_line(command("train", "--name", name, cwd=tmp_path), 2)
    assert "leads out of the folders" in one_line(command("train", "--recipe", "../x", cwd=tmp_path), 2)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_on_a_file_system_without_locks_a_run_says_so_once_and_trains(command, arguments, tmp_path, without_flock):
    environment = without_flock | {"TMPDIR": str(tmp_path)}
    local = arguments({"data.local_dir": "true", "logger": "[csv]"})
    finished = command("train", *local, "--name", "run", "--output", tmp_path / "out", environment=environment)
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr.count("has no locks: see to it that nothing else writes there meanwhile") == 1
    assert (tmp_path / "out" / "run.safetensors").exists()
    assert not list(tmp_path.rglob("*.held"))
