"""The journals that make stages resumable."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.core import records
from jukemir_like.core.errors import StorageError
from jukemir_like.core.files import is_inside, printable


def record(name, time, **more):
    return {"input": name, "time": time, "status": "done", **more}


def test_the_latest_record_of_an_input_counts_whichever_journal_holds_it(tmp_path):
    with records.Journal(tmp_path, "b") as first, records.Journal(tmp_path, "a") as second:
        first.append(record("x.wav", 2.0, digest="new"))
        second.append(record("x.wav", 1.0, digest="old"))
        second.append(record("y.wav", 1.0))
    assert records.read(tmp_path)["x.wav"]["digest"] == "new"
    assert set(records.read(tmp_path)) == {"x.wav", "y.wav"}


def test_a_torn_line_spoils_neither_those_before_nor_those_after(tmp_path):
    with records.Journal(tmp_path, "all") as journal:
        journal.append(record("x.wav", 1.0))
    path = tmp_path / records.FOLDER / "all.jsonl"
    path.write_bytes(path.read_bytes() + b'{"input": "torn.wav", "ti')
    with records.Journal(tmp_path, "all") as journal:
        journal.append(record("y.wav", 2.0))
    assert set(records.read(tmp_path)) == {"x.wav", "y.wav"}


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=20), st.integers(0, 5)), max_size=20))
def test_any_file_name_comes_back_as_it_was_and_others_are_none(tmp_path_factory, entries):
    folder = tmp_path_factory.mktemp("output")
    expected = {}
    with records.Journal(folder, "all") as journal:
        for time, (name, value) in enumerate(entries):
            text = name.decode("utf-8", "surrogateescape")
            journal.append(record(text, time, digest=str(value)))
            if is_inside(text):
                expected[text] = str(value)
    assert {name: found["digest"] for name, found in records.read(folder).items()} == expected


def test_no_records_is_no_error(tmp_path):
    assert records.read(tmp_path / "absent") == {}


def test_lines_are_json_for_any_reader(tmp_path):
    with records.Journal(tmp_path, "all") as journal:
        journal.append(record("ü\udcff.wav", 1.0))
    line = (tmp_path / records.FOLDER / "all.jsonl").read_bytes()
    assert line.isascii()
    assert json.loads(line)["input"] == "ü\udcff.wav"


def test_the_summary_names_failures_in_printable_words():
    summary = records.Summary("extract x", done=2, failed={"a\udcff\n.wav": "is empty"})
    assert summary.exit_code == 3
    assert "failed: a\\xff\\n.wav: is empty" in summary.text()
    assert records.Summary("extract x").exit_code == 0


def test_lines_without_a_time_stand_where_their_journal_was_written(tmp_path):
    """The contract allows records without a time; then the last line counts, of the journal that was written last."""
    folder = tmp_path / records.FOLDER
    folder.mkdir()
    for name, written, lines in (("z", 100.0, ["old", "older"]), ("a", 200.0, ["new", "newest"])):
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps({"input": "x.wav", "status": "done", "digest": digest}) + "\n" for digest in lines))
        os.utime(path, (written, written))
    assert [found["digest"] for found in records.read_all(tmp_path)["x.wav"]] == ["old", "older", "new", "newest"]
    assert records.read(tmp_path)["x.wav"]["digest"] == "newest"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400) | st.just("../../x") | st.just("done"),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=3),
    max_leaves=5,
)
FIELDS = ["input", "status", "digest", "output_digest", "reason", "signature", "audio_seconds", "seconds", "time"]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON) | JSON)
def test_whatever_a_line_holds_what_is_read_has_the_promised_types(tmp_path_factory, value):
    folder = tmp_path_factory.mktemp("output")
    (folder / records.FOLDER).mkdir()
    good = json.dumps(record("good.wav", 1.0))
    (folder / records.FOLDER / "all.jsonl").write_text(f"{json.dumps(value)}\n{good}\n{json.dumps(record('x', 1.0) | {'input': value})}\n")
    read = records.read(folder)
    assert read["good.wav"] == record("good.wav", 1.0)
    for name, found in read.items():
        assert is_inside(name)
        assert found["status"] in ("done", "failed")
        assert isinstance(found.get("audio_seconds", 0) + found.get("seconds", 0) + found.get("time", 0), int | float)
        assert all(isinstance(found.get(text) or "", str) for text in ("digest", "output_digest", "reason", "signature"))


@pytest.mark.parametrize("line", ["[" * 100_000, '{"input": ' * 50_000, "null", "\udcff", '"', "NaN", "{}", "[]"])
def test_a_line_that_is_no_record_is_passed_over(tmp_path, line):
    (tmp_path / records.FOLDER).mkdir()
    good = json.dumps(record("good.wav", 1.0))
    (tmp_path / records.FOLDER / "all.jsonl").write_text(f"{line}\n{good}\n", errors="surrogateescape")
    assert set(records.read(tmp_path)) == {"good.wav"}


def test_a_pipe_or_a_folder_among_the_journals_neither_hangs_nor_hides_the_others(tmp_path):
    with records.Journal(tmp_path, "all") as journal:
        journal.append(record("x.wav", 1.0))
    os.mkfifo(tmp_path / records.FOLDER / "pipe.jsonl")
    (tmp_path / records.FOLDER / "folder.jsonl").mkdir()
    assert set(records.read(tmp_path)) == {"x.wav"}
    with pytest.raises(StorageError, match="it is not a file"):
        records.Journal(tmp_path, "pipe")
    with pytest.raises(StorageError, match="a folder stands where the file must be"):
        records.Journal(tmp_path, "folder")


@given(st.text(st.characters()) | st.text(st.sampled_from("\ud800\udc80a\n\x1b\u2028é")))
def test_any_name_can_be_shown_on_any_terminal(name):
    shown = printable(name)
    assert shown.isprintable()
    shown.encode("utf-8")
    if name.isprintable() and "\\" not in name:
        assert shown == name


def test_a_stream_has_the_records_that_are_read_at_once(tmp_path):
    with records.Journal(tmp_path, "b") as first, records.Journal(tmp_path, "a") as second:
        first.append(record("x.wav", 2.0))
        second.append(record("x.wav", 1.0))
        second.append({"input": "y.wav", "status": "failed"})  # of another program: no time
    path = tmp_path / records.FOLDER / "b.jsonl"
    path.write_bytes(path.read_bytes() + b'no record\n{"input": "../z.wav", "status": "done"}\n{"input": "torn.wav", "sta')
    os.mkfifo(tmp_path / records.FOLDER / "c.jsonl")  # it is not waited for
    streamed = list(records.stream(tmp_path))
    assert [(journal, one["input"]) for journal, _, one in streamed] == [("a", "x.wav"), ("a", "y.wav"), ("b", "x.wav")]
    by_input = {}
    for _, _, one in sorted(streamed, key=lambda line: line[1]):
        by_input.setdefault(one["input"], []).append(one)
    assert by_input == records.read_all(tmp_path)
