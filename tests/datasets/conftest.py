"""The published annotations as fixtures, laid out as `jukemir-like download` leaves them. See tests/fixtures/README.md."""

import gzip
import io
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parents[1] / "fixtures"


def lines(path):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.fixture(scope="session")
def published():
    """A function from a dataset's name to the published records by uid: all of gtzan_ff and giantsteps_clips, samples of the others."""
    names = {"gtzan_ff": "gtzan/gtzan_ff.jsonl.gz", "giantsteps_clips": "giantsteps/giantsteps_clips.jsonl.gz"}
    names |= {"emomusic": "emomusic/emomusic_sample.jsonl", "magnatagatune": "magnatagatune/magnatagatune_sample.jsonl.gz"}
    return lambda name: {record["uid"]: record for record in lines(FIXTURES / names[name])}


@pytest.fixture
def gtzan(tmp_path):
    folder = tmp_path / "datasets" / "gtzan"
    folder.mkdir(parents=True)
    for path in (FIXTURES / "gtzan").glob("*.txt"):
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="session")
def giantsteps_members():
    """The files of both archives of annotations that are kept as fixtures: archive → path → bytes."""
    found = {}
    for name in ("key-annotations", "mtg-key-annotations"):
        with tarfile.open(FIXTURES / "giantsteps" / f"{name}.tar.xz") as archive:
            found[name] = {member.name: archive.extractfile(member).read() for member in archive}
    return found


@pytest.fixture
def write_zip():
    def write(path, members):
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)

    return write


@pytest.fixture
def giantsteps(tmp_path, giantsteps_members, write_zip):
    folder = tmp_path / "datasets" / "giantsteps"
    for name, members in giantsteps_members.items():
        top = {f"{next(iter(members)).partition('/')[0]}/": b""}  # GitHub's archives have entries for folders too
        write_zip(folder / f"{name}.zip", top | members)
    return folder


@pytest.fixture(scope="session")
def magnatagatune_tables():
    """The bytes of the sample of both tables, by name."""
    names = ("annotations_final.csv", "clip_info_final.csv")
    return {name: gzip.decompress((FIXTURES / "magnatagatune" / f"{name}.gz").read_bytes()) for name in names}


@pytest.fixture
def magnatagatune(tmp_path, magnatagatune_tables):
    folder = tmp_path / "datasets" / "magnatagatune"
    folder.mkdir(parents=True)
    for name, data in magnatagatune_tables.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture(scope="session")
def emomusic_tables():
    """The bytes of the sample of the two tables that are read, by name."""
    with tarfile.open(FIXTURES / "emomusic" / "annotations.tar.gz") as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


@pytest.fixture
def write_emomusic(tmp_path):
    """A function that puts an archive of annotations with these files into the cache; returns its folder."""

    def write(files, top=""):
        folder = tmp_path / "datasets" / "emomusic"
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(folder / "annotations.tar.gz", "w:gz") as archive:
            for name, data in files.items():
                member = tarfile.TarInfo(top + name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return folder

    return write


@pytest.fixture
def emomusic(write_emomusic, emomusic_tables):
    return write_emomusic(emomusic_tables)
