"""Where stages write, and that they write whole files or none."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.core import cache
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError, StorageError


def test_the_root_is_looked_up_at_call_time(monkeypatch, tmp_path):
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path / "one"))
    assert Cache.default().root == tmp_path / "one"
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path / "two"))
    assert Cache.default().root == tmp_path / "two"
    assert Cache.default(tmp_path / "three").root == tmp_path / "three"
    monkeypatch.delenv("JUKEMIR_LIKE_CACHE_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Cache.default().root == tmp_path / ".jukemir_like"


def test_the_layout_is_the_documented_one():
    folders = Cache(Path("/c"))
    assert folders.dataset("d") == Path("/c/datasets/d")
    assert folders.processed("d") == Path("/c/processed/d")
    assert folders.representation("d", "r") == Path("/c/representations/d/r")
    assert folders.probe("d", "r") == Path("/c/probes/d/r")
    assert folders.report == Path("/c/report")


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    target = tmp_path / "file.json"
    cache.write_json(target, {"old": 1})
    with pytest.raises(RuntimeError), cache.atomic(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert json.loads(target.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [target]


def test_the_longest_legal_name_can_be_written(tmp_path):
    target = tmp_path / ("n" * 251 + ".npy")
    cache.write_bytes(target, b"x")
    assert target.read_bytes() == b"x"


DIES_WHILE_WRITING = """
from jukemir_like.core import cache; from pathlib import Path; import os
with cache.atomic(Path({folder!r}) / "x.npy") as temporary:
    temporary.touch(); os._exit(9)
"""


def test_sweep_removes_what_dead_processes_left_and_nothing_else(tmp_path):
    subprocess.run([sys.executable, "-c", DIES_WHILE_WRITING.format(folder=str(tmp_path))], check=False)
    (tmp_path / ".hidden").touch()
    with cache.atomic(tmp_path / "y.npy") as living:
        living.touch()
        assert len(list(tmp_path.iterdir())) == 3
        assert cache.sweep(tmp_path) == 1
        assert living.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "y.npy"]


def test_sweep_counts_a_killed_process_that_nobody_waited_for_as_dead(tmp_path):
    with subprocess.Popen([sys.executable, "-c", DIES_WHILE_WRITING.format(folder=str(tmp_path))]) as killed:
        os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)
        assert len(list(tmp_path.iterdir())) == 1
        assert cache.sweep(tmp_path) == 1
    assert not list(tmp_path.iterdir())


def test_what_another_machine_or_container_writes_is_left_alone_for_an_hour(tmp_path):
    elsewhere = tmp_path / f".tmp-another-host-f0000000-{os.getpid()}-0.npy"
    elsewhere.touch()
    assert cache.sweep(tmp_path) == 0
    os.utime(elsewhere, (time.time() - 3700,) * 2)
    assert cache.sweep(tmp_path) == 1


def test_temporary_files_of_two_containers_with_one_host_name_differ(tmp_path):
    write = "from jukemir_like.core import cache; from pathlib import Path\n"
    write += "with cache.atomic(Path('x.npy')) as temporary: temporary.touch(); print(temporary.name)"
    own = subprocess.run([sys.executable, "-c", write], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    unshare = ["unshare", "--fork", "--pid", "--mount-proc", sys.executable, "-c", write]
    contained = subprocess.run(unshare, cwd=tmp_path, capture_output=True, text=True, check=False)
    if contained.returncode:
        pytest.skip(f"process namespaces cannot be made here: {contained.stderr.strip()}")
    assert own.rsplit("-", 2)[0] != contained.stdout.rsplit("-", 2)[0]


def test_a_file_where_a_folder_must_be_is_one_clear_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="choose another output folder"):
        cache.make_folder(tmp_path / "file" / "below")


def test_a_full_disk_is_one_clear_line(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with pytest.raises(StorageError, match="disk is full"), cache.storage_errors(tmp_path), open("/dev/full", "wb", buffering=0) as full:
        os.write(full.fileno(), b"x")


WRONG_NAMES = ["", ".", "..", "../x", "a/b", "/x", ".hidden", "a\nb", "a\0b", "x" * 201, "é" * 101, "\udcff"]


@pytest.mark.parametrize("name", WRONG_NAMES)
def test_a_name_that_leads_out_of_the_cache_or_cannot_be_a_folder_s_is_one_line(tmp_path, name):
    folders = Cache(tmp_path)
    for place in (
        folders.dataset,
        folders.processed,
        folders.checkpoint,
        lambda name: folders.representation("d", name),
        lambda name: folders.representation(name, "r"),
        lambda name: folders.probe("d", name),
        lambda name: folders.probe(name, "r"),
    ):
        with pytest.raises(RequestError, match="cannot be the name of") as refused:
            place(name)
        assert str(refused.value).isprintable()


@given(st.text())
def test_whatever_is_named_stays_in_its_folder(name):
    root = Path("/cache")
    try:
        made = [Cache(root).processed(name), Cache(root).checkpoint(name), Cache(root).probe(name, name)]
    except RequestError:
        return
    assert [os.path.normpath(path) for path in made] == list(map(str, made))
    assert [path.parent for path in made] == [root / "processed", root / "checkpoints", root / "probes" / name]
