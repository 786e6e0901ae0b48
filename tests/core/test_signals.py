"""Ctrl-C, SIGTERM and a closed terminal: the first ends in bounded time, the second at once, and nothing is left running."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jukemir_like.core import signals

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
HANG_SECONDS = 120.0  # what is under way would go on for a thousand
CONTRACT_SECONDS = 10.0  # the containers'
BEGIN = "import ctypes, os, sys, time\nfrom jukemir_like.core import parallel, signals\nsignals.install()\n"
LONG_GRACE = "grace = signals.grace_period(1000)\ngrace.__enter__()\n"  # kept: without a name it would be over at once
END = "\nexcept signals.Interrupted:\n    interrupted = True\nsignals.exit_interrupted()\n"
# Each says that it has begun, and then does not end by itself.
SCRIPTS = {
    "a worker that sleeps": "def work(_):\n    os.write(1, b'.')\n    time.sleep(1000)\n",
    # PyDLL keeps the interpreter's lock: no thread of the worker runs any more.
    "a worker in a native call": "def work(_):\n    os.write(1, b'.')\n    ctypes.PyDLL(None).sleep(1000)\n",
    "a worker with a program of its own": (
        "import subprocess\ndef work(_):\n    with subprocess.Popen(['sleep', '1000']):\n        os.write(1, b'.')\n"
    ),
    "a worker that leaves its signals blocked": (
        "import signal\ndef work(_):\n    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n"
        "    os.write(1, b'.')\n    time.sleep(1000)\n"
    ),
}
WORKERS = "try:\n    list(parallel.map_unordered(work, range(8), 2))"
WAIT = "os.write(1, b'.'); time.sleep(1000)"
IN_THIS_PROCESS = {
    "a native call": "try:\n    import numpy\n    matrix = numpy.ones((5000, 5000))\n    os.write(1, b'.')\n    numpy.linalg.svd(matrix)",
    "a thread that does not end": f"import threading\nthreading.Thread(target=time.sleep, args=(1000,)).start()\ntry:\n    {WAIT}",
    "an exit function that does not end": f"import atexit\natexit.register(time.sleep, 1000)\ntry:\n    {WAIT}",
    "a clean-up that does not end": f"try:\n  try:\n    {WAIT}\n  finally:\n    time.sleep(1000)",
    "somebody who catches everything": f"try:\n  while True:\n    try:\n        {WAIT}\n    except BaseException: pass",
}


def running(session):
    """Processes of a session, with what they were called with."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] not in "ZX":
                found[int(path.name)] = (path / "cmdline").read_bytes()
    return found


def hears(process):
    """Whether it has its own way with SIGTERM."""
    with contextlib.suppress(OSError):
        caught = next(line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if line.startswith("SigCgt:"))
        return bool(int(caught.split()[1], 16) >> signal.SIGTERM - 1 & 1)
    return False


def start(*command, **options):
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **options)


def end(process, numbers, gaps, *, group, insist=False):
    """Sends the signals one after another, and waits for the end; returns what it printed.

    With ``insist`` the last one is sent again and again, as by somebody who holds down Ctrl-C: one read by the process together with the
    first counts as the first.
    """

    def send(number):
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(process.pid, number)

    for number, gap in zip(numbers, gaps, strict=True):
        time.sleep(gap)
        send(number)
    deadline = time.monotonic() + HANG_SECONDS
    try:
        while insist and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.5)
            send(numbers[-1])
        printed = process.communicate(timeout=HANG_SECONDS)[1]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + HANG_SECONDS
    while running(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert running(process.pid) == {}
    return printed


def begun(script):
    process = start(sys.executable, "-c", script)
    assert process.stdout.read(1) == "."
    return process


@pytest.mark.parametrize("case", [*SCRIPTS, *IN_THIS_PROCESS])
def test_the_second_signal_ends_at_once_whatever_is_under_way(case):
    """Not when the time for cleaning up is over: that is longer than the test."""
    draw = random.Random(case)
    script = BEGIN + LONG_GRACE + (SCRIPTS[case] + WORKERS if case in SCRIPTS else IN_THIS_PROCESS[case]) + END
    numbers = draw.choices(ENDING, k=2)
    process = begun(script)
    said = end(process, numbers, (0.0, draw.uniform(0.1, 0.5)), group=draw.random() < 0.5, insist=True)
    assert process.returncode == 130
    assert said == f"{signals.MESSAGE}\n"


FORKS = """
import signal


def fork():  # as workers are started: what raises in a hook of a fork is lost
    signal.pthread_sigmask(signal.SIG_BLOCK, signals.EXIT_SIGNALS)
    child = os.fork()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals.EXIT_SIGNALS)
    return child


while True:
    try:
        os.write(1, b'.')
        while fork():
            time.sleep(0.002)
        while True:
            time.sleep(1000)
    except signals.Interrupted:
        pass
"""


def test_what_the_process_starts_while_it_ends_is_not_left_behind():
    """In the main thread, while the other one has already killed what there was."""
    process = begun(BEGIN + LONG_GRACE + FORKS)
    said = end(process, [signal.SIGTERM] * 2, (0.0, 0.2), group=False, insist=True)
    assert process.returncode == 130
    assert said == f"{signals.MESSAGE}\n"


REPLACES = """
try:
    with signals.not_replaced():
        try:
            os.write(1, b'.')
            time.sleep(1000)
        finally:
            None.half_done
"""


def test_an_error_of_a_clean_up_does_not_stand_in_the_place_of_the_signal():
    process = begun(BEGIN + REPLACES + END)
    assert end(process, [signal.SIGTERM], [0.0], group=False) == f"{signals.MESSAGE}\n"
    assert process.returncode == 130


def test_an_error_without_a_signal_stays_what_it_is():
    with pytest.raises(ZeroDivisionError), signals.not_replaced():
        raise ZeroDivisionError


@pytest.mark.slow
@pytest.mark.parametrize("case", [*SCRIPTS, *IN_THIS_PROCESS])
def test_the_first_signal_ends_in_bounded_time_whatever_is_under_way(case):
    draw = random.Random(case)
    process = begun(BEGIN + (SCRIPTS[case] + WORKERS if case in SCRIPTS else IN_THIS_PROCESS[case]) + END)
    said = end(process, [draw.choice(ENDING)], [0.0], group=draw.random() < 0.5)
    assert process.returncode == 130
    assert said == f"{signals.MESSAGE}\n"


def test_the_bound_is_that_of_the_contract():
    """How long the process waits after the first signal, by a clock that only goes on while it waits."""
    script = (
        "import os, select, time, types\nfrom jukemir_like.core import signals\nwaited = 0.0\n"
        "def wait(readers, writers, errors, timeout):\n"
        "    global waited\n"
        "    if timeout is None:\n        return select.select(readers, writers, errors)\n"
        "    waited += timeout\n    return [], [], []\n"
        "signals.select = types.SimpleNamespace(select=wait)\n"
        "signals.time = types.SimpleNamespace(monotonic=lambda: waited)\n"
        "leave = os._exit\n"
        "signals.os._exit = lambda code: (os.write(1, repr(waited).encode()), leave(code))\n"
        "signals.install()\n"
        "try:\n    os.write(1, b'.')\n    time.sleep(1000)\nfinally:\n    time.sleep(1000)\n"
    )
    process = begun(script)
    process.send_signal(signal.SIGTERM)
    waited, said = process.communicate(timeout=HANG_SECONDS)
    assert 0 < float(waited) <= signals.GRACE_SECONDS + 1e-6 < CONTRACT_SECONDS
    assert process.returncode == 130
    assert said == f"{signals.MESSAGE}\n"


@pytest.mark.parametrize(
    "wait",
    ["threading.Event().wait()", "held.acquire()", "time.sleep(1000)", "select.select([os.pipe()[0]], [], [])"],
)
def test_a_signal_that_does_not_interrupt_a_wait_is_noticed_all_the_same(wait):
    """As one that comes just before the wait. Here another thread gets it, so that it never interrupts the wait of the main thread."""
    script = (
        "import select, signal, threading\nheld = threading.Lock()\nheld.acquire()\n"
        "def receive():\n    time.sleep(0.3)\n    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)\n    time.sleep(1000)\n"
        "threading.Thread(target=receive, daemon=True).start()\n"
        f"try:\n    {wait}\nexcept signals.Interrupted:\n    print('noticed', flush=True)\n    signals.exit_interrupted()"
    )
    process = start(sys.executable, "-c", BEGIN + LONG_GRACE + script)
    assert process.communicate(timeout=HANG_SECONDS)[0] == "noticed\n"
    assert process.returncode == 130


def test_the_thread_that_waits_for_signals_has_begun_when_the_work_does():
    """An interpreter that ends before a thread of it has begun can crash: Debian 12's did, where all processors were taken."""
    script = (
        "import _thread, sys, time\nfrom jukemir_like.core import signals\nstart, begun = _thread.start_new_thread, []\n"
        "def late(function, arguments):\n"
        "    start(lambda: (time.sleep(0.3), begun.append(function), function(*arguments)), ())\n"
        "_thread.start_new_thread = late\nsignals.install()\nsys.exit(0 if begun else 'it has not')\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=HANG_SECONDS)


def test_a_signal_at_the_interpreter_s_own_end_does_not_change_the_exit_code():
    """The C library calls getchar after Python has ended, which waits for this test: libraries too may take long to end."""
    script = (
        "import ctypes, os\nfrom jukemir_like.core import signals\nsignals.install()\n"
        "c = ctypes.CDLL(None)\nc.on_exit(c.getchar, None)\nsignals.disarm()\nos.write(1, b'.')\n"
    )
    process = start(sys.executable, "-c", script, stdin=subprocess.PIPE)
    assert process.stdout.read(1) == "."
    deadline = time.monotonic() + HANG_SECONDS
    while hears(process) and time.monotonic() < deadline:
        time.sleep(0.01)
    for number in ENDING:
        process.send_signal(number)
    said = process.communicate("x", timeout=HANG_SECONDS)[1]
    assert (process.returncode, said) == (0, "")


def test_workers_finish_what_they_are_at(tmp_path):
    """So nothing half done is left, where that takes no longer than a moment."""
    script = f"def work(number):\n    os.write(1, b'.')\n    time.sleep(0.5)\n    open({str(tmp_path)!r} + f'/{{number}}', 'w').close()\n"
    process = begun(BEGIN + script + WORKERS + END)
    process.stdout.read(1)
    end(process, [signal.SIGTERM], [0.0], group=False)
    assert sorted(os.listdir(tmp_path)) == ["0", "1"]


def test_two_signals_that_mean_one_thing_are_one():
    """A scheduler tells a process and its group, a terminal that is closed says SIGHUP and then SIGTERM."""
    script = "try:\n  try:\n    os.write(1, b'.')\n    time.sleep(1000)\n  finally:\n    time.sleep(0.3)\n    os.write(2, b'clean\\n')"
    process = begun(BEGIN + "signals._SAME_REQUEST_SECONDS = 60\n" + script + END)  # the second may come late on a busy machine
    said = end(process, [signal.SIGHUP, signal.SIGTERM], [0.0, 0.0], group=False)
    assert said == f"clean\n{signals.MESSAGE}\n"


def test_what_nohup_asks_for_stays():
    process = start("nohup", sys.executable, "-c", BEGIN + "os.write(1, b'.')\ntime.sleep(1)\nprint('done')", stdin=subprocess.DEVNULL)
    assert process.stdout.read(1) == "."
    process.send_signal(signal.SIGHUP)
    assert process.communicate(timeout=HANG_SECONDS)[0] == "done\n"
    assert process.returncode == 0


def test_what_is_to_be_done_at_last_is_done(tmp_path):
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "file").touch()
    script = (
        "import shutil\nwith signals.on_forced_exit(lambda: 1 / 0), signals.on_forced_exit(lambda: time.sleep(1000)):\n"
        f"  with signals.on_forced_exit(lambda: shutil.rmtree({str(tmp_path / 'large')!r})):\n"
        "    try:\n        os.write(1, b'.')\n        time.sleep(1000)\n    except BaseException:\n        time.sleep(1000)"
    )
    process = begun(BEGIN + LONG_GRACE + script)
    end(process, [signal.SIGINT] * 2, [0.0, 0.2], group=False, insist=True)
    assert process.returncode == 130
    assert not (tmp_path / "large").exists()


def test_a_signal_while_a_program_starts_raises_when_it_can_be_ended():
    script = BEGIN + (
        "import subprocess\ntry:\n    with signals.postponed():\n"
        "        os.kill(os.getpid(), 15)\n"
        "        program = subprocess.Popen(['sleep', '1000'])\n"
        "        ignored = 'SigBlk:\\t' + 16 * '0' not in open(f'/proc/{program.pid}/status').read()\n"
        "    print('not interrupted')\n"
        "except signals.Interrupted:\n    program.terminate()\n    print(program.wait(), ignored, flush=True)\n"
        "    signals.exit_interrupted()\n"
    )
    process = start(sys.executable, "-c", script)
    assert process.communicate(timeout=HANG_SECONDS)[0] == "-15 False\n"
    assert process.returncode == 130


def test_a_signal_after_the_work_changes_nothing():
    script = BEGIN + "import atexit\natexit.register(time.sleep, 1)\nsignals.disarm()\nos.write(1, b'.')\n"
    process = begun(script)
    assert end(process, [signal.SIGTERM], [0.0], group=False) == ""
    assert process.returncode == 0


# Every command, on a small cache ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signals") / "cache"
    for command in (
        ["download", "synthband", "--songs", "24"],
        ["process", "synthband"],
        ["process", "synthband_stems"],
        ["extract", "mfcc", "--dataset", "synthband"],
    ):
        subprocess.run([sys.executable, "-m", "jukemir_like", *command, "--cache", folder], check=True, capture_output=True)
    return folder


COMMANDS = {
    "download": "download synthband --songs 4000 --cache {new}",
    "process": "process synthband --cache {new}",
    "extract": "extract stemjepa {cache}/processed/synthband/wav {new}/out",
    "grid": "probe synthband mfcc --task genre --protocol jukemir --cache {new}",
    "linear": "probe synthband mfcc --cache {new}",
    "audit": "audit synthband --cache {new}",
    "train": "train --data {cache}/processed/synthband_stems --output {new}/out model=small trainer=cpu data.dataloader.num_workers=2",
    "retrieve": "retrieve --context {context} --instrument bass --library {cache}/processed/synthband_stems/wav --cache {new}",
    "evaluate-retrieval": "evaluate-retrieval --dataset synthband_stems --cache {new}",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_two_signals_end_any_command_at_any_moment(cache, tmp_path, name):
    draw = random.Random(name)
    context = next((cache / "processed" / "synthband" / "wav").rglob("*.wav"))
    new = tmp_path / "cache"
    shutil.copytree(cache, new)
    command = COMMANDS[name].format(cache=cache, new=new, context=context).split()
    process = start(sys.executable, "-m", "jukemir_like", *command)
    while not hears(process):
        assert process.poll() is None
        time.sleep(0.005)
    time.sleep(draw.uniform(0, 5))
    number = draw.choice(ENDING)
    gaps = 0.0, draw.choice([draw.uniform(0, 0.05), draw.uniform(0.05, 0.4), draw.uniform(0.4, 2)])
    said = end(process, [number] * 2, gaps, group=number == signal.SIGINT)
    assert process.returncode in (130, 0, 3), said  # it may have been done before
    assert "Traceback" not in said
    assert "Exception" not in said
    if process.returncode == 130:
        assert said.rstrip("\n").endswith(signals.MESSAGE)
        assert said.count(signals.MESSAGE) == 1
