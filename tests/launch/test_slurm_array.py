"""The array script: read as sbatch reads it, run as slurmd runs it (by a shell, with a number in the environment), and on a cluster."""

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
import pytest

from jukemir_like.cli import cli
from jukemir_like.core.errors import RequestError
from jukemir_like.launch import slurm_array

PROGRAMS = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


@pytest.fixture
def script(folder, tmp_path):
    """A function that makes the script of five files: ``script("chroma", batch_size=2, …)``."""

    def make(representation="chroma", output="out", **options):
        options = {"batch_size": 2, "container": "none", **options}
        return slurm_array.script(representation, str(folder), str(tmp_path / output), None, str(tmp_path / "cache"), **options)

    return make


@pytest.fixture
def apptainer(tmp_path):
    """A program of this name that writes down its arguments and ends as its environment says; returns the folder of both."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "apptainer").write_text(f'#!/bin/sh\necho "$@" >> {programs}/asked\nexit ${{CODE:-0}}\n')
    (programs / "apptainer").chmod(0o755)
    return programs


def directives(text):
    """Option → value, as sbatch finds them: in lines at the head, before the first command."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            break
        if line.startswith("#SBATCH "):
            option, _, value = line.removeprefix("#SBATCH ").partition("=")
            found[option] = value
    return found


def tasks(text):
    """The numbers of the tasks of an array."""
    numbers = []
    for part in directives(text)["--array"].partition("%")[0].split(","):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def run(text, task, **environment):
    variables = {"PATH": PROGRAMS, **os.environ, "SLURM_ARRAY_TASK_ID": str(task), **environment}
    return subprocess.run(["sh", "-s"], input=text, cwd="/", capture_output=True, text=True, env=variables, timeout=120)


def vectors(folder):
    return {str(path.relative_to(folder)): np.load(path).tobytes() for path in sorted(folder.rglob("*.npy"))}


def same_as_one_run(command, folder, tmp_path):
    assert command("extract", "chroma", folder, tmp_path / "whole").returncode in (0, 3)
    whole = vectors(tmp_path / "whole")
    return len(whole) >= 5 and vectors(tmp_path / "out") == whole


def test_sbatch_reads_what_a_batch_needs(script):
    text = script(gpus=True, cpus=3, memory=2, hours=1.25, parallel=2).text
    assert text.startswith("#!/bin/sh\n")
    assert directives(text) == {
        "--job-name": "extract-chroma", "--array": "0-2%2", "--cpus-per-task": "3", "--mem": "1908M", "--time": "01:15:00",
        "--gres": "gpu:1", "--requeue": "", "--open-mode": "append", "--output": "extract-chroma-%A_%a.log",
    }  # fmt: skip
    assert "--gres" not in directives(script().text)


def test_tasks_in_any_order_give_what_one_run_gives(command, script, folder, tmp_path):
    text = script(output="out").text
    for task in reversed(tasks(text)):
        done = run(text, task)
        assert done.returncode == 0, done.stderr
    assert same_as_one_run(command, folder, tmp_path)


@pytest.mark.parametrize("max_array_size", [2, 3, 4, 1001])
def test_arrays_that_would_be_too_large_have_all_batches_all_the_same(script, apptainer, max_array_size):
    made = script(batch_size=1, container="apptainer", image="registry.example/chroma:1", max_array_size=max_array_size)
    assert max(tasks(made.text)) < max_array_size
    for task in tasks(made.text):
        assert run(made.text, task, PATH=f"{apptainer}:{PROGRAMS}").returncode == 0
    asked = [line.split() for line in (apptainer / "asked").read_text().splitlines()]
    batches = [words[words.index("--batch_idx") + 1] for words in asked]
    assert sorted(batches) == ["0", "1", "2", "3", "4"]
    assert any("more than an array may have" in note for note in made.notes) == (max_array_size < 6)
    # All batches of a task have the time that each would have alone.
    alone = directives(script(batch_size=1).text)["--time"]
    hours = [int(time.split(":")[0]) * 60 + int(time.split(":")[1]) for time in (directives(made.text)["--time"], alone)]
    assert hours[0] == hours[1] * -(-5 // (max_array_size - 1))


@pytest.mark.parametrize(
    ("only", "max_array_size", "expected"), [("0,2", 1001, [0, 2]), ("4", 1001, [4]), ("1-4", 1001, [1, 2, 3, 4]), ("4", 3, [0])]
)
def test_only_some_batches_can_be_asked_for(script, only, max_array_size, expected):
    assert tasks(script(batch_size=1, only=only, max_array_size=max_array_size).text) == expected


def test_the_image_sees_its_folders_and_the_number_of_the_batch(script, apptainer, folder, tmp_path):
    image = tmp_path / "my image.sif"
    image.touch()
    made = script(container="apptainer", image=str(image), output="it's out", gpus=True)
    assert run(made.text, 1, PATH=f"{apptainer}:{PROGRAMS}").returncode == 0
    assert made.notes == ()
    assert (tmp_path / "it's out").is_dir()
    seen = f"--bind {folder}:/input:ro --bind {tmp_path}/it's out:/output"
    assert (apptainer / "asked").read_text() == (f"run --containall --nv {seen} {image} --batch_size 2 --workers 4 --batch_idx 1\n")


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (1, 1), (2, 2), (3, 0), (130, 130), (137, 137)])
def test_batches_in_which_some_files_failed_count_as_done_and_others_do_not(script, apptainer, code, expected):
    text = script(container="apptainer", image="registry.example/chroma:1", max_array_size=2).text
    done = run(text, 0, PATH=f"{apptainer}:{PROGRAMS}", CODE=str(code))
    assert done.returncode == expected
    assert len((apptainer / "asked").read_text().splitlines()) == 3  # one that fails does not keep the others from running
    assert done.stderr.count("some files failed") == (3 if code == 3 else 0)


def test_a_bad_file_is_told_and_its_batch_is_done(command, script, folder, tmp_path):
    (folder / "2bad.wav").write_text("no audio")
    text = script().text
    ended = [run(text, task) for task in tasks(text)]
    assert [done.returncode for done in ended] == [0, 0, 0]
    assert ["2bad.wav" in done.stderr for done in ended] == [False, True, False]
    assert same_as_one_run(command, folder, tmp_path)


def test_an_image_that_is_not_there_is_said_when_it_is_printed_and_when_it_runs(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = script(container="apptainer")
    (note,) = made.notes
    built = shlex.split(note.partition(": ")[2])
    assert built[:2] == ["apptainer", "build"]
    assert built[2].startswith(f"{tmp_path}/")
    assert built[2].endswith(".sif")
    assert built[3].startswith("docker-daemon:stemjepa/representations_chroma:")
    done = run(made.text, 0)
    assert done.returncode == 2
    assert done.stderr == f"there is no {built[2]}: {shlex.join(built)}\n"
    assert not (tmp_path / "out").exists()


def test_outside_of_an_array_it_does_nothing(script):
    text = script().text
    for task in ("", "3", "9"):
        done = run(text, task)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        assert "SLURM_ARRAY_TASK_ID" in done.stderr or "there is no task" in done.stderr


@pytest.mark.parametrize("name", ["it's $HOME `id` #x", '-"q:u,o\\te" ünï', "new\nline"])
def test_folders_may_have_any_name(tmp_path, write_audio, name):
    write_audio(tmp_path / name / "in" / "a.wav", seconds=0.3)
    request = ("mfcc", str(tmp_path / name / "in"), str(tmp_path / name / "out"), None, None)
    text = slurm_array.script(*request, batch_size=7, container="none").text
    assert run(text, 0).returncode == 0
    assert (tmp_path / name / "out" / "a.npy").exists()


def test_a_task_has_as_many_workers_as_processors_unless_it_is_said(script):
    for options, workers in (({}, "4"), ({"cpus": 3}, "3"), ({"cpus": 3, "workers": 2}, "2"), ({"workers": 5}, "5")):
        for container in ({"container": "none"}, {"container": "apptainer", "image": "registry.example/chroma:1"}):
            text = script(**options, **container).text
            (line,) = (line for line in text.splitlines() if '--batch_idx "$batch"' in line)
            assert f" --workers {workers} " in line
            assert directives(text)["--cpus-per-task"] == str(options.get("cpus", options.get("workers", 4)))
    foreign = script("level", container="apptainer", image="registry.example/level:1").text
    assert "--workers" not in foreign


def test_an_encoder_of_the_cache_has_the_options_of_its_family(script, own_encoder):
    text = script(own_encoder, container="apptainer", image="registry.example/mine:1").text
    (line,) = (line for line in text.splitlines() if '--batch_idx "$batch"' in line)
    assert f" jukemir-like extract {own_encoder} /input /output " in line
    assert " --workers 4 " in line


@pytest.mark.parametrize("max_array_size", [3, 1001])
def test_the_command_at_the_head_knows_batches_that_never_began(command, script, folder, tmp_path, max_array_size):
    lines = script(max_array_size=max_array_size).text.splitlines()
    (line,) = (line.removeprefix("#") for line in lines if "commands collect" in line)
    assert shlex.split(line)[:1] == ["jukemir-like"]
    told = command(*shlex.split(line)[1:], cwd=tmp_path)
    assert "0 of 3 batches of 2 complete; 0 files done, 0 failed, 5 missing" in told.stdout
    assert f"sbatch --array={'0,1' if max_array_size == 3 else '0-2'} FILE" in told.stdout


@pytest.mark.parametrize(
    ("representation", "options", "why"),
    [
        ("nosuch", {}, "unknown representation 'nosuch'"),
        ("musicnn-msd", {}, "`jukemir-like download musicnn-msd` gets them"),
        ("chroma", {"precision": "bf16"}, "precision"),
    ],
)
def test_what_no_task_could_do_is_refused_before(script, representation, options, why):
    with pytest.raises(RequestError, match=why):
        script(representation, **options)


def test_what_the_image_does_not_take_is_refused(script):
    with pytest.raises(RequestError, match="leave out --precision"):
        script("level", container="apptainer", precision="bf16")


def test_the_command_prints_the_script_alone(command, folder, tmp_path):
    done = command("commands", "extract", "--representation", "chroma", "in", "out", "--runner", "slurm", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("#!/bin/sh\n")
    assert done.stdout.endswith('exit "$code"\n')
    assert re.fullmatch(r"note: build the image first: .*\n", done.stderr)


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (("--runner", "docker", "--hours", "3"), "--runner docker has no --hours: it is of slurm"),
        (("--runner", "slurm", "--claim", "a=/b"), "--runner slurm has no --claim: it is of kubernetes"),
        (("--runner", "plain", "--parallel", "3"), "--runner plain has no --parallel: it is of slurm, kubernetes"),
        (("--runner", "kubernetes", "--batches", "3"), "--runner kubernetes has no --batches"),
    ],
)
def test_options_of_other_runners_are_refused(folder, words, refused):
    with pytest.raises(click.UsageError, match=refused):
        cli.main(["commands", "extract", "--representation", "chroma", str(folder), "out", *words], standalone_mode=False)


@pytest.mark.slurm
@pytest.mark.usefixtures("slurm")
@pytest.mark.parametrize(("max_array_size", "told"), [(1001, [False, True, False]), (3, [False, True])])
def test_the_script_as_it_is_printed_runs_as_an_array(command, folder, tmp_path, max_array_size, told):
    (folder / "2bad.wav").write_text("no audio")
    words = ["--representation", "chroma", "in", "out", "--batch_size", "2", "--cpus", "1", "--memory", "0.4"]
    words += ["--runner", "slurm", "--container", "none", "--max_array_size", str(max_array_size)]
    printed = command("commands", "extract", *words, cwd=tmp_path)
    (tmp_path / "chroma.sh").write_text(printed.stdout)
    submitted = subprocess.run(["sbatch", "--parsable", "chroma.sh"], cwd=tmp_path, capture_output=True, text=True, check=True)
    job = submitted.stdout.strip().partition(";")[0]
    # A job that waits for the others to succeed starts, although one file failed.
    after = ["sbatch", f"--dependency=afterok:{job}", "--parsable", "--output=/dev/null", "--mem=50M", f"--wrap=touch {tmp_path}/after"]
    subprocess.run(after, cwd=tmp_path, capture_output=True, text=True, check=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "after").exists():
        assert time.monotonic() < deadline, subprocess.run(["scontrol", "show", "job", job], capture_output=True, text=True).stdout
        time.sleep(0.5)
    assert same_as_one_run(command, folder, tmp_path)
    logs = {path.name: path.read_text() for path in tmp_path.glob("*.log")}
    assert sorted(logs) == [f"extract-chroma-{job}_{task}.log" for task in range(len(told))]
    assert ["2bad.wav" in logs[name] for name in sorted(logs)] == told
    collected = command("commands", "collect", "out", "--input", "in", "--max_array_size", str(max_array_size), cwd=tmp_path)
    assert collected.returncode == 3
    assert "batch 1: 1 done, 1 failed" in collected.stdout
    assert "--array=1 FILE" in collected.stdout
