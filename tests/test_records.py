"""The journals that make stages resumable."""

import json

from hypothesis import given
from hypothesis import strategies as st

from jukemir_like import records


def record(name, time, **more):
    return {"input": name, "time": time, "status": "done", **more}


def test_the_latest_record_of_an_input_counts_whichever_journal_holds_it(tmp_path):
    with records.journal(tmp_path, "b") as first, records.journal(tmp_path, "a") as second:
        first.append(record("x.wav", 2.0, digest="new"))
        second.append(record("x.wav", 1.0, digest="old"))
        second.append(record("y.wav", 1.0))
    assert records.read(tmp_path)["x.wav"]["digest"] == "new"
    assert set(records.read(tmp_path)) == {"x.wav", "y.wav"}


def test_a_torn_line_spoils_neither_those_before_nor_those_after(tmp_path):
    with records.journal(tmp_path, "all") as journal:
        journal.append(record("x.wav", 1.0))
    path = tmp_path / records.FOLDER / "all.jsonl"
    path.write_bytes(path.read_bytes() + b'{"input": "torn.wav", "ti')
    with records.journal(tmp_path, "all") as journal:
        journal.append(record("y.wav", 2.0))
    assert set(records.read(tmp_path)) == {"x.wav", "y.wav"}


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=20), st.integers(0, 5)), max_size=20))
def test_any_file_name_comes_back_as_it_was(tmp_path_factory, entries):
    folder = tmp_path_factory.mktemp("output")
    expected = {}
    with records.journal(folder, "all") as journal:
        for time, (name, value) in enumerate(entries):
            text = name.decode("utf-8", "surrogateescape")
            journal.append(record(text, time, digest=value))
            expected[text] = value
    assert {name: found["digest"] for name, found in records.read(folder).items()} == expected


def test_no_records_is_no_error(tmp_path):
    assert records.read(tmp_path / "absent") == {}


def test_lines_are_json_for_any_reader(tmp_path):
    with records.journal(tmp_path, "all") as journal:
        journal.append(record("ü\udcff.wav", 1.0))
    line = (tmp_path / records.FOLDER / "all.jsonl").read_bytes()
    assert line.isascii()
    assert json.loads(line)["input"] == "ü\udcff.wav"


def test_the_summary_names_failures_in_printable_words():
    summary = records.Summary("extract x", done=2, failed={"a\udcff\n.wav": "is empty"})
    assert summary.exit_code == 3
    assert "failed: a\\xff\\n.wav: is empty" in summary.text()
    assert records.Summary("extract x").exit_code == 0
