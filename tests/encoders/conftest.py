"""A tiny encoder with layers, whose weights are two matrices in a file."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import encoder
from jukemir_like.encoders.card import Card, WeightFile
from jukemir_like.encoders.encoder import LayeredEncoder

FRAME = 100


class TinyNet(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(FRAME, 3)
        self.second = torch.nn.Linear(3, 3)


class Tiny(LayeredEncoder):
    recipe = 1

    @staticmethod
    def convert(card, files):
        (path,) = files.values()
        numbers = np.frombuffer(path.read_bytes(), "<f4")
        shapes = {name: tensor.shape for name, tensor in TinyNet().state_dict().items()}
        if len(numbers) != sum(shape.numel() for shape in shapes.values()):
            raise RequestError(f"{path} has {len(numbers)} numbers")
        parts = np.split(numbers, np.cumsum([shape.numel() for shape in shapes.values()])[:-1])
        return {name: torch.from_numpy(part.reshape(shape).copy()) for (name, shape), part in zip(shapes.items(), parts, strict=True)}

    def build(self):
        return TinyNet()

    def feed(self, clips, pools):
        for clip, of_clip in zip(clips, pools, strict=True):
            frames = torch.from_numpy(clip[: len(clip) // FRAME * FRAME].reshape(-1, FRAME))
            first = self.net.first(frames)
            states = {"0": first, "1": self.net.second(first)}
            for layer, pool in of_clip.items():
                pool.add(states[layer])


@pytest.fixture
def tiny_file(tmp_path):
    path = tmp_path / "own copy" / "tiny.bin"
    path.parent.mkdir()
    path.write_bytes(np.random.default_rng(0).standard_normal(3 * FRAME + 3 + 9 + 3).astype("<f4").tobytes())
    return path


@pytest.fixture
def tiny_card(tiny_file, monkeypatch):
    monkeypatch.setitem(encoder.FAMILIES, "tiny", f"{__name__}:Tiny")
    monkeypatch.setattr(encoder, "import_module", lambda name: type("Module", (), {"Tiny": Tiny}))
    digest = hashlib.sha256(tiny_file.read_bytes()).hexdigest()
    file = WeightFile("tiny.bin", sha256=digest, size=tiny_file.stat().st_size)
    return Card("tiny", "Tiny", "tiny", "MIT", sample_rate=8000, width=3, layers=1, layer="1", files=(file,))


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")
