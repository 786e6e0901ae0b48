"""The whole line, every stage in its image: the same numbers as outside, and a change of runner does nothing again."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from jukemir_like.launch.images import STAGES, reference

ROOT = Path(__file__).resolve().parents[2]
REPRESENTATIONS = "chroma mfcc stemjepa stemjepa-reproduce"
# Columns of results that say when and by what they were made. Versions are written into the weights too, and so decide their digest and
# the signature of what they extract: two interpreters' are two files of the same weights.
OF_THE_RUN = {"seconds", "versions", "digest", "lineage"}

pytestmark = [pytest.mark.slow, pytest.mark.docker, pytest.mark.usefixtures("images")]


def start(cache, runner, representations=REPRESENTATIONS):
    command = [sys.executable, ROOT / "scripts" / "reproduce.py", "--runner", runner, "--cache", cache, "--datasets", "synthband"]
    command += ["--representations", representations, "--songs", "24", "--steps", "2", "--batch-size", "15", "--deform", "noise-20"]
    with open(cache.parent / f"{cache.name}.log", "ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, cwd=cache.parent)


def finish(process, cache):
    assert process.wait(timeout=900) == 0, (cache.parent / f"{cache.name}.log").read_text()[-4000:]


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    cache = tmp_path_factory.mktemp("outside") / "cache"
    finish(start(cache, "local"), cache)
    return cache


@pytest.fixture(scope="module")
def inside(tmp_path_factory):
    cache = tmp_path_factory.mktemp("inside") / "cache"
    finish(start(cache, "docker"), cache)
    return cache


def files(cache, pattern):
    return {str(path.relative_to(cache)): path for path in sorted(cache.glob(pattern)) if not path.name.startswith(".")}


def test_the_vectors_are_those_of_outside(outside, inside):
    here, there = files(outside, "representations/**/*.npy"), files(inside, "representations/**/*.npy")
    assert here.keys() == there.keys()
    assert sum(name.startswith("representations/synthband/") for name in here) == 24 * len(REPRESENTATIONS.split())
    deformed = files(inside, "processed/synthband~noise-20/wav/*.wav")
    assert len(here) == (24 + len(deformed)) * len(REPRESENTATIONS.split())
    assert 0 < len(deformed) < 24
    for name, path in here.items():
        expected = np.load(path)
        np.testing.assert_allclose(np.load(there[name]), expected, rtol=0, atol=1e-6 * max(1.0, np.abs(expected).max()), err_msg=name)


def test_the_audio_and_its_labels_are_those_of_outside(outside, inside):
    here, there = (files(cache, "processed/*/wav/*.wav") | files(cache, "processed/*/meta.json") for cache in (outside, inside))
    assert here.keys() == there.keys()
    assert len(here) >= 50
    assert [name for name, path in here.items() if path.read_bytes() != there[name].read_bytes()] == []


def test_the_weights_are_those_of_outside(outside, inside):
    with (
        safe_open(outside / "checkpoints" / "reproduce.safetensors", "np") as here,
        safe_open(inside / "checkpoints" / "reproduce.safetensors", "np") as there,
    ):
        assert set(here.keys()) == set(there.keys())
        for key in here.keys():  # noqa: SIM118 -- no dictionary
            np.testing.assert_allclose(there.get_tensor(key), here.get_tensor(key), rtol=0, atol=1e-6, err_msg=key)


@pytest.mark.parametrize("table", ["report/results.csv", "report/deformations.csv", "retrieval/synthband_stems/reproduce/retrieval.csv"])
def test_the_results_are_those_of_outside(outside, inside, table):
    rows = []
    for cache in (outside, inside):
        with open(cache / table, newline="") as file:
            rows.append([{name: value for name, value in row.items() if name not in OF_THE_RUN} for row in csv.DictReader(file)])
    assert len(rows[0]) == len(rows[1]) > 3
    for here, there in zip(*rows, strict=True):
        assert here.keys() == there.keys()
        for name, value in here.items():
            try:
                assert float(there[name]) == pytest.approx(float(value), abs=1e-6, nan_ok=True), name
            except ValueError:
                assert there[name] == value, name


def test_everything_belongs_to_the_caller(inside):
    assert {path.stat().st_uid for path in inside.rglob("*")} == {os.getuid()}


@pytest.mark.parametrize(("made_by", "then"), [("docker", "local"), ("local", "docker")])
def test_another_runner_finds_everything_done(outside, inside, made_by, then):
    cache = {"docker": inside, "local": outside}[made_by]
    stamps = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file() and ".snakemake" not in path.parts}
    finish(start(cache, then), cache)
    after = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file() and ".snakemake" not in path.parts}
    assert {path.name for path in after if after[path] != stamps.get(path)} - {".lock"} == set()


def test_interrupted_it_leaves_no_container_and_goes_on(engine, inside, tmp_path):
    cache = tmp_path / "cache"
    process = start(cache, "docker", "mfcc")
    ours = {reference(stage.image) for stage in STAGES.values()}

    def running():
        return [
            found["Id"] for found in engine.api.containers(all=True) if found["Image"] in ours and str(cache) in json.dumps(found["Mounts"])
        ]

    while not running():
        assert process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) != 0
    assert running() == []
    finish(start(cache, "docker", "mfcc"), cache)
    here, there = files(inside, "representations/*/mfcc/*.npy"), files(cache, "representations/*/mfcc/*.npy")
    assert len(here) > 24  # and the deformed ones
    assert {name: path.read_bytes() for name, path in here.items()} == {name: path.read_bytes() for name, path in there.items()}


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"DOCKER_HOST": "unix:///nowhere.sock"}, "no Docker engine answers"),
        ({"JUKEMIR_LIKE_IMAGES": "nowhere"}, "no image nowhere/download:"),
    ],
)
def test_without_an_engine_or_its_images_it_is_one_line(tmp_path, environment, words):
    command = [sys.executable, ROOT / "scripts" / "reproduce.py", "--runner", "docker", "--cache", tmp_path / "cache"]
    command += ["--datasets", "synthband", "--representations", REPRESENTATIONS]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr
    assert not (tmp_path / "cache").exists()
