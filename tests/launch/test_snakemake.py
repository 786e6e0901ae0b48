"""Snakemake is started, watched and ended; here a shell stands for it."""

import os
import subprocess
import sys

import pytest

from jukemir_like.launch import cluster, snakemake, stamps


@pytest.fixture
def lock(tmp_path):
    descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def queue(monkeypatch):
    """What is in the queue of the cluster, and what was cancelled."""
    monkeypatch.setattr(snakemake, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(snakemake, "LOST_SECONDS", 0.3)
    monkeypatch.setattr(snakemake, "CANCEL_SECONDS", 0.5)
    cancelled = []
    monkeypatch.setattr(cluster, "cancel", lambda name, seconds: cancelled.append(name))
    return cancelled


def test_its_exit_code_and_what_it_says_are_kept(lock, tmp_path):
    assert snakemake.run(["sh", "-c", "exit 3"], lock) == 3
    assert snakemake.run(["sh", "-c", "echo words >&2"], lock, "mine", tmp_path / "log") == 0
    assert (tmp_path / "log").read_text() == "words\n"


def test_as_long_as_jobs_are_in_the_queue_it_is_left_alone(lock, queue, monkeypatch, tmp_path):
    monkeypatch.setattr(cluster, "has_jobs", lambda name: name == "mine")
    assert snakemake.run(["sleep", "1"], lock, "mine", tmp_path / "log") == 0
    assert queue == []


def test_where_its_jobs_are_gone_it_is_started_again(lock, queue, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(cluster, "has_jobs", lambda name: False)
    once = f"[ -e {tmp_path}/once ] && exit 0; touch {tmp_path}/once; exec sleep 60"
    assert snakemake.run(["sh", "-c", once], lock, "mine", tmp_path / "log") == 0
    assert queue == ["mine"]
    assert "submitted again" in capsys.readouterr().err
    assert snakemake.run(["sleep", "60"], lock, "mine", tmp_path / "log") == 1
    assert queue == ["mine"] * 4


@pytest.mark.parametrize("forced", [[], ["--forcerun", "a"]])
def test_where_jobs_have_ended_without_their_stage_it_is_started_again_and_makes_the_page_again(lock, tmp_path, capsys, forced):
    """The first time the script stamps, as Snakemake does, a stage that has not ended."""
    (tmp_path / stamps.LOGS / "probe").mkdir(parents=True)
    stamps.begin(tmp_path, "2")
    program = tmp_path / "program"
    program.write_text(
        """
        echo "$@" >> calls
        mkdir -p .stages/probe; touch .stages/probe/a
        [ "$(wc -l < calls)" -lt 2 ] || echo 2 > .stages/logs/probe/a.log.ended
        """
    )
    command = ["env", "-C", str(tmp_path), "sh", str(program), "--first", *forced]
    assert snakemake.run_on_cluster(command, lock, "mine", tmp_path) == 0
    first = " ".join(["--first", *forced])
    again = " ".join(["--first", *(forced or ["--forcerun"]), "report/index.html"])
    assert (tmp_path / "calls").read_text().splitlines() == [first, again]
    assert "probe/a" in capsys.readouterr().err
    assert (tmp_path / stamps.STAMPS / "probe" / "a").exists()


def test_where_jobs_never_do_their_stage_that_is_a_failure(lock, tmp_path):
    (tmp_path / stamps.LOGS).mkdir(parents=True)
    stamps.begin(tmp_path, "2")
    assert snakemake.run_on_cluster(["sh", "-c", f"cd {tmp_path}/.stages; mkdir -p probe; touch probe/a"], lock, "mine", tmp_path) == 1
    assert not (tmp_path / stamps.STAMPS / "probe" / "a").exists()


def test_a_stage_that_runs_here_is_waited_for(lock, queue, monkeypatch, tmp_path):
    monkeypatch.setattr(cluster, "has_jobs", lambda name: False)
    assert snakemake.run([sys.executable, "-c", "import os; os.system('sleep 1; true')"], lock, "mine", tmp_path / "log") == 0


@pytest.mark.parametrize("late", [0, 1])
def test_a_signal_cancels_the_jobs(tmp_path, late):
    """Also one that comes when Snakemake has begun and ``Popen`` has not come back yet."""
    code = f"""
import os, subprocess, sys, time
from pathlib import Path
from jukemir_like.core import signals
from jukemir_like.launch import cluster, snakemake, stamps
cluster.cancel = lambda name, seconds: print("cancelled", name, flush=True)
signals.install()
start = subprocess.Popen
subprocess.Popen = lambda *arguments, **options: (start(*arguments, **options), time.sleep({late}))[0]
lock = os.open({str(tmp_path / "lock")!r}, os.O_RDWR | os.O_CREAT)
try:
    snakemake.run(["sh", "-c", "echo begun; exec sleep 60"], lock, "mine", Path({str(tmp_path / "log")!r}))
except signals.Interrupted:
    signals.exit_interrupted()
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout.readline() == "begun\n"
    process.terminate()
    assert process.wait(timeout=30) == 130
    assert process.stdout.read() == "cancelled mine\n"
