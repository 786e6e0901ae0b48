"""The script that averages weights: each tensor is the weighted mean of those of the files, which have to be weights of one network."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from jukemir_like.stemjepa import checkpoint, config
from jukemir_like.stemjepa.model import Network

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "average_weights.py"


def write(path, seed, width=32, sources=None):
    torch.manual_seed(seed)
    model = config.Model(encoder=config.Encoder("custom", width, 2, 2, chunk_seconds=0.96), predictor=config.Predictor(width=24, depth=1))
    checkpoint.save(path, Network(model), provenance={"seed": seed}, sources=sources)
    return path


def run(*arguments):
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_the_average_is_the_weighted_mean_of_each_tensor_and_says_where_it_is_from(tmp_path):
    files = [write(tmp_path / f"{seed}.safetensors", seed) for seed in range(3)]
    done = run(tmp_path / "mean.safetensors", f"{files[0]}=2", f"{files[1]}=1", f"{files[2]}=1")
    assert done.returncode == 0, done.stderr
    averaged, parts = load_file(tmp_path / "mean.safetensors"), [load_file(file) for file in files]
    assert averaged.keys() == parts[0].keys()
    for name, tensor in averaged.items():
        np.testing.assert_allclose(tensor, 0.5 * parts[0][name] + 0.25 * parts[1][name] + 0.25 * parts[2][name], atol=1e-7)
    origins = checkpoint.header(tmp_path / "mean.safetensors").provenance["average"]
    assert [(one["share"], one["provenance"]) for one in origins] == [(0.5, {"seed": 0}), (0.25, {"seed": 1}), (0.25, {"seed": 2})]
    assert [one["digest"] for one in origins] == [checkpoint.header(file).digest for file in files]


@pytest.mark.parametrize("changes", [{"width": 64}, {"sources": ("bass", "drums", "vocals", "other")}])
def test_weights_of_another_network_or_other_instruments_are_refused(tmp_path, changes):
    files = write(tmp_path / "a.safetensors", 0), write(tmp_path / "b.safetensors", 1, **changes)
    done = run(tmp_path / "mean.safetensors", f"{files[0]}=1", f"{files[1]}=1")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"{files[1]} is of another network, front-end or other instruments than {files[0]}: average weights of one"
    ]
    assert not (tmp_path / "mean.safetensors").exists()


@pytest.mark.parametrize("shares", [("a",), ("a", "b=1"), ("a=1", "b=-1"), ("a=0", "b=0"), ("a=nan", "b=1")])
def test_shares_that_are_none_are_refused(tmp_path, shares):
    done = run(tmp_path / "mean.safetensors", *shares)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "mean.safetensors").exists()
