"""The log of a training, read back."""

import os

import pytest

from jukemir_like.core.errors import DamagedFileError
from jukemir_like.stemjepa.training import metrics_log

ROWS = [{"step": 1.0, "loss": 0.5}, {"step": 2.0, "loss": 0.25, "valid/spread": 3.0}]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / metrics_log.FILE_NAME).write_text(metrics_log.format_rows(["step", "loss", "valid/spread"], ROWS), newline="")
    return tmp_path


def test_what_is_written_is_read(folder, tmp_path_factory):
    assert metrics_log.read(folder) == ROWS
    assert metrics_log.read(tmp_path_factory.mktemp("empty")) == []


@pytest.mark.parametrize("cut", range(1, 9))
def test_the_line_that_a_killed_run_was_writing_is_left_out_however_short_it_is_cut(folder, cut):
    data = (folder / metrics_log.FILE_NAME).read_bytes()
    (folder / metrics_log.FILE_NAME).write_bytes(data[:-cut])
    assert metrics_log.read(folder) == ROWS[:1]


@pytest.mark.parametrize("figure", ["nan", "inf", "-inf"])
def test_a_training_that_went_astray_has_a_log_and_a_table(folder, figure):
    with open(folder / metrics_log.FILE_NAME, "a", newline="") as file:
        file.write(f"3,{figure},\r\n")
    assert metrics_log.read(folder)[-1]["step"] == 3
    assert "3 steps" in metrics_log.summary(folder, ["bass"])


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,2\n",
        *(b"step,loss\n" + line + b"\n" for line in (b"nan,1", b",1", b"1e999,1", b"-1,1", b"1,x", b"1\n2,3", b"1," + b"2" * 200_000)),
        b"step,step\n1,2\n",
        b"\xff\xfe\n",
        b"[[[[\n" * 9,
    ],
)
def test_a_damaged_log_is_one_line(folder, content):
    (folder / metrics_log.FILE_NAME).write_bytes(content)
    for read in (lambda: metrics_log.read(folder), lambda: metrics_log.summary(folder, ["bass"])):
        with pytest.raises(DamagedFileError, match=r"metrics\.csv .*move it away"):
            read()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to(path), lambda path: path.symlink_to("/dev/zero")])
def test_only_a_file_is_a_log(folder, make):
    (folder / metrics_log.FILE_NAME).unlink()
    make(folder / metrics_log.FILE_NAME)
    with pytest.raises(DamagedFileError, match=r"metrics\.csv "):
        metrics_log.read(folder)
