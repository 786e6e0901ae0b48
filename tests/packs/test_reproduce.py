"""``make reproduce PRECOMPUTED=1``: published vectors and annotations, no audio, to the page; then a pack in place of an extraction."""

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jukemir_like.core.cache import Cache
from jukemir_like.packs.obtaining import obtain
from jukemir_like.packs.packing import pack

from .conftest import DIMENSIONS, ROOT, npy, tarred

FIXTURES = ROOT / "tests" / "fixtures" / "gtzan"
GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")


def reproduce(cache, *more, code=0):
    command = [sys.executable, ROOT / "scripts" / "reproduce.py", "--cache", cache, "--jobs", "2", *more]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=600)
    assert done.returncode == code, (done.stdout + done.stderr)[-4000:]
    return done.stdout + done.stderr


@pytest.fixture
def gtzan(stand, tmp_path):
    """GTZAN's annotations on the host, its audio nowhere; and vectors of all 930 excerpts that tell the genre, as published."""
    declared = json.loads((ROOT / "datasets" / "gtzan" / "dataset.json").read_text())
    declared["assets"] = [asset for asset in declared["assets"] if "FOLD" not in asset["tag"] and "TEMPO" not in asset["tag"]]
    for asset in declared["assets"]:
        asset["urls"] = [f"{stand.url}/{Path(asset['path']).name}"]
    folder = tmp_path / "declarations" / "gtzan"
    folder.mkdir()
    (folder / "dataset.json").write_text(json.dumps(declared))
    names = []
    for path in FIXTURES.glob("*_filtered.txt"):
        shutil.copy(path, stand.folder)
        names += [line.rpartition("/")[2].removesuffix(".wav") for line in path.read_text().split()]
    assert len(names) == 930

    def serve(representation, leave_out=0):
        random = np.random.default_rng(len(representation))
        centres = random.standard_normal((10, DIMENSIONS[representation]))
        members = {}
        for name in names[leave_out:]:
            vector = centres[GENRES.index(name.partition(".")[0])] + 2 * random.standard_normal(DIMENSIONS[representation])
            members[f"gtzan_ff/{representation}/{hashlib.sha256(name.encode()).hexdigest()}.npy"] = npy(vector.astype(np.float32))
        stand.put("gtzan_ff", representation, tarred(members))

    return serve


def rows(cache):
    with open(cache / "report" / "results.csv", newline="") as file:
        table = [row for row in csv.DictReader(file) if row["split"] == "test" and row["primary"] == "true"]
    return {row["representation"]: row for row in table}


@pytest.mark.slow
def test_from_published_vectors_to_the_page_without_audio(stand, gtzan, tmp_path):
    gtzan("chroma")
    gtzan("jukebox", leave_out=5)
    cache = tmp_path / "cache"
    wanted = ("--datasets", "gtzan_ff", "--representations", "chroma jukebox", "--precomputed")
    said = reproduce(cache, *wanted)
    assert "5 failed; vectors of 4,800 numbers" in said
    assert not (cache / "processed" / "gtzan_ff" / "wav").exists()
    assert not any("genres.tar.gz" in path for path in stand.requests)
    found = rows(cache)
    assert set(found) == {"chroma-jukemir", "jukebox-jukemir", "trivial"}
    assert (found["chroma-jukemir"]["n"], float(found["jukebox-jukemir"]["value"])) == ("290", pytest.approx(1, abs=0.05))
    lineage = json.loads(found["jukebox-jukemir"]["lineage"])
    assert lineage["taken_over"]["source"] == "gtzan_ff-jukebox.tar.gz"
    assert "taken_over" not in json.loads(found["trivial"]["lineage"])
    page = (cache / "report" / "index.html").read_text()
    assert page.count("vectors taken over from gtzan_ff-jukebox.tar.gz") == 1
    assert "extract jukebox-jukemir, elsewhere: taken over" in page
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*.npy")}
    stand.requests.clear()
    reproduce(cache, *wanted)  # all is there
    assert stand.requests == []
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.npy")} == before


@pytest.mark.slow
def test_an_archive_that_does_not_come_fails_and_is_tried_again(stand, gtzan, tmp_path):
    gtzan("chroma")
    archive = stand.folder / "gtzan_ff-chroma.tar.gz"
    data = archive.read_bytes()
    stand.damage("gtzan_ff", "chroma", data[: len(data) // 2])
    wanted = ("--datasets", "gtzan_ff", "--representations", "chroma", "--precomputed")
    said = reproduce(tmp_path / "cache", *wanted, code=3)
    assert "make reproduce: take_over gtzan_ff chroma-jukemir has failed" in said
    archive.write_bytes(data)
    reproduce(tmp_path / "cache", *wanted)
    assert set(rows(tmp_path / "cache")) == {"chroma-jukemir", "trivial"}


@pytest.mark.slow
def test_vectors_of_a_pack_are_probed_and_not_extracted(stand, gtzan, tmp_path):
    gtzan("chroma")
    first, second = Cache(tmp_path / "first"), Cache(tmp_path / "second")
    obtain("gtzan_ff", "chroma", first)
    path = pack(first, "gtzan_ff", "chroma-jukemir", tmp_path / "x.zip", made_by="Ada").path
    obtain("gtzan_ff", "chroma-jukemir-from-ada", second, path)
    reproduce(second.root, "--datasets", "gtzan_ff", "--representations", "chroma-jukemir-from-ada")
    assert json.loads(rows(second.root)["chroma-jukemir-from-ada"]["lineage"])["taken_over"]["made_by"].endswith(
        "(arXiv 2107.05677) (gtzan_ff-chroma.tar.gz), packed again by Ada"
    )


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--datasets", "gtzan_ff", "--representations", "stemjepa", "--precomputed"), "no vectors of 'stemjepa' were published"),
        (("--datasets", "synthband", "--representations", "mfcc", "--precomputed"), "no vectors of dataset 'synthband' were published"),
    ],
)
def test_what_was_not_published_is_one_line(tmp_path, more, words):
    said = reproduce(tmp_path / "cache", *more, code=2)
    assert words in said
    assert said.count("\n") == 1
