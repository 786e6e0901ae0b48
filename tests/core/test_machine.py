"""The least of what limits this process: the machine, its control group and all above it, SLURM. On trees of files as systems have them."""

import os

import pytest

from jukemir_like.core.machine import available_cpus, available_memory, cpus_per_process, workers_that_fit

GB = 1 << 30
VERSION_2 = "25 30 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
VERSION_1 = (
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "34 31 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
)
IN_A_CONTAINER = "741 740 0:27 /kubepods/pod1/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
JOB = "sys/fs/cgroup/system.slice/slurmstepd.scope/job_7"
TASK = "0::/system.slice/slurmstepd.scope/job_7/step_0/task_0\n"


@pytest.fixture(autouse=True)
def many_processors(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))


@pytest.fixture
def tree(tmp_path):
    def write(files):
        files = {"proc/meminfo": f"MemTotal: 999 kB\nMemAvailable:   {100 * GB // 1024} kB\n"} | files
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return write


def mounts(cgroup, mountinfo):
    return {"proc/self/cgroup": cgroup, "proc/self/mountinfo": "22 1 8:1 / / rw - ext4 /dev/sda rw\n" + mountinfo}


OF_VERSION_1 = mounts("4:memory:/job/step\n2:cpu,cpuacct:/job/step\n1:name=systemd:/job\n0::/\n", VERSION_1)


@pytest.mark.parametrize(
    ("files", "processors"),
    [
        ({}, 64),
        (mounts("0::/\n", VERSION_2) | {"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
        (mounts("0::/\n", VERSION_2) | {"sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        (mounts("0::/\n", VERSION_2) | {"sys/fs/cgroup/cpu.max": "max 100000\n"}, 64),
        (mounts("0::/\n", VERSION_2) | {"sys/fs/cgroup/cpu.max": "nonsense\n"}, 64),
        (mounts("0::/\n", VERSION_2) | {"sys/fs/cgroup/cpu.max": "1 0\n"}, 64),
        (mounts(TASK, VERSION_2) | {f"{JOB}/cpu.max": "800000 100000", f"{JOB}/step_0/task_0/cpu.max": "max 100000"}, 8),
        (mounts(TASK, VERSION_2) | {f"{JOB}/cpu.max": "800000 100000", f"{JOB}/step_0/cpu.max": "300000 100000"}, 3),
        (mounts(TASK, VERSION_2) | {"sys/fs/cgroup/other/cpu.max": "100000 100000"}, 64),
        (mounts("0::/kubepods/pod1/abc\n", IN_A_CONTAINER) | {"sys/fs/cgroup/cpu.max": "400000 100000"}, 4),
        (mounts("0::/../../elsewhere\n", VERSION_2) | {"sys/fs/cgroup/cpu.max": "400000 100000"}, 4),
        (OF_VERSION_1 | {"sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "500000\n"}, 64),  # without its period
        (
            OF_VERSION_1
            | {"sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "500000\n", "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n"}
            | {"sys/fs/cgroup/cpu,cpuacct/job/step/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu,cpuacct/job/step/cpu.cfs_period_us": "9"},
            5,
        ),
        (mounts("0::/a b\n", VERSION_2.replace("/sys/fs", r"/mnt/my\040cgroups")) | {"mnt/my cgroups/cgroup/a b/cpu.max": "200 100"}, 2),
        (mounts("nonsense\n", "nonsense\n\n"), 64),
    ],
)
def test_processors_of_a_control_group(tree, files, processors):
    assert available_cpus(tree(files), {}) == processors


@pytest.mark.parametrize(
    ("environment", "processors"),
    [
        ({"SLURM_CPUS_PER_TASK": "3", "SLURM_CPUS_ON_NODE": "12"}, 3),
        ({"SLURM_CPUS_ON_NODE": "12", "SLURM_JOB_CPUS_PER_NODE": "16(x3)"}, 12),
        ({"SLURM_JOB_CPUS_PER_NODE": "2(x3)", "SLURM_NODEID": "2"}, 2),
        ({"SLURM_JOB_CPUS_PER_NODE": "4(x2),8,2(x3)", "SLURM_NODEID": "2"}, 8),
        ({"SLURM_JOB_CPUS_PER_NODE": "4(x2),8,2(x3)"}, 4),
        ({"SLURM_JOB_CPUS_PER_NODE": "4", "SLURM_NODEID": "9"}, 64),
        ({"SLURM_JOB_CPUS_PER_NODE": "many(x"}, 64),
        ({"SLURM_CPUS_PER_TASK": "128"}, 64),
        ({"SLURM_CPUS_PER_TASK": "0", "SLURM_CPUS_ON_NODE": ""}, 64),
        ({"SLURM_CPUS_PER_TASK": "x"}, 64),
    ],
)
def test_processors_of_a_job(tree, environment, processors):
    assert available_cpus(tree({}), environment) == processors


def test_the_least_of_all_limits_counts(tree, monkeypatch):
    root = tree(mounts("0::/\n", VERSION_2) | {"sys/fs/cgroup/cpu.max": "400000 100000"})
    assert available_cpus(root, {"SLURM_CPUS_PER_TASK": "6"}) == 4
    assert available_cpus(root, {"SLURM_CPUS_PER_TASK": "2"}) == 2
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5})
    assert available_cpus(root, {"SLURM_CPUS_PER_TASK": "2"}) == 1


@pytest.mark.parametrize(
    ("environment", "processors"),
    [
        ({}, 16),
        ({"SLURM_NTASKS": "4", "SLURM_CPUS_PER_TASK": "8"}, 8),
        ({"SLURM_NTASKS": "4", "SLURM_CPUS_ON_NODE": "32"}, 8),
        ({"SLURM_NTASKS": "1", "SLURM_CPUS_PER_TASK": "8"}, 2),  # one task that starts four processes
        ({"SLURM_CPUS_PER_TASK": "2"}, 1),
    ],
)
def test_processors_of_each_of_four_processes(tree, environment, processors):
    assert cpus_per_process(4, tree({}), environment) == processors


def test_on_this_machine_there_is_something():
    assert available_cpus() >= 1
    assert available_memory() > 1 << 20


@pytest.mark.parametrize(
    ("files", "gigabytes"),
    [
        ({}, 100),
        (mounts("0::/\n", VERSION_2) | {"sys/fs/cgroup/memory.max": "max\n", "sys/fs/cgroup/memory.current": f"{GB}\n"}, 100),
        (mounts(TASK, VERSION_2) | {f"{JOB}/memory.max": f"{8 * GB}\n", f"{JOB}/memory.current": f"{3 * GB}\n"}, 5),
        (
            mounts(TASK, VERSION_2)
            | {f"{JOB}/memory.max": f"{8 * GB}\n", f"{JOB}/memory.current": f"{7 * GB}\n"}
            | {f"{JOB}/memory.stat": f"anon 5\nfile {4 * GB}\ninactive_file {3 * GB}\nactive_file {GB}\n"},
            5,
        ),
        (
            mounts(TASK, VERSION_2)
            | {f"{JOB}/memory.max": f"{8 * GB}\n", f"{JOB}/memory.high": f"{6 * GB}\n", f"{JOB}/memory.current": f"{2 * GB}\n"}
            | {f"{JOB}/step_0/memory.max": f"{5 * GB}\n", f"{JOB}/step_0/memory.current": f"{2 * GB}\n"},
            3,
        ),
        (mounts("0::/\n", VERSION_2) | {"sys/fs/cgroup/memory.max": f"{GB}\n", "sys/fs/cgroup/memory.current": f"{2 * GB}\n"}, 0),
        (
            OF_VERSION_1
            | {f"sys/fs/cgroup/memory/job/{name}": text for name, text in (
                ("memory.limit_in_bytes", f"{6 * GB}"), ("memory.usage_in_bytes", f"{5 * GB}"),
                ("memory.stat", f"inactive_file 1\nactive_file 2\ntotal_inactive_file {GB}\ntotal_active_file {GB}"),
            )}
            | {"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712", "sys/fs/cgroup/memory/memory.usage_in_bytes": "5"},
            3,
        ),
    ],
)  # fmt: skip
def test_memory_of_a_control_group(tree, files, gigabytes):
    assert available_memory(tree(files), {}) == gigabytes * GB


@pytest.mark.parametrize(
    ("environment", "gigabytes"),
    [
        ({"SLURM_MEM_PER_NODE": "4096"}, 3),
        ({"SLURM_MEM_PER_NODE": "0"}, 100),  # all
        ({"SLURM_MEM_PER_CPU": "2048", "SLURM_CPUS_ON_NODE": "4"}, 7),
        ({"SLURM_MEM_PER_CPU": "2048", "SLURM_CPUS_PER_TASK": "2"}, 3),
        ({"SLURM_MEM_PER_CPU": "2048"}, 100),
    ],
)
def test_memory_of_a_job_is_without_what_this_process_takes(tree, environment, gigabytes):
    pages = GB // os.sysconf("SC_PAGE_SIZE")
    assert available_memory(tree({"proc/self/statm": f"99999999 {pages} 5 1 0 9 0\n"}), environment) == gigabytes * GB


def test_where_the_system_tells_nothing_it_is_all_the_memory_of_the_machine(tmp_path):
    assert available_memory(tmp_path, {}) == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(("each", "wanted", "available", "fit"), [(3, 16, 10, 3), (3, 2, 10, 2), (11, 16, 10, 1), (5, 4, 0, 1)])
def test_as_many_workers_as_there_is_memory_for_but_one(each, wanted, available, fit):
    assert workers_that_fit(each, wanted, available) == fit
