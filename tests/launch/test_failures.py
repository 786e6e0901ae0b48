"""What stages leave beside their logs is told in a line each."""

import os

import pytest

from jukemir_like.launch import cluster, failures


@pytest.fixture
def logs(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "read_state", lambda job: {"12_3": "OUT_OF_MEMORY"}.get(job, ""))
    times = iter(range(100))

    def write(name, log="", **endings):
        path = tmp_path / f"{name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(log)
        for ending, text in endings.items():
            path.with_name(f"{path.name}.{ending}").write_text(f"{text}\n")
            os.utime(path.with_name(f"{path.name}.{ending}"), (next(times),) * 2)

    return write


def test_each_failure_has_its_stage_its_reason_and_its_last_words(logs, tmp_path):
    logs("report", "fine\n")
    logs("probe/a/mfcc/linear-0", "first\nno vectors\n\n", failed=2)
    logs("extract/a/mert.layer3/256-0", "began\n", job="12_3")
    logs("process/a", "", failed=137)
    logs("train/base", "interrupted\n", job="99", failed=130)
    found = failures.find(tmp_path)
    assert [(failure.stage, failure.why, failure.words, failure.code) for failure in found] == [
        ("probe a mfcc linear-0", "exit code 2", "no vectors", 2),
        ("extract a mert.layer3 256-0", "job 12_3: OUT_OF_MEMORY", "began", 1),
        ("process a", "killed by signal 9", "it said nothing", 137),
        ("train base", "job 99: SLURM does not know any more what became of it", "interrupted", 130),
    ]
    assert all(failure.log.is_file() for failure in found)
    failures.forget(tmp_path)
    assert failures.find(tmp_path) == []
    assert len(list(tmp_path.rglob("*.log"))) == 5


def test_what_was_said_of_jobs_is_found_in_the_log(tmp_path):
    log = tmp_path / "snakemake.log"
    assert failures.said_of_jobs(log) == []
    log.write_text("Building DAG\n  message: SLURM-job '1_2' failed, SLURM status is: 'CANCELLED'. Further details\n" * 2)
    assert failures.said_of_jobs(log) == ["SLURM-job '1_2' failed, SLURM status is: 'CANCELLED'"]
    log.write_text("  SLURM sbatch failed. The error message was 'sbatch: error: no'.\n    sbatch call:\n")
    assert failures.said_of_jobs(log) == ["SLURM sbatch failed. The error message was 'sbatch: error: no'."]
    log.write_text("".join(f"line {index}\n\n" for index in range(100)))
    assert failures.said_of_jobs(log) == [f"line {index}" for index in range(80, 100)]
