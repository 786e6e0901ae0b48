"""The examples in docstrings are run as they stand there, each module's in a folder of its own that holds ``song.wav`` and ``music/``."""

import doctest
import pkgutil
import warnings
from importlib import import_module

import pytest

import jukemir_like

EXTRAS = ("jukemir_like.train", "jukemir_like.stemjepa.training", "jukemir_like.__main__")  # of a command line or need the extra [train]
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def modules():
    names = [jukemir_like.__name__]
    names += [found.name for found in pkgutil.walk_packages(jukemir_like.__path__, "jukemir_like.", onerror=lambda _: None)]
    return [name for name in names if not name.startswith(EXTRAS)]


@pytest.fixture
def folder(tmp_path, monkeypatch, write_audio):
    write_audio(tmp_path / "song.wav", seconds=12, seed=1)
    for number in range(3):
        write_audio(tmp_path / "music" / f"{number}.wav", seconds=9, seed=number)
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", modules())
@pytest.mark.usefixtures("folder")
def test_examples(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = doctest.testmod(import_module(name), optionflags=OPTIONS)
    assert result.failed == 0
