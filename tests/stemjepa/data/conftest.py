"""Stems to find, read and draw from."""

import pytest

from jukemir_like.stemjepa import config


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of the test's own."""
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def model():
    """A model of chunks of 0.48 s: 7,680 samples at 16 kHz."""
    return config.Model(encoder=config.Encoder("custom", 32, 1, 2, chunk_seconds=0.48))
