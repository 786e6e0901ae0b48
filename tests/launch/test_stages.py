"""Our own stages in their images: what they say and write is what they do outside."""

import json
import os
import re
import shlex
import subprocess

import numpy as np
import pytest
import soundfile
import yaml

from jukemir_like import __version__

pytestmark = pytest.mark.docker


@pytest.fixture
def folder(tmp_path, write_audio):
    for index, name in enumerate(["b.wav", "a/z.wav", "a/y.flac", "c d/ü.wav", "e.ogg", "f.mp3"]):
        write_audio(tmp_path / "in" / name, seconds=1 + index / 10, seed=index)
    return tmp_path / "in"


@pytest.fixture
def both(command, tmp_path):
    """Runs a command outside and in its image, in the same folder: ``both("report")``."""

    def run(*arguments):
        environment = {"JUKEMIR_LIKE_CACHE_DIR": str(tmp_path / "cache")}
        return [command(*more, *arguments, environment=environment, cwd=tmp_path) for more in ((), ("--docker",))]

    return run


def vectors(folder):
    return {str(path.relative_to(folder)): np.load(path) for path in sorted(folder.rglob("*.npy"))}


def same(here, there):
    assert here.keys() == there.keys()
    assert here
    for name, vector in here.items():
        np.testing.assert_allclose(there[name], vector, rtol=0, atol=1e-6 * max(1.0, np.abs(vector).max()), err_msg=name)


@pytest.mark.parametrize("name", ["chroma", "mfcc", "stemjepa", "stemjepa-untrained"])
def test_vectors_are_those_of_outside_and_each_keeps_what_the_other_made(built, command, folder, tmp_path, name):
    built("representations" if name.startswith("stemjepa") else f"representations_{name}")
    assert command("extract", name, folder, tmp_path / "outside").returncode == 0
    inside = command("--docker", "extract", name, folder, tmp_path / "inside", "--workers", "2")
    assert inside.returncode == 0, inside.stderr
    assert "6 done, 0 kept, 0 failed" in inside.stdout
    assert inside.stderr == ""
    same(vectors(tmp_path / "outside"), vectors(tmp_path / "inside"))
    assert "0 done, 6 kept, 0 failed" in command("extract", name, folder, tmp_path / "inside").stdout
    assert "0 done, 6 kept, 0 failed" in command("--docker", "extract", name, folder, tmp_path / "outside").stdout


def test_weights_by_name_and_by_file_are_those_of_outside(built, command, folder, tmp_path):
    from jukemir_like.stemjepa import checkpoint

    built("representations")
    environment = {"JUKEMIR_LIKE_CACHE_DIR": str(tmp_path / "cache")}
    (tmp_path / "cache" / "checkpoints").mkdir(parents=True)
    for path in (tmp_path / "cache" / "checkpoints" / "mine.safetensors", tmp_path / "own weights.safetensors"):
        path.write_bytes((checkpoint.FOLDER / f"{checkpoint.EMBEDDED}.safetensors").read_bytes())
    for target, words in {"name": ["stemjepa-mine"], "file": ["stemjepa", "--weights", "own weights.safetensors"]}.items():
        for more in (("--docker",), ()):
            done = command(*more, "extract", *words, folder, target, environment=environment, cwd=tmp_path)
            assert done.returncode == 0, done.stderr
        assert "6 kept" in done.stdout
    same(vectors(tmp_path / "name"), vectors(tmp_path / "file"))


def test_bad_files_are_told_and_counted_as_outside(built, both, folder):
    built("representations_chroma")
    (folder / "bad.wav").write_bytes(b"no audio")
    outside, inside = both("extract", "chroma", "in", "out")
    assert outside.returncode == inside.returncode == 3
    failed = [[line for line in done.stderr.splitlines() if "bad.wav" in line] for done in (outside, inside)]
    assert failed[0] == failed[1] != []


@pytest.mark.parametrize(
    ("words", "image"),
    [
        ("report", "probe"),
        ("probe nosuch chroma", "probe"),
        ("process nosuch", "process"),
        ("process synthband", "process"),
        ("process folder --audio missing --labels missing.csv", "process"),
        ("audit nosuch", "process"),
        ("retrieve --context in/b.wav --instrument horn --library in", "representations"),
        ("evaluate-retrieval --data missing", "representations"),
        ("train --data missing trainer.max_steps=1", "train"),
        ("train trainer.max_steps=none", "train"),
        ("extract chroma in out --batch_size 2 --batch_idx 9", "representations_chroma"),
        ("extract chroma in out --batch_size 2", "representations_chroma"),
        ("extract chroma missing out", "representations_chroma"),
        ("download nosuch", "download"),
    ],
)
def test_a_wrong_request_is_the_same_line_once(built, both, folder, words, image):
    built(image)
    outside, inside = both(*words.split())
    assert (inside.returncode, inside.stdout, inside.stderr) == (outside.returncode, outside.stdout, outside.stderr)
    assert outside.returncode == 2
    assert sorted(path.name for path in folder.parent.iterdir()) == ["in"]


def test_a_search_finds_the_same_and_shares_its_index(built, both, folder):
    built("representations")
    outside, inside = both("retrieve", "--context", "in/b.wav", "--instrument", "bass", "--library", "in", "--json")
    assert inside.returncode == 0, inside.stderr
    here, there = json.loads(outside.stdout), json.loads(inside.stdout)
    assert [match["path"] for match in there["results"]] == [match["path"] for match in here["results"]]
    assert there["library"] == here["library"]
    assert "0 done, 6 kept" in inside.stderr


def test_the_configuration_of_a_training_is_the_same(built, both, tmp_path):
    built("train")
    (tmp_path / "configs" / "data").mkdir(parents=True)
    (tmp_path / "my stems").mkdir()
    (tmp_path / "configs" / "data" / "mine.yaml").write_text("silence_db: -33.0\n")
    outside, inside = both("train", "--recipe", "reproduce", "--data", "my stems", "data=mine", "--show")
    assert inside.returncode == 0, inside.stderr
    assert inside.stdout == outside.stdout
    said = yaml.safe_load(inside.stdout)["data"]
    assert (said["data_path"], said["silence_db"]) == (f"{tmp_path}/my stems", -33.0)


@pytest.mark.slow
def test_a_training_begun_outside_goes_on_in_the_image(built, both, tmp_path):
    built("train")
    random = np.random.default_rng(0)
    for index in range(6):
        (tmp_path / "stems").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "stems" / f"{index}.wav", random.uniform(-0.5, 0.5, (5 * 22050, 4)), 22050)
    small = ["data.dataloader.batch_size=2", "objective.contrastive_steps=1", "optimiser.warmup_steps=1", "trainer.max_steps=2"]
    outside, inside = both("train", "--recipe", "reproduce", "--name", "mine", "--data", "stems", *small)
    assert outside.returncode == 0, outside.stderr
    assert inside.returncode == 0, inside.stderr
    assert "going on from step 2 of 2" in inside.stderr
    assert inside.stdout.splitlines()[-1] == f"weights: {tmp_path}/cache/checkpoints/mine.safetensors"


@pytest.mark.parametrize("dataset", [True, False])
def test_printed_commands_run_in_any_order_to_the_whole_folder(built, command, folder, tmp_path, dataset):
    (image,) = built("representations_chroma")
    cache, wanted = tmp_path / "cache", ["in", "out"]
    if dataset:
        (cache / "processed" / "mine").mkdir(parents=True)
        folder.rename(cache / "processed" / "mine" / "wav")
        folder, wanted = cache / "processed" / "mine" / "wav", ["--dataset", "mine", "--cache", "cache"]
    printed = command("commands", "extract", "--representation", "chroma", *wanted, "--batch_size", "4", cwd=tmp_path)
    assert printed.returncode == 0, printed.stderr
    lines = printed.stdout.splitlines()
    assert len(lines) == 2
    for line in reversed(lines):
        assert image in shlex.split(line)
        done = subprocess.run(["sh", "-c", line], cwd="/", capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    output = cache / "representations" / "mine" / "chroma" if dataset else tmp_path / "out"
    assert command("extract", "chroma", folder, tmp_path / "whole").returncode == 0
    same(vectors(tmp_path / "whole"), vectors(output))
    assert {path.stat().st_uid for path in output.rglob("*")} == {os.getuid()}


def test_the_image_is_of_this_version(built, command, tmp_path):
    (image,) = built("representations_chroma")
    assert image.endswith(f":{__version__}")
    done = subprocess.run(["docker", "run", "--rm", "--entrypoint", "jukemir-like", image, "--version"], capture_output=True, text=True)
    assert re.search(r"\d[\d.]+", done.stdout)[0] == re.search(r"\d[\d.]+", command("--version").stdout)[0]
