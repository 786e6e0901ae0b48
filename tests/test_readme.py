"""The README is true: its commands run, in order, as a newcomer would type them, in a fresh copy of the project."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jukemir_like.stemjepa.checkpoint import EMBEDDED

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
IN_CONTAINERS = "make images"


SCRIPTS = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_every_make_target_it_names_exists():
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"^make ([a-z][a-z-]*)|`make ([a-z][a-z-]*)`", README, flags=re.MULTILINE))
    named = {target for pair in named for target in pair if target}
    assert {"reproduce", "test", "lint", "plan", "setup", "bench"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_every_file_it_links_to_exists():
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_every_variable_it_names_is_one_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    for variable in re.search(r"Variables: `([A-Z_ ]+)`", README).group(1).split():
        assert re.search(rf"^{variable} \?=", makefile, flags=re.MULTILINE), variable


@pytest.fixture
def copy(tmp_path):
    """The project's files alone, with this environment in place of a newly installed one, and some music."""
    if not (ROOT / ".git").exists() or Path(sys.prefix) != ROOT / ".venv":
        pytest.skip("needs a git checkout with its own .venv (make test)")
    copy = tmp_path / "project"
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, names.decode().split("\0")):
        if (ROOT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    for name in ("pyproject.toml", "constraints.txt"):
        os.utime(copy / name, (0, 0))  # so that make takes the environment for set up
    (copy / ".venv").symlink_to(ROOT / ".venv")
    (copy / "music").mkdir()
    random = np.random.default_rng(0)
    rows = ["uid,label"]
    for index in range(30):
        samples = random.uniform(-0.5, 0.5, 22050) if index % 2 else np.sin(np.arange(22050) * random.uniform(0.02, 0.1))
        soundfile.write(copy / "music" / f"{index}.wav", samples, 22050)
        rows.append(f"{index},{'noise' if index % 2 else 'tone'}")
    (copy / "labels.csv").write_text("\n".join(rows) + "\n")
    soundfile.write(copy / "mix.wav", random.uniform(-0.5, 0.5, 5 * 22050), 22050)
    (copy / "stems").mkdir()
    for index in range(8):
        soundfile.write(copy / "stems" / f"{index}.wav", random.uniform(-0.5, 0.5, (6 * 22050, 4)), 22050)
    (copy / "configs" / "data").mkdir(parents=True)
    (copy / "configs" / "data" / "my_data.yaml").write_text(f"data_path: {copy / 'stems'}\n")
    return copy


@pytest.mark.slow
def test_its_commands_run_one_after_the_other(copy):
    commands = "\n".join(block for block in BLOCKS if "make test" not in block and IN_CONTAINERS not in block)
    commands += "".join(f"\npython - <<'end'\n{script}end\n" for script in SCRIPTS)
    # Fewer songs and steps than the default: the commands are the README's to the letter, the sizes come from the environment.
    environment = {**os.environ, "SONGS": "24", "STEPS": "2", "JUKEMIR_LIKE_CACHE_DIR": str(copy / "cache-of-home")}
    done = subprocess.run(["bash", "-euxc", commands], cwd=copy, env=environment, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (copy / "cache" / "report" / "index.html").stat().st_size > 10_000
    assert len(list((copy / "vectors").glob("*.npy"))) == 30
    assert len(list((copy / "vectors_mfcc").glob("*.npy"))) == 4
    assert len(list((copy / "vectors_mine").glob("*.npy"))) == 30
    assert list(copy.glob("outputs/xps/*/weights.safetensors"))
    assert (copy / "cache-small" / "retrieval" / "synthband_stems" / EMBEDDED / "retrieval.csv").exists()
    assert "(set -e)" not in done.stderr


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.usefixtures("images")  # built already, so that building them here is a matter of seconds
def test_its_commands_for_containers_run(copy, base_image):
    (block,) = (block for block in BLOCKS if IN_CONTAINERS in block)
    environment = {**os.environ, "SONGS": "24", "REPRESENTATIONS": "mfcc", "BASE_IMAGE": base_image}
    done = subprocess.run(["bash", "-euxc", block], cwd=copy, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (copy / "cache-docker" / "report" / "index.html").stat().st_size > 10_000
    assert len(list((copy / "vectors_docker").glob("*.npy"))) == 30
    assert len(list((copy / "vectors_docker_mfcc").glob("*.npy"))) == 10
    printed = [line for line in done.stdout.splitlines() if "docker run --rm" in line]
    assert [line.rpartition(" ")[2] for line in printed] == ["0", "1", "2"]
    assert re.search(r"stemjepa/representations_chroma: keeps (\d+) of \1 rules of the contract", done.stdout)
