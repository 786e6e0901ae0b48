"""Files that are written in place are told from those that are renamed."""

import sys

import pytest

from jukemir_like.conformance.watch import written_in


@pytest.mark.skipif(sys.platform != "linux", reason="needs inotify")
def test_names_that_were_written_to_are_told_from_those_that_came_whole(tmp_path):
    (tmp_path / "old.npy").write_bytes(b"1")
    with written_in(tmp_path) as names:
        (tmp_path / "in place.npy").write_bytes(b"1")
        with open(tmp_path / "old.npy", "ab") as file:
            file.write(b"2")
        (tmp_path / ".temporary").write_bytes(b"1")
        (tmp_path / ".temporary").rename(tmp_path / "whole.npy")
        (tmp_path / ".linked").write_bytes(b"1")
        (tmp_path / "linked.npy").hardlink_to(tmp_path / ".linked")
    assert names == {"in place.npy", "old.npy", ".temporary", ".linked"}


def test_a_folder_in_which_nothing_happens(tmp_path):
    with written_in(tmp_path) as names:
        pass
    assert names == set()
