"""The documents are true: the site builds without a warning and needs no network, code in the pages runs, notebooks run."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest

from jukemir_like.cli.program import cli
from jukemir_like.core.stems import instrument_name
from jukemir_like.datasets.instrument_families import table

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(path for pattern in ("docs/*.md", "datasets/*/card.md", "containers/README.md") for path in ROOT.glob(pattern))
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "audio": "src", "video": "src"}
NO_LOAD = {"canonical", "prev", "next"}  # relations of a link that load nothing


class Loaded(HTMLParser):
    """What a page loads when it is shown."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag in LOADED and values.get("rel") not in NO_LOAD:
            self.addresses.append(values.get(LOADED[tag]) or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built strictly: a warning ends it."""
    pytest.importorskip("mkdocs", reason="needs the extra [docs]")
    folder = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", folder]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip()
    return folder


@pytest.mark.slow
def test_the_site_has_every_page(site):
    assert (site / "index.html").is_file()
    assert {path.stem for path in (site / "reference").glob("*.html")} >= {"core", "audio", "probes", "stemjepa"}
    assert {path.stem for path in (site / "examples").glob("*.html")} == {path.stem for path in (ROOT / "examples").glob("*.ipynb")}
    library = (site / "library.html").read_text()
    assert "load_representation" in library
    assert ":class:" not in library  # roles have become links


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        loaded = Loaded()
        loaded.feed(page.read_text())
        assert loaded.addresses
        assert not [address for address in loaded.addresses if re.match(r"(https?:)?//", address)], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//", sheet.read_text()), sheet


def scripts():
    """The Python code of each page, block after block."""
    for page in PAGES:
        code = re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        if code:
            yield pytest.param("\n".join(code), id=str(page.relative_to(ROOT)))


@pytest.mark.slow
@pytest.mark.parametrize("code", list(scripts()))
def test_code_in_the_pages_runs(code, tmp_path, write_audio, monkeypatch):
    """In a folder with ``song.wav``, ``mix.wav``, ``a.wav``, ``b.wav``, ``music/`` and ``my_stems/`` (one channel per stem)."""
    monkeypatch.chdir(tmp_path)
    for name in ("song.wav", "mix.wav", "a.wav", "b.wav", "music/0.wav", "music/1.wav", "music/2.wav"):
        write_audio(tmp_path / name, seconds=9, seed=len(name))
    for number in range(4):
        write_audio(tmp_path / "my_stems" / f"{number}.wav", seconds=9, channels=4, sample_rate=16000, seed=number)
    environment = {**os.environ, "JUKEMIR_LIKE_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def commands():
    """``(page, line)`` of each command of the project in a block of a page."""
    for page in PAGES:
        for block in re.findall(r"^```\w*\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL):
            lines = block.replace("\\\n", " ").splitlines()
            yield from ((page, line) for line in lines if line.startswith("jukemir-like "))


def test_commands_in_the_pages_exist_with_the_options_they_name():
    found = list(commands())
    assert len(found) > 50
    for page, line in found:
        words, command = line.split()[1:], cli
        while isinstance(command, click.Group):
            command, words = command.commands.get(words[0]), words[1:]
        assert command is not None, f"{page}: {line}"
        known = {option for parameter in command.params for option in parameter.opts}
        unknown = [word for word in words if word.startswith("--") and word.split("=")[0] not in known]
        assert not unknown, f"{page}: {line}: {unknown}"


def test_what_is_held_out_of_training_for_the_figures_are_instruments_and_families():
    (names,) = re.findall(r"data\.held_out=\[(.*?)\]", (ROOT / "docs" / "retrieval.md").read_text())
    named = [name.strip("'") for name in names.split(",")]
    assert len(named) > 20
    assert [name for name in named if instrument_name(name) not in table()] == []


def test_links_between_the_pages_lead_to_files():
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for link in re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page}: {link}"


@pytest.mark.slow
@pytest.mark.parametrize("notebook", sorted((ROOT / "examples").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_run(notebook, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="needs the extra [docs]")
    from nbclient import NotebookClient

    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path / "cache"))
    made = NotebookClient(nbformat.read(notebook, as_version=4), timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert any(output.get("data", {}).get("text/html") for cell in made.cells for output in cell.get("outputs", []))
