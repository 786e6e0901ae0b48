"""``import jukemir_like``: what it costs, what it has, what it says of what it has not."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import jukemir_like as jl

HEAVY = {"numpy", "torch", "scipy", "click", "sklearn", "soundfile", "soxr", "tqdm", "pandas", "matplotlib"}


def python(script):
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_package_imports_nothing_heavy():
    loaded = python("import sys, jukemir_like\nprint(*sorted(name.partition('.')[0] for name in sys.modules))").split()
    assert "jukemir_like" in loaded
    assert HEAVY & set(loaded) == set()


def test_importing_the_package_imports_nothing_of_it_but_the_version():
    loaded = python("import sys, jukemir_like\nprint(*(name for name in sys.modules if name.startswith('jukemir_like')))")
    assert set(loaded.split()) == {"jukemir_like", "jukemir_like.core", "jukemir_like.core.version"}


@pytest.mark.parametrize("name", ["Cache", "InputError", "JukemirLikeError", "Representation", "RequestError", "list_representations"])
def test_names_that_need_no_numbers_import_no_numpy(name):
    assert python(f"import sys, jukemir_like as jl\njl.{name}\nprint(sorted({HEAVY} & set(sys.modules)))") == "[]"


@pytest.mark.parametrize("name", jl.__all__)
def test_each_name_is_what_its_module_defines(name):
    module, _, attribute = jl._DEFINED_IN[name].partition(":")
    value = getattr(jl, name)
    assert value is getattr(import_module(module), attribute)
    assert value.__doc__
    assert vars(jl)[name] is value  # and is found without __getattr__ the next time


def test_type_checkers_see_the_same_names_from_the_same_modules():
    (block,) = [node for node in ast.parse(Path(jl.__file__).read_text()).body if isinstance(node, ast.If)]
    seen = {alias.asname or alias.name: f"{line.module}:{alias.name}" for line in block.body for alias in line.names}
    assert seen == jl._DEFINED_IN
    assert sorted(seen) == sorted(jl.__all__) == jl.__all__


def test_the_documentation_of_the_package_mentions_every_name():
    assert [name for name in jl.__all__ if f"``{name}``" not in jl.__doc__ and f":class:`{name}`" not in jl.__doc__] == []


def test_all_names_are_listed_for_completion():
    assert set(jl.__all__) | {"__version__"} <= set(dir(jl))
    assert "import_module" not in dir(jl)


def test_an_unknown_name_says_which_there_are():
    with pytest.raises(AttributeError, match=r"^jukemir_like has no 'load_model': it has Cache, .*load_representation, probe$"):
        _ = jl.load_model
    with pytest.raises(ImportError, match="load_model"):
        from jukemir_like import load_model  # noqa: F401
    assert not hasattr(jl, "load_model")


def test_submodules_are_not_hidden():
    script = "import jukemir_like as jl\nfrom jukemir_like import datasets, probes, representations\n"
    script += "print(jl.datasets is datasets and jl.probes is probes and jl.representations is representations)"
    assert python(script) == "True"


def test_names_can_be_imported_from_the_package():
    script = "from jukemir_like import JukemirLikeError, RequestError, load_representation\n"
    script += "try: load_representation('chorma')\nexcept JukemirLikeError as error: print(type(error) is RequestError, error)"
    assert python(script).startswith("True unknown representation 'chorma': choose one of ")


def test_the_names_of_representations_and_datasets_are_listed():
    assert {"chroma", "mfcc", "stemjepa"} <= set(jl.list_representations())
    assert {"gtzan_ff", "synthband"} <= set(jl.list_datasets())
