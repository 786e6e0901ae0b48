"""A built wheel, used from another folder, works as the source tree does: declarations, templates and entry point included."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that the wheel is installed in; its dependencies are this environment's."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    target = folder / "site"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target, wheel], check=True)
    return target


def run(installed, folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(installed), "JUKEMIR_LIKE_CACHE_DIR": str(folder / "cache")}
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_it_holds_the_package_and_the_declarations_and_no_tests(installed):
    (wheel,) = installed.parent.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "jukemir_like/datasets/declarations/synthband/card.md" in names
    assert "jukemir_like/py.typed" in names
    assert "jukemir_like/stemjepa/weights/free-music.safetensors" in names
    assert "jukemir_like/stemjepa/configs/recipe/reproduce.yaml" in names
    assert not [name for name in names if name.startswith(("tests/", "bench/", "scripts/"))]


def test_it_is_the_wheel_that_runs_and_it_finds_its_declarations(installed, tmp_path):
    script = "import jukemir_like.downloads.declarations as d; print(d.__file__); print(d.declaration_folder('synthband') / 'card.md')"
    module, card = run(installed, tmp_path, "-c", script).stdout.split()
    assert Path(module).is_relative_to(installed)
    assert Path(card).is_relative_to(installed)
    assert "synthetic" in Path(card).read_text().lower()


def test_the_line_runs_from_it(installed, tmp_path):
    for arguments in (
        ["download", "synthband", "--songs", "12"],
        ["process", "synthband"],
        ["extract", "mfcc", "--dataset", "synthband"],
        ["extract", "stemjepa", "--dataset", "synthband"],
        ["train", "--recipe", "reproduce", "--show"],
        ["probe", "synthband", "mfcc", "--task", "emotion"],
        ["probe", "synthband", "trivial", "--task", "emotion"],
        ["report"],
    ):
        done = run(installed, tmp_path, "-m", "jukemir_like", *arguments)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    assert (tmp_path / "cache" / "report" / "index.html").exists()
