"""docs/architecture.md is true: files, functions, the table of packages, the lengths of the walks, and the strings that name modules."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "jukemir_like"
PAGE = (ROOT / "docs" / "architecture.md").read_text()
WALKS = {"A WAV to its vector": 8, "A song to a loss": 20, "A vector to a cell of the page": 12}

FILE = re.compile(r"[\w.\-]+/[\w./\-]*|[\w.\-]+\.(?:py|html|csv|md|toml|yaml|hcl)")
NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?")
MODULE = re.compile(r"jukemir_like(\.\w+)+(:\w+)?")


def section(title):
    """The text below a heading, down to the next one of any level."""
    return re.split(r"^#+ ", re.split(rf"^#+ {re.escape(title)}\n", PAGE, flags=re.MULTILINE)[1], flags=re.MULTILINE)[0]


def rows(text):
    """The cells of a table's rows, without its header."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")][2:]


def blocks():
    """Paragraphs, items and rows: what stands together."""
    text = re.sub(r"^```.*?^```", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    return re.split(r"\n(?=\n|\||- |\d+\. |#)", text)


def words(block):
    """What stands between backticks."""
    return re.findall(r"`([^`\n]+)`", block)


def path_of(word):
    """The file or folder that a word names; None where it names none."""
    return next((path for path in (PACKAGE / word, ROOT / word) if path.exists()), None)


@cache
def defined_in(path):
    """Functions, classes, methods and constants of a file; of one that is not Python, its words."""
    if path.suffix != ".py":
        return set(re.findall(r"\w+", path.read_text()))
    names = set()
    for node in ast.parse(path.read_text()).body:
        for definition in (node, *(node.body if isinstance(node, ast.ClassDef) else [])):
            within = "" if definition is node else f"{node.name}."
            if isinstance(definition, ast.FunctionDef | ast.ClassDef):
                names.add(within + definition.name)
            targets = getattr(definition, "targets", [getattr(definition, "target", None)])
            names |= {within + name.id for target in targets for name in ast.walk(target or ast.Pass()) if isinstance(name, ast.Name)}
    return names


def test_every_file_exists():
    named = {word for block in blocks() for word in words(block) if FILE.fullmatch(word)}
    assert len(named) > 80
    assert not sorted(word for word in named if path_of(word) is None)


def test_every_function_is_in_the_file_that_it_stands_behind():
    checked = 0
    for block in blocks():
        path = None
        for word in words(block):
            if FILE.fullmatch(word):
                path = path_of(word)
            elif NAME.fullmatch(word) and path is not None and path.is_file():
                assert word in defined_in(path), f"{word} is not in {path.relative_to(ROOT)}"
                checked += 1
    assert checked > 100


@pytest.mark.parametrize(("title", "most"), WALKS.items())
def test_a_walk_is_short_and_passes_no_file_twice(title, most):
    items = re.findall(r"^(\d+)\. `([^`]+)`: ", section(title), flags=re.MULTILINE)
    assert [int(number) for number, _ in items] == list(range(1, len(items) + 1))
    assert len(items) == len(re.findall(r"^\d+\. ", section(title), flags=re.MULTILINE)), "an item begins with its file"
    files = [path_of(file) for _, file in items]
    assert all(path is not None and path.is_file() for path in files)
    assert len(set(files)) == len(files) <= most


def test_the_table_has_every_package_in_the_order_of_the_contract():
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    named = [words(row[0])[0] for row in rows(section("Packages"))]
    assert set(named) == modules | packages
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    assert named == contract["layers"][::-1]


def test_the_table_says_what_each_package_imports():
    graph = grimp.build_graph("jukemir_like", cache_dir=None, exclude_type_checking_imports=True)
    table = rows(section("Packages"))
    for number, (name, _, imports) in enumerate(table):
        of_name = {module for module in graph.modules if module.split(".")[1:2] == words(name)}
        imported = {other.split(".")[1] for module in of_name for other in graph.find_modules_directly_imported_by(module) if "." in other}
        said = set(words(imports))
        if imports.startswith("all but"):
            said = {words(row[0])[0] for row in table[:number]} - said
        assert said == imported - set(words(name)), f"{name} imports {' '.join(sorted(imported - set(words(name))))}"


def strings(path):
    """The strings of a file that have the form of a module's name, with or without something in it."""
    tree = ast.parse(path.read_text())
    found = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {string for string in found if MODULE.fullmatch(string)}


def follow(string):
    """Whether a module exists, and has the name behind the colon: defined there, or imported by its ``__init__``."""
    module, _, name = string.partition(":")
    path = ROOT / module.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not path.is_file():
        return False
    imported = {
        alias.asname or alias.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    return not name or name in defined_in(path) | imported


def test_strings_that_name_modules_lead_there_and_are_in_the_table():
    by_file = {path: strings(path) for path in PACKAGE.rglob("*.py")}
    assert not sorted(string for named in by_file.values() for string in named if not follow(string))
    table = {path_of(words(row[0])[0]) for row in rows(section("Strings that name modules"))}
    assert {path for path, named in by_file.items() if named} <= table
