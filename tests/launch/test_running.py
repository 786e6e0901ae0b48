"""A container runs as if its program ran here. Its image is busybox, and what it does stands in each test."""

import fcntl
import hashlib
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
import time
from types import SimpleNamespace

import pytest

from jukemir_like.launch import running
from jukemir_like.launch.images import Container

pytestmark = pytest.mark.docker


def ready(process):
    """Waits until the container has said so."""
    assert process.stdout.readline().strip() == b"ready"


@pytest.mark.parametrize("code", [0, 1, 2, 3, 77, 130, 137])
def test_the_exit_code_is_passed_on_and_nothing_is_printed(launch, left, code):
    assert launch("audit", f"exit {code}") == (code, "", "")
    assert not left()


def test_each_stream_is_passed_on_to_its_counterpart_in_order(launch):
    code, output, errors = launch("audit", "for n in $(seq 200); do echo out $n; echo err $n >&2; done; echo -n end")
    assert code == 0
    assert output == "".join(f"out {number}\n" for number in range(1, 201)) + "end"
    assert errors == "".join(f"err {number}\n" for number in range(1, 201))


def test_nothing_of_a_large_output_is_lost(launch):
    code, output, _ = launch("audit", "seq 1000000")
    assert code == 0
    assert hashlib.sha256(output.encode()).digest() == hashlib.sha256("".join(f"{n}\n" for n in range(1, 1_000_001)).encode()).digest()


def test_lines_come_while_the_container_runs(start):
    process = start("audit", "echo ready; exec sleep 600")  # longer than a test may take
    ready(process)
    assert process.poll() is None


def test_a_reader_that_leaves_early_ends_the_container(start, left):
    process = start("audit", "exec yes")
    assert process.stdout.read(4) == b"y\ny\n"
    process.stdout.close()
    process.wait(timeout=30)
    assert process.stderr.read() == b""
    assert not left()
    process.stdout = None


def test_on_a_terminal_the_container_has_one_of_the_same_size(start):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    process = start("audit", "stty size; echo $TERM", stdout=slave, stderr=slave, environment={"TERM": "vt100"})
    assert process.wait(timeout=60) == 0
    os.close(slave)
    said = os.read(master, 1000).split()
    os.close(master)
    assert said == [b"33", b"77", b"vt100"]


def test_without_a_terminal_the_container_has_none(launch):
    assert launch("audit", "if [ -t 1 ] || [ -t 2 ]; then echo terminal; fi") == (0, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_container_which_has_the_last_word(start, left, number):
    process = start("audit", 'trap "echo kept >&2; exit 130" INT; echo ready; while :; do sleep 0.1; done')
    ready(process)
    process.send_signal(number)
    assert process.wait(timeout=30) == 130
    assert process.stderr.read() == b"kept\n"
    assert not left()


@pytest.mark.slow
def test_a_container_that_does_not_listen_is_killed_after_ten_seconds(start, left):
    process = start("audit", 'trap "" INT TERM; echo ready; while :; do sleep 0.1; done')
    ready(process)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130
    assert time.monotonic() - begun > 9
    assert process.stderr.read().startswith(b"jukemir-like: interrupted")
    assert not left()


def test_a_container_has_ten_seconds_to_end():
    """What ``_end`` asks of a container that does not end, and how long it waits."""
    calls = []

    class Ended(threading.Event):
        def wait(self, timeout=None):
            calls.append(("wait", timeout))
            return False

    client = SimpleNamespace(kill=lambda identifier, name: calls.append((identifier, name)))
    output = SimpleNamespace(error=None, ended=Ended())
    assert running._end(client, "some container", Container("some/image"), output) is None
    assert calls == [("some container", "SIGINT"), ("wait", 10)]


def test_a_second_signal_does_not_wait(start, left):
    # With an hour for the container to end, this takes so long unless the second signal is heeded.
    setup = "from jukemir_like.launch import running; running.GRACE_SECONDS = 3600.0; running._END_SECONDS = 7200.0"
    process = start("audit", 'trap "echo heard" INT; echo ready; while :; do sleep 0.1; done', setup=setup)
    ready(process)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == b"heard\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert not left()


@pytest.mark.slow
def test_a_signal_at_any_moment_of_a_launch_leaves_nothing(start, left):
    for tenths in range(12):
        process = start("audit", "exec sleep 60")
        time.sleep(0.15 + tenths / 10)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=40)
        assert not left(), tenths


def test_what_a_killed_launcher_left_is_removed_by_the_next_and_what_others_run_is_not(start, launch, left):
    other = start("audit", "echo ready; exec sleep 60")
    killed = start("audit", "echo ready; exec sleep 60")
    ready(other)
    ready(killed)
    assert len(left()) == 2
    killed.kill()
    killed.wait()
    assert len(left()) == 2
    assert launch("audit", "echo next") == (0, "next\n", "")
    assert len(left()) == 1
    assert other.poll() is None
    other.send_signal(signal.SIGINT)
    other.wait(timeout=30)
    assert not left()


def test_files_belong_to_the_caller(launch, tmp_path):
    script = 'id -u; id -g; mkdir "$JUKEMIR_LIKE_CACHE_DIR/made"; touch "$JUKEMIR_LIKE_CACHE_DIR/made/file"'
    assert launch("audit", script) == (0, f"{os.getuid()}\n{os.getgid()}\n", "")
    for path in (tmp_path / "cache", tmp_path / "cache" / "made", tmp_path / "cache" / "made" / "file"):
        assert (path.stat().st_uid, path.stat().st_gid) == (os.getuid(), os.getgid())


def test_nothing_can_be_written_but_the_cache_and_the_temporary_folder(launch, tmp_path):
    (tmp_path / "own").mkdir()
    folders = ["/", "/bin", "/etc", str(tmp_path / "own"), "/tmp", str(tmp_path / "cache")]
    tried = "; ".join(f'touch "{folder}/x" 2>/dev/null && echo "{folder}"' for folder in folders)
    code, output, _ = launch("download", "--from", tmp_path / "own", "--", f"{tried}; true")
    assert code == 0
    assert output.split() == ["/tmp", str(tmp_path / "cache")]
    assert not (tmp_path / "own" / "x").exists()


def test_there_are_no_rights_beyond_the_user_s(launch):
    _, output, _ = launch("audit", "cat /proc/self/status")
    status = dict(line.split(":\t") for line in output.splitlines() if ":\t" in line)
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"


@pytest.mark.parametrize(
    ("arguments", "others"),
    [
        (("audit",), False),
        (("download",), True),
        (("download", "--from", "/tmp"), False),
    ],
)
def test_only_downloads_have_a_network(launch, arguments, others):
    code, output, _ = launch(*arguments, "--", "ls /sys/class/net")
    assert code == 0
    assert (set(output.split()) - {"lo", "tunl0", "sit0", "ip6tnl0"} != set()) is others


def test_folders_that_stay_empty_are_removed(launch, tmp_path):
    assert launch("audit", "exit 2", environment={"JUKEMIR_LIKE_CACHE_DIR": str(tmp_path / "a" / "b")})[0] == 2
    assert not (tmp_path / "a").exists()
    (tmp_path / "a" / "b").mkdir(parents=True)
    launch("audit", "exit 2", environment={"JUKEMIR_LIKE_CACHE_DIR": str(tmp_path / "a" / "b")})
    assert (tmp_path / "a" / "b").exists()


def test_a_folder_where_the_image_has_its_own_is_shown_elsewhere(launch):
    folder = subprocess.run(["mktemp", "-d", "-p", "/dev/shm"], capture_output=True, text=True, check=True).stdout.strip()
    try:
        code, output, _ = launch("audit", "--cache", folder, "--", 'touch "$JUKEMIR_LIKE_CACHE_DIR/made"; echo $JUKEMIR_LIKE_CACHE_DIR')
        assert code == 0
        assert output.startswith("/host/")
        assert os.listdir(folder) == ["made"]
    finally:
        subprocess.run(["rm", "-r", folder], check=True)


def test_training_has_shared_memory_for_its_loaders_and_sees_the_configurations_beside_it(launch, tmp_path):
    (tmp_path / "configs" / "data").mkdir(parents=True)
    (tmp_path / "configs" / "data" / "mine.yaml").touch()
    script = "cat /proc/mounts; pwd; ls configs/data"
    _, output, _ = launch("train", "--", script, cwd=tmp_path)
    *mounts, folder, names = output.splitlines()
    assert "size=8388608k" in next(line for line in mounts if line.split()[1] == "/dev/shm")
    assert (folder, names) == (str(tmp_path), "mine.yaml")


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (("audit", "x"), {"JUKEMIR_LIKE_IMAGES": "NO NAME"}, "the engine cannot run NO NAME/process"),
        (("retrieve", "--context", __file__, "--instrument", "bass", "--library", "."), {}, "no image"),
        (("audit", "x"), {"JUKEMIR_LIKE_IMAGES": "nowhere"}, "`make images`, or get it with `docker pull nowhere/process:"),
        (("audit", "x"), {"DOCKER_HOST": "unix:///nowhere.sock"}, "no Docker engine answers"),
        (("list",), {}, "list is no stage"),
        (("nosuch",), {}, "No such command"),
        (("audit",), {}, "jukemir-like audit --help"),
        (("extract", "chroma", "only-input"), {}, "give INPUT and OUTPUT, or --dataset"),
        (("extract", "chroma", "/nowhere", "out"), {}, "/nowhere is not a folder"),
        (("extract", "stemjepa-nosuch", "/tmp", "out"), {}, "no weights are called 'nosuch'"),
        (("extract", "Loud", "/tmp", "out"), {}, "no image can be called representations_Loud"),
        (("extract", "echo", "/tmp", "out", "--workers", "2"), {}, "leave out --workers"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_2(launch, left, tmp_path, arguments, environment, words):
    code, output, errors = launch(*arguments, environment=environment, cwd=tmp_path)
    assert code == 2
    assert output == ""
    assert len(errors.splitlines()) == 1
    assert words in errors
    assert list(tmp_path.iterdir()) == []
    assert not left()
