"""What is in a folder, what its records say, and which files were written in place."""

import json
import os
import sys

import pytest

from jukemir_like.conformance import snapshots


def journal(folder, lines, name="all.jsonl"):
    content = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    snapshots.write_files(folder, {f".records/{name}": content + b"\n"})


def test_what_is_written_is_in_the_snapshot(tmp_path):
    files = {"a.npy": b"1", "b/c d.npy": b"2", ".records/x.jsonl": b"", "b/.hidden/d.npy": b"3", "e.txt": b"4"}
    assert snapshots.write_files(tmp_path, files) == list(files)
    snapshot = snapshots.take(tmp_path)
    assert {path: entry.content for path, entry in snapshot.items() if not entry.is_folder} == files
    assert set(snapshots.visible(snapshot)) == {"a.npy", "b", "b/c d.npy", "e.txt"}
    assert set(snapshots.outputs(snapshot)) == {"a.npy", "b/c d.npy"}


@pytest.mark.parametrize(("path", "output"), [("a/b.wav", "a/b.npy"), ("a.b/c.d.FLAC", "a.b/c.d.npy"), ("x..mp3", "x..npy")])
def test_an_output_takes_its_inputs_place(path, output):
    assert snapshots.output_of(path) == output


def test_a_file_that_was_written_again_is_told_from_one_that_was_not(tmp_path):
    snapshots.write_files(tmp_path, {"kept.npy": b"1", "same.npy": b"1", "gone.npy": b"1"})
    before = snapshots.take(tmp_path)
    (tmp_path / ".new").write_bytes(b"1")
    (tmp_path / ".new").rename(tmp_path / "same.npy")
    snapshots.write_files(tmp_path, {"new.npy": b"1"})
    (tmp_path / "gone.npy").unlink()
    after = snapshots.take(tmp_path)
    assert snapshots.changed_outputs(before, after) == {"same.npy", "new.npy"}
    assert snapshots.is_unchanged("kept.npy", before, after)
    assert not any(snapshots.is_unchanged(name, before, after) for name in ("same.npy", "new.npy", "gone.npy"))


def test_the_last_line_about_an_input_counts_and_torn_ones_do_not(tmp_path):
    done, failed = {"input": "a", "status": "done"}, {"input": "a", "status": "failed"}
    journal(tmp_path, [done, {"input": "b"}, b'{"input": "c", "dig', failed, [1], b"7"])
    snapshot = snapshots.take(tmp_path)
    assert snapshots.records(snapshot) == {"a": failed, "b": {"input": "b"}}
    assert [line.partition(":")[0] for line in snapshots.invalid_lines(snapshot)] == [
        f".records/all.jsonl, line {line}" for line in (3, 5, 6)
    ]


def test_of_several_journals_the_one_changed_last_counts_or_else_the_later_time(tmp_path):
    journal(tmp_path, [{"input": "a", "n": 1}, {"input": "b", "n": 1, "time": 5.0}], "z.jsonl")
    journal(tmp_path, [{"input": "a", "n": 2}, {"input": "b", "n": 2, "time": 4.0}], "a.jsonl")
    os.utime(tmp_path / ".records/z.jsonl", (1, 1))
    assert {name: record["n"] for name, record in snapshots.records(snapshots.take(tmp_path)).items()} == {"a": 2, "b": 1}


def test_an_archive_holds_what_was_packed():
    files = {"a.wav": b"1", "b/c/d.wav": b"22"}
    snapshot = snapshots.unpack(snapshots.pack("input", files))
    assert {path: entry.content for path, entry in snapshot.items() if not entry.is_folder} == files
    assert {path for path, entry in snapshot.items() if entry.is_folder} == {"b", "b/c"}


@pytest.mark.skipif(sys.platform != "linux", reason="needs inotify")
def test_names_that_were_written_to_are_told_from_those_that_came_whole(tmp_path):
    (tmp_path / "old.npy").write_bytes(b"1")
    with snapshots.written_in_place(tmp_path) as names:
        (tmp_path / "in place.npy").write_bytes(b"1")
        with open(tmp_path / "old.npy", "ab") as file:
            file.write(b"2")
        (tmp_path / ".temporary").write_bytes(b"1")
        (tmp_path / ".temporary").rename(tmp_path / "whole.npy")
        (tmp_path / ".linked").write_bytes(b"1")
        (tmp_path / "linked.npy").hardlink_to(tmp_path / ".linked")
    assert names == {"in place.npy", "old.npy", ".temporary", ".linked"}


def test_nothing_is_written_in_place_in_a_folder_in_which_nothing_happens(tmp_path):
    with snapshots.written_in_place(tmp_path) as names:
        pass
    assert names == set()
