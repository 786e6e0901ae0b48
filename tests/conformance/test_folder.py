"""What is seen in a folder, and read in its records."""

import json
import os

import pytest

from jukemir_like.conformance import archive
from jukemir_like.conformance.folder import is_untouched, look, not_records, output_of, outputs, place, records, touched, visible


def journal(folder, lines, name="all.jsonl"):
    content = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    place(folder, {f".records/{name}": content + b"\n"})


def test_what_is_placed_is_seen(tmp_path):
    files = {"a.npy": b"1", "b/c d.npy": b"2", ".records/x.jsonl": b"", "b/.hidden/d.npy": b"3", "e.txt": b"4"}
    assert place(tmp_path, files) == list(files)
    seen = look(tmp_path)
    assert {path: entry.content for path, entry in seen.items() if not entry.is_folder} == files
    assert set(visible(seen)) == {"a.npy", "b", "b/c d.npy", "e.txt"}
    assert set(outputs(seen)) == {"a.npy", "b/c d.npy"}


@pytest.mark.parametrize(("path", "output"), [("a/b.wav", "a/b.npy"), ("a.b/c.d.FLAC", "a.b/c.d.npy"), ("x..mp3", "x..npy")])
def test_an_output_takes_its_inputs_place(path, output):
    assert output_of(path) == output


def test_a_file_that_was_written_again_is_told_from_one_that_was_not(tmp_path):
    place(tmp_path, {"kept.npy": b"1", "same.npy": b"1", "gone.npy": b"1"})
    before = look(tmp_path)
    (tmp_path / ".new").write_bytes(b"1")
    (tmp_path / ".new").rename(tmp_path / "same.npy")
    place(tmp_path, {"new.npy": b"1"})
    (tmp_path / "gone.npy").unlink()
    after = look(tmp_path)
    assert touched(before, after) == {"same.npy", "new.npy"}
    assert is_untouched("kept.npy", before, after)
    assert not any(is_untouched(name, before, after) for name in ("same.npy", "new.npy", "gone.npy"))


def test_the_last_line_about_an_input_counts_and_torn_ones_do_not(tmp_path):
    done, failed = {"input": "a", "status": "done"}, {"input": "a", "status": "failed"}
    journal(tmp_path, [done, {"input": "b"}, b'{"input": "c", "dig', failed, [1], b"7"])
    seen = look(tmp_path)
    assert records(seen) == {"a": failed, "b": {"input": "b"}}
    assert [line.partition(":")[0] for line in not_records(seen)] == [f".records/all.jsonl, line {line}" for line in (3, 5, 6)]


def test_of_several_journals_the_one_changed_last_counts_or_else_the_later_time(tmp_path):
    journal(tmp_path, [{"input": "a", "n": 1}, {"input": "b", "n": 1, "time": 5.0}], "z.jsonl")
    journal(tmp_path, [{"input": "a", "n": 2}, {"input": "b", "n": 2, "time": 4.0}], "a.jsonl")
    os.utime(tmp_path / ".records/z.jsonl", (1, 1))
    assert {name: record["n"] for name, record in records(look(tmp_path)).items()} == {"a": 2, "b": 1}


def test_an_archive_holds_what_was_packed():
    files = {"a.wav": b"1", "b/c/d.wav": b"22"}
    seen = archive.unpack(archive.pack("input", files))
    assert {path: entry.content for path, entry in seen.items() if not entry.is_folder} == files
    assert {path for path, entry in seen.items() if entry.is_folder} == {"b", "b/c"}
