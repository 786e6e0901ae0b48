"""Closed and full standard streams, and a machine without shared memory: files and exit codes as promised, and never a traceback."""

import os
import shlex
import shutil
import subprocess
import sys

import pytest

FILES = 3


@pytest.fixture
def run(write_audio, tmp_path):
    """A function that gives a shell a line in which ``$run`` is a good request and ``$wrong`` a wrong one; returns code and output."""
    for number in range(FILES):
        write_audio(tmp_path / "in" / f"{number}.wav", seed=number)

    def call(line, **variables):
        command = f"{shlex.quote(sys.executable)} -m jukemir_like extract mfcc"
        environment = {"run": f"{command} {tmp_path}/in {tmp_path}/out", "wrong": f"{command} {tmp_path}/nowhere {tmp_path}/out"}
        done = subprocess.run(
            ["bash", "-c", line.replace("$run", environment["run"]).replace("$wrong", environment["wrong"])],
            env={**os.environ, **variables}, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return call


def made(tmp_path):
    return len(list((tmp_path / "out").glob("*.npy")))


LOST = "jukemir-like: standard output cannot be written (no space left on device): the work is done\n"


@pytest.mark.parametrize(
    ("streams", "code", "says", "errors"),
    [
        ("2>&-", 0, True, ""),
        (">&-", 0, False, ""),
        ("<&-", 0, True, ""),
        ("<&- >&- 2>&-", 0, False, ""),
        ("2> /dev/full", 0, True, ""),
        ("> /dev/full", 2, False, LOST),
        ("> /dev/full 2>&1", 2, False, ""),
        ("> /dev/full 2>&-", 2, False, ""),
    ],
)
def test_the_files_are_made_whoever_listens(run, tmp_path, streams, code, says, errors):
    done, output, said = run(f"$run --workers 2 {streams}")
    assert (done, said) == (code, errors)
    assert output.startswith("extract mfcc: 3 done") == says
    assert made(tmp_path) == FILES
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file() and b"extract mfcc: " in path.read_bytes()]


@pytest.mark.parametrize("streams", ["", "2>&-", "2> /dev/full", ">&- 2>&-", "> /dev/full"])
def test_a_wrong_request_stays_one(run, streams):
    done, _, said = run(f"$wrong {streams}")
    assert done == 2
    assert "Traceback" not in said


@pytest.mark.parametrize("streams", ["2>&-", "2> /dev/full", "> /dev/full 2>&1"])
def test_failed_inputs_keep_their_code(run, tmp_path, streams):
    (tmp_path / "in" / "bad.wav").write_bytes(b"nothing")
    done, _, _ = run(f"$run {streams}")
    assert done == 3
    assert made(tmp_path) == FILES


def test_a_reader_that_leaves_is_no_fault(run, tmp_path):
    done, output, said = run("$run | true; echo ${PIPESTATUS[0]}")
    assert (done, output, said) == (0, "1\n", "")  # click's code for it
    assert made(tmp_path) == FILES
    done, output, _ = run("rm -r $OUT; $run 2> >(true); echo $?", OUT=str(tmp_path / "out"))
    assert output.splitlines()[-1] == "0"
    assert made(tmp_path) == FILES


def test_a_help_page_that_cannot_be_written_is_told(run):
    done, _, said = run(f"{shlex.quote(sys.executable)} -m jukemir_like --help > /dev/full")
    assert (done, said) == (2, LOST)


def test_characters_that_a_terminal_lacks_are_escaped(run):
    done, output, said = run(f"{shlex.quote(sys.executable)} -m jukemir_like download --help", PYTHONIOENCODING="ascii")
    assert (done, said) == (0, "")
    assert output.isascii()


def test_what_is_said_goes_into_the_log_too(run, tmp_path):
    done, output, _ = run("$run", JUKEMIR_LIKE_LOG=str(tmp_path / "log"))
    assert (done, (tmp_path / "log").read_text()) == (0, output)
    done, _, said = run("$wrong 2>&1 >&2 | cat >&2", JUKEMIR_LIKE_LOG=str(tmp_path / "wrong"))
    assert (tmp_path / "wrong").read_text() == said
    assert run("$run", JUKEMIR_LIKE_LOG="/nowhere/log")[0] == 0


@pytest.fixture
def no_shared_memory():
    """How a command is begun where /dev/shm cannot be written to."""
    begin = "unshare -m sh -c 'mount -t tmpfs -o ro none /dev/shm && exec \"$@\"' --"
    if not shutil.which("unshare") or subprocess.run([*shlex.split(begin), "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a file system of its own: root")
    return begin


def test_without_shared_memory_files_are_made_by_several_workers(run, tmp_path, no_shared_memory):
    done, output, said = run(f"{no_shared_memory} $run --workers 2")
    assert (done, said) == (0, "")
    assert output.startswith("extract mfcc: 3 done")
    assert made(tmp_path) == FILES


def test_without_shared_memory_training_reads_in_its_own_process(tmp_path, no_shared_memory):
    script = (
        "import numpy, pathlib, sys\nfrom jukemir_like.stemjepa.data import loading\n"
        "print(loading.read_ahead(2, 1000, loading._free_shared_memory()))"
    )
    done = subprocess.run([*shlex.split(no_shared_memory), sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "(0, 4)\n" or done.stdout.startswith("(0,")
    assert "/dev/shm has room for 0 of 2 loader workers" in done.stderr
