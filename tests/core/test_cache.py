"""Where stages read and write."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError


def test_the_root_is_looked_up_at_call_time(monkeypatch, tmp_path):
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path / "one"))
    assert Cache.default().root == tmp_path / "one"
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path / "two"))
    assert Cache.default().root == tmp_path / "two"
    assert Cache.default(tmp_path / "three").root == tmp_path / "three"
    monkeypatch.delenv("JUKEMIR_LIKE_CACHE_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Cache.default().root == tmp_path / ".jukemir_like"


def test_the_layout_is_the_documented_one():
    folders = Cache(Path("/c"))
    assert folders.dataset("d") == Path("/c/datasets/d")
    assert folders.processed("d") == Path("/c/processed/d")
    assert folders.representation("d", "r") == Path("/c/representations/d/r")
    assert folders.probe("d", "r") == Path("/c/probes/d/r")
    assert folders.report == Path("/c/report")


WRONG_NAMES = ["", ".", "..", "../x", "a/b", "/x", ".hidden", "a\nb", "a\0b", "x" * 201, "é" * 101, "\udcff"]


@pytest.mark.parametrize("name", WRONG_NAMES)
def test_a_name_that_leads_out_of_the_cache_or_cannot_be_a_folder_s_is_one_line(tmp_path, name):
    folders = Cache(tmp_path)
    for place in (
        folders.dataset,
        folders.processed,
        folders.checkpoint,
        lambda name: folders.representation("d", name),
        lambda name: folders.representation(name, "r"),
        lambda name: folders.probe("d", name),
        lambda name: folders.probe(name, "r"),
    ):
        with pytest.raises(RequestError, match="cannot be the name of") as refused:
            place(name)
        assert str(refused.value).isprintable()


@given(st.text())
def test_whatever_is_named_stays_in_its_folder(name):
    root = Path("/cache")
    try:
        made = [Cache(root).processed(name), Cache(root).checkpoint(name), Cache(root).probe(name, name)]
    except RequestError:
        return
    assert [os.path.normpath(path) for path in made] == list(map(str, made))
    assert [path.parent for path in made] == [root / "processed", root / "checkpoints", root / "probes" / name]
