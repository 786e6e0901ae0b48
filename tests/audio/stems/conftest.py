"""Stems to find and read."""

import numpy as np
import pytest
import soundfile


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of the test's own."""
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path):
    """Where the test's tracks lie."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def write(folder):
    """A function that writes ``(stems, frames)`` into ``folder`` and returns it: ``write("a.wav", samples, 16000)``."""

    def write_file(name, samples, sample_rate=16000, subtype="FLOAT", format=None):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            soundfile.write(file, np.asarray(samples).T, sample_rate, subtype=subtype, format=format or path.suffix[1:].upper())
        return samples

    return write_file


@pytest.fixture
def noise():
    """A function that makes stems of noise: ``noise(frames, stems=4, seed=0)``."""

    def make(frames, stems=4, seed=0):
        return np.random.default_rng(seed).uniform(-0.5, 0.5, (stems, frames)).astype(np.float32)

    return make
