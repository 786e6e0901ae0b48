"""A cluster is asked through its own programs; here stand-ins for them say what real ones have said."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.launch import cluster, workflow
from jukemir_like.launch.resources import Node

ROOT = Path(__file__).resolve().parents[2]
SINFO = "cpu|16|64000|1-00:00:00|(null)|cpu*\\ncpu|64+|256000+|1-00:00:00|(null)|cpu*\\ngpu|32|512000|8:00:00|gpu:a100:4(S:0-1)|gpu\\n"


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A function that puts a program on the PATH, which is else empty: ``programs(sinfo="what a shell does")``."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()

    def put(**scripts):
        for name, script in scripts.items():
            path = tmp_path / "bin" / name
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)

    return put


def test_without_sbatch_it_is_refused(programs):
    with pytest.raises(RequestError, match="there is no sbatch here"):
        cluster.check_submission(None, None)


def test_what_sbatch_refuses_is_refused_with_its_words(programs):
    programs(sbatch='echo "sbatch: error: invalid partition specified: nosuch" >&2; echo "allocation failure" >&2; exit 1')
    with pytest.raises(RequestError, match=r"^SLURM refuses jobs of --partition=nosuch --account=me: invalid partition specified: nosuch$"):
        cluster.check_submission("nosuch", "me")
    programs(sbatch='[ "$*" = "--test-only --wrap=true" ]')
    cluster.check_submission(None, None)


def test_a_node_has_no_more_than_the_largest_of_its_partition(programs):
    programs(sinfo=f"printf '{SINFO}'")
    assert cluster.read_node("") == Node(processors=8, memory=256_000, gpus=0, minutes=1440)
    programs(sinfo="printf 'gpu|32|512000|8:00:00|gpu:a100:4(S:0-1)|gpu\\n'")
    assert cluster.read_node("gpu") == Node(processors=8, memory=512_000, gpus=4, minutes=480)
    programs(sinfo="exit 0")
    with pytest.raises(RequestError, match="no partition nosuch"):
        cluster.read_node("nosuch")
    programs(sinfo='echo "slurm_load_partitions: Unable to contact slurm controller" >&2; exit 1')
    with pytest.raises(RequestError, match=r"does not answer sinfo: .*Unable to contact"):
        cluster.read_node("main")


def test_where_nodes_differ_one_of_them_has_all_that_is_asked_for(programs):
    """Most processors of one node, most memory of another and the GPUs of a third would be a node that there is not."""
    programs(sinfo="printf 'a|64|512000|infinite|(null)|a\\na|4|15000|infinite|gpu:1|a\\na|2|900000|1:00:00|gpu:1|a\\n'")
    assert cluster.read_node("a") == Node(processors=4, memory=15_000, gpus=1, minutes=60)


def test_accounting_is_there_where_sacct_works(programs):
    assert not cluster.has_accounting()
    programs(sacct='echo "Slurm accounting storage is disabled" >&2; exit 1')
    assert not cluster.has_accounting()
    programs(sacct="exit 0")
    assert cluster.has_accounting()


def test_what_became_of_a_job_is_asked_of_the_accounts_and_else_of_the_controller(programs):
    programs(scontrol='[ "$4" = 12_3 ] && echo "JobId=15 ArrayJobId=12 JobState=NODE_FAIL Reason=NodeDown"; exit 0')
    assert cluster.read_state("12_3") == "NODE_FAIL"
    assert cluster.read_state("99") == ""
    programs(sacct='[ "$1" = --jobs=12 ] && echo "CANCELLED by 0"; exit 0')
    assert cluster.read_state("12") == "CANCELLED"


def test_jobs_of_one_name_are_cancelled_and_no_others(programs, tmp_path):
    programs(
        squeue=f"[ -e {tmp_path}/cancelled ] || printf '7|mine-1\\n8|mine-1\\n8|mine-1\\n9|others\\n'",
        scancel=f'echo "$*" > {tmp_path}/cancelled',
    )
    assert cluster.cancel("mine") == 2
    assert (tmp_path / "cancelled").read_text().split() == ["7", "8"]
    assert cluster.cancel("mine") == 0


@pytest.fixture
def whole(programs, monkeypatch):
    """A cluster without accounts, with one GPU a node."""
    monkeypatch.setattr(workflow, "PLUGIN", "json")
    programs(
        sbatch="exit 0",
        sinfo="printf 'main|4|16000|infinite|gpu:1|main*\\n'",
        scontrol='echo "MaxArraySize            = 1001"; echo "MinJobAge               = ${AGE:-300} sec"',
        sacct="exit 1",
    )
    return programs


def plan(**changes):
    extractions = workflow.extractions(["a", "a"], ["mfcc"], ["mert-95m"])
    return workflow.plan(
        **{"partition": "main", "account": "", "gpus": None, "jobs": "", "status_seconds": None, "extractions": extractions} | changes
    )


def test_batches_are_arrays_unless_jobs_are_limited(whole):
    planned = plan()
    assert planned.node == Node(processors=4, memory=16000, gpus=1)
    assert planned.array_size == 1000
    (arrays,) = [option for option in planned.options if "array-jobs" in option]
    assert len(arrays.split(",")) == 2
    assert "--jobs=unlimited" in planned.options
    limited = plan(jobs="3")
    assert limited.array_size is None
    assert "--jobs=3" in limited.options
    assert not [option for option in limited.options if "array" in option]


def test_an_account_is_given_in_the_way_that_the_cluster_checks(whole):
    planned = plan(account="me")
    assert planned.environment["SBATCH_ACCOUNT"] == "me"
    assert "--slurm-no-account" in planned.options
    whole(sacct="exit 0")
    planned = plan(account="me")
    assert "SBATCH_ACCOUNT" not in planned.environment
    assert "slurm_account=me" in planned.options
    assert "--slurm-no-account" not in planned.options


def test_what_became_of_an_array_is_asked_of_the_controller_as_long_as_it_remembers(whole, monkeypatch):
    def status(planned):
        return next(option.partition("=")[2] for option in planned.options if "status-command" in option)

    assert status(plan()) == status(plan(jobs="3")) == "squeue"
    whole(sacct="exit 0")
    assert status(plan()) == "squeue"
    assert status(plan(jobs="3")) == "sacct"
    monkeypatch.setenv("AGE", "30")
    assert status(plan()) == "sacct"
    assert plan().array_size is None
    whole(sacct="exit 1")
    with pytest.raises(RequestError, match="raise MinJobAge"):
        plan()


def test_more_gpus_than_a_node_has_are_refused(whole):
    assert plan(gpus=0).node.gpus == 0
    with pytest.raises(RequestError, match="GPUS=2: a node of partition main has 1"):
        plan(gpus=2)


def test_names_of_rules_differ_where_extractions_do(whole):
    names = ["a-b", "a_b", "a.b", "a@layer=1", "a@layer=2", "hf:o/n", "A-b"]
    rules = {workflow.rule_name("extract", dataset, name) for name in names for dataset in ("d", "d-e")}
    assert len(rules) == 2 * len(names)
    assert all(rule.isascii() and rule.isidentifier() for rule in rules)


def test_reproduce_refuses_in_one_line_where_there_is_no_cluster(tmp_path):
    command = [sys.executable, ROOT / "scripts" / "reproduce.py", "--runner", "slurm", "--cache", tmp_path / "cache"]
    command += ["--datasets", "synthband", "--representations", "mfcc"]
    refused = subprocess.run(command, capture_output=True, text=True, env={"PATH": str(tmp_path), "PYTHONPATH": str(ROOT)})
    assert refused.returncode == 2
    (said,) = refused.stderr.splitlines()
    assert said.startswith("make reproduce: ")
    assert "sbatch" in said or "make setup" in said
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--runner", "docker", "--container", "apptainer"], 2, "RUNNER=docker and CONTAINER=apptainer are two programs"),
        (["--partition", "gpu", "--gpus", "0"], 0, "PARTITION=gpu GPUS=0 counts with RUNNER=slurm only; this runs here"),
    ],
)
def test_reproduce_says_what_does_not_go_with_the_runner(tmp_path, words, code, said):
    command = [sys.executable, ROOT / "scripts" / "reproduce.py", "--cache", tmp_path / "cache", "--plan", *words]
    command += ["--datasets", "synthband", "--representations", "mfcc"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == code
    assert f"make reproduce: {said}" in done.stderr


def test_the_plan_says_which_representations_are_taken_over_and_which_extracted(tmp_path):
    command = [sys.executable, ROOT / "scripts" / "reproduce.py", "--cache", tmp_path / "cache", "--plan", "--datasets", "gtzan_ff"]
    command += ["--representations", "chroma mfcc", "--precomputed", "--layers", "mert-95m"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.stdout.splitlines()[-2:] == [
        "and take over chroma mfcc of gtzan_ff",
        "and extract mert-95m (all layers) of gtzan_ff, in batches that are counted once it is processed",
    ]
