"""A bar on a terminal, a line per minute elsewhere."""

import fcntl
import os
import struct
import subprocess
import sys
import termios
import threading
import time

from jukemir_like.core import progress
from jukemir_like.core.parallel import map_unordered
from jukemir_like.core.progress import Progress, report_progress


def test_a_bar_is_shown_on_a_terminal_and_nothing_in_a_pipe():
    script = "from jukemir_like.core.progress import Progress\nwith Progress(4, 'work', 'file') as bar:\n    bar.update(4)"
    piped = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert piped.stderr == ""
    reader, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    subprocess.run([sys.executable, "-c", script], stderr=terminal, check=True)
    os.close(terminal)
    assert "work: 100%" in os.read(reader, 65536).decode()
    os.close(reader)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def lines(capsys):
    return capsys.readouterr().err.splitlines()


def test_without_a_terminal_there_is_a_line_a_minute_and_none_before(capsys):
    clock = Clock()
    with Progress(6000, "extract mfcc", "file", clock=clock) as progress:
        for _ in range(59):
            clock.now += 1
            progress.update(10)
        assert lines(capsys) == []
        clock.now += 1
        progress.update(10)
        assert lines(capsys) == ["extract mfcc: 600 of 6,000 files, 10 a second, 9 min left, 1 min so far"]
        clock.now += 59
        progress.update()
        assert lines(capsys) == []
        clock.now += 3600
        progress.update(5398)
        assert lines(capsys) == ["extract mfcc: 5,999 of 6,000 files, 1.61 a second, 1 s left, 1 h 2 min so far"]
    assert lines(capsys) == []


def test_a_minute_may_pass_without_an_item(capsys):
    clock = Clock()
    with Progress(216, "probe", "probe", clock=clock, initial=16) as progress:
        clock.now += 90
        report_progress()
        report_progress()
        assert lines(capsys) == ["probe: 16 of 216 probes, 2 min so far"]
        clock.now += 510
        progress.update(5)
        assert lines(capsys) == ["probe: 21 of 216 probes, 0.5 a minute, 6 h 30 min left, 10 min so far"]
    clock.now += 600
    report_progress()  # of what is closed, nothing is said
    assert lines(capsys) == []


def test_bytes_are_told_as_bytes_and_an_unknown_total_not_at_all(capsys):
    clock = Clock()
    with Progress(0, "download", "B", clock=clock, unit_scale=True) as progress:
        clock.now += 60
        progress.update(120_000_000)
        assert lines(capsys) == ["download: 120MB, 2.00MB a second, 1 min so far"]
        progress.total = 360_000_000
        clock.now += 60
        progress.update(0)
        assert lines(capsys) == ["download: 120MB of 360MB, 1.00MB a second, 4 min left, 2 min so far"]


def test_a_part_of_a_larger_work_says_no_lines_and_is_counted(capsys):
    clock = Clock()
    with Progress(100, "one file", "B", clock=clock, leave=False) as progress:
        clock.now += 100
        progress.update(7)
        assert progress.n == 7
    assert lines(capsys) == []


def test_lines_that_nobody_can_read_stop_nothing():
    script = (
        "import sys\nfrom jukemir_like.core.progress import Progress\nnow = [0.0]\n"
        "with Progress(4, 'work', 'file', clock=lambda: now[0]) as bar:\n    now[0] = 99\n    bar.update(4)\n"
        "sys.stderr = None\nprint('done')"
    )
    for stream in ("2>&-", "2> /dev/full"):
        done = subprocess.run(["bash", "-c", f'{sys.executable} -c "$0" {stream}', script], capture_output=True, text=True, check=False)
        assert done.stdout == "done\n"


class LinesThenFlag(Progress):
    """Creates ``flag`` when it has printed three lines."""

    flag = None
    lines = 0

    def _line(self, seconds):
        self.lines += 1
        if self.lines == 3:
            self.flag.touch()
        return super()._line(seconds)


def wait_for(flag):
    while not flag.exists():
        time.sleep(0.01)


def test_lines_are_printed_while_workers_have_unfinished_items(monkeypatch, capsys, tmp_path):
    """The items are finished when three lines were printed, and not before."""
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.2)
    with LinesThenFlag(2, "work", "item") as bar:
        bar.flag = tmp_path / "flag"
        for _ in map_unordered(wait_for, [bar.flag] * 2, 2):
            bar.update()
    printed = [line for line in lines(capsys) if line.startswith("work: ")]  # another test may have left a bar open
    assert printed[0].startswith("work: 0 of 2 items, ")
    assert len(printed) >= 3


def test_a_bar_starts_no_thread():
    before = threading.active_count()
    with Progress(4, "work", "file"):
        assert threading.active_count() == before
