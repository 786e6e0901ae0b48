"""Outputs of the original programs on random weights, and those weights, which are computed here as they were there."""

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).parents[1] / "fixtures" / "encoders"


def read(name):
    """Arrays of an oracle, and its configuration."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    return arrays, json.loads(str(arrays.pop("config")))


def clmr_weights(shapes):
    """The encoder's state dict under the original's names."""
    random, state = np.random.default_rng(1), {}
    for key in sorted(shapes):
        values = random.standard_normal(shapes[key]).astype(np.float32)
        if key.endswith("running_var"):
            values = 1 + 0.5 * np.tanh(values)
        elif values.ndim > 1:
            values = values * np.sqrt(2 / np.prod(shapes[key][1:]))
        else:
            values = 0.1 * values + key.endswith("weight")
        state[key] = torch.from_numpy(values.astype(np.float32))
    return state


def jukebox_weights(shapes, seed, scale):
    """The state dict of the VQ-VAE (seed 1, scale 0.08) or of the prior (2, 0.3) under the original's names."""
    random, state = np.random.default_rng(seed), {}
    for key in sorted(shapes):
        normal = random.standard_normal(shapes[key]).astype(np.float32)
        values = normal * np.float32(scale) + np.float32(0 if normal.ndim > 1 else 0.5)
        if seed == 1:
            if values.ndim == 1:
                values = (values - 0.5) / scale * 0.02
            elif values.ndim == 3:
                values = values / scale * np.sqrt(1.6 / np.prod(shapes[key][1:]))
            if key.endswith(".k"):
                values = values / scale
        state[key] = torch.from_numpy(values.astype(np.float32))
    return state


def write_jukebox(folder, configuration, half=False):
    """The two files as published: in the layout before PyTorch 1.6, with other objects beside the tensors.

    That the tensors are under "model", and that "module." may stand before their names, is inferred; their names are the original's.
    """
    folder.mkdir(exist_ok=True)
    for name, part, seed, scale in (("vqvae", "vqvae", 1, 0.08), ("prior_level_2", "prior", 2, 0.3)):
        state = jukebox_weights(configuration[f"{part}_shapes"], seed, scale)
        if half:
            state = {key: tensor.half() if key.endswith(".w") else tensor for key, tensor in state.items()}
        prefix = "module." if part == "prior" else ""
        content = {"hps": Namespace(level=2), "model": {prefix + key: tensor for key, tensor in state.items()}, "opt": None, "step": 7}
        torch.save(content, folder / f"{name}.pth.tar", _use_new_zipfile_serialization=False)
    return {path.name: path for path in folder.iterdir()}


def noise(shape):
    """What the original programs were given."""
    return (np.random.default_rng(3).random(shape) * 2 - 1).astype(np.float32)
