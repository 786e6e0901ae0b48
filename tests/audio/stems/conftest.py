"""Stems to find and read."""

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of the test's own."""
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"
