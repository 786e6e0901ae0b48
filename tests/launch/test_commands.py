"""Lines for a shell: read back by a shell's rules, and run."""

import itertools
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jukemir_like import __version__
from jukemir_like.core.errors import RequestError
from jukemir_like.launch import commands
from jukemir_like.launch.images import Container, Mount

STRANGE = ["plain", "with space", "it's $HOME", 'q"uote', "com,ma", "co:lon", "back\\slash", "-dash", "ünï"]
PROGRAMS = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


@pytest.fixture
def folder(tmp_path, write_audio):
    for index in range(5):
        write_audio(tmp_path / "in" / f"{index % 2}" / f"{index}.wav", seconds=0.5, seed=index)
    return tmp_path / "in"


def paste(line, cwd="/"):
    return subprocess.run(["sh", "-c", line], cwd=cwd, capture_output=True, text=True, env={**os.environ, "PATH": PROGRAMS}, timeout=120)


def vectors(folder):
    return {str(path.relative_to(folder)): np.load(path) for path in sorted(folder.rglob("*.npy"))}


def test_the_docker_line_describes_the_whole_container():
    container = Container(
        "some/image:1",
        ("--flag", "a b"),
        ("program", "sub"),
        (Mount(Path("/a b"), "/in"), Mount(Path("/c,d"), "/out", writable=True)),
        {"NAME": "its value"},
        shared_memory=1 << 30,
        working_folder="/in",
    )
    made, run = (shlex.split(part) for part in commands.docker(container).split(" && "))
    assert made == ["mkdir", "-p", "/c,d"]
    assert run[:3] == ["docker", "run", "--rm"]
    pairs = set(itertools.pairwise(run))
    for option, value in {
        "--network": "none", "--cap-drop": "ALL", "--security-opt": "no-new-privileges", "--tmpfs": "/tmp:mode=1777",
        "--volume": "/a b:/in:ro", "--mount": 'type=bind,"src=/c,d",dst=/out', "--env": "NAME=its value", "--shm-size": "1073741824",
        "--workdir": "/in", "--entrypoint": "program", "--user": "$(id -u):$(id -g)",
    }.items():  # fmt: skip
        assert (option, value) in pairs, option
    assert run[-4:] == ["some/image:1", "sub", "--flag", "a b"]
    assert "--gpus" not in commands.docker(container)


SHELLS = [shell for shell in ("sh", "bash", "zsh") if shutil.which(shell)]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("bound", "docker", "apptainer"),
    [
        (None, ["--gpus", "all"], ["--nv"]),
        ("2", ["--gpus", '"device=2"'], ["--nv", "--env", "CUDA_VISIBLE_DEVICES=2"]),
        ("0,2", ["--gpus", '"device=0,2"'], ["--nv", "--env", "CUDA_VISIBLE_DEVICES=0,2"]),
        ("GPU-8932f937,MIG-1", ["--gpus", '"device=GPU-8932f937,MIG-1"'], ["--nv", "--env", "CUDA_VISIBLE_DEVICES=GPU-8932f937,MIG-1"]),
        ("", [], ["--nv", "--env", "CUDA_VISIBLE_DEVICES="]),
        ("NoDevFiles", [], ["--nv", "--env", "CUDA_VISIBLE_DEVICES=NoDevFiles"]),
    ],
)
def test_a_line_gives_the_gpus_that_the_shell_is_bound_to_which_runs_it(tmp_path, shell, bound, docker, apptainer):
    """The programs only print what they are called with."""
    container = Container("x.sif", ("--a", "b c"), None, (Mount(tmp_path / "in", "/in"),), {"N": "it's"})
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    environment |= {"PATH": f"{tmp_path}:{os.environ['PATH']}"} | ({} if bound is None else {"CUDA_VISIBLE_DEVICES": bound})
    for name, line in (("docker", commands.docker), ("apptainer", commands.apptainer)):
        (tmp_path / name).write_text(f'#!/bin/sh\nfor word in {name} "$@"; do printf \'%s\\n\' "$word"; done\n')
        (tmp_path / name).chmod(0o755)
        ran = [
            subprocess.run([shell, "-c", line(container, **options)], capture_output=True, text=True, env=environment, check=True).stdout
            for options in ({"gpus": True}, {})
        ]
        with_gpus, without = (text.splitlines() for text in ran)
        given = docker if name == "docker" else apptainer
        assert [word for word in without if word not in with_gpus] == []
        start = next(place for place in range(len(with_gpus)) if with_gpus[place : place + len(given)] == given) if given else 0
        assert with_gpus[:start] + with_gpus[start + len(given) :] == without


@pytest.mark.parametrize(
    ("image", "source"),
    [
        ("stemjepa/probe:1", "docker-daemon:stemjepa/probe:1"),
        ("registry.example/a/probe:1", "docker://registry.example/a/probe:1"),
        ("localhost:5000/probe:1", "docker://localhost:5000/probe:1"),
        ("/images/probe.sif", "/images/probe.sif"),
    ],
)
def test_the_apptainer_line_names_the_source_of_the_image(image, source):
    container = Container(image, ("--a", "b c"), None, (Mount(Path("/a b"), "/in"), Mount(Path("/c:d"), "/out", writable=True)), {"N": "v"})
    made, run = (shlex.split(part) for part in commands.apptainer(container).split(" && "))
    assert made == ["mkdir", "-p", "/c:d"]
    assert run == [
        *("apptainer", "run", "--containall", "--bind", "/a b:/in:ro", "--mount", "type=bind,src=/c:d,dst=/out"),
        *("--env", "N=v", source, "--a", "b c"),
    ]


def test_another_entry_point_is_executed():
    words = shlex.split(commands.apptainer(Container("x.sif", ("in",), ("program", "sub"))))
    assert words == ["apptainer", "exec", "--containall", str(Path("x.sif").absolute()), "program", "sub", "in"]


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_there_is_one_line_per_batch(folder, tmp_path, size):
    for runner in ("docker", "apptainer", "plain"):
        made = list(commands.batches("mfcc", str(folder), str(tmp_path / "out"), None, None, batch_size=size, runner=runner))
        asked = [shlex.split(line) for line in made]
        assert [words[words.index("--batch_idx") + 1] for words in asked] == [str(index) for index in range(-(-5 // size))]
        assert all(words[words.index("--batch_size") + 1] == str(size) for words in asked)


@pytest.mark.parametrize(("only", "expected"), [("0", [0]), ("1-2", [1, 2]), ("4,0", [0, 4])])
def test_only_some_batches_can_be_asked_for(folder, tmp_path, only, expected):
    for runner in ("docker", "apptainer", "plain"):
        made = commands.batches("mfcc", str(folder), str(tmp_path / "out"), None, None, batch_size=1, runner=runner, only=only)
        asked = [shlex.split(line) for line in made]
        assert [words[words.index("--batch_idx") + 1] for words in asked] == list(map(str, expected))
    with pytest.raises(RequestError, match="there is no batch 5: there are 5, from 0 to 4"):
        list(commands.batches("mfcc", str(folder), str(tmp_path / "out"), None, None, batch_size=1, runner="plain", only="5"))


def test_plain_lines_run_in_any_folder_give_the_same_vectors_as_one_run(command, folder, tmp_path):
    printed = command(
        "commands", "extract", "--representation", "mfcc", "in", "it's out", "--batch_size", "2", "--runner", "plain", cwd=tmp_path
    )
    assert printed.returncode == 0, printed.stderr
    for line in reversed(printed.stdout.splitlines()):
        done = paste(line)
        assert done.returncode == 0, done.stderr
    assert command("extract", "mfcc", folder, tmp_path / "whole").returncode == 0
    once, parts = vectors(tmp_path / "whole"), vectors(tmp_path / "it's out")
    assert len(once) == 5
    assert {name: vector.tobytes() for name, vector in parts.items()} == {name: vector.tobytes() for name, vector in once.items()}


def test_plain_lines_of_a_dataset_name_the_cache(command, folder, tmp_path):
    (tmp_path / "cache" / "processed" / "mine").mkdir(parents=True)
    (tmp_path / "cache" / "processed" / "mine" / "wav").symlink_to(folder)
    printed = command(
        *("commands", "extract", "--representation", "chroma", "--dataset", "mine", "--runner", "plain", "--cache", "cache"), cwd=tmp_path
    )
    assert len(printed.stdout.splitlines()) == 1
    assert paste(printed.stdout).returncode == 0
    assert len(vectors(tmp_path / "cache" / "representations" / "mine" / "chroma")) == 5


@pytest.mark.parametrize("runner", ["docker", "apptainer"])
def test_lines_of_an_encoder_mount_its_weights(folder, tmp_path, runner):
    weights = tmp_path / "my cache" / "weights" / "musicnn-msd"
    weights.mkdir(parents=True)
    (weights / "musicnn-msd.safetensors").touch()
    arguments = ("musicnn-msd", str(folder), str(tmp_path / "out"), None, str(tmp_path / "my cache"))
    (line,) = commands.batches(*arguments, batch_size=9, runner=runner, precision="bf16")
    words = shlex.split(line)
    assert f"{weights}:/cache/weights/musicnn-msd:ro" in words
    assert words[words.index("musicnn-msd") :] == [
        *("musicnn-msd", "/input", "/output", "--batch_size", "9", "--batch_idx", "0", "--precision", "bf16")
    ]


def test_plain_lines_of_an_encoder_name_cache_card_and_weights(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text('name="mine"\ntitle="M"\nfamily="musicnn"\nlicence="MIT"\nsample_rate=16000\nwidth=2\n')
    arguments = ("mine", str(folder), "out", None, "cache")
    (line,) = commands.batches(*arguments, batch_size=9, runner="plain", card="mine.toml", weights="w", layers="all")
    pairs = set(itertools.pairwise(shlex.split(line)))
    expected = {"--cache": "cache", "--card": "mine.toml", "--weights": "w"}
    assert {(option, str(tmp_path / name)) for option, name in expected.items()} | {("--layers", "all")} <= pairs


def test_another_image_can_be_named(folder, tmp_path):
    arguments = ("chroma", str(folder), str(tmp_path / "out"), None, None)
    (line,) = commands.batches(*arguments, batch_size=9, runner="apptainer", image="/images/chroma.sif")
    assert "/images/chroma.sif" in shlex.split(line)
    (line,) = commands.batches(*arguments, batch_size=9, runner="docker", image="my/chroma:2")
    assert "my/chroma:2" in shlex.split(line)


def test_a_folder_without_audio_has_no_batches(tmp_path):
    with pytest.raises(RequestError, match="no audio files"):
        list(commands.batches("chroma", str(tmp_path), "out", None, None, batch_size=9, runner="docker"))


@pytest.mark.docker
@pytest.mark.parametrize("name", STRANGE)
def test_docker_lines_work_whatever_the_folders_are_called(stand_ins, tmp_path, name, write_audio):
    write_audio(tmp_path / name / "in" / "a b.wav", seconds=0.1)
    arguments = ("echo", str(tmp_path / name / "in"), str(tmp_path / name / "out"), None, None)
    image = f"{stand_ins}/representations_echo:{__version__}"
    (line,) = commands.batches(*arguments, batch_size=7, runner="docker", image=image)
    done = paste(line)
    assert (done.returncode, done.stdout, done.stderr) == (0, "--batch_size 7 --batch_idx 0\n", "")
    out = tmp_path / name / "out"
    assert (out / "seen").read_text() == "a b.wav\n"
    assert (out / "seen").stat().st_uid == os.getuid()


@pytest.mark.docker
@pytest.mark.parametrize("name", STRANGE)
def test_a_launch_works_whatever_the_folders_are_called(launch, tmp_path, name, write_audio):
    write_audio(tmp_path / name / "in" / "a b.wav", seconds=0.1)
    code, output, errors = launch("extract", "--batch_size", "7", "--", "echo", tmp_path / name / "in", tmp_path / name / "out")
    assert (code, output, errors) == (0, "--batch_size 7\n", "")
    assert (tmp_path / name / "out" / "seen").read_text() == "a b.wav\n"


@pytest.mark.docker
@pytest.mark.parametrize("variable", ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"])
def test_the_batch_of_a_scheduler_is_passed_to_the_image(launch, tmp_path, variable):
    assert launch("extract", "echo", tmp_path, tmp_path / "out", environment={variable: "4"})[0] == 0
    assert f"{variable}=4" in (tmp_path / "out" / "variables").read_text().splitlines()
