"""The examples in the docstrings of the package, which needs the extra [train], are run as they stand there."""

import doctest
import pkgutil
from importlib import import_module

import pytest

from jukemir_like.stemjepa import training


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(training.__path__)])
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(import_module(f"{training.__name__}.{name}"), optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert result.failed == 0
