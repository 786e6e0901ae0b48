"""A library that changes while it is indexed: each file counts as what it was when it was read, and the next search sees the rest."""

import os

import numpy as np
import pytest
import soundfile

from jukemir_like.core import files
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import checkpoint
from jukemir_like.stemjepa.inference import StemJEPA
from jukemir_like.stemjepa.retrieval import library

NAMES = ["a.wav", "b.wav", "sub/c.wav", "d.wav"]


@pytest.fixture
def jepa(weights):
    return StemJEPA(checkpoint.load(weights), "cpu")


@pytest.fixture
def folder(tmp_path, write_audio):
    for number, name in enumerate(NAMES):
        write_audio(tmp_path / "library" / name, seconds=1.0, seed=number)
    return tmp_path / "library"


@pytest.fixture
def while_indexed(monkeypatch):
    """``while_indexed(change)``: calls ``change`` once, when the files were listed and the first one has been read."""

    def arrange(change):
        read, left = files.read_regular, [change]

        def read_and_change(path):
            content = read(path)
            while left:
                left.pop()()
            return content

        monkeypatch.setattr(files, "read_regular", read_and_change)

    return arrange


def vectors(found):
    return dict(zip(found.paths, found.vectors, strict=True))


def test_what_is_removed_overwritten_or_added_meanwhile(jepa, folder, tmp_path, while_indexed, write_audio):
    def change():
        (folder / "b.wav").unlink()
        write_audio(folder / "d.wav", seconds=1.0, seed=17)
        write_audio(folder / "e.wav", seconds=1.0, seed=18)
        os.rename(folder / "sub" / "c.wav", folder / "c, renamed.wav")  # noqa: PTH104

    while_indexed(change)
    first = library.open_library(jepa, folder, Cache(tmp_path / "cache"))
    assert first.paths == ["a.wav", "d.wav"]
    assert sorted(first.summary.failed) == ["b.wav", "sub/c.wav"]
    assert all("no such file" in reason.lower() for reason in first.summary.failed.values())
    assert first.summary.exit_code == 3
    second = library.open_library(jepa, folder, Cache(tmp_path / "cache"))
    assert second.paths == ["a.wav", "c, renamed.wav", "d.wav", "e.wav"]
    assert (second.summary.failed, second.summary.exit_code) == ({}, 0)
    anew = library.open_library(jepa, folder, Cache(tmp_path / "another cache"))
    for path, vector in vectors(second).items():
        np.testing.assert_allclose(vector, vectors(anew)[path], atol=1e-6)
    np.testing.assert_allclose(vectors(first)["d.wav"], vectors(anew)["d.wav"], atol=1e-6)  # as it was when it was read


def test_a_file_that_is_overwritten_right_after_it_was_read_is_read_again_next_time(jepa, folder, tmp_path, while_indexed):
    random = np.random.default_rng(5)
    other = random.uniform(-0.5, 0.5, 22050)

    while_indexed(lambda: soundfile.write(folder / "a.wav", other, 22050))
    first = vectors(library.open_library(jepa, folder, Cache(tmp_path / "cache")))
    second = vectors(library.open_library(jepa, folder, Cache(tmp_path / "cache")))
    anew = vectors(library.open_library(jepa, folder, Cache(tmp_path / "another cache")))
    assert np.abs(first["a.wav"] - second["a.wav"]).max() > 1e-3
    np.testing.assert_allclose(second["a.wav"], anew["a.wav"], atol=1e-6)


def test_a_library_that_is_removed_meanwhile_is_one_line(jepa, folder, tmp_path, while_indexed):
    def change():
        for name in NAMES[1:]:
            (folder / name).unlink()
        (folder / "sub").rmdir()
        (folder / "a.wav").write_bytes(b"")

    while_indexed(change)
    assert library.open_library(jepa, folder, Cache(tmp_path / "cache")).paths == ["a.wav"]  # it had been read
    with pytest.raises(RequestError, match="none of the 1 audio files") as raised:
        library.open_library(jepa, folder, Cache(tmp_path / "cache"))
    assert "\n" not in str(raised.value)
