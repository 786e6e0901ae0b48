"""What can be seen of the images without building them."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILES = [ROOT / "Dockerfile.base", *sorted((ROOT / "containers").glob("*/Dockerfile"))]
STAGES = {"download", "process", "train", "representations", "probe"}


def instructions(path):
    """Instructions of a Dockerfile, comments left out and continued lines joined."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    return [line.strip() for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines() if line.strip()]


def installed(path):
    """Names of the packages that a Dockerfile installs."""
    named = set()
    for run in instructions(path):
        for arguments in re.findall(r"pip install ([^&]*)", run):
            words = re.sub(r"\$\{[^}]*\}|--find-links \S+", "", arguments).split()
            named |= {word for word in words if not word.startswith(("-", "/"))}
    return named


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_each_stage_has_its_image():
    assert {path.parent.name for path in DOCKERFILES[1:]} == STAGES


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_all_that_is_installed_is_pinned(path):
    pinned = {normal(line.partition("==")[0]) for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    assert {normal(name) for name in installed(path)} <= pinned
    assert path.name == "Dockerfile.base" or "torch" not in installed(path)  # it stands in a layer that images share


def test_what_is_installed_is_what_the_package_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["train"], *project["optional-dependencies"]["encoders"]]
    asked = {normal(re.match(r"[\w.-]+", one)[0]) for one in wanted}
    found = {normal(name) for path in DOCKERFILES for name in installed(path)}
    # the build; ffmpeg; what deforms tempo and pitch; and one that is installed beside the package, without what it asks for itself
    only_in_images = {
        "hatchling",
        "imageio-ffmpeg",
        "python-stretch",
        "tinysoundfont",
    }
    assert found - asked == only_in_images
    # click … urllib3 are all in some image; docker's SDK runs images and is in none of them
    assert asked - found == {"docker"}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_nothing_of_the_building_machine_or_of_an_outside_parser_is_named(path):
    text = path.read_text()
    assert "# syntax" not in text  # would be fetched before anything is built
    for word in ("certificate", ".crt", ".pem", "token", "password", "/home/", "/Users/", "http://"):
        assert word not in text.lower()


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_no_image_ends_as_root_and_entry_points_need_no_shell(path):
    said = instructions(path)
    users = [line for line in said if line.startswith("USER ")]
    assert users[-1] == "USER 1000:1000"
    entries = [line for line in said if line.startswith("ENTRYPOINT ")]
    assert all(line.startswith('ENTRYPOINT ["jukemir-like", ') for line in entries)
    assert entries or path.name == "Dockerfile.base"


def test_only_what_is_named_goes_into_a_build():
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"
    copies = [line.split() for path in DOCKERFILES for line in instructions(path) if line.startswith("COPY ") and "--from=" not in line]
    copied = {word for words in copies for word in words[1:-1]}
    assert copied == set(allowed)
