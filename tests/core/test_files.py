"""Opening what may be anything, names that may lead anywhere, and free space, of which a reserve stays free."""

import os
import shutil
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.core import files
from jukemir_like.core.errors import StorageError
from jukemir_like.core.files import RESERVE_BYTES, check_free_space, free_bytes


def test_a_regular_file_and_a_link_to_one_are_opened(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("a")
    assert files.read_regular(tmp_path / "a") == files.read_regular(tmp_path / "link") == b"abc"


def make_pipe(path):
    os.mkfifo(path)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.fspath(path))


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (make_pipe, "is a named pipe, not a file"),
        (make_socket, "cannot be read"),
        (lambda path: path.mkdir(), "is a folder, not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "is a device, not a file"),
        (lambda path: path.symlink_to(path), "too many levels of symbolic links"),
        (lambda path: path.symlink_to("nowhere"), "no such file"),
        (lambda path: None, "no such file"),
    ],
)
def test_everything_else_is_refused_at_once_in_words(tmp_path, make, word, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    make(Path("x"))
    with pytest.raises(OSError) as refused:  # noqa: PT011 -- the words are looked at below
        files.open_regular("x")
    assert word in files.refusal(refused.value)
    assert "\n" not in files.refusal(refused.value)


@given(st.text(st.sampled_from("ab./\0\\"), max_size=8))
def test_a_name_is_inside_exactly_where_the_system_finds_it_there(name):
    normal = os.path.normpath("/folder/" + name) if name and not name.startswith("/") else ""
    expected = "\0" not in name and normal == "/folder/" + name and normal != "/folder/"
    assert files.is_inside(name) == expected


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/../../x", "/x", "a//b", "a/", "a\0b"])
def test_names_that_lead_out_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="leads out"):
        files.inside(tmp_path, name)


@pytest.fixture
def free(monkeypatch, tmp_path):
    usage = shutil.disk_usage(tmp_path)
    asked = []

    def disk_usage(path):
        asked.append(path)
        return usage._replace(free=RESERVE_BYTES + 1000)

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    return asked


def test_of_a_path_that_is_not_there_yet_the_folder_above_it_is_asked(tmp_path, free):
    assert free_bytes(tmp_path / "not" / "yet" / "there.bin") == RESERVE_BYTES + 1000
    assert free == [tmp_path]


@pytest.mark.parametrize(("needed", "reserve"), [(1000, RESERVE_BYTES), (RESERVE_BYTES + 1000, 0), (0, 10 * RESERVE_BYTES)])
@pytest.mark.usefixtures("free")
def test_what_fits_beside_the_reserve_passes(tmp_path, needed, reserve):
    check_free_space(tmp_path, needed, "cannot copy", advice="use another disk", reserve_bytes=reserve)


@pytest.mark.parametrize(("needed", "reserve"), [(1001, RESERVE_BYTES), (RESERVE_BYTES + 1001, 0)])
@pytest.mark.usefixtures("free")
def test_one_byte_more_is_one_line_with_what_to_do(tmp_path, needed, reserve):
    with pytest.raises(StorageError) as caught:
        check_free_space(tmp_path, needed, "cannot copy", advice="use another disk", reserve_bytes=reserve)
    assert str(caught.value) == f"cannot copy: {needed / 1e9:.2f} GB are needed, 0.07 GB are free: use another disk"
