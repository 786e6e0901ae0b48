"""OpenMP says itself how its threads wait, when torch has it loaded."""

import os
import re
import subprocess
import sys

import pytest

from jukemir_like.core.parallel import wait_without_spinning

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def policies(program, folder, **variables):
    """What OpenMP prints of its policy whenever it is loaded in the process; the run itself is refused."""
    environment = {name: value for name, value in os.environ.items() if name not in WAITING}
    environment |= {"OMP_DISPLAY_ENV": "VERBOSE", "DORA_PACKAGE": "jukemir_like", "DORA_DIR": str(folder), **variables}
    command = [sys.executable, "-m", *program, "trainer=cpu", "data.data_path=/nowhere", "logger=csv"]
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert process.returncode == 2, process.stderr
    assert "no folder /nowhere" in process.stderr
    return re.findall(r"OMP_WAIT_POLICY = '(\w+)'", process.stderr)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="another OpenMP prints it otherwise")
@pytest.mark.parametrize("program", [["jukemir_like", "train"], ["dora", "run"]])
def test_threads_of_a_training_sleep_while_they_wait_unless_the_user_wants_otherwise(program, tmp_path):
    assert policies(program, tmp_path)[-1:] == ["PASSIVE"]
    assert policies(program, tmp_path, OMP_WAIT_POLICY="ACTIVE") == ["ACTIVE"]  # and Dora does not start again


@pytest.mark.skipif(sys.platform != "linux", reason="another OpenMP prints it otherwise")
@pytest.mark.parametrize("program", ["retrieve", "serve"])
def test_threads_of_a_search_sleep_while_they_wait(program, tmp_path, write_audio):
    write_audio(tmp_path / "mix.wav", seconds=1)
    context = ["--context", "mix.wav", "--instrument", "bass"] if program == "retrieve" else []
    environment = {name: value for name, value in os.environ.items() if name not in WAITING} | {"OMP_DISPLAY_ENV": "VERBOSE"}
    command = [sys.executable, "-m", "jukemir_like", program, *context, "--library", "nowhere", "--cache", "cache"]
    process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert "nowhere is not a folder" in process.stderr
    assert re.findall(r"OMP_WAIT_POLICY = '(\w+)'", process.stderr) == ["PASSIVE"]


@pytest.mark.parametrize("variable", WAITING)
def test_what_the_user_has_set_is_kept(monkeypatch, variable):
    for other in WAITING:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(variable, "mine")
    assert not wait_without_spinning()
    assert {other: os.environ[other] for other in WAITING if other in os.environ} == {variable: "mine"}


def test_it_is_said_where_torch_is_there_already(monkeypatch):
    import torch  # noqa: F401

    for variable in WAITING:
        monkeypatch.setenv(variable, "")  # so that it is removed in the end, whatever is set here
        monkeypatch.delenv(variable)
    assert wait_without_spinning()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    assert not wait_without_spinning()
