"""The whole line as jobs of a SLURM cluster: the same files as here, also where jobs, a node or the run itself end in the middle."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STATE = Path("/var/lib/slurm-rig")  # of .ci/slurm

pytestmark = pytest.mark.slurm


def start(cache, *more, **environment):
    command = [sys.executable, ROOT / "scripts" / "reproduce.py", "--cache", cache, "--datasets", "synthband", "--songs", "24"]
    command += ["--steps", "2", "--batch-size", "8", "--deform", "noise-20", *more]
    with open(cache.parent / f"{cache.name}.log", "ab") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, cwd=cache.parent, env=os.environ | environment
        )


def said(cache):
    return (cache.parent / f"{cache.name}.log").read_text()


def finish(process, cache):
    assert process.wait(timeout=900) == 0, said(cache)[-4000:]


def same(cache, other):
    compared = subprocess.run([sys.executable, ROOT / "scripts" / "compare_caches.py", cache, other], capture_output=True, text=True)
    assert compared.returncode == 0, compared.stdout
    assert int(compared.stdout.split()[-7]) > 100  # files


def jobs(cache, state):
    """Jobs of a cache, by number; tasks of an array by themselves."""
    folder = "--format=%i|%Z"
    rows = subprocess.run(["squeue", "--noheader", "--array", f"--states={state}", folder], capture_output=True, text=True, check=True)
    return [number.strip() for number, _, place in (row.partition("|") for row in rows.stdout.splitlines()) if place.strip() == str(cache)]


def wait_for(condition, process, cache, seconds=300):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert process.poll() is None, said(cache)[-4000:]
        assert time.monotonic() < deadline, said(cache)[-4000:]
        time.sleep(0.2)
    return found


@pytest.fixture(scope="module")
def line(slurm):
    """Options of a run on the cluster."""
    return ("--runner", "slurm", "--partition", slurm, "--status-seconds", "2")


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    cache = tmp_path_factory.mktemp("here") / "cache"
    finish(start(cache, "--representations", "mfcc stemjepa-reproduce"), cache)
    return cache


@pytest.fixture
def before_extraction(here, tmp_path):
    """A copy of the cache in which one representation is not extracted yet."""
    cache = tmp_path / "cache"
    shutil.copytree(here, cache, symlinks=True)
    for folder in ("representations", "probes", ".stages/extract", ".stages/probe"):
        shutil.rmtree(cache / folder / "synthband" / "mfcc")
    shutil.rmtree(cache / "report")
    return cache


def test_the_line_writes_the_same_files_as_here_and_then_does_nothing(here, line, tmp_path):
    cache = tmp_path / "cache"
    finish(start(cache, *line, "--representations", "mfcc stemjepa-reproduce"), cache)
    same(here, cache)
    assert list((cache / "processed" / "synthband~noise-20" / "wav").glob("*.wav"))
    (log,) = (cache / ".snakemake" / "slurm_logs").glob("rule_extract_synthband_mfcc_*/*_2.log")
    assert log.name.startswith(log.stem.partition("_")[0] + "_")  # the second task of an array
    before = {path: path.stat().st_mtime_ns for path in (cache / "probes").rglob("*")}
    finish(start(cache, *line, "--representations", "mfcc stemjepa-reproduce"), cache)
    assert before == {path: path.stat().st_mtime_ns for path in (cache / "probes").rglob("*")}


def test_jobs_that_are_cancelled_and_a_node_that_goes_down_change_nothing(here, line, before_extraction):
    cache, names = before_extraction, ("--representations", "mfcc stemjepa-reproduce")
    process = start(cache, *line, *names)
    wait_for(lambda: jobs(cache, "RUNNING"), process, cache)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 130
    assert jobs(cache, "RUNNING,PENDING") == []
    assert said(cache).rstrip().endswith("what was finished is kept, run the same command to go on")

    process = start(cache, *line, *names)
    running = wait_for(lambda: jobs(cache, "RUNNING"), process, cache)
    subprocess.run(["scancel", running[0]], check=True)
    daemon = STATE / "slurmd.node2.pid"
    if daemon.exists():  # the cluster is our own
        os.kill(int(daemon.read_text()), signal.SIGKILL)
    try:
        code = process.wait(timeout=900)
    finally:
        if daemon.exists():
            subprocess.run([ROOT / ".ci" / "slurm", "node", "node2"], check=True)
    if code != 0:
        assert "has failed (job " in said(cache)
        finish(start(cache, *line, *names), cache)
    same(here, cache)


def test_a_job_that_slurm_ends_is_named_with_the_reason(line, before_extraction):
    cache = before_extraction
    process = start(cache, *line, "--representations", "mfcc")
    cancelled = set()
    while process.poll() is None:  # each attempt of each batch
        for job in set(jobs(cache, "RUNNING,PENDING")) - cancelled:
            cancelled.add(job)
            subprocess.run(["scancel", job], check=True)
        time.sleep(0.2)
    assert process.returncode != 0
    assert "CANCELLED" in said(cache)
    assert said(cache).rstrip().endswith("give the same command again, and it goes on from there")


STAND_IN = f"""#!{sys.executable}
import os, pathlib, subprocess, sys
with open(os.environ["APPTAINER_CALLS"], "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
words = sys.argv[2:]
if sys.argv[1] == "build":
    pathlib.Path(words[-2]).write_text(words[-1])
    sys.exit()
places, folder = {{}}, None
while words[0].startswith("-"):
    option = words.pop(0)
    if option in ("--bind", "--env", "--pwd"):
        value = words.pop(0)
        if option == "--bind":
            source, target = value.split(":")[:2]
            places[target] = source
        folder = value if option == "--pwd" else folder
sif = pathlib.Path(words.pop(0))
if sys.argv[1] == "run":  # an image of a representation: the end of its name says of which
    words = ["jukemir-like", "extract", sif.read_text().rpartition("_")[2].partition(":")[0], "/input", "/output", *words]
command = [sys.executable, "-m", "jukemir_like", *(places.get(word, word) for word in words[1:])]
sys.exit(subprocess.run(command, cwd=folder).returncode)
"""


def test_in_containers_each_image_is_converted_once_and_the_files_are_the_same(here, line, before_extraction):
    """By a stand-in for Apptainer, which notes how it is called, and runs the stage without a container."""
    cache = before_extraction
    program = cache.parent / "bin" / "apptainer"
    program.parent.mkdir()
    program.write_text(STAND_IN)
    program.chmod(0o755)
    environment = {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "APPTAINER_CALLS": str(cache.parent / "calls"),
        "JUKEMIR_LIKE_IMAGES": "registry.test/stages",
    }
    finish(start(cache, *line, "--container", "apptainer", "--jobs", "2", "--representations", "mfcc", **environment), cache)
    calls = (cache.parent / "calls").read_text().splitlines()
    built = [call.rpartition("docker://registry.test/stages/")[2].partition(":")[0] for call in calls if call.startswith("build")]
    assert sorted(built) == ["download", "probe", "process", "representations_mfcc"]
    assert {path.name.partition("_stages_")[2].rpartition("_")[0] for path in (cache / "images").iterdir() if path.is_symlink()} == set(
        built
    )
    inside = [call for call in calls if not call.startswith("build")]
    assert all("--containall" in call for call in inside)
    assert sum("/input" in call and "--batch_idx" in call for call in inside) == 3
    vectors = sorted((here / "representations" / "synthband" / "mfcc").glob("*.npy"))
    assert len(vectors) == 24
    for path in vectors:
        assert (cache / path.relative_to(here)).read_bytes() == path.read_bytes()
