"""The import map of the package: no cycle and no arrow back up, at any depth. ``pytest -s tests/test_architecture.py`` prints it."""

import re
import tomllib
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[1]
NAME = "jukemir_like"


@pytest.fixture(scope="module")
def imports():
    """Module → the modules of the package that it imports, at the top or inside functions; imports for type checkers alone are none."""
    graph = grimp.build_graph(NAME, cache_dir=None, exclude_type_checking_imports=True)
    return {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}


def children(package, modules):
    """Modules and packages directly in a package."""
    depth = package.count(".") + 1
    return sorted({".".join(name.split(".")[: depth + 1]) for name in modules if name.startswith(f"{package}.")})


def arrows(package, imports):
    """Child → children of the same package that anything in it imports; the package's own ``__init__`` counts as ``__init__``."""
    depth = package.count(".") + 1
    child = {name: ".".join(name.split(".")[: depth + 1]) if name != package else f"{package}.__init__" for name in imports}
    found = defaultdict(set)
    for name, imported in imports.items():
        if name == package or name.startswith(f"{package}."):
            inside = {child[other] for other in imported if other == package or other.startswith(f"{package}.")}
            found[child[name]] |= inside - {child[name]}
    return found


def packages(imports):
    return sorted({name.rpartition(".")[0] for name in imports if "." in name})


def test_there_is_no_cycle_at_any_depth(imports):
    for package in packages(imports):
        try:
            order = list(TopologicalSorter(arrows(package, imports)).static_order())
        except CycleError as error:
            pytest.fail(f"in {package}: {' → '.join(reversed(error.args[1]))}")
        print(f"\n{package}: " + " → ".join(name.removeprefix(f"{package}.") for name in order))


def test_a_cycle_would_be_found(imports):
    (first, *_) = (name for name, imported in imports.items() if imported)
    (second, *_) = imports[first]
    turned = {**imports, second: {*imports[second], first}}
    common = first
    while not (second + ".").startswith(common + "."):
        common = common.rpartition(".")[0]
    with pytest.raises(CycleError):
        for package in {common, common.rpartition(".")[0] or NAME, NAME}:
            TopologicalSorter(arrows(package, turned)).prepare()


def test_packages_import_only_what_stands_before_them(imports):
    """The order is that of the linter's contract; what stands side by side there imports nothing of its neighbours."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    for contract in contracts:
        layers = [[name.strip("() ") for name in re.split(r"[|:]", layer)] for layer in contract["layers"]]
        for container in contract["containers"]:
            level = {f"{container}.{name}": number for number, layer in enumerate(layers) for name in layer}
            for name, imported in arrows(container, imports).items():
                for other in imported:
                    if name in level and other in level:
                        assert level[other] > level[name], f"{name} imports {other}"


def test_every_package_says_what_is_in_it(imports):
    for package in packages(imports):
        if package == NAME:
            continue
        doc = __import__(package, fromlist=["__doc__"]).__doc__
        assert doc and len(doc.strip().splitlines()) >= 3, f"{package}/__init__.py says nothing"  # noqa: PT018
