"""Two machines work on one folder at the same time: nothing is lost, nothing is left.

Each is a program in a process namespace of its own, with a boot ID of its own and a host name that is alike for 40 characters.
"""

import os
import subprocess
import sys

import pytest

from jukemir_like import extract

pytestmark = pytest.mark.slow

HOSTS = [f"a-cluster-with-a-long-name-compute-node-{number}" for number in (1, 2)]
CLIPS, BATCH_SIZE, ROUNDS, WRITES = 24, 2, 40, 25
WORKS = """
import os, sys, time
from pathlib import Path
from jukemir_like.core import atomic, processes
from jukemir_like.extract import extract

host, folder, backwards = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[1] == "1"
clips, batch_size, rounds, writes = map(int, sys.argv[3:])
output = folder / "out"
assert os.getpid() == 1

# Both begin at the same time.
(folder / f"ready-{host}").touch()
while not (folder / f"ready-{1 - host}").exists():
    time.sleep(0.001)

def die_while_writing():
    child = os.fork()
    if not child:
        with atomic.atomic_write(output / "never.npy") as temporary:
            temporary.touch()
            os._exit(9)
    os.waitpid(child, 0)

def content(number):
    return f"{host} {number} ".encode() * 1000

batches = list(range(clips // batch_size))[:: -1 if backwards else 1]
for number in range(rounds):
    if batches and number % 3 == 0:
        summary = extract("mfcc", folder / "in", output, batch_size=batch_size, batch_idx=batches.pop(0))
        assert not summary.failed, summary.failed
    for write in range(writes):
        name = f"{host}-{number}-{write}.bin"
        with atomic.atomic_write(output / name) as temporary:
            temporary.write_bytes(content(number)[:5000])
            atomic.remove_abandoned(output) if write % 5 == host else os.sched_yield()
            with open(temporary, "ab") as file:
                file.write(content(number)[5000:])
        if write:  # the first of each round stays
            assert (output / name).read_bytes() == content(number)
            (output / name).unlink()
    if number % 10 == 0:
        die_while_writing()
        assert atomic.remove_abandoned(output) >= 1  # that of the child
assert not batches
print(processes.identity(), processes.boot_id())
"""


@pytest.fixture
def start(tmp_path):
    """``start(number, …)`` starts a program on one of two hosts."""

    def on_host(number, *arguments):
        boot_id = tmp_path / f"boot-{number}"
        boot_id.write_text(f"0000000{number}-0000-4000-8000-000000000000\n")
        setup = f"hostname {HOSTS[number]} && mount --bind {boot_id} /proc/sys/kernel/random/boot_id"
        command = [sys.executable, "-c", WORKS, str(number), *map(str, arguments)]
        unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--uts", "sh", "-c", f'{setup} && exec "$0" "$@"']
        return subprocess.Popen([*unshare, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    refused = subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "--uts", "true"], capture_output=True, text=True, check=False)
    if refused.returncode or os.geteuid():
        pytest.skip(f"hosts cannot be simulated here: {refused.stderr.strip() or 'only root may name them'}")
    return on_host


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_hosts_with_alike_names_extract_write_and_clean_up_in_one_folder(start, tmp_path, write_audio):
    for number in range(CLIPS):
        write_audio(tmp_path / "in" / f"{number}.wav", seconds=0.3, seed=number)
    extract.extract("mfcc", tmp_path / "in", tmp_path / "expected")
    (tmp_path / "out").mkdir()
    hosts = [start(number, tmp_path, CLIPS, BATCH_SIZE, ROUNDS, WRITES) for number in (0, 1)]
    told = [host.communicate() for host in hosts]
    assert [host.returncode for host in hosts] == [0, 0], told
    identities, boots = zip(*(out.split() for out, _ in told), strict=True)
    assert len({identity.partition("-")[0] for identity in identities}) == 2
    assert boots == tuple(f"0000000{number}-0000-4000-8000-000000000000" for number in (0, 1))
    found, expected = files(tmp_path / "out"), files(tmp_path / "expected")
    kept = {f"{host}-{number}-0.bin" for host in (0, 1) for number in range(ROUNDS)}
    vectors = {name: data for name, data in found.items() if name.endswith(".npy")}
    assert vectors == {name: data for name, data in expected.items() if name.endswith(".npy")}
    records = {f".records/batch-{BATCH_SIZE}-{index}.jsonl" for index in range(CLIPS // BATCH_SIZE)}
    assert found.keys() == vectors.keys() | kept | records
    assert {len(found[name]) for name in kept} == {4000, 5000}
